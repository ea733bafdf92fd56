"""Parts of the engine that run beside its loop: one that breaks is logged and begun again, the others go on."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from aura_engine.core.routing import backoff
from aura_engine.errors import AuraError, JournalError, OwnedError

log = logging.getLogger(__name__)

TRIES = 5
"""Breaks within `WITHIN` seconds after which the engine stops rather than go on half."""
WITHIN = 600.0


class BrokenPart(AuraError):
    """A part of the engine breaks again and again."""


class Breaks:
    """Counts the breaks of one part and says how long to wait after each; BrokenPart when they are too many."""

    def __init__(self, name: str, say: Callable[[str], object], *, base: float = 1.0) -> None:
        self._name = name
        self._say = say
        self._base = base
        self._times: list[float] = []

    def pause(self, error: Exception) -> float:
        """Log a break and tell of it; seconds until another try, with jitter."""
        now = time.monotonic()
        log.error("%s broke", self._name, exc_info=error)
        self._times = [at for at in self._times if now - at < WITHIN] + [now]
        what = f"{type(error).__name__}: {error}"
        if len(self._times) >= TRIES:
            raise BrokenPart(
                f"{self._name} broke {TRIES} times within {WITHIN / 60:.0f} min ({what}).",
                cure="engine.log has the details; the same command goes on from here.",
            ) from error
        self._say(f"{self._name} broke and is begun again: {what}")
        return backoff(len(self._times), base=self._base, ceiling=30.0) * random.uniform(0.5, 1.0)


async def supervised(
    name: str, work: Callable[[], Awaitable[None]], say: Callable[[str], object], *, base: float = 1.0
) -> None:
    """Run `work` until it returns; where it raises, `say` it in a sentence and begin again after a while.

    JournalError and OwnedError pass: without its journal nothing of the engine may go on. BrokenPart when it breaks
    `TRIES` times within `WITHIN` seconds. `base` is the first pause in seconds.
    """
    breaks = Breaks(name, say, base=base)
    while True:
        try:
            return await work()
        except (JournalError, OwnedError):
            raise
        except Exception as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from error  # it broke while it was being ended: that stands
            pause = breaks.pause(error)
        await asyncio.sleep(pause)
