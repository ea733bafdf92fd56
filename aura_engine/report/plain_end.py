"""The last lines of the plain view: the verdict, the figures, what is missing, the place and how to take it."""

from __future__ import annotations

from aura_engine.core import events as ev
from aura_engine.core.duration import span
from aura_engine.core.model import RunStatus, TaskStatus
from aura_engine.core.plan import id_key
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.words import count, spent, status_counts, wanted

_WORDS = {
    RunStatus.ACHIEVED: "goal achieved",
    RunStatus.FAILED: "ended without achieving the goal",
    RunStatus.NEEDS_PERSON: "you are needed",
    RunStatus.BUDGET: "a budget was reached",
    RunStatus.INTERRUPTED: "interrupted",
}
_LISTED = 8


def ended(event: ev.RunEnded, state: RunState, time: float) -> list[str]:
    """What a person reads at the end of a run; `time` is the event's wall time. Never empty."""
    reason = f": {one_line(event.reason, 500)}" if event.reason else ""
    counts = status_counts(state)
    done = counts.get(TaskStatus.COMPLETED.value, 0)
    attempts = sum(len(task.attempts) for task in state.tasks.values())
    unproven = f" ({counts['unproven']} unproven)" if "unproven" in counts else ""
    figures = (
        f"{done} of {count(wanted(counts), 'task')} done{unproven}, {count(attempts, 'attempt')}, {spent(state)}, "
        f"{span(state.lasted(time))}"
    )
    lines = [f"{_WORDS.get(event.status, event.status.value)}{reason}", figures]
    lines += _left(state)
    lines += _missing(event, state)
    if state.place:
        lines.append(f"place: {one_line(state.place, 500)}")
    if state.take:
        lines.append(f"take it: {one_line(state.take, 500)}")
    return lines


def _left(state: RunState) -> list[str]:
    """What becomes of the workers that run: one that was paused stays frozen, for nobody is there to let it go on."""
    busy = sorted(state.busy, key=id_key)
    paused = [task for task in busy if state.tasks[task].paused_at]
    lines: list[str] = []
    if running := [task for task in busy if task not in paused]:
        goes, its = ("goes", "its") if len(running) == 1 else ("go", "their")
        lines.append(f"{_workers(running)} {goes} on without Aura; the same command takes up {its} work")
    if paused:
        stays, task = ("stays", paused[0]) if len(paused) == 1 else ("stay", "TASK")
        lines.append(f"{_workers(paused)} {stays} paused: aura resume {task}, then the same command")
    return lines


def _workers(tasks: list[str]) -> str:
    return f"{count(len(tasks), 'worker')} ({', '.join(tasks[:_LISTED])})"


def _missing(event: ev.RunEnded, state: RunState) -> list[str]:
    """What keeps the goal from being reached, or makes its being reached less than proven."""
    stuck = (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED)
    lines: list[str] = []
    for task in state.leaves():
        if task.status in stuck:
            lines.append(f"{task.spec.id} {task.status.value}: {one_line(task.reason, 300)}")
        elif task.status is TaskStatus.COMPLETED and not task.proven:
            lines.append(f"{task.spec.id} done, unproven: {one_line(task.reason, 300)}")
    if len(lines) > _LISTED:
        lines = [*lines[:_LISTED], f"… and {len(lines) - _LISTED} more tasks"]
    if event.status is not RunStatus.ACHIEVED:
        red = [name for name, receipt in state.goal_receipts.items() if not receipt.green]
        lines += [
            f"goal check “{one_line(name, 80)}” is red: {one_line(state.goal_receipts[name].reason)}"
            for name in red[:_LISTED]
        ]
        lines += [
            f"question {question.id}: {one_line(question.question, 1000)} "
            f"(aura answer {question.id} TEXT, then start again)"
            for question in state.open_questions()[:_LISTED]
        ]
    return lines
