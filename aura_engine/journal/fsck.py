"""What a journal says of itself: is the file sound, does it add up, was nothing begun, ended or landed twice.

Reads only, also beside a living engine. The first seven of the points of `aura fsck`, but for what runs (see
cli/fsck.py, which compares the journal with the store, the processes and the folders).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura_engine.core import events as ev
from aura_engine.core.fold import apply
from aura_engine.core.model import Check, Phase, TaskStatus
from aura_engine.core.state import RunState
from aura_engine.errors import JournalError
from aura_engine.journal import schema
from aura_engine.journal.store import Journal

NAMED = 5
"""Troubles of one kind that are told; the rest is counted."""


@dataclass
class Told:
    """What the events say, as far as they could be read; `troubles` by the number of the point."""

    state: RunState = field(default_factory=RunState)
    troubles: dict[int, list[str]] = field(default_factory=lambda: {number: [] for number in range(1, 10)})
    landed: list[ev.Landed] = field(default_factory=list[ev.Landed])
    snapshots: list[str] = field(default_factory=list[str])
    """Commits of what attempts left."""
    statuses: dict[int, dict[str, int]] = field(default_factory=dict[int, dict[str, int]])
    """Leaves by status after the events that were asked for."""
    counts: Counter[str] = field(default_factory=Counter[str])
    events: int = 0


def examine(path: Path, *, at: int = 0) -> Told:
    """Go through the journal at `path`; `at`: the event after which the tasks' statuses are to be counted.

    JournalError when it cannot even be opened.
    """
    told = Told()
    reader = Journal.open(path, writer=False)
    told.troubles[1] += _integrity(path)
    try:
        for entry in reader.read():
            event = ev.decode(entry.kind, entry.payload)
            _once(told, event)
            apply(told.state, event, entry.time)
            told.events = entry.seq
            if entry.seq == at:
                told.statuses[at] = statuses(told.state)
    except JournalError as error:
        told.troubles[2].append(error.line())
    except (ValueError, KeyError, IndexError) as error:
        told.troubles[3].append(f"event {told.events + 1} cannot be folded: {error}")
    _adds_up(told)
    return told


def statuses(state: RunState) -> dict[str, int]:
    """How many leaves have each status; those that have none are left out."""
    return dict(Counter(task.status.value for task in state.leaves()))


def _integrity(path: Path) -> list[str]:
    """SQLite's own thorough check."""
    try:
        with closing(schema.connect(path, readonly=True)) as connection:
            rows = connection.execute(f"PRAGMA integrity_check({NAMED})").fetchall()
    except sqlite3.Error as error:
        return [schema.explain(error, path).line()]
    return [str(row[0]) for row in rows if row[0] != "ok"]


def _once(told: Told, event: Any) -> None:
    """What may happen once only, looked at before the event is folded."""
    counts, name = told.counts, f"{getattr(event, 'task', '')}#{getattr(event, 'n', '')}"
    match event:
        case ev.AttemptStarting() | ev.AttemptStarted() | ev.WorkerEnded():
            counts[f"{event.kind} {name}"] += 1
            if counts[f"{event.kind} {name}"] > 1:
                told.troubles[6].append(f"{name} has “{event.kind}” twice")
            if counts[f"end {name}"]:
                told.troubles[6].append(f"{name} has “{event.kind}” after its end")
        case ev.AttemptEnded() | ev.Landed():
            counts[f"end {name}"] += 1
            if counts[f"end {name}"] > 1:
                told.troubles[4].append(f"{name} has ended twice")
            if isinstance(event, ev.Landed):
                _landing(told, event)
            if event.snapshot:
                told.snapshots.append(event.snapshot)
        case ev.WorkspaceKept() if event.snapshot:
            told.snapshots.append(event.snapshot)
        case ev.VaultTrimmed():
            told.snapshots = [snapshot for snapshot in told.snapshots if snapshot not in event.snapshots]
        case ev.PlannerAsked():
            counts[f"asked {event.call}"] += 1
            if counts[f"asked {event.call}"] > 1:
                told.troubles[7].append(f"two calls to the planner have the number {event.call}")
        case ev.PlannerReplied() | ev.PlannerFailed():
            counts[f"replied {event.call}"] += 1
            if counts[f"replied {event.call}"] > 1 or not counts[f"asked {event.call}"]:
                told.troubles[7].append(f"the planner's call {event.call} ended more often than it began")
        case _:
            pass


def _landing(told: Told, event: ev.Landed) -> None:
    """A task lands once, and each of its checks was green on the very tree that landed."""
    told.landed.append(event)
    counts = told.counts
    counts[f"landed {event.task}"] += 1
    if counts[f"landed {event.task}"] > 1:
        told.troubles[4].append(f"{event.task} has landed twice")
    task = told.state.tasks[event.task]
    named = [told.state.goal_checks[name] for name in task.spec.goal_checks if name in told.state.goal_checks]
    for check in (*task.spec.checks, *named):
        if why := _unproved(told.state, event, check):
            told.troubles[8].append(f"{event.task}#{event.n} landed, but its check “{check.name}” {why}")


def _unproved(state: RunState, event: ev.Landed, check: Check) -> str:
    receipt = state.tasks[event.task].receipts.get(check.name)
    if receipt is None or receipt.phase is Phase.BEFORE:
        return "was never run on its work"
    if not receipt.green:
        return "was not green"
    if receipt.check_hash != check.hash:
        return "was run in another wording"
    return "" if receipt.tree == event.tree else "was run on another tree"


def _adds_up(told: Told) -> None:
    """What must hold of the state as a whole."""
    state, troubles = told.state, told.troubles
    for task in state.leaves():
        done = task.status is TaskStatus.COMPLETED
        if done and not told.counts[f"landed {task.spec.id}"]:
            troubles[8].append(f"{task.spec.id} counts as done and has never landed")
        if done and task.live is not None:
            troubles[4].append(f"{task.spec.id} is done, and its attempt {task.live.n} has not ended")
        for attempt in task.attempts[:-1]:
            if attempt.live:
                troubles[4].append(f"{task.spec.id}#{attempt.n} has not ended, and a later attempt was begun")
    for name, usage in (("the planner's", state.planner_usage), ("the workers'", state.worker_usage)):
        if min(usage.input, usage.output, usage.cache_read, usage.cache_write) < 0 or usage.cost < 0:
            troubles[7].append(f"{name} usage adds up to less than nothing")
