"""Fault points: named places at every durable boundary where a test may have the engine die, fail, wait or run short.

Inert unless the environment variable AURA_FAULT names one: `POINT=ACTION`, several parted by commas. An action is
`kill9`, `raise`, `delay:SECONDS` (blocks the calling thread) or `enospc`; `@N` after it means the Nth time that the
point is passed (default the first), `@N+` every time from then on.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from dataclasses import dataclass

VARIABLE = "AURA_FAULT"

POINTS: dict[str, str] = {
    "lock.taken": "the run's lock is ours, nothing else is done",
    "journal.create": "a new journal is whole under its temporary name",
    "journal.migrate": "one statement of a schema migration is about to run",
    "journal.opened": "the journal is open and its epoch has moved",
    "journal.commit": "events are inserted, their transaction is not committed",
    "journal.committed": "events are on the disk, nobody was told",
    "journal.close": "all events are written, the log is not folded into the file",
    "backup.copied": "a backup is whole under its temporary name",
    "file.write": "a text file is written under its temporary name",
    "store.logged": "new objects are in the store's log",
    "base.taken": "the base is in the store, not in the journal",
    "planner.asked": "the planner's call is journaled, not made",
    "planner.replied": "the planner has replied, nothing of it is journaled",
    "planner.applied": "the plan and the reply are on their way to the journal",
    "attempt.intending": "a task is about to be given to a worker",
    "attempt.intended": "the intent is journaled, the worker is not started",
    "worker.written": "the worker's spec is written, its shim is not started",
    "worker.spawned": "the shim is started, the worker may not be",
    "worker.launched": "the worker runs, which is not journaled",
    "container.made": "a container is made, not started",
    "container.started": "a container is started, nothing is known of it",
    "container.removed": "a container is taken away, which nobody was told",
    "attempt.started": "the start is journaled",
    "worker.ended": "the worker has ended, which is not journaled",
    "attempt.collecting": "the end is on its way to the journal, the work is not taken",
    "attempt.snapshotted": "the work is in the store, the attempt waits for its verdict",
    "attempt.removing": "the attempt has its last event, its folders are still there",
    "landing.merged": "candidates are merged, no check has run",
    "landing.checked": "the checks are green, the head has not moved",
    "landing.committed": "the line's new commit is in the store, not in the journal",
    "landing.landed": "the landing is journaled, nothing is told",
    "delivery.started": "a delivery is journaled, nothing is delivered",
    "delivery.file": "one file of a delivery is about to be replaced",
    "delivery.branch": "a delivery's commit is made, the branch has not moved",
    "delivery.applied": "all is delivered, which is not journaled",
    "delivery.done": "the delivery is journaled",
    "person.landed": "a person's changes are on the line, not in the journal",
    "goal.checked": "the goal's checks have run, which is not journaled",
    "recovery.begin": "the journal is replayed, nothing is compared with what is there",
    "recovery.found": "one attempt's worker was looked for, nothing is done about it",
    "recovery.adopted": "a worker is adopted, its start is not journaled",
    "recovery.done": "every attempt is taken up",
    "run.ending": "all is delivered, the end is not journaled",
    "run.ended": "the end is journaled, the scratch folders are still there",
    "lock.going": "everything is written, the run's lock is still ours",
}
"""Every point there is, with what is true when it is passed."""

_FORM = re.compile(r"([a-z.]+)=(kill9|raise|enospc|delay:[0-9.]+)(?:@([0-9]+)(\+?))?")


class InjectedFault(Exception):
    """What the action `raise` raises: an error that nobody foresaw."""


@dataclass
class _Armed:
    action: str
    at: int
    on: bool
    passed: int = 0


def armed_by(text: str) -> dict[str, _Armed]:
    """What AURA_FAULT says; ValueError for what is no point or no action."""
    found: dict[str, _Armed] = {}
    for part in filter(None, text.split(",")):
        form = _FORM.fullmatch(part)
        if form is None or form[1] not in POINTS:
            raise ValueError(f"{VARIABLE}: “{part}” is not POINT=ACTION with a registered point")
        found[form[1]] = _Armed(form[2], int(form[3] or 1), bool(form[4]))
    return found


_armed = armed_by(os.environ.get(VARIABLE, ""))
_lock = threading.Lock()


def fault(name: str) -> None:
    """Passes a point: nothing happens unless a test has armed it."""
    if _armed:
        _pass(name)


def _pass(name: str) -> None:
    armed = _armed.get(name)
    if armed is None:
        return
    with _lock:
        armed.passed += 1
        due = armed.passed == armed.at or (armed.on and armed.passed > armed.at)
    if not due:
        return
    if armed.action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif armed.action == "raise":
        raise InjectedFault(f"a fault was injected at {name}")
    elif armed.action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    else:
        time.sleep(float(armed.action.partition(":")[2]))
