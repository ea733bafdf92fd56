"""The Link inside the process: the engine is on another thread, and neither loop ever waits for the other."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import closing, suppress
from typing import Any, TypeVar

from aura_engine.clock import steady
from aura_engine.control.files import RunFiles
from aura_engine.control.host import Heard, Host
from aura_engine.control.link import Batch, Live, Machine, Told
from aura_engine.core.commands import Command
from aura_engine.core.events import decode
from aura_engine.errors import AuraError

T = TypeVar("T")

KEPT = 4_000
"""Events kept for the screen; what it misses beyond them it reads from the journal."""
EVERY = 0.05
"""Seconds between two batches of live events."""
SAMPLE_EVERY = 0.2
WANTED = 5.0
"""Seconds that live figures are kept fresh after the screen last looked at them."""
AT_ONCE = 2_000
"""Events of a batch of history."""
GONE = "the engine has ended"


class _Reader:
    """One screen that waits for events. Its waker is set once for however much has come since it last looked."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waker = asyncio.Event()
        self._nudged = False

    def nudge(self) -> None:
        """From the engine's thread."""
        if not self._nudged:
            self._nudged = True
            self._loop.call_soon_threadsafe(self._waker.set)

    def looks(self) -> None:
        """What comes from now on is news."""
        self._waker.clear()
        self._nudged = False

    async def news(self) -> None:
        """Wait for it."""
        await self._waker.wait()


class LocalLink(RunFiles):
    """A Link to an engine on another thread. Make it on the engine's loop; `close` there when the engine ends."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.run, host.task_file)
        self.read_only = False
        self.first = host.last_seq
        """The number of the last event from before this engine: up to it all is history."""
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._recent: deque[Told] = deque(maxlen=KEPT)
        self._last = self.first
        self._closed = False
        self._readers: set[_Reader] = set()
        self._live: Mapping[str, Live] = {}
        self._machine: Machine | None = None
        self._looked = -WANTED
        """When the screen last looked at live figures: as long as none does, none are made."""
        self._asleep = False
        self._awake = asyncio.Event()
        host.subscribe(self._heard)
        self._sampling = self._loop.create_task(self._sample(), name="telemetry")

    # ---- on the engine's loop

    def _heard(self, told: Told) -> None:
        with self._lock:
            self._recent.append(told)
            self._last = told.seq
        self._nudge()

    def _nudge(self) -> None:
        with self._lock:
            readers = tuple(self._readers)
        for reader in readers:
            try:
                reader.nudge()
            except RuntimeError:  # its loop is closed: the screen has gone
                with self._lock:
                    self._readers.discard(reader)

    async def _sample(self) -> None:
        while True:
            if steady() - self._looked > WANTED:
                self._asleep = True
                await self._awake.wait()
                self._awake.clear()
            if self._readers:
                self._live, self._machine = self._host.telemetry(), self._host.machine()
            await asyncio.sleep(SAMPLE_EVERY)

    def close(self) -> None:
        """The engine ends: nothing more is taken, and readers end once they have it all."""
        self._closed = self.read_only = True
        self._sampling.cancel()
        self._live = {}
        self._nudge()

    # ---- on the screen's loop

    async def events(self, since: int) -> AsyncIterator[Batch]:
        """See Link. Ends when the engine has. JournalError."""
        reader = _Reader()
        with self._lock:
            self._readers.add(reader)
        try:
            while True:
                reader.looks()
                closed = self._closed  # asked before the events are: all that came before it is among them
                batch = self._after(since)
                live = batch is not None
                if batch is None:
                    batch = await asyncio.to_thread(self._from_journal, since)
                if batch:
                    since = batch[-1].seq
                    yield batch
                    if live and not closed:
                        await asyncio.sleep(EVERY)
                elif closed:
                    return
                else:
                    await reader.news()
        finally:
            with self._lock:
                self._readers.discard(reader)

    def _after(self, since: int) -> Batch | None:
        """The events above `since` that are kept; None when the journal has to be asked for some before them."""
        with self._lock:
            if since >= self._last:
                return []
            if not self._recent or self._recent[0].seq > since + 1:
                return None
            return list(itertools.islice(self._recent, since + 1 - self._recent[0].seq, None))

    def _from_journal(self, since: int) -> Batch:
        rows: Any = self._host.history(since)
        with closing(rows):
            return [Heard(row.seq, row.time, decode(row.kind, row.payload)) for row in itertools.islice(rows, AT_ONCE)]

    def telemetry(self) -> Mapping[str, Live]:
        """See Link."""
        self._look()
        return self._live

    def machine(self) -> Machine | None:
        """See Link."""
        self._look()
        return self._machine

    def _look(self) -> None:
        self._looked = steady()
        if self._asleep:
            self._asleep = False
            with suppress(RuntimeError):  # its loop is closed
                self._loop.call_soon_threadsafe(self._awake.set)

    async def command(self, command: Command) -> str:
        """See Link. It is on the disk when this returns ""."""
        return await self._cross(self._take(command), GONE)

    async def _take(self, command: Command) -> str:
        why = self._host.command(command)
        if not why:
            try:
                await self._host.on_disk()
            except AuraError as error:
                return f"it was taken, but is not yet safe on the disk: {error.line()}"
        return why

    async def diff(self, task: str) -> str:
        """See Link. AuraError, OSError."""
        if self._closed:
            return await asyncio.to_thread(self._host.diff_left, task)
        return await self._cross(self._host.diff(task), "")

    async def _cross(self, work: Coroutine[Any, Any, T], gone: T) -> T:
        """Run it on the engine's loop; `gone` when that has ended, or ends meanwhile."""
        if self._closed:
            work.close()
            return gone
        try:
            crossing = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        except RuntimeError:  # its loop is closed
            work.close()
            return gone
        await asyncio.wait({crossing})
        return gone if crossing.cancelled() else crossing.result()
