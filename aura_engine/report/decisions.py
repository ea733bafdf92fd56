"""`state/decision_log.json`: every change of a task's status with its reason and evidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.model import TaskStatus
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line

KEPT = 2000


class DecisionLog:
    """Keeps the last 2,000 entries. Feed it each event right after it was folded, replayed ones too."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.total = 0
        """How many there were in all."""
        self._last: dict[str, TaskStatus] = {}

    def note(self, event: object, time: float, state: RunState) -> bool:
        """Enter what the event changed (`time`: wall seconds, `state`: after the event); True when it did."""
        before = self.total
        for task_id in _touched(event):
            task = state.tasks.get(task_id)
            # Each task begins as pending; saying so for every new one would push the decisions out.
            old = self._last.get(task_id, TaskStatus.PENDING)
            if task is None or task.spec.group or task.status is old:
                continue
            self._last[task_id] = task.status
            self.total += 1
            self.entries.append(
                {
                    "time": iso(time),
                    "task_id": task_id,
                    "old_status": old.value,
                    "new_status": task.status.value,
                    "reason": one_line(_reason(event) or task.reason, 300),
                    "evidence": _evidence(event, task_id, state),
                }
            )
        return self.total > before

    def last(self, number: int) -> list[dict[str, Any]]:
        """The newest entries, oldest first."""
        return list(self.entries)[-number:]


def _touched(event: object) -> Iterator[str]:
    if isinstance(event, ev.PlanChanged):
        # A task added by an event is pending: only these can move one.
        return chain(event.archive, (retry.id for retry in event.retry))
    task = getattr(event, "task", "")
    return iter((task,) if task else ())


def _reason(event: object) -> str:
    match event:
        case ev.AttemptStarting():
            return f"attempt {event.n} as {event.role.value} ({event.backend})"
        case ev.WorkerEnded():
            return "the worker finished; its work is checked"
        case _:
            return ""


def _evidence(event: object, task_id: str, state: RunState) -> dict[str, Any]:
    """What proves the change: facts of the event and the receipts that decided it."""
    match event:
        case ev.AttemptStarting():
            return {"attempt": event.n, "base": event.base}
        case ev.WorkerEnded():
            return {"attempt": event.n, "exit_code": event.exit.code, "ending": event.ending.kind.value}
        case ev.AttemptEnded():
            found: dict[str, Any] = {"attempt": event.n, "outcome": event.outcome.value}
            if event.failed_check:
                found["check"] = _receipt(state, task_id, event.failed_check)
            return found
        case ev.Landed():
            names = list(state.tasks[task_id].receipts)[:20]
            checks = [_receipt(state, task_id, name) for name in names]
            return {"attempt": event.n, "commit": event.commit, "proven": event.proven, "checks": checks}
        case ev.PlanChanged():
            return {"planner_call": event.call}
        case ev.Requested():
            return {"command": event.command, "actor": one_line(event.actor, 60)}
        case _:
            return {}


def _receipt(state: RunState, task_id: str, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": one_line(name, 120)}
    receipt = state.tasks[task_id].receipts.get(name)
    if receipt:
        shown |= {"verdict": receipt.verdict.value, "exit_code": receipt.exit_code}
        shown |= {"tree": receipt.tree[:12], "output_hash": receipt.output_hash[:12]}
    return shown
