"""Caps that the person raises or lowers in the settings' files while the run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Literal

from aura_engine.clock import until_beat
from aura_engine.config.live import Sources, Stamp, how_to_set, overruled, without_loss
from aura_engine.config.load import CAPS, Loaded
from aura_engine.config.settings import INFOS
from aura_engine.core.events import Notice
from aura_engine.core.events_planner import CAP_SETTINGS, CapReached, CapsChanged
from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError
from aura_engine.recorder import Recorder

EVERY = 10.0
"""Seconds between two looks at the files: one costs a thread's wake-up."""
EVERY_CAPPED = 1.0
"""While the run waits for nothing else."""
REST = 1.0
"""Seconds that changed files must stand still: an editor empties a file, or takes it away, before it fills it."""
RESTS = 5
"""Waits for that, until the next look may try it."""


class Raising:
    """Looks at the files.

    `check` holds the running workers against new caps, `wake` makes the engine look at the state.
    """

    def __init__(
        self, recorder: Recorder, sources: Sources, check: Callable[[], None], wake: Callable[[], None]
    ) -> None:
        self._recorder = recorder
        self._sources = sources
        self._check = check
        self._wake = wake
        self._woken = asyncio.Event()
        self._stamp: Stamp | None = None
        self._now = sources.first
        self._in_files: dict[str, tuple[str, str]] | None = None
        self._gone: set[str] = set()
        """What was last told of caps that no file names any more."""
        self._looking = asyncio.Lock()

    def capped(self, reached: CapReached) -> None:
        """The run's cap has been reached: names what to type, and looks more often."""
        self._woken.set()
        name, value = CAP_SETTINGS[reached.measure], _twice(reached)
        how = how_to_set(name, value, self._now.origin[name], self._sources.config_file)
        self._say(f"To go on, raise the cap, such as: {how}", "info")

    async def run(self) -> None:
        """Look again and again; cancel it."""
        while True:
            await self.look()
            if self._recorder.state.capped:
                await asyncio.sleep(EVERY_CAPPED)
                continue
            self._woken.clear()
            # Not wait_for, which on Python 3.11 swallows an end that comes in the moment of the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_beat(EVERY)):
                    await self._woken.wait()

    async def look(self) -> None:
        """Take over what the files say of caps, if one of them has changed; tell of what does not count."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        stamp = await self._at_rest()
        if stamp == self._stamp:
            return
        try:
            now, in_files = await asyncio.to_thread(lambda: (self._sources.load(), self._sources.in_files()))
        except (ConfigError, OSError, ValueError, RecursionError) as error:
            self._say(f"{error} The settings as they were stay in force.", "warning")
            self._stamp = stamp
            return
        if await asyncio.to_thread(self._sources.stamp) != stamp:
            return  # the next look takes it
        now, gone = without_loss(self._now, now)
        first, self._stamp = self._stamp is None, stamp
        before, self._in_files = self._in_files, in_files
        earlier, self._now = self._now, now
        if now.settings.caps() != self._recorder.state.caps:
            await self._recorder.record(CapsChanged(caps=now.settings.caps()))
            self._check()
            self._wake()
        if first:
            return
        for sentence in (*overruled(now, before or {}, in_files), *(set(gone) - self._gone)):
            self._say(sentence, "warning")
        self._gone = set(gone)
        if others := _others(earlier, now):
            self._say(f"Changed, and counting from the next start on: {', '.join(others)}.", "info")

    async def _at_rest(self) -> Stamp:
        """What the files look like once nobody is just writing them; where they never rest, what they were last."""
        stamp = await asyncio.to_thread(self._sources.stamp)
        if self._stamp in (None, stamp):
            return stamp
        for _ in range(RESTS):
            await asyncio.sleep(REST)
            before, stamp = stamp, await asyncio.to_thread(self._sources.stamp)
            if before == stamp:
                return stamp
        return self._stamp

    def _say(self, text: str, level: Literal["info", "warning"]) -> None:
        self._recorder.record(Notice(text=one_line(text, 500), level=level))


def _twice(reached: CapReached) -> str:
    """Twice what is allowed or used, as the setting is written."""
    twice = 2 * max(reached.cap, reached.used)
    if reached.measure == "work":
        return f"{math.ceil(twice / 60)}m"
    step = 10.0 ** (math.floor(math.log10(twice)) - 1) if twice > 0 else 1.0  # two digits are enough
    rounded = math.ceil(round(twice / step, 6)) * step
    return f"{rounded:.0f}" if reached.measure == "tokens" else f"{rounded:.6g}"


def _others(before: Loaded, now: Loaded) -> list[str]:
    """The settings beside the caps that have changed, those of keys too."""
    old, new = before.settings.model_dump(), now.settings.model_dump()
    return [
        name
        for name, info in INFOS.items()
        if name not in CAPS and not info.obsolete and old[info.field] != new[info.field]
    ]
