"""Caps on what a run may use, and the account of its running workers: reserved before a step, settled after it. Pure.

Three measures: tokens (cached ones too), money in USD, and working time in seconds, which is the time that workers ran,
all together, without pauses. A cap of 0 is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from pydantic import Field

from aura_engine.core.model import Frozen, Usage

MEASURES = ("cost", "tokens", "work")
TASK_SETTINGS = {
    "cost": "AURA_TASK_MAX_COST_USD",
    "tokens": "AURA_TASK_MAX_TOKENS",
    "work": "AURA_TASK_MAX_WORK_TIME",
}
"""Measure → the setting of a task's cap."""
_CENT = 1e-9
"""Sums of money are not exact; no price is as small as this."""


class Limit(Frozen):
    """What may be used at most; 0 is no limit."""

    tokens: int = Field(default=0, ge=0)
    cost: float = Field(default=0.0, ge=0)
    """USD."""
    work: float = Field(default=0.0, ge=0)
    """Seconds."""

    @property
    def any(self) -> bool:
        """Something is limited."""
        return bool(self.tokens or self.cost or self.work)


class Caps(Frozen):
    """The limits of a run, of each task with all its attempts, and of each attempt."""

    run: Limit = Limit()
    task: Limit = Limit()
    attempt: Limit = Limit()

    @property
    def any(self) -> bool:
        """Something is limited somewhere."""
        return self.run.any or self.task.any or self.attempt.any

    @property
    def timed(self) -> bool:
        """Working time is limited somewhere: it passes without anybody saying so."""
        return any(limit.work for limit in (self.run, self.task, self.attempt))


class Spent(NamedTuple):
    """What was used, or may be."""

    tokens: int = 0
    cost: float = 0.0
    work: float = 0.0

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(self.tokens + other.tokens, self.cost + other.cost, self.work + other.work)

    def beyond(self, past: Spent) -> Spent:
        """What this total holds beyond an earlier one; nowhere less than 0."""
        tokens, cost, work = (mine - theirs for mine, theirs in zip(self, past, strict=True))
        return Spent(max(0, int(tokens)), max(0.0, cost), max(0.0, work))

    def most(self, other: Spent) -> Spent:
        """The larger of both in each measure."""
        return Spent(max(self.tokens, other.tokens), max(self.cost, other.cost), max(self.work, other.work))


NOTHING = Spent()


def spent_of(usage: Usage, work: float = 0.0) -> Spent:
    """Usage as a sum to compare with a cap."""
    return Spent(usage.tokens, usage.cost, work)


def past(spent: Spent, step: Spent, limit: Limit) -> str:
    """The measure in which a further `step` would go past the limit, or which is used up; "" when it fits."""
    if not limit.any:
        return ""
    for measure in MEASURES:
        cap, used, more = (getattr(each, measure) for each in (limit, spent, step))
        if cap and (used >= cap - _CENT or used + more > cap + _CENT):
            return measure
    return ""


@dataclass(slots=True)
class Entry:
    """A running worker."""

    spent: Spent = NOTHING
    step: Spent = NOTHING
    """What its next step may use: its largest so far; what a step took on average before it has made one."""
    halted: bool = False
    """It was told to stop."""


@dataclass
class Account:
    """The running workers, by attempt, the oldest first."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _steps: int = 0
    _sum: Spent = NOTHING

    @property
    def typical(self) -> Spent:
        """What a step took on average, of all workers so far; nothing before the first."""
        if not self._steps:
            return NOTHING
        return Spent(round(self._sum.tokens / self._steps), self._sum.cost / self._steps)

    def open(self, name: str) -> None:
        """A worker is about to start: its first step is reserved. One that is open already stays as it is."""
        self.entries.setdefault(name, Entry(step=self.typical))

    def settle(self, name: str, spent: Spent) -> Entry | None:
        """The total that a worker has used; None when none of that name is open. A total never becomes smaller."""
        entry = self.entries.get(name)
        if entry is None:
            return None
        step = spent.beyond(entry.spent)
        if step.tokens or step.cost:
            first = entry.spent == NOTHING
            entry.step = step if first else step.most(entry.step)
            self._steps, self._sum = self._steps + 1, self._sum.plus(step)
        entry.spent = entry.spent.most(spent)
        return entry

    def close(self, name: str) -> Entry:
        """The worker has ended; what it used and what its next step might have."""
        return self.entries.pop(name, Entry())

    @property
    def spent(self) -> Spent:
        """What the running workers have used."""
        return _sum(entry.spent for entry in self.entries.values())

    @property
    def reserved(self) -> Spent:
        """What their next steps may use."""
        return _sum(entry.step for entry in self.entries.values())

    def to_halt(self, settled: Spent, limit: Limit) -> list[str]:
        """The workers whose next step no longer fits beside what is `settled`: the oldest go on as long as they can."""
        used = settled.plus(self.spent)
        found: list[str] = []
        for name, entry in self.entries.items():
            if past(used, entry.step, limit):
                found.append(name)
            else:
                used = used.plus(entry.step)
        return [name for name in found if not self.entries[name].halted]


def _sum(parts: Iterable[Spent]) -> Spent:
    return reduce(Spent.plus, parts, NOTHING)
