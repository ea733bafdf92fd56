"""A worker in a container of its own, watched by its shim's bell and by what the container engine says.

The worker could have written all that its shim tells. So the shim's word is only taken for how the main process ended;
whether the container still runs, ran out of memory, or was stopped by somebody else is the container engine's. While
that one is away nothing is known, and nobody is declared dead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from aura_engine.core.model import ContainerUse, ExitRecord, ProcessRecord
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes import cgroups, shim, traces
from aura_engine.runtimes.docker_end import final_record, numbered_outside
from aura_engine.runtimes.docker_engine import AWAY_FIRST, DockerEngine, EngineAway, State, pauses
from aura_engine.runtimes.inbox import Inbox

log = logging.getLogger(__name__)

TRACES = "shim"
"""Folder in the attempt's: all of it that the worker could write to, beside its two output files."""
START_LIMIT = 60.0
"""Seconds that a started container has until its shim has started the worker; a loaded machine needs a few."""
STOP_SLACK = shim.TERM_GRACE + shim.SWEEP_LIMIT + 15.0
LOOK = 20.0
"""Seconds between two looks at a container of which nothing is heard."""
BELL = 0.5
"""Seconds that a bell is waited for before its shim's records are looked at."""
_BELL_ROOM = 64


class DockerWorker(Inbox):
    """See Worker. `name` is its container's."""

    def __init__(self, engine: DockerEngine, name: str, folder: Path) -> None:
        super().__init__(folder)
        self.name = name
        self.traces = folder / TRACES
        self.shim = ProcessRecord(pid=0, start_time=0.0, boot_id="")
        self._record = self.shim
        self._engine = engine
        self._stop_within = 0.0
        self._stopping = False
        """This engine has asked for its end."""
        self._running = asyncio.Event()
        self._rung = asyncio.Event()
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._group: Path | None = None
        """The control group of its container; None where the container engine's machine is another one."""
        self._oom = False
        self._last: State | None = None
        """How its container ended; None before, and where it was gone."""
        self._tasks: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()
        self._bell = _open_bell(self.traces / "bell")
        if self._bell >= 0:
            self._loop.add_reader(self._bell, self._hear)
        self._do(self._follow())

    @property
    def record(self) -> ProcessRecord:
        """See Worker; pid 0 where the container engine's processes are not this machine's."""
        return self._record

    # ---- what is heard

    def _hear(self) -> None:
        try:
            said = os.read(self._bell, _BELL_ROOM)
        except BlockingIOError:
            return
        if b"r" in said or b"x" in said:
            self._running.set()
        if b"x" in said:
            self._rung.set()
        if not said:  # nothing that could ring is left
            self._deaf()
            self.look()

    def _deaf(self) -> None:
        if self._bell >= 0:
            self._loop.remove_reader(self._bell)
            os.close(self._bell)
            self._bell = -1

    def look(self) -> None:
        """Something may have happened to its container."""
        self._news.set()

    async def _follow(self) -> None:
        """Until its container has ended."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            state = await self._state()
            if state is None or state.over:
                break
            if self._bell < 0:
                await asyncio.sleep(AWAY_FIRST)  # it is just ending, or its bell was taken away
                self.look()
            if (self.traces / "exit.json").exists():
                self._rung.set()
        self._last = state
        self._deaf()
        for event in (self._running, self._rung, self._over):
            event.set()

    async def _state(self) -> State | None:
        """How its container is, as soon as the container engine can be asked; None: gone, or given up."""
        for pause in pauses():
            try:
                return await self._engine.state(self.name)
            except EngineAway as error:
                log.info("%s: %s", self.name, error)
                await asyncio.sleep(pause)
            except RuntimeFault as error:
                log.warning("%s: %s", self.name, error)
                await asyncio.sleep(pause)
        return None

    async def running(self) -> None:
        """Waits for its shim to have started it, or failed to. RuntimeFault when it does neither in time."""
        try:
            async with asyncio.timeout(START_LIMIT):
                while not self._running.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(BELL):
                            await self._running.wait()
                    if (self.traces / "process.json").exists():  # no bell is heard from another machine
                        self._running.set()
        except TimeoutError:
            fault = f"The worker's shim did not start in its container within {START_LIMIT:.0f} s."
            raise RuntimeFault(fault, cure="Is the machine overloaded?") from None
        if self._over.is_set() and traces.told_in(self.traces) is None and traces.exit_in(self.traces) is None:
            await self._never_began()
        await self.know()

    async def _never_began(self) -> None:
        """RuntimeFault with the words of a container that ended before its shim had said anything."""
        said = await self._engine.last_words(self.name)
        code = self._last.code if self._last is not None else None
        raise RuntimeFault(
            f"The worker's container ended at once (status {code}): {said or 'it said nothing'}",
            cure="Does its image have `python3`?",
        )

    async def know(self) -> None:
        """Finds its processes among this machine's."""
        told = traces.told_in(self.traces)
        if told is None or told.worker is None:
            return
        self._stop_within = told.stop_within
        try:
            state = await self._engine.state(self.name)
        except RuntimeFault:
            return
        if state is not None and state.pid:
            found = await asyncio.to_thread(numbered_outside, state.pid, (told.shim, told.worker))
            self.shim, self._record = found
            self._group = await asyncio.to_thread(cgroups.memory_group, self.shim.pid or state.pid)

    # ---- what others ask

    async def wait(self) -> ExitRecord:
        """See Worker."""
        while True:
            await self._rung.wait()
            if self._over.is_set():
                break
            if (told := traces.exit_in(self.traces)) is not None:
                return await self._ended(told)
            self._rung.clear()  # whoever rang was not its shim
        return self._final()

    async def _ended(self, told: ExitRecord) -> ExitRecord:
        """Its main process ended, its container perhaps not yet: whether memory ran out is known all the same."""
        kills = None if self._group is None else cgroups.memory_kills(self._group)
        if kills is not None and (self._stopping or not told.stopped):
            self._oom = kills > 0
            return told.model_copy(update={"oom": self._oom})
        self.look()
        if self._group is None and (self.traces / "held").exists():
            return told  # what it handed over goes on for long
        await self._over.wait()
        return self._final()

    async def swept(self) -> ExitRecord:
        """See Worker."""
        await self._over.wait()
        return self._final()

    def _final(self) -> ExitRecord:
        record = final_record(traces.exit_in(self.traces), self._last, stopping=self._stopping)
        return record.model_copy(update={"oom": True}) if self._oom else record

    def begin_stop(self) -> None:
        """See Worker. Goes on in the background until the container engine has taken it."""
        self._stopping = True
        self._do(self._signal("SIGTERM"))

    async def stop(self) -> ExitRecord:
        """See Worker. Takes at most the ladder's grace plus STOP_SLACK seconds, then its container is killed."""
        self.begin_stop()
        try:
            async with asyncio.timeout(self._stop_within + STOP_SLACK):
                return await self.swept()
        except TimeoutError:
            await self._signal("SIGKILL")
            return await self.swept()

    async def _signal(self, signum: str) -> None:
        """To its shim, which acts on it only when it is not frozen; tried until the container engine is there."""
        for pause in pauses():
            if self._over.is_set():
                return
            try:
                await self._engine.unpause(self.name)
                await self._engine.signal(self.name, signum)
            except RuntimeFault as error:
                log.info("%s: %s", self.name, error)
                await asyncio.sleep(pause)
            else:
                self.look()
                return

    async def pause(self) -> None:
        """See Worker. Its shim is frozen with it."""
        await self._engine.pause(self.name)

    async def resume(self) -> None:
        """See Worker."""
        await self._engine.unpause(self.name)

    def container(self) -> ContainerUse | None:
        """See Worker."""
        return cgroups.use_of(self.shim.pid) if self.shim.pid else None

    def family(self) -> list[int]:
        """See Worker."""
        return [self.shim.pid, *shim.descendants(self.shim.pid)] if self.shim.pid else []

    def has_ended(self) -> None:
        """It rang before this engine listened."""
        self._running.set()
        self._rung.set()

    def close(self) -> None:
        """Stop listening; the worker goes on. Safe to call again."""
        for task in self._tasks:
            task.cancel()
        self._deaf()

    def _do(self, work: Coroutine[None, None, object]) -> None:
        task = asyncio.create_task(work, name=f"container {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _open_bell(path: Path) -> int:
    """The shim's FIFO; -1 where something else is in its place."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return -1
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return -1
