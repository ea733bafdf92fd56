"""Writes the projections to disk: coalesced, in a thread, at a rate that does not grow with the run."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aura_engine.clock import Clock
from aura_engine.core.state import RunState
from aura_engine.errors import JournalError
from aura_engine.paths import atomic_write
from aura_engine.report.decisions import DecisionLog
from aura_engine.report.progress import progress_markdown
from aura_engine.report.status import status_json

log = logging.getLogger(__name__)

SHORTEST = 0.5
"""Seconds between two writes of the same file at least."""
AFTER_FAILURE = 30.0
RATE = 4000.0
"""Bytes a second that one file may take on the long run."""


@dataclass
class _File:
    path: Path
    render: Callable[[RunState, float], str]
    dirty: bool = False
    due: float = 0.0
    """Monotonic time before which it is not written again."""


class Projections:
    """Keeps `progress.md`, `decision_log.json` and `status.json` in `folder` (which must exist) up to date.

    Use it on one event loop: `note` after each folded event, `aclose` at the end. A write that fails is logged and
    tried again with the next one: projections can always be made anew. `settled` returns once all that is folded is
    safe, or raises JournalError: what could still be lost is not told.
    """

    def __init__(self, folder: Path, clock: Clock, settled: Callable[[], Awaitable[None]]) -> None:
        self.decisions = DecisionLog()
        self._settled = settled
        self._clock = clock
        self._progress = _File(folder / "progress.md", progress_markdown)
        self._log = _File(folder / "decision_log.json", self._decision_json)
        self._status = _File(folder / "status.json", self._status_json)
        self._files = (self._progress, self._log, self._status)
        self._state: RunState | None = None
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def note(self, event: object, time: float, state: RunState) -> None:
        """`event` (wall time `time`) was folded into `state`: what it changed is written soon. Returns at once."""
        self._state = state
        self._progress.dirty = self._status.dirty = True
        self._log.dirty = self.decisions.note(event, time) or self._log.dirty
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="projections")

    def restore(self, events: Iterable[tuple[object, float]]) -> None:
        """Take in the (event, wall time) pairs of the journal from before this start; before the first `note`."""
        for event, time in events:
            self.decisions.note(event, time)

    async def aclose(self) -> None:
        """Write what changed since the last time and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._state is not None:
            try:
                await self._settled()
            except JournalError as error:
                log.warning("the projections stay as they are: %s", error)
                return
            self._log.dirty = True
            await self._write([file for file in self._files if file.dirty], self._state)

    async def _run(self) -> None:
        while True:
            now = self._clock.monotonic()
            waiting = [file for file in self._files if file.dirty]
            ready = [file for file in waiting if file.due <= now]
            if ready and self._state is not None:
                # Shielded: a thread can't be cancelled, and `aclose` has to wait for it.
                await asyncio.shield(self._write(ready, self._state))
            elif waiting:
                await asyncio.sleep(min(file.due for file in waiting) - now)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _write(self, files: list[_File], state: RunState) -> None:
        async with self._writing:
            await self._write_files(files, state)

    async def _write_files(self, files: list[_File], state: RunState) -> None:
        wall = self._clock.wall()
        # Rendered here, where nothing changes the state meanwhile; only the disk is waited for in the thread.
        bodies = [(file.path, file.render(state, wall).encode("utf-8", "replace")) for file in files]
        for file, (_, body) in zip(files, bodies, strict=True):
            file.dirty = False
            file.due = self._clock.monotonic() + max(SHORTEST, len(body) / RATE)
        try:
            await self._settled()
            await asyncio.to_thread(_put, bodies)
        except (OSError, JournalError) as error:
            log.warning("the projections could not be written: %s", error)
            for file in files:
                file.dirty, file.due = True, self._clock.monotonic() + AFTER_FAILURE

    def _decision_json(self, state: RunState, now: float) -> str:
        rows = (json.dumps(entry, ensure_ascii=False) for entry in self.decisions.entries)
        return "[\n" + ",\n".join(rows) + "\n]\n"

    def _status_json(self, state: RunState, now: float) -> str:
        return json.dumps(status_json(state, now, self.decisions.last(5)), ensure_ascii=False) + "\n"


def _put(bodies: list[tuple[Path, bytes]]) -> None:
    for path, body in bodies:
        atomic_write(path, body, durable=False)
