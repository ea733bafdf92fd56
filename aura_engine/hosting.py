"""An engine as its viewers reach it: over the socket, or from another thread of its process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager

from aura_engine.control.host import Row
from aura_engine.control.link import GOAL, Live, Machine, Told
from aura_engine.control.server import ControlServer
from aura_engine.core.commands import Command
from aura_engine.engine import Engine
from aura_engine.errors import AuraError
from aura_engine.sampling import Sampling
from aura_engine.supervised import supervised
from aura_engine.watching import Watch
from aura_engine.workspace.reader import StoreReader

log = logging.getLogger(__name__)

PATCH = 1_000_000
"""Bytes of a diff."""


class Hosted:
    """See control.host.Host. There once the engine's journal is open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recorder = engine.recorder
        self.run = engine.options.paths.run
        self.task_file = engine.options.task_file
        self.sampling = Sampling(self.run, self._watched, engine.recorder.redactor)

    @property
    def last_seq(self) -> int:
        """See Host."""
        return self._recorder.journal.last_seq

    def subscribe(self, subscriber: Callable[[Told], None]) -> None:
        """See Host."""
        self._recorder.subscribe(subscriber)

    def history(self, after: int) -> Iterator[Row]:
        """See Host."""
        return self._recorder.journal.read(after)

    async def on_disk(self) -> None:
        """See Host."""
        await self._recorder.journal.flush()

    def command(self, command: Command) -> str:
        """See Host."""
        return self._engine.command(command)

    def telemetry(self) -> Mapping[str, Live]:
        """See Host."""
        now = self._engine.parts.checks.now if self._engine.ready else ""
        return {**self.sampling.live(), GOAL: Live(step=now)} if now else self.sampling.live()

    def machine(self) -> Machine | None:
        """See Host."""
        return self.sampling.machine()

    async def diff(self, task: str) -> str:
        """See Host: of what the last attempt that left something did, or of what is in its folder now."""
        if not self._engine.ready or task not in self._recorder.state.tasks:
            return ""
        patch = await self._engine.parts.workspaces.patch(self._recorder.state.tasks[task])
        return await asyncio.to_thread(self._recorder.redactor, patch)

    def diff_left(self, task: str) -> str:
        """See Host."""
        found = self._recorder.state.tasks.get(task)
        left = found.last_left if found else None
        if left is None:
            return ""
        with StoreReader(self._engine.options.paths.store) as reader:
            return self._recorder.redactor(reader.diff(left.base, left.snapshot, limit=PATCH).text)

    def _watched(self) -> dict[str, Watch]:
        """By attempt."""
        if not self._engine.ready:
            return {}
        tasks = self._recorder.state.tasks
        watched = self._engine.parts.supervisor.watched
        return {f"{name}#{live.n}": watch for name, watch in watched.items() if (live := tasks[name].live)}


@asynccontextmanager
async def serving(engine: Engine, host: Hosted) -> AsyncGenerator[None]:
    """The engine can be reached through its socket meanwhile. Without one it runs all the same, and says so."""
    server = ControlServer(host)
    measuring = supervised("sampling", host.sampling.run, lambda text: engine.tell(text))
    sampling = asyncio.create_task(measuring, name="sampling")
    try:
        try:
            await server.start()
        except (AuraError, OSError) as error:
            log.warning("no control socket: %s", error)
            engine.tell(f"Nobody can attach to this run: {error}", level="warning")
        yield
    finally:
        sampling.cancel()
        await server.aclose()
