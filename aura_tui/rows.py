"""What a row of the tree says: symbol, title, what it waits for, who works on it and since when. No Textual here."""

from __future__ import annotations

from dataclasses import dataclass

from aura_engine.core.duration import span
from aura_engine.core.model import Role, TaskStatus, WorkerMode
from aura_engine.core.routing import role_for
from aura_engine.core.schedule import parked
from aura_engine.core.state import RunState, Task
from aura_engine.core.text import one_line
from aura_engine.report.words import STATUS_SYMBOL, checks_of, clock_time
from aura_tui.counts import Counts
from aura_tui.figures import ticking

MAX_TITLE = 200
MAX_NOTE = 160


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as words; the widget cuts and colours them."""

    id: str
    depth: int
    symbol: str
    """A name in `aura_engine.report.words.UNICODE`."""
    tone: str
    """`good`, `bad`, `ask`, `live`, `wait` or `dim`: a colour's name, never the only carrier."""
    title: str
    note: str
    who: str
    """`flash#2`: role and number of the latest attempt."""
    time: str
    """How long the latest attempt took or has been going."""
    group: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What rows are told from."""

    state: RunState
    counts: Counts
    paused_at: float
    """Wall time of the pause; 0 when the run is not paused."""
    now: float


def group_row(scene: Scene, task: Task, depth: int, *, folded: bool) -> Row:
    """A group: how many of its leaves are done, and what is wrong below."""
    group, counts = task.spec.id, scene.counts
    done, wanted = counts.of(group, TaskStatus.COMPLETED), counts.wanted(group)
    running = counts.of(group, TaskStatus.IN_PROGRESS, TaskStatus.VERIFYING)
    failed = counts.of(group, TaskStatus.FAILED)
    stuck = counts.of(group, TaskStatus.BLOCKED, TaskStatus.KILLED)
    parts = [f"{done}/{wanted}"] if wanted else ["dropped"]
    parts += [f"{running} running"] if running and folded else []
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{stuck} stopped"] if stuck else []
    if asked := _asked(scene.state, group):
        symbol, tone = "ask", "ask"
        parts.append(f"needs you: {asked}")
    elif not wanted:
        symbol, tone = "say", "dim"
    elif done == wanted:
        symbol, tone = "done", "good"
    elif failed or stuck:
        symbol, tone = ("bad", "bad") if failed else ("stopped", "ask")
    elif running:
        symbol, tone = "running", "live"
    else:
        symbol, tone = "waiting", "wait"
    title = one_line(task.spec.title, MAX_TITLE)
    return Row(group, depth, symbol, tone, title, ", ".join(parts), "", "", group=True, folded=folded)


def leaf_row(scene: Scene, task: Task, depth: int) -> Row:
    """A task that runs."""
    symbol, tone, note = _standing(scene, task)
    last = task.attempts[-1] if task.attempts else None
    who = f"{last.role.value}#{last.n}" if last and last.n > 1 else last.role.value if last else ""
    time = ""
    if last:
        # What is still growing is told in whole seconds, or its figures would dance.
        time = ticking(scene.now - last.started) if last.ended is None else span(last.ended - last.started)
    title = one_line(task.spec.title, MAX_TITLE)
    return Row(task.spec.id, depth, symbol, tone, title, one_line(note, MAX_NOTE), who, time)


def _standing(scene: Scene, task: Task) -> tuple[str, str, str]:
    """(symbol, tone, note) of a leaf."""
    green, total = checks_of(scene.state, task)
    checks = f"checks {green}/{total}" if total else ""
    symbol = STATUS_SYMBOL[task.status]
    match task.status:
        case TaskStatus.COMPLETED:
            return (symbol, "good", "") if task.proven else (symbol, "ask", f"unproven: {task.reason}")
        case TaskStatus.IN_PROGRESS:
            if task.paused_at and not task.unwanted:
                return "held", "ask", f"paused by you {clock_time(task.paused_at)[:5]}"
            return symbol, "live", "stopping" if task.unwanted else checks if task.receipts else ""
        case TaskStatus.VERIFYING:
            return symbol, "live", f"checking {green}/{total}" if total else "checking"
        case TaskStatus.FAILED:
            return symbol, "bad", f"failed: {task.reason}"
        case TaskStatus.BLOCKED:
            return symbol, "ask", f"waits for you: {task.reason}"
        case TaskStatus.KILLED:
            return symbol, "ask", "stopped by you" if "you" in task.reason or not task.reason else task.reason
        case TaskStatus.ARCHIVED:
            return symbol, "dim", "dropped"
        case TaskStatus.PENDING:
            return _pending(scene, task)


def _pending(scene: Scene, task: Task) -> tuple[str, str, str]:
    state, now = scene.state, scene.now
    if asked := _asked(state, task.spec.id):
        return "ask", "ask", f"needs you: {asked}"
    again = bool(task.attempts)
    role = _next_role(state, task)
    symbol = "again" if again else "waiting"
    if task.paused_at:
        return "held", "ask", f"paused by you {clock_time(task.paused_at)[:5]}"
    if task.unmet:
        return symbol, "wait", f"waiting for {_unmet(scene, task)}"
    if scene.paused_at:
        return "held", "wait", f"paused by you {clock_time(scene.paused_at)[:5]}"
    if held := _all_held(state):
        return "held", "wait", held
    if holds := parked(state, role, now):
        known = [(until, reason) for until, reason in holds if until is not None]
        if not known:
            return "ask", "ask", f"{role.value} waits for you: {holds[0][1]}"
        until, reason = min(known)
        return "held", "wait", f"{role.value} goes on {clock_time(until)[:5]} (in {span(until - now)}): {reason}"
    if task.not_before > now:
        return "held", "wait", f"next try in {span(task.not_before - now)}"
    if again:
        return symbol, "wait", f"retry as {role.value}: {task.attempts[-1].why}"
    if state.status.value != "running":
        return symbol, "wait", ""
    full = state.workers and len(state.busy) >= state.workers
    return symbol, "wait", "waiting for a free worker" if full else "ready"


def _all_held(state: RunState) -> str:
    """What keeps every task from starting; the header says more of it."""
    if state.plan_held:
        return "waiting for your word on the plan"
    if state.capped:
        return "held by the run's cap"
    return "waiting for room" if state.no_room else ""


def _next_role(state: RunState, task: Task) -> Role:
    try:
        return role_for(task, WorkerMode(state.mode))
    except ValueError:
        return Role.FLASH


def _asked(state: RunState, task_id: str) -> str:
    """The open question that names exactly this node."""
    return next((question.id for question in state.open_questions() if question.task == task_id), "")


def _unmet(scene: Scene, task: Task) -> str:
    """What is not done of what a task needs; a group that is needed is named as a whole."""
    state, counts = scene.state, scene.counts
    found: list[str] = []
    node = task.spec.id
    while node in state.tasks:
        for need in state.tasks[node].spec.needs:
            needed = state.tasks.get(need)
            if needed is None or need in found:
                continue
            # A group's own status would cost a walk over all its leaves; the counts know.
            done = counts.of(need, TaskStatus.COMPLETED) == counts.wanted(need) if needed.spec.group else False
            if not (done or needed.status is TaskStatus.COMPLETED):
                found.append(need)
        node = state.tasks[node].spec.parent
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
