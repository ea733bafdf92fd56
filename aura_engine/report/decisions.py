"""`state/decision_log.json`: every change of a task's status with its reason and evidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.model import EndKind, Receipt, TaskStatus
from aura_engine.core.text import one_line
from aura_engine.report.words import clock_time

KEPT = 2000
_RETRIABLE = (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED)


class _Move(NamedTuple):
    task: str
    status: TaskStatus
    reason: str
    evidence: dict[str, Any]


class DecisionLog:
    """Keeps the last `kept` entries, or all (None). Feed it every event of the journal in order.

    It goes by the events alone: the state may be ahead of the one that is being told about.
    """

    def __init__(self, kept: int | None = KEPT) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=kept)
        self.total = 0
        """How many there were in all."""
        self._groups: set[str] = set()
        self._status: dict[str, TaskStatus] = {}
        self._receipts: dict[str, dict[str, Receipt]] = {}
        """Of the attempts under way."""

    def note(self, event: object, time: float) -> bool:
        """Enter what the event (wall time `time`, in seconds) changes; True when it changes a status."""
        before = self.total
        if isinstance(event, ev.CheckRan) and event.task:
            self._receipts.setdefault(event.task, {})[event.receipt.check] = event.receipt
        elif isinstance(event, ev.PlanChanged):
            self._groups.update(spec.id for spec in event.add if spec.group)
        for move in self._moves(event):
            # Each task begins as pending; an entry for every new one would push the decisions out.
            old = self._status.get(move.task, TaskStatus.PENDING)
            if move.task in self._groups or old in (move.status, TaskStatus.ARCHIVED):
                continue
            self._status[move.task] = move.status
            self.total += 1
            self.entries.append(
                {
                    "time": iso(time),
                    "task_id": move.task,
                    "old_status": old.value,
                    "new_status": move.status.value,
                    "reason": one_line(move.reason, 300),
                    "evidence": move.evidence,
                }
            )
        return self.total > before

    def last(self, number: int) -> list[dict[str, Any]]:
        """The newest entries, oldest first."""
        return list(self.entries)[-number:]

    def _moves(self, event: object) -> Iterator[_Move]:
        evidence: dict[str, Any]
        match event:
            case ev.AttemptStarting():
                self._receipts.pop(event.task, None)
                reason = f"attempt {event.n} as {event.role.value} ({event.backend})"
                evidence = {"attempt": event.n, "base": event.base}
                yield _Move(event.task, TaskStatus.IN_PROGRESS, reason, evidence)
            case ev.WorkerEnded() if event.ending.kind is EndKind.FINISHED:
                reason = "the worker finished; its work is checked"
                yield _Move(
                    event.task, TaskStatus.VERIFYING, reason, {"attempt": event.n, "exit_code": event.exit.code}
                )
            case ev.AttemptEnded():
                evidence = {"attempt": event.n, "outcome": event.outcome.value}
                if event.failed_check:
                    evidence["check"] = self._check(event.task, event.failed_check)
                yield _Move(event.task, TaskStatus.PENDING, event.reason, evidence)
            case ev.Landed():
                checks = [self._check(event.task, name) for name in list(self._receipts.get(event.task, {}))[:20]]
                self._receipts.pop(event.task, None)
                evidence = {"attempt": event.n, "commit": event.commit, "proven": event.proven, "checks": checks}
                yield _Move(event.task, TaskStatus.COMPLETED, event.unproven_why or "landed", evidence)
            case ev.TaskSettled():
                yield _Move(event.task, event.status, event.reason, {})
            case ev.PlanChanged():
                for task in event.archive:
                    yield _Move(task, TaskStatus.ARCHIVED, event.reason, {"planner_call": event.call})
                for retry in event.retry:
                    if self._status.get(retry.id) in _RETRIABLE:
                        yield _Move(retry.id, TaskStatus.PENDING, "retry ordered", {"planner_call": event.call})
            case ev.Requested(command="retry") if self._status.get(event.task) in _RETRIABLE:
                yield _Move(event.task, TaskStatus.PENDING, "retry asked for", {"actor": one_line(event.actor, 60)})
            case _:
                pass

    def _check(self, task: str, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"name": one_line(name, 120)}
        receipt = self._receipts.get(task, {}).get(name)
        if receipt:
            shown |= {"verdict": receipt.verdict.value, "exit_code": receipt.exit_code}
            shown |= {"tree": receipt.tree[:12], "output_hash": receipt.output_hash[:12]}
        return shown


def decision_lines(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Entries of the log for a person, with local times."""
    for entry in entries:
        when = clock_time(datetime.fromisoformat(entry["time"]).timestamp())
        check = entry["evidence"].get("check")
        red = f" (check “{check['name']}”)" if check else ""
        moved = f"{entry['old_status'].replace('_', ' ')} → {entry['new_status'].replace('_', ' ')}"
        yield f"{when}  {entry['task_id']}  {moved}: {entry['reason']}{red}"
