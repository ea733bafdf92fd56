"""What Aura decided without a person, and what was not done and why: for the final report."""

from __future__ import annotations

from collections.abc import Sequence

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.model import Role, RunStatus, TaskStatus
from aura_engine.core.state import RunState, Task
from aura_engine.core.text import one_line
from aura_engine.report.account_model import Decided, Undone
from aura_engine.report.words import count, why_asked

KEPT = 300
NAMED = 8


def decided_alone(events: Sequence[tuple[object, float]]) -> list[Decided]:
    """The last 300 decisions, oldest first."""
    roles: dict[str, Role] = {}
    found: list[Decided] = []
    for event, time in events:
        told = _told(event, roles)
        if isinstance(event, ev.AttemptStarting):
            roles[event.task] = event.role
        if told:
            who, what, why = told
            found.append(Decided(time=iso(time), who=who, what=what, why=one_line(why, 500)))
    return found[-KEPT:]


def _told(event: object, roles: dict[str, Role]) -> tuple[str, str, str] | None:
    """(who, what, why)."""
    match event:
        case ev.PlanChanged() if event.call:
            what = _plan(event)
            return ("planner", what, why_asked(event.reason) or event.reason) if what else None
        case ev.GoalDeclared():
            return "planner", "declared the goal reached", event.summary
        case ev.AttemptStarting() if event.role is Role.PRO and roles.get(event.task) is Role.FLASH:
            return "engine", f"gave {event.task} to Pro", "Flash was not able to do it"
        case ev.TaskSettled(status=TaskStatus.FAILED):
            return "engine", f"gave {event.task} up", event.reason
        case ev.HeadBroken():
            return "engine", f"took back that “{one_line(event.check, 80)}” holds", event.reason
        case ev.Landed() if event.dropped:
            why = "they decide checks, and the plan did not name them"
            return "engine", f"left new files of {event.task} out: {_some(event.dropped)}", why
        case ev.Landed() if not event.proven:
            return "engine", f"took {event.task} without a proof", event.unproven_why
        case ev.Delivered() if event.kept:
            return "engine", f"left files of yours as they were: {_some(event.kept)}", "you had changed them meanwhile"
        case _:
            return None


def _plan(event: ev.PlanChanged) -> str:
    added = [spec.id for spec in event.add if not spec.group]
    parts = [
        f"{word} {_some(names)}"
        for word, names in (
            (f"planned {count(len(added), 'task')}:", added),
            ("changed", [change.id for change in event.change]),
            ("dropped", list(event.archive)),
            ("ordered again", [retry.id for retry in event.retry]),
            ("wrote the goal check" + ("s" if len(event.goal_checks) > 1 else ""), [c.name for c in event.goal_checks]),
        )
        if names
    ]
    return "; ".join(parts)


def undone(state: RunState, events: Sequence[tuple[object, float]]) -> list[Undone]:
    """Tasks that are not done or not proven, goal checks that are not green, questions that nobody answered."""
    why_dropped = {
        task: why_asked(event.reason) or event.reason
        for event, _ in events
        if isinstance(event, ev.PlanChanged)
        for task in event.archive
    }
    found: list[Undone] = []
    for task in state.leaves():
        name = f"{task.spec.id} {one_line(task.spec.title, 120)}"
        match task.status:
            case TaskStatus.COMPLETED if not task.proven:
                found.append(Undone(what=f"{name}: done, unproven", why=one_line(task.reason, 300)))
            case TaskStatus.ARCHIVED:
                why = one_line(why_dropped.get(task.spec.id, ""), 300)
                found.append(Undone(what=f"{name}: dropped", why=why or "no longer wanted"))
            case TaskStatus.FAILED | TaskStatus.BLOCKED | TaskStatus.KILLED:
                found.append(Undone(what=f"{name}: {task.status.value}", why=one_line(task.reason, 300)))
            case TaskStatus.PENDING | TaskStatus.IN_PROGRESS | TaskStatus.VERIFYING:
                found.append(Undone(what=f"{name}: {task.status.value.replace('_', ' ')}", why=_why_open(state, task)))
            case _:
                pass
    for name in state.goal_checks:
        receipt = state.goal_receipts.get(name)
        if state.status is not RunStatus.ACHIEVED and (receipt is None or not receipt.green):
            why = one_line(receipt.reason, 300) if receipt else "it has not run"
            found.append(Undone(what=f"goal check “{one_line(name, 80)}” is not green", why=why))
    questions = state.open_questions()
    return [*found, *(Undone(what=f"question {q.id} is open", why=one_line(q.question, 500)) for q in questions)]


def _why_open(state: RunState, task: Task) -> str:
    """Why a task that could still run has not."""
    if task.reason:
        return one_line(task.reason, 300)
    open_needs = [n for n in task.spec.needs if n in state.tasks and _open(state, n)]
    if open_needs:
        return f"waits for {_some(open_needs)}"
    return "the run ended before" if state.status is not RunStatus.RUNNING else "the run goes on"


def _open(state: RunState, name: str) -> bool:
    task = state.tasks[name]
    status = state.group_status(name) if task.spec.group else task.status
    return status is not TaskStatus.COMPLETED


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(one_line(name, 80) for name in names[:NAMED]) + more
