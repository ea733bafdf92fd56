"""A limit to the wait of a run in which nothing goes on until something outside of it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LONGEST = 24 * 3600.0
"""Seconds: a day covers a night's job that takes the machine's memory, or a disk that a person clears in the morning.
As long as the journal waits for its own disk."""


class Patience:
    """Counts how long it is that nothing goes on. `wake` is called when that has been for too long."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._timer: asyncio.TimerHandle | None = None

    def look(self, *, waits: bool) -> bool:
        """Whether it has waited for too long, in one go; to be told at each look whether it does. On the loop."""
        if not waits:
            self.close()
            return False
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(LONGEST, self._wake)
        return loop.time() >= self._timer.when()

    def close(self) -> None:
        """It waits no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
