"""Whether the engine's loop still turns. A thread looks: a loop that is blocked cannot say so itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from aura_engine import garbage
from aura_engine.clock import steady, until_beat
from aura_engine.paths import atomic_write

log = logging.getLogger(__name__)

BEAT = 2.0
"""Seconds between two beats of the loop."""
STALL = 5.0
"""Seconds without a beat after which the loop counts as blocked."""


class Watchdog:
    """Beats on the loop it is entered on; `marker` is a file that says since when the loop is blocked, if it is.

    `away(seconds)` is called on the loop after a time in which the whole process, or the machine, did not run.
    """

    def __init__(
        self, marker: Path, away: Callable[[float], object], *, beat: float = BEAT, stall: float = STALL
    ) -> None:
        self._marker = marker
        self._away = away
        self._beat = beat
        self._stall = stall
        self._last = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._withdraw()  # an engine that was killed while it was blocked left it
        self._last = time.monotonic()
        self._beating = asyncio.create_task(self._beats(), name="watchdog")
        self._thread.start()

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        if self._beating is not None:
            self._beating.cancel()
        await asyncio.to_thread(self._thread.join, self._stall)
        self._withdraw()

    async def _beats(self) -> None:
        steady()
        away = steady.away
        while True:
            self._last = time.monotonic()
            steady()
            if steady.away > away:
                self._away(steady.away - away)
                away = steady.away
            await asyncio.sleep(until_beat(self._beat))

    def _look(self) -> None:
        stalled = False
        seen = time.monotonic()
        while not self._ended.wait(self._beat):
            garbage.begin()
            now = time.monotonic()
            # Where this thread did not run either, the process was stopped: nothing blocks the loop.
            slept, seen = now - seen > self._stall, now
            behind = now - self._last
            if behind > self._stall and not stalled and not slept:
                stalled = True
                log.error("the engine's loop has been blocked for %.1f s:\n%s", behind, _stacks())
                with contextlib.suppress(OSError):
                    atomic_write(self._marker, json.dumps({"since": time.time() - behind}), durable=False)
            elif behind <= self._stall and stalled:
                stalled = False
                log.warning("the engine's loop turns again")
                self._withdraw()

    def _withdraw(self) -> None:
        with contextlib.suppress(OSError):
            self._marker.unlink(missing_ok=True)


def _stacks() -> str:
    """Where every thread is. Opens nothing: what blocks the loop may be that no file can be opened."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames().items()  # pyright: ignore[reportPrivateUsage]
    return "\n".join(f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}" for ident, frame in frames)
