"""The deaths of a campaign: at which point or moment each is to happen, and in which runs it can."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from survival_ground import Ground

from aura_engine.faults import POINTS

IN_CONTAINERS = frozenset(name for name in POINTS if name.startswith("container."))
"""Passed where workers have containers, and in that campaign alone."""
ELSEWHERE = frozenset({"journal.migrate", "backup.copied"}) | IN_CONTAINERS
"""Points that no run with local workers passes: some have tests of their own."""
FRESH = frozenset({"journal.create", "base.taken"})
"""Passed at the very beginning only."""
IN_FOLDER = frozenset({"delivery.file", "person.landed"})
IN_REPOSITORY = frozenset({"delivery.branch"})
RECOVERY = ("recovery.begin", "recovery.found", "recovery.done")
"""The second is passed only where an attempt is under way."""
BEFORE = {"recovery.adopted": "worker.launched"}
"""Where the engine has to die first for a point to be passed."""
LATER = {"journal.commit": 40, "journal.committed": 40, "store.logged": 30, "file.write": 6}
LATER |= dict.fromkeys((name for name in POINTS if name.startswith(("attempt.", "worker.", "landing."))), 4)
LATER |= dict.fromkeys(IN_CONTAINERS, 8)
"""The pass at which it happens at the latest, for points that one engine passes often."""
DEEP = 5
"""Deaths in a row during recovery."""


@dataclass
class Kill:
    """One death that is to happen: at a point (the Nth pass), or after some seconds."""

    point: str = ""
    nth: int = 1
    after: float | None = None
    up: bool = False
    """Counted from where the engine has workers; else from its start."""
    deep: bool = False
    missed: int = 0

    @property
    def fault(self) -> str:
        """As AURA_FAULT has it."""
        return f"{self.point}=kill9@{self.nth}" if self.point else ""

    def fits(self, ground: Ground) -> bool:
        """Whether it can happen there and then."""
        if self.point in FRESH:
            return ground.run is None or (self.point == "base.taken" and not _has_base(ground.run))
        if self.point in IN_FOLDER | IN_REPOSITORY:
            return ground.repository == (self.point in IN_REPOSITORY)
        return True


def _has_base(run: Path) -> bool:
    return any(b"base_taken" in path.read_bytes() for path in run.glob("journal.db*"))


def planned(
    dice: random.Random, names: Sequence[str], *, points: int, moments: int, deep: int, longest: float
) -> list[Kill]:
    """In random order: each of `names` so many times, moments up to `longest` seconds, rows during recovery."""
    kills = [Kill(name, dice.randint(1, LATER.get(name, 1))) for name in names for _ in range(points)]
    kills += [Kill(after=dice.uniform(0.0, longest), up=number % 4 > 0) for number in range(moments)]
    kills += [Kill(after=dice.uniform(1.0, longest), up=True, deep=True) for _ in range(deep)]
    dice.shuffle(kills)
    return kills
