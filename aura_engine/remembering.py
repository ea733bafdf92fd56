"""The planner's memory and its reviews on the disk: written for a person, whose changes are taken up."""

from __future__ import annotations

import asyncio
import logging

from aura_engine.clock import iso
from aura_engine.core import memory
from aura_engine.core.events import Notice
from aura_engine.core.events_planner import MemoryEdited
from aura_engine.core.text import clean
from aura_engine.paths import RunPaths, atomic_write
from aura_engine.recorder import Recorder

log = logging.getLogger(__name__)

MAX_FILE = 64_000
"""Bytes of MEMORY.md that are read."""


class Memory:
    """`refresh` before the planner is asked, `keep` after what it kept is journaled. Neither raises for the disk."""

    def __init__(self, paths: RunPaths, recorder: Recorder) -> None:
        self._paths = paths
        self._recorder = recorder

    async def refresh(self) -> None:
        """Take up what the person changed in the file."""
        state = self._recorder.state
        try:
            text = await asyncio.to_thread(self._read)
        except OSError as error:
            log.warning("%s cannot be read: %s", self._paths.lessons, error)
            return
        wanted = None if text is None else memory.edited(text, state.lessons)
        if wanted is not None:
            self._recorder.record(
                MemoryEdited(lessons=tuple(clean(lesson) for lesson in wanted)),
                Notice(text=f"The planner's memory is as you changed it: {len(wanted)} lessons."),
            )
        if state.lessons or text is not None:
            await self.keep()

    async def keep(self) -> None:
        """Write the lessons as they are now."""
        await self._write("MEMORY.md", memory.render(self._recorder.state.lessons))

    async def keep_review(self, report: str, advice: str) -> None:
        """Write a review under the time it was made at."""
        wall = self._recorder.clock.wall()
        name = iso(wall)[:19].replace(":", "-")
        text = f"# Review of {iso(wall)}\n\n{clean(report).strip()}\n"
        if advice:
            text += f"\n## Advice to the next planning\n\n{clean(advice).strip()}\n"
        await self._write(f"reviews/{name}.md", text)

    def _read(self) -> str | None:
        try:
            with self._paths.lessons.open("rb") as file:
                return file.read(MAX_FILE).decode("utf-8", "replace")
        except FileNotFoundError:
            return None

    async def _write(self, name: str, text: str) -> None:
        try:
            await asyncio.to_thread(atomic_write, self._paths.memory / name, text, durable=False)
        except OSError as error:
            log.warning("%s cannot be written: %s", name, error)
