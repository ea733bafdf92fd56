"""What is kept of attempts' work beside the line: told by the events, and how long it stays. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aura_engine.core import events as ev
from aura_engine.core.model import Outcome, TaskStatus
from aura_engine.core.state import RunState

KINDS = frozenset({"attempt_starting", "attempt_ended", "landed", "workspace_kept", "vault_trimmed"})
"""The events that tell of it."""


@dataclass(frozen=True)
class Kept:
    """One state of a worker's folder."""

    task: str
    n: int
    when: float
    """Wall time."""
    why: str
    snapshot: str = ""
    base: str = ""
    """Commit that the folder was made from."""
    folder: str = ""
    landed: bool = False

    @property
    def name(self) -> str:
        """`A1.2#3`."""
        return f"{self.task}#{self.n}"


def kept(events: Iterable[tuple[object, float]]) -> list[Kept]:
    """All that is there, the oldest first; each snapshot once, as it was last told of."""
    found: dict[str, Kept] = {}
    bases: dict[tuple[str, int], str] = {}
    for event, when in events:
        match event:
            case ev.AttemptStarting():
                bases[event.task, event.n] = event.base
                continue
            case ev.AttemptEnded() if event.snapshot:
                one = Kept(event.task, event.n, when, f"{event.outcome.value}: {event.reason}", event.snapshot)
            case ev.Landed() if event.snapshot:
                one = Kept(event.task, event.n, when, "landed", event.snapshot, landed=True)
            case ev.WorkspaceKept():
                one = Kept(event.task, event.n, when, event.why, event.snapshot, folder=event.folder)
            case ev.VaultTrimmed():
                for snapshot in event.snapshots:
                    found.pop(snapshot, None)
                continue
            case _:
                continue
        key = one.snapshot or one.folder
        landed = one.landed or (key in found and found[key].landed)
        found.pop(key, None)
        found[key] = replace(one, landed=landed, base=bases.get((one.task, one.n), ""))
    return sorted(found.values(), key=lambda one: one.when)


def needed(state: RunState) -> set[str]:
    """Snapshots that a run goes on from, or that show what has landed."""
    found: set[str] = set()
    for task in state.leaves():
        for attempt in task.attempts:
            landed = attempt.outcome is Outcome.PASSED
            if attempt.snapshot and (landed or task.status not in (TaskStatus.COMPLETED, TaskStatus.ARCHIVED)):
                found.add(attempt.snapshot)
    return found


def overdue(
    found: Iterable[Kept], needed: set[str], sizes: dict[str, int], *, before: float, limit: int
) -> tuple[list[Kept], list[Kept]]:
    """What is older than wall time `before`, and what is too much: the oldest beyond `limit` bytes in all (0: any).

    Nothing that is `needed`. `sizes`: bytes by snapshot.
    """
    free = [one for one in found if one.snapshot and one.snapshot not in needed and not one.landed]
    old = [one for one in free if one.when < before]
    much: list[Kept] = []
    total = sum(sizes.get(one.snapshot, 0) for one in free if one not in old)
    for one in free:
        if limit and total > limit and one not in old:
            total -= sizes.get(one.snapshot, 0)
            much.append(one)
    return old, much
