"""One worker's pulse: when to look at it while it is silent, and what the looks say. No look while it talks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aura_engine.clock import steady
from aura_engine.guard.activity import Limits, Place, Sample, Verdict, judge, take
from aura_engine.guard.managed import Jobs, Managed

FIRST_LOOK = 0.1
"""Share of the limit after which a silent worker is first looked at."""
EVERY = 0.2
"""Share of the limit between two looks."""
LOOK_LIMIT = 20.0
"""Seconds that a look may take: a folder on a dead network drive must not hold up the watch."""


class Pulse:
    """Signs of life of one worker. All times are monotonic seconds."""

    def __init__(
        self,
        place: Place,
        limits: Limits | None = None,
        *,
        managed: Managed | None = None,
        monotonic: Callable[[], float] = steady,
    ) -> None:
        self._place = place
        self._limits = limits or Limits()
        self._managed = managed
        self._now = monotonic
        self._spoken = False
        self._output = self._life = self._looked = monotonic()
        self._before: Sample | None = None
        self._looking: asyncio.Future[tuple[Sample, Jobs]] | None = None
        self.jobs = Jobs()
        """Its long jobs, as of the last look."""

    def heard(self) -> None:
        """It has printed something. Costs nothing."""
        self._spoken = True
        self._output = self._life = self._now()
        self._before = None

    def awake(self) -> None:
        """It was paused till now: its silence meanwhile says nothing."""
        self._output = self._life = self._now()
        self._before = None

    def due(self) -> float:
        """Seconds until the next look; 0 when it is time."""
        allowed = self._limits.allowed(spoken=self._spoken)
        if self._before is None:
            return max(0.0, self._output + FIRST_LOOK * allowed - self._now())
        end = self._life + allowed
        step = self._looked + EVERY * allowed
        return max(0.0, (min(step, end) if end > self._looked else step) - self._now())

    async def look(self) -> Verdict:
        """Looks, and compares with the first look of this silence, or with the last that showed life.

        Takes some milliseconds in a thread, and at most LOOK_LIMIT seconds.
        """
        heard = self._output
        if self._looking is None:
            self._looking = asyncio.get_running_loop().run_in_executor(None, self._take)
        await asyncio.wait({self._looking}, timeout=LOOK_LIMIT)
        self._looked = self._now()
        if not self._looking.done():
            words = f"its workspace could not be looked at within {LOOK_LIMIT:.0f} s"
            return Verdict(hung=False, alive=True, signals=(words,))
        sample, self.jobs = self._looking.result()
        self._looking = None
        if self._output != heard:
            return Verdict(hung=False, alive=True, signals=("it has just printed something",))
        if self._before is None:
            self._before = sample
            return Verdict(hung=False, alive=True, signals=("it has only just gone silent",))
        verdict = judge(self._before, sample, self._looked - self._life, self._limits, spoken=self._spoken)
        if verdict.alive:
            self._before, self._life = sample, self._looked
        return verdict

    def _take(self) -> tuple[Sample, Jobs]:
        jobs = self._managed.look() if self._managed else Jobs()
        return take(self._place, self._now(), jobs.running), jobs
