"""Time as an object, so that nothing in the logic reads a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

GAP = 60.0
"""Seconds without a look at the clock after which nobody was there to look: the process was stopped."""


class Clock(Protocol):
    """Monotonic seconds for deadlines, wall time for people."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, UTC; only for display and records."""
        ...


class SystemClock:
    """The machine's clocks. Its wall time goes on evenly from when it was made: somebody who sets the machine's clock,
    by an hour or a year, makes no wait longer or shorter. A time of suspend counts."""

    def __init__(self) -> None:
        self._ahead = time.time() - _since_boot()

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    def wall(self) -> float:
        """See Clock."""
        return _since_boot() + self._ahead


class Steady:
    """Monotonic seconds that do not count what passed while the process was stopped or its loop blocked.

    For limits of what others do meanwhile: nobody's patience runs out while nobody looks. It has to be called every
    few seconds as long as the process runs, which the engine's watchdog does.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self.away = 0.0
        """Seconds left out so far."""

    def __call__(self) -> float:
        """The time now."""
        now = self._monotonic()
        if now - self._last > GAP:
            self.away += now - self._last
        self._last = now
        return now - self.away


steady = Steady()
"""The process's own."""


def until_beat(every: float) -> float:
    """Seconds to the next of the moments that lie `every` seconds apart: who looks about as often wakes up together."""
    left = every - time.monotonic() % every
    return left if left > every / 4 else left + every


def iso(wall: float) -> str:
    """An epoch time as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _since_boot() -> float:
    """Seconds that no setting of a clock changes and that go on in a suspend, where the system has such."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
