"""fold: the state after a row of events.

Replaying the journal gives the same state as living through it. The scheduler's index (which pending task waits for how
many others) is kept up to date here, so that a tick costs the same in a tree of ten tasks and of ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aura_engine.core import events as ev
from aura_engine.core import fold_planner as planner
from aura_engine.core import fold_survival
from aura_engine.core.model import Check, EndKind, Outcome, Phase, Role, RunStatus, TaskStatus, Verdict
from aura_engine.core.plan import apply_change, id_key
from aura_engine.core.state import ALLOWED, Attempt, Question, RunState, Task

_RETRIABLE = frozenset({TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED})
_LOOKS = frozenset(
    {
        *(ev.EngineStarted, ev.WorkersPlaced, ev.CapsChanged, ev.Notice),
        *(ev.Requested, ev.CheckRan, ev.GoalChecked, ev.RunEnded),
    }
)
"""What happens to an ended run that is opened again and has nothing to do."""


def apply(state: RunState, event: object, time: float = 0.0) -> None:
    """Fold one event in. ValueError when a status would move along a forbidden edge."""
    state.seq += 1
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(state, event, time)
    if type(event) not in _LOOKS:
        state.ended_at = 0.0
    state.time = time


def fold(events: Iterable[tuple[object, float]], state: RunState | None = None) -> RunState:
    """The state after (event, wall time) pairs, in journal order."""
    state = state or RunState()
    for event, time in events:
        apply(state, event, time)
    return state


def _move(state: RunState, task: Task, status: TaskStatus, reason: str = "") -> None:
    if status is task.status:
        return
    if status not in ALLOWED[task.status]:
        raise ValueError(f"{task.spec.id}: {task.status} → {status} is not allowed")
    task.status = status
    task.reason = reason
    task_id = task.spec.id
    state.verifying.discard(task_id)
    state.failed.discard(task_id)
    state.ready.pop(task_id, None)
    if status is TaskStatus.VERIFYING:
        state.verifying.add(task_id)
    elif status is TaskStatus.FAILED:
        state.failed.add(task_id)
    elif status is TaskStatus.PENDING and not task.unmet:
        state.ready[task_id] = None


def reindex(state: RunState) -> None:
    """Recompute who waits for whom; after a change of the plan only."""
    state.children = {}
    state.dependents = {}
    state.ready = {}
    for task in state.tasks.values():
        state.children.setdefault(task.spec.parent, []).append(task.spec.id)
    needs: dict[str, list[str]] = {}
    for task in state.leaves():
        if task.status is TaskStatus.ARCHIVED:
            continue
        # A group's needs bind all its leaves: collect those of every ancestor.
        wanted: list[str] = []
        node = task.spec.id
        while node:
            wanted += state.tasks[node].spec.needs
            node = state.tasks[node].spec.parent
        needs[task.spec.id] = list(dict.fromkeys(leaf for need in wanted for leaf in state.leaves_of(need)))
    for task_id, leaves in needs.items():
        task = state.tasks[task_id]
        task.unmet = sum(state.tasks[leaf].status is not TaskStatus.COMPLETED for leaf in leaves)
        for leaf in leaves:
            state.dependents.setdefault(leaf, []).append(task_id)
        if task.status is TaskStatus.PENDING and not task.unmet:
            state.ready[task_id] = None
    ranks: dict[str, int] = {}
    for task_id in _order(needs):
        for leaf in needs[task_id]:
            ranks[leaf] = max(ranks.get(leaf, 0), ranks.get(task_id, 0) + 1)
    for task_id in needs:
        state.tasks[task_id].rank = ranks.get(task_id, 0)
    leaves = (task.spec.id for task in state.leaves())
    state.order = tuple(sorted(leaves, key=lambda item: (-state.tasks[item].rank, id_key(item))))


def _order(needs: dict[str, list[str]]) -> list[str]:
    """Dependents before what they need (the plan was checked to have no cycle)."""
    waiting = dict.fromkeys(needs, 0)
    for leaves in needs.values():
        for leaf in leaves:
            if leaf in waiting:
                waiting[leaf] += 1
    queue = [task_id for task_id, count in waiting.items() if not count]
    for task_id in queue:
        for leaf in needs[task_id]:
            if leaf in waiting:
                waiting[leaf] -= 1
                if not waiting[leaf]:
                    queue.append(leaf)
    return queue


# One small function per kind of event; `_HANDLERS` is the table.


def _engine_started(state: RunState, e: ev.EngineStarted, time: float) -> None:
    state.project, state.task_file = e.project or state.project, e.task_file or state.task_file
    state.mode, state.workers = e.mode or state.mode, e.workers or state.workers
    if state.status is not RunStatus.RUNNING:
        # Started again after an end: what the planner had left as it was deserves another look.
        state.answered = {key for key in state.answered if key.startswith(("goal_", "unproven", "question"))}
    state.status, state.ended_reason = RunStatus.RUNNING, ""
    state.started_at = state.started_at or time
    state.disk_full = ""
    state.memory_short = ""
    state.parked, state.parked_fallbacks = {}, {}
    state.fallbacks = frozenset(e.fallbacks)
    state.placed = None
    state.planner_failure, state.planner_failures = None, 0
    state.caps, state.left_at = e.caps, state.time
    planner.engine_started(state)


def _workers_placed(state: RunState, e: ev.WorkersPlaced, time: float) -> None:
    state.placed = e
    if e.docker:
        state.images[e.image] = e.image_id


def _goal_read(state: RunState, e: ev.GoalRead, time: float) -> None:
    state.revision, state.goal_text, state.prose = e.revision, e.text, e.prose
    person = {check.name: check for check in e.checks}
    planned = {name: check for name, check in state.goal_checks.items() if not check.person and name not in person}
    for question in state.questions.values():
        if question.answer is None and not question.task:
            question.answer = "(the goal was edited instead)"
    _set_goal_checks(state, {**person, **planned})
    state.goal_prepare = e.prepare
    state.plan += 1


def _set_goal_checks(state: RunState, checks: dict[str, Check]) -> None:
    """A receipt of another check of the same name says nothing about the new one."""
    for name in list(state.goal_receipts):
        if checks.get(name) != state.goal_checks.get(name):
            del state.goal_receipts[name]
    state.goal_checks, state.checked = checks, None


def _base_taken(state: RunState, e: ev.BaseTaken, time: float) -> None:
    state.head, state.head_tree, state.base_tree = e.commit, e.tree, e.tree
    state.delivered_tree = e.tree


def _person_landed(state: RunState, e: ev.PersonLanded, time: float) -> None:
    state.head, state.head_tree = e.commit, e.tree
    state.delivered_tree = e.folder or state.delivered_tree


def _planner_asked(state: RunState, e: ev.PlannerAsked, time: float) -> None:
    state.calls = max(state.calls, e.call)
    state.asking_about = e.triggers
    state.asking = (e.revision, state.goal_text if e.revision == state.revision else state.asking[1])


def _planner_replied(state: RunState, e: ev.PlannerReplied, time: float) -> None:
    planner.conversation_ended(state, e.usage)
    state.planner_requests += e.requests
    state.planner_failure, state.planner_failures = None, 0
    state.told_revision, state.told_text = state.asking
    state.answered.update(state.asking_about)


def _planner_failed(state: RunState, e: ev.PlannerFailed, time: float) -> None:
    planner.conversation_ended(state, e.usage)
    state.planner_requests += e.requests
    state.planner_failure = (e.failure, e.message, e.retry_at)
    state.planner_failures += 1


def _plan_changed(state: RunState, e: ev.PlanChanged, time: float) -> None:
    state.brief = e.brief or state.brief
    state.brief_prepare = e.prepare or state.brief_prepare
    if e.goal_checks:
        _set_goal_checks(state, {**state.goal_checks, **{check.name: check for check in e.goal_checks}})
    for spec in e.add:
        state.tasks[spec.id] = Task(spec)
    if e.add or e.retry:
        state.declared = ""
    for change in e.change:
        task = state.tasks[change.id]
        task.spec, task.changed = apply_change(task.spec, change), len(task.attempts)
    for task_id in e.archive:
        _move(state, state.tasks[task_id], TaskStatus.ARCHIVED, e.reason)
    for retry in e.retry:
        task = state.tasks[retry.id]
        # It may have been retried, and may even have landed, while the planner thought.
        if task.status in _RETRIABLE:
            task.extra, task.since = retry.instructions, len(task.attempts)
            _move(state, task, TaskStatus.PENDING, "retry ordered")
    state.lessons = [*(state.lessons if e.memory is None else e.memory), *e.lessons]
    reindex(state)
    state.plan += 1
    if e.told:
        state.told_revision, state.told_text = (state.revision, state.goal_text) if e.written else state.asking
        state.plan_written = e.written


def _goal_declared(state: RunState, e: ev.GoalDeclared, time: float) -> None:
    state.declared, state.declared_summary = e.revision, e.summary


def _question_asked(state: RunState, e: ev.QuestionAsked, time: float) -> None:
    state.questions[e.id] = Question(e.id, e.question, e.options, e.default, e.task, e.about)


def _question_answered(state: RunState, e: ev.QuestionAnswered, time: float) -> None:
    state.questions[e.id].answer = e.answer


def _attempt_starting(state: RunState, e: ev.AttemptStarting, time: float) -> None:
    task = state.tasks[e.task]
    if task.live is not None:
        raise ValueError(f"{e.task}: a second live attempt")
    _move(state, task, TaskStatus.IN_PROGRESS)
    state.busy.add(e.task)
    attempt = Attempt(e.n, e.role, e.backend, e.base, e.session, time, e.fallback, e.place or e.n)
    attempt.messages = tuple(task.messages)
    task.attempts.append(attempt)
    task.messages.clear()
    task.forced_role = None


def _attempt_started(state: RunState, e: ev.AttemptStarted, time: float) -> None:
    _attempt(state, e.task, e.n).process = e.process


def _worker_ended(state: RunState, e: ev.WorkerEnded, time: float) -> None:
    attempt = _attempt(state, e.task, e.n)
    attempt.ending = e.ending
    # It may have ended long before an engine was there to see it, and nobody knows when the machine went off.
    known = e.exit.ended or (state.left_at if e.ending.kind is EndKind.LOST else time)
    attempt.ended = known if attempt.started <= known <= time else time
    planner.worker_ended(state, attempt, e.ending.usage if e.charged is None else e.charged)
    state.busy.discard(e.task)
    task = state.tasks[e.task]
    if e.ending.kind is EndKind.FINISHED and task.status is not TaskStatus.ARCHIVED:
        _move(state, task, TaskStatus.VERIFYING)


def _attempt_ended(state: RunState, e: ev.AttemptEnded, time: float) -> None:
    attempt, task = _attempt(state, e.task, e.n), state.tasks[e.task]
    attempt.outcome, attempt.reason, attempt.failed_check = e.outcome, e.reason, e.failed_check
    attempt.hand_over, attempt.snapshot = e.hand_over, e.snapshot
    attempt.ended = attempt.ended or time
    state.busy.discard(e.task)
    if attempt.process is None and attempt.ending is None:  # nobody has heard them
        task.messages[:0] = attempt.messages
    if task.status is not TaskStatus.ARCHIVED:
        _move(state, task, TaskStatus.PENDING, e.reason)


def _check_ran(state: RunState, e: ev.CheckRan, time: float) -> None:
    receipt = e.receipt
    if e.task:
        if receipt.phase is Phase.TASK:
            state.tasks[e.task].receipts[receipt.check] = receipt
        if receipt.phase is Phase.RATCHET and receipt.green:
            state.broken.pop(f"{e.task}/{receipt.check}", None)
        return
    if receipt.check in state.goal_checks and receipt.phase is not Phase.BEFORE:
        state.goal_receipts[receipt.check] = receipt
    if receipt.verdict is Verdict.RED:
        state.goal_seen_red.add(receipt.check_hash)


def _landed(state: RunState, e: ev.Landed, time: float) -> None:
    attempt, task = _attempt(state, e.task, e.n), state.tasks[e.task]
    attempt.outcome, attempt.reason, attempt.snapshot = Outcome.PASSED, "landed", e.snapshot
    attempt.ended = attempt.ended or time
    state.head, state.head_tree = e.commit, e.tree
    state.landed_at = state.work
    task.commit, task.proven = e.commit, e.proven
    if task.status is TaskStatus.ARCHIVED:
        return
    _move(state, task, TaskStatus.COMPLETED, e.unproven_why or "landed")
    for dependent in state.dependents.get(e.task, ()):
        waiting = state.tasks[dependent]
        waiting.unmet -= 1
        if not waiting.unmet and waiting.status is TaskStatus.PENDING:
            state.ready[dependent] = None


def _head_broken(state: RunState, e: ev.HeadBroken, time: float) -> None:
    state.broken[f"{e.task}/{e.check}"] = (e.tree, e.reason)


def _delivery_started(state: RunState, e: ev.DeliveryStarted, time: float) -> None:
    state.delivering_tree = e.tree


def _delivered(state: RunState, e: ev.Delivered, time: float) -> None:
    state.delivered_tree, state.delivering_tree = e.tree, ""
    state.place, state.take = e.place, e.take


def _task_settled(state: RunState, e: ev.TaskSettled, time: float) -> None:
    state.tasks[e.task].stop_asked = False
    _move(state, state.tasks[e.task], e.status, e.reason)


def _task_delayed(state: RunState, e: ev.TaskDelayed, time: float) -> None:
    state.tasks[e.task].not_before = e.until


def _role_parked(state: RunState, e: ev.RoleParked, time: float) -> None:
    (state.parked_fallbacks if e.fallback else state.parked)[e.role] = (e.until, e.reason)


def _message_given(state: RunState, e: ev.MessageGiven, time: float) -> None:
    state.tasks[e.task].said.append(e.text)
    if not e.injected:
        state.tasks[e.task].messages.append(e.text)


def _goal_checked(state: RunState, e: ev.GoalChecked, time: float) -> None:
    state.checked = (e.tree, e.revision, e.red)
    if not e.red:
        state.broken = {}


def _requested(state: RunState, e: ev.Requested, time: float) -> None:
    task = state.tasks.get(e.task)
    if e.command == "pause" and not e.task:
        state.paused = True
    elif e.command == "resume" and not e.task:
        state.paused = False
    elif e.command == "pause" and task:
        task.paused_at = task.paused_at or time
    elif e.command == "resume" and task:
        _unpause(task, time)
    elif e.command == "wake":
        state.planner_failure, state.planner_failures = None, 0
        state.parked, state.parked_fallbacks = {}, {}
    elif e.command == "probe_asked" and task:
        task.probe_asked = True
    elif e.command == "kill" and task:
        task.stop_asked = True
    elif e.command == "escalate" and task:
        task.forced_role = Role.PRO
    elif e.command == "retry" and task:
        task.extra, task.since, task.not_before = e.text, len(task.attempts), 0.0
        if task.status in _RETRIABLE:
            _move(state, task, TaskStatus.PENDING, "retry asked for")


def _unpause(task: Task, time: float) -> None:
    if task.paused_at and task.live is not None:
        task.live.idle += max(0.0, time - max(task.paused_at, task.live.started))
    task.paused_at = 0.0


def _run_ended(state: RunState, e: ev.RunEnded, time: float) -> None:
    state.status, state.ended_reason = e.status, e.reason
    state.ended_at = state.ended_at or time


def _attempt(state: RunState, task_id: str, n: int) -> Attempt:
    return state.tasks[task_id].attempts[n - 1]


_HANDLERS: dict[type[Any], Callable[[RunState, Any, float], None]] = {
    ev.EngineStarted: _engine_started,
    ev.VaultTrimmed: fold_survival.vault_trimmed,
    ev.DiskHeld: fold_survival.disk_held,
    ev.MemoryHeld: fold_survival.memory_held,
    ev.WorkersPlaced: _workers_placed,
    ev.GoalRead: _goal_read,
    ev.BaseTaken: _base_taken,
    ev.PersonLanded: _person_landed,
    ev.PlannerAsked: _planner_asked,
    ev.PlannerReplied: _planner_replied,
    ev.PlannerFailed: _planner_failed,
    ev.PlanChanged: _plan_changed,
    ev.GoalDeclared: _goal_declared,
    ev.QuestionAsked: _question_asked,
    ev.QuestionAnswered: _question_answered,
    ev.AttemptStarting: _attempt_starting,
    ev.AttemptStarted: _attempt_started,
    ev.WorkerEnded: _worker_ended,
    ev.AttemptEnded: _attempt_ended,
    ev.CheckRan: _check_ran,
    ev.Landed: _landed,
    ev.HeadBroken: _head_broken,
    ev.DeliveryStarted: _delivery_started,
    ev.Delivered: _delivered,
    ev.TaskSettled: _task_settled,
    ev.TaskDelayed: _task_delayed,
    ev.RoleParked: _role_parked,
    ev.MessageGiven: _message_given,
    ev.GoalChecked: _goal_checked,
    ev.Requested: _requested,
    ev.RunEnded: _run_ended,
    ev.ModelAsked: planner.model_asked,
    ev.ModelReplied: planner.model_replied,
    ev.CapReached: planner.cap_reached,
    ev.CapsChanged: planner.caps_changed,
    ev.MemoryEdited: planner.memory_edited,
    ev.Reviewed: planner.reviewed,
    ev.Inquired: planner.inquired,
    ev.InquiryAnswered: planner.inquiry_answered,
}
