"""The plain view (`--no-ui`): a run's story in lines: time, task, what happened, why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aura_engine.core import events as ev
from aura_engine.core.duration import span
from aura_engine.core.model import EndKind, Outcome, Role, RunStatus, TaskStatus
from aura_engine.core.plan import id_key
from aura_engine.core.state import Attempt, RunState
from aura_engine.core.text import one_line
from aura_engine.report.plain_end import ended
from aura_engine.report.plain_planner import TELL_PLANNER
from aura_engine.report.words import (
    WHY_ASKED,
    amount,
    clock_time,
    count,
    fold_ascii,
    short,
    symbols,
    why_asked,
)

MAX_LISTED = 12


def lines(event: object, state: RunState, time: float, *, ascii_only: bool = False) -> list[str]:
    """The lines to print for `event`; none for what a person need not know.

    It was folded into `state` already, which may be ahead by the events that are on their way to the disk. `time` is
    the event's wall time. The first line begins with the local time, further ones are indented below it. Everything is
    cleaned; there are no colours. With `ascii_only` the symbols and our own typography are ASCII.
    """
    tell = _TELL.get(type(event))
    told = tell(event, state, time) if tell else []
    marks = symbols(ascii_only=ascii_only)
    found: list[str] = []
    for index, (mark, text) in enumerate(told):
        start = clock_time(time) if index == 0 else " " * 8
        line = f"{start} {marks[mark] if mark else ' '} {text}"
        found.append((fold_ascii(line) if ascii_only else line).rstrip())
    return found


Told = list[tuple[str, str]]
"""(symbol's name or "", text) per line."""


def _engine_started(e: ev.EngineStarted, state: RunState, time: float) -> Told:
    again = " goes on" if state.started_at < time else ""
    mode = f", mode {e.mode}" if e.mode else ""
    workers = f", {count(e.workers, 'worker')} at once" if e.workers else ""
    return [("start", f"Aura {e.version}{again}: {one_line(e.task_file)}{mode}{workers}")]


def _workers_placed(e: ev.WorkersPlaced, state: RunState, time: float) -> Told:
    if e.docker:
        net = "no network but their model" if e.network == "none" else "internet"
        image = f"{e.image} ({short(e.image_id.removeprefix('sha256:'))})"
        return [("say", one_line(f"workers and checks run in Docker {e.engine}: {image}, {net}"))]
    return [("bad", f"workers run on this machine instead of in Docker: {one_line(e.fallback, 600)}")]


def _notice(e: ev.Notice, state: RunState, time: float) -> Told:
    return [({"error": "bad", "warning": "warn"}.get(e.level, "say"), one_line(e.text, 1000))]


def _disk_held(e: ev.DiskHeld, state: RunState, time: float) -> Told:
    if not e.text:
        return [("say", "there is room on the disk again: work goes on")]
    text = f"DISK_FULL: {one_line(e.text)}"
    return [("bad", text), ("", "nothing new starts until there is room; what runs goes on, and nothing is lost")]


def _memory_held(e: ev.MemoryHeld, state: RunState, time: float) -> Told:
    if not e.text:
        return [("say", "there is memory again: work goes on")]
    return [
        ("bad", f"no memory: {one_line(e.text)}"),
        ("", "nothing new starts until there is more; what runs goes on"),
    ]


def _workspace_kept(e: ev.WorkspaceKept, state: RunState, time: float) -> Told:
    if not e.folder:
        return []
    return [("bad", f"the work of {e.task}#{e.n} could not be taken; its folder is kept: {one_line(e.folder, 500)}")]


def _goal_read(e: ev.GoalRead, state: RunState, time: float) -> Told:
    checks = f"{count(len(e.checks), 'check')} of yours"
    if state.told_revision and state.told_revision != e.revision:
        return [("say", f"goal edited (revision {short(e.revision)}, {checks}): the plan follows")]
    return [("say", f"goal read (revision {short(e.revision)}, {checks})")]


def _person_landed(e: ev.PersonLanded, state: RunState, time: float) -> Told:
    return [("say", f"your own changes are taken in: {_some(e.paths)}")]


def _planner_asked(e: ev.PlannerAsked, state: RunState, time: float) -> Told:
    about: dict[str, list[str]] = {}
    for trigger in e.triggers:
        kind, _, what = trigger.partition(":")
        about.setdefault(kind, []).extend([what] if what in state.tasks else [])
    why = [
        WHY_ASKED.get(kind, one_line(kind, 80)) + (f" ({_some(tasks)})" if tasks else "")
        for kind, tasks in about.items()
    ]
    return [("say", f"planner asked: {'; '.join(why)}")]


def _planner_failed(e: ev.PlannerFailed, state: RunState, time: float) -> Told:
    then = f"next try in {span(e.retry_at - time)}" if e.retry_at else "it needs you"
    return [("bad", f"planner call failed: {one_line(e.message, 300).rstrip('.')}; {then}")]


def _plan_changed(e: ev.PlanChanged, state: RunState, time: float) -> Told:
    leaves = [spec for spec in e.add if not spec.group]
    first = len(leaves) == sum(1 for _ in state.leaves())
    parts = [f"+{count(len(leaves), 'task')}"] if leaves and not first else []
    parts += [f"dropped {_some(e.archive)}"] if e.archive else []
    parts += [f"changed {_some([change.id for change in e.change])}"] if e.change else []
    parts += [f"again {_some([retry.id for retry in e.retry])}"] if e.retry else []
    parts += [f"+{count(len(e.goal_checks), 'goal check')}"] if e.goal_checks else []
    parts += [f"learned: {one_line('; '.join(e.lessons))}"] if e.lessons else []
    what = f"plan made: {count(len(leaves), 'task')}" if leaves and first else "plan changed"
    # Where the planner gave no reason, the triggers stand for it: the line before this one has told them.
    why = "" if why_asked(e.reason) else f" — {one_line(e.reason)}" if e.reason else ""
    told: Told = [("say", f"{what}{': ' if parts and not first else ', ' if parts else ''}{', '.join(parts)}{why}")]
    for spec in sorted(leaves, key=lambda spec: id_key(spec.id))[:MAX_LISTED]:
        needs = f"  needs {_some(spec.needs)}" if spec.needs else ""
        told.append(("", f"{spec.id}  {one_line(spec.title, 100)}{needs}"))
    if len(leaves) > MAX_LISTED:
        told.append(("", f"… and {len(leaves) - MAX_LISTED} more"))
    return told


def _question_asked(e: ev.QuestionAsked, state: RunState, time: float) -> Told:
    about = f", {e.task} waits" if e.task else ""
    told: Told = [("ask", f"question to you ({e.id}{about}): {one_line(e.question, 1000)}")]
    if e.options:
        default = f" (if you don't say: {one_line(e.default, 80)})" if e.default else ""
        told.append(("", f"options: {' / '.join(one_line(option, 80) for option in e.options)}{default}"))
    name = one_line(state.task_file.rsplit("/", 1)[-1] or "the task file")
    told.append(("", f"to answer, write it into {name} and save it"))
    return told


def _question_answered(e: ev.QuestionAnswered, state: RunState, time: float) -> Told:
    return [("say", f"question {e.id} answered: {one_line(e.answer)}")]


def _goal_declared(e: ev.GoalDeclared, state: RunState, time: float) -> Told:
    return [("say", f"planner declares the goal reached: {one_line(e.summary)}")]


def _attempt_starting(e: ev.AttemptStarting, state: RunState, time: float) -> Told:
    task = state.tasks[e.task]
    who = f"{e.role.value}, {one_line(e.backend, 40)}"
    title = one_line(task.spec.title, 100)
    before = task.attempts[e.n - 2] if e.n > 1 else None
    if before is None:
        return [("start", f"{e.task} started ({who}): {title}")]
    why = one_line(before.why, 160)
    if before.role is Role.FLASH and e.role is Role.PRO:
        return [("again", f"{e.task} escalated to pro, attempt {e.n} ({who}): {why}")]
    return [("again", f"{e.task} attempt {e.n} ({who}): {why}")]


def _worker_ended(e: ev.WorkerEnded, state: RunState, time: float) -> Told:
    if e.ending.kind is not EndKind.FINISHED:
        return []
    attempt = _attempt(state, e.task, e.n)
    used = f", {amount(e.ending.usage.tokens)} tokens" if e.ending.usage.tokens else ""
    # It may have ended long before an engine was there to see it.
    took = (e.exit.ended or time) - attempt.started
    return [("say", f"{e.task} worker finished after {span(took)}{used}; checking")]


def _attempt_ended(e: ev.AttemptEnded, state: RunState, time: float) -> Told:
    attempt = _attempt(state, e.task, e.n)
    reason = one_line(e.reason, 300)
    if e.outcome is Outcome.INTERRUPTED:
        return [("stopped", f"{e.task} stopped: {reason}")]
    if e.outcome is Outcome.CONFLICT:
        return [("again", f"{e.task} conflicts with what landed meanwhile: {reason}")]
    if e.failed_check:
        claims = one_line(attempt.ending.claims, 80) if attempt.ending else ""
        claim = f" (the worker said “{claims}”: not believed)" if claims else ""
        return [("bad", f"{e.task} check “{one_line(e.failed_check, 80)}” is red: {reason}{claim}")]
    return [("bad", f"{e.task} attempt {e.n} ended ({e.outcome.value}): {reason}")]


def _landed(e: ev.Landed, state: RunState, time: float) -> Told:
    task = state.tasks[e.task]
    green = sum(receipt.green for receipt in task.receipts.values())
    unproven = "" if e.proven else f"; unproven: {one_line(e.unproven_why)}"
    what = f"{count(e.paths, 'file')}, {count(green, 'check')} green"
    told: Told = [("done", f"{e.task} landed ({what}){unproven}: {one_line(task.spec.title, 100)}")]
    if e.dropped:
        told.append(("", f"left out, since it decides checks and the plan did not name it: {_some(e.dropped)}"))
    return told


def _head_broken(e: ev.HeadBroken, state: RunState, time: float) -> Told:
    check = one_line(e.check, 80)
    return [("bad", f"check “{check}” of {e.task or 'the goal'} is red on what landed: {one_line(e.reason, 300)}")]


def _delivered(e: ev.Delivered, state: RunState, time: float) -> Told:
    kept = f"; yours stayed: {_some(e.kept)}" if e.kept else ""
    return [("say", f"delivered to {one_line(e.place, 300)}{kept}")]


def _task_settled(e: ev.TaskSettled, state: RunState, time: float) -> Told:
    task = state.tasks[e.task]
    last = task.attempts[-1] if task.attempts else None
    if e.status is TaskStatus.KILLED and last and last.n > task.since and last.reason == e.reason:
        return []  # the end of its attempt has just said so
    reason = one_line(e.reason, 300)
    mark, word = {
        TaskStatus.FAILED: ("bad", "failed for good"),
        TaskStatus.BLOCKED: ("held", "waits for you"),
        TaskStatus.KILLED: ("stopped", "stays stopped"),
    }.get(e.status, ("say", e.status.value))
    return [(mark, f"{e.task} {word}: {reason}")]


def _task_delayed(e: ev.TaskDelayed, state: RunState, time: float) -> Told:
    return [("held", f"{e.task} next try in {span(e.until - time)}")] if e.until > time else []


def _role_parked(e: ev.RoleParked, state: RunState, time: float) -> Told:
    reason = one_line(e.reason, 300)
    if e.until is None:
        return [("held", f"{e.role.value} workers wait for you: {reason}")]
    if e.until <= time:
        return [("say", f"{e.role.value} workers go on")]
    return [("held", f"{e.role.value} workers wait until {clock_time(e.until)}: {reason}")]


def _goal_checked(e: ev.GoalChecked, state: RunState, time: float) -> Told:
    total = len(state.goal_checks)
    if not total:
        return []
    if e.before:
        return [("say", f"goal checks before any work: {len(e.red)} of {total} red, as they should be")]
    told: Told = [("bad" if e.red else "done", f"goal checks: {total - len(e.red)} of {total} green")]
    for name in e.red[:MAX_LISTED]:
        receipt = state.goal_receipts.get(name)
        told.append(("", f"red: “{one_line(name, 80)}” {one_line(receipt.reason) if receipt else ''}"))
    return told


def _requested(e: ev.Requested, state: RunState, time: float) -> Told:
    if e.actor != "person":
        return []
    return [("say", one_line(f"you asked: {e.command} {e.task} {e.text}"))]


def _run_ended(e: ev.RunEnded, state: RunState, time: float) -> Told:
    marks = {RunStatus.ACHIEVED: "done", RunStatus.NEEDS_PERSON: "ask", RunStatus.INTERRUPTED: "stopped"}
    first, *rest = ended(e, state, time)
    return [(marks.get(e.status, "bad"), first), *(("", line) for line in rest)]


def _attempt(state: RunState, task_id: str, n: int) -> Attempt:
    return state.tasks[task_id].attempts[n - 1]


def _some(names: tuple[str, ...] | list[str], limit: int = 5) -> str:
    shown = ", ".join(one_line(name, 80) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


_TELL: dict[type[Any], Callable[[Any, RunState, float], Told]] = {
    **TELL_PLANNER,
    ev.EngineStarted: _engine_started,
    ev.WorkersPlaced: _workers_placed,
    ev.Notice: _notice,
    ev.DiskHeld: _disk_held,
    ev.MemoryHeld: _memory_held,
    ev.WorkspaceKept: _workspace_kept,
    ev.GoalRead: _goal_read,
    ev.PersonLanded: _person_landed,
    ev.PlannerAsked: _planner_asked,
    ev.PlannerFailed: _planner_failed,
    ev.PlanChanged: _plan_changed,
    ev.QuestionAsked: _question_asked,
    ev.QuestionAnswered: _question_answered,
    ev.GoalDeclared: _goal_declared,
    ev.AttemptStarting: _attempt_starting,
    ev.WorkerEnded: _worker_ended,
    ev.AttemptEnded: _attempt_ended,
    ev.Landed: _landed,
    ev.HeadBroken: _head_broken,
    ev.Delivered: _delivered,
    ev.TaskSettled: _task_settled,
    ev.TaskDelayed: _task_delayed,
    ev.RoleParked: _role_parked,
    ev.GoalChecked: _goal_checked,
    ev.Requested: _requested,
    ev.RunEnded: _run_ended,
}
