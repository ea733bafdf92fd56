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
    if state.busy:
        one = len(state.busy) == 1
        who = f"{count(len(state.busy), 'worker')} ({', '.join(sorted(state.busy, key=id_key)[:_LISTED])})"
        goes, its = ("goes", "its") if one else ("go", "their")
        lines.append(f"{who} {goes} on without Aura; the same command takes up {its} work")
    lines += _missing(event, state)
    if state.place:
        lines.append(f"place: {one_line(state.place, 500)}")
    if state.take:
        lines.append(f"take it: {one_line(state.take, 500)}")
    return lines


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
