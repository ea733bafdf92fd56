"""The plain view of a run, in this process or through its socket: it prints facts as they come, and can be left."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import TextIO

from aura_engine import garbage
from aura_engine.cli.view import View
from aura_engine.control.link import Link, Told
from aura_engine.core.events import RunEnded
from aura_engine.core.fold import apply
from aura_engine.core.model import RunStatus
from aura_engine.core.state import RunState


class PlainView:
    """Where its output blocks only it waits: what it misses meanwhile is kept for it, or read from the journal."""

    def __init__(self, *, as_json: bool, out: TextIO) -> None:
        self._state = RunState()
        self.as_json = as_json
        self._view = View(self._state, as_json=as_json, out=out)
        self._skip = 0
        self._recalled: deque[Told] = deque()
        self._leave: Callable[[], object] = lambda: None
        self._told_to_leave = False
        self.ended: RunStatus | None = None
        """How the run ended, once it has said so."""

    def show(self, link: Link, *, skip: int, recall: int = 0) -> None:
        """Print what follows event `skip`, and the last `recall` before it as far as they make lines.

        Until the run ends, nobody reads any more, or it is told to leave. OSError when the engine goes away.
        """
        garbage.begin()
        self._skip = skip
        self._recalled = deque(maxlen=recall)
        asyncio.run(self._show(link))

    def leave(self) -> None:
        """End soon; from a signal's handler or another thread."""
        self._told_to_leave = True
        self._leave()

    async def _show(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        showing = asyncio.create_task(self._follow(link))

        def leave() -> None:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(showing.cancel)

        self._leave = leave
        if self._told_to_leave:
            showing.cancel()
        await asyncio.wait({showing})
        if not showing.cancelled():
            showing.result()

    async def _follow(self, link: Link) -> None:
        # JSON tells each event by itself; for the story one has to know what came before.
        since = self._skip if self.as_json else 0
        async for batch in link.events(since):
            for told in batch:
                self._take(told)
            if self._view.gone:
                return

    def _take(self, told: Told) -> None:
        if not self.as_json:
            apply(self._state, told.event, told.time)
        if told.seq <= self._skip:
            self._recalled.append(told)
            if told.seq == self._skip:
                for earlier in self._recalled:
                    self._view(earlier)
            return
        self._view(told)
        if isinstance(told.event, RunEnded):
            self.ended = told.event.status
