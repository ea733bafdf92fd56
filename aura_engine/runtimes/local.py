"""The local runtime: workers as processes of this machine, each under its shim, which outlives the engine.

What a worker's folder holds is told in shim.py. The engine listens to the `bell` FIFO and to the shim's pidfd; both are
opened again by `adopt`, so that nothing depends on having been the parent. Where there is no pidfd (macOS) the shim's
end is looked for every 20 ms once the bell has fallen silent.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from aura_engine.core.model import ExitRecord, LaunchSpec, ProcessRecord
from aura_engine.errors import RuntimeFault
from aura_engine.faults import fault
from aura_engine.runtimes import processes, shim, traces
from aura_engine.runtimes.containment import NONE, Containment, View, program_at
from aura_engine.runtimes.environment import worker_env
from aura_engine.runtimes.inbox import Inbox
from aura_engine.runtimes.nursery import LIMIT, Nursery
from aura_engine.runtimes.scripts import script

START_LIMIT = 15.0
"""Seconds a shim may take until its worker runs; a machine under heavy load needs a few."""
STOP_SLACK = shim.TERM_GRACE + shim.SWEEP_LIMIT + 5.0
"""Seconds beyond the stop ladder after which the shim itself is taken for stuck."""
GONE_POLL = 0.02
LIMITS = {"NOFILE": 65_536, "NPROC": 8_192}
"""Of each worker, where the system's own are not lower: open files; processes of its user, which bind no root."""
_BELL_ROOM = 64


class LocalWorker(Inbox):
    """One worker, started or adopted. `record` is its process, or its shim's where it could not be started."""

    def __init__(self, folder: Path, bell: int, *, pid: int) -> None:
        super().__init__(folder)
        self.record = self.shim = ProcessRecord(pid=pid, start_time=0.0, boot_id="")
        self._stop_within = 0.0
        self._bell = bell
        self._pid = pid
        self._pidfd = processes.pidfd(pid)
        self._running = asyncio.Event()
        self._ended = asyncio.Event()
        self._gone = asyncio.Event()
        self._exit: ExitRecord | None = None
        self._settling = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bell, self._hear)
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._reap)

    # ---- what the shim says

    def _hear(self) -> None:
        try:
            said = os.read(self._bell, _BELL_ROOM)
        except BlockingIOError:
            return
        if b"r" in said or b"x" in said:
            self._running.set()
        if b"x" in said:
            self._ended.set()
        if not said:
            self._loop.remove_reader(self._bell)
            if self._pidfd is None:
                self._reap()

    def _reap(self) -> None:
        """The shim is gone (or soon will be, where only the bell said so): collect it if it was our child."""
        try:
            pid, _ = os.waitpid(self._pid, os.WNOHANG)
            if pid == 0:
                self._loop.call_later(GONE_POLL, self._reap)
                return
        except ChildProcessError:
            if self.shim.start_time and processes.alive(self.shim):
                self._loop.call_later(GONE_POLL, self._reap)
                return
        self.close()
        for event in (self._running, self._ended, self._gone):
            event.set()

    def close(self) -> None:
        """Stop listening; the worker goes on. Safe to call again."""
        for fd in (self._bell, self._pidfd):
            if fd is not None and fd >= 0:
                self._loop.remove_reader(fd)
                os.close(fd)
        self._bell, self._pidfd = -1, None

    async def running(self) -> None:
        """Waits for the shim to have started the worker, or failed to. RuntimeFault when it does neither in time."""
        try:
            async with asyncio.timeout(START_LIMIT):
                await self._running.wait()
        except TimeoutError:
            traces.take_back(self.folder)
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # our own child, not yet waited for: the pid is still its
            await asyncio.to_thread(traces.kill_left, self.folder)  # it may have started the worker this instant
            raise RuntimeFault(
                f"The worker's shim did not start within {START_LIMIT:.0f} s.", cure="Is the machine overloaded?"
            ) from None
        self.know()

    def know(self) -> bool:
        """Reads who runs from process.json; False when it is not there."""
        told = traces.told_in(self.folder)
        if told is not None and told.worker is not None:
            self.shim, self.record, self._stop_within = told.shim, told.worker, told.stop_within
            return True
        if not self.shim.start_time:
            self.record = self.shim = ProcessRecord(
                pid=self._pid, start_time=shim.start_time(self._pid), boot_id=processes.boot_id()
            )
        return False

    # ---- what others ask

    async def wait(self) -> ExitRecord:
        """How the main process ended, as soon as it did; what it left behind may still be being swept."""
        await self._ended.wait()
        return await self._settle()

    async def swept(self) -> ExitRecord:
        """The final record, once no process of the worker's is left."""
        await self._gone.wait()
        self._exit = None
        return await self._settle()

    async def _settle(self) -> ExitRecord:
        async with self._settling:
            if self._gone.is_set() and traces.is_unswept(self.folder):
                # the shim died first (out of memory?): nobody watches what there still is of the worker
                await asyncio.to_thread(traces.kill_left, self.folder)
            self._exit = self._exit or traces.exit_in(self.folder)
            if self._exit is None:
                self._exit = ExitRecord(error="its shim ended without a record; what was left of it was killed")
            return self._exit

    def has_ended(self) -> None:
        """Its main process rang before this engine listened; its shim still stands by jobs that it handed over."""
        self._running.set()
        self._ended.set()

    def begin_stop(self) -> None:
        """Asks the shim to walk the stop ladder; `wait` and `swept` tell when it is done."""
        processes.signal_process(self.shim, signal.SIGTERM)

    async def stop(self) -> ExitRecord:
        """Walks the stop ladder and waits until no process of the worker's is left.

        Takes at most the ladder's grace plus STOP_SLACK seconds; then everything is killed from here.
        """
        self.begin_stop()
        try:
            async with asyncio.timeout(self._stop_within + STOP_SLACK):
                return await self.swept()
        except TimeoutError:
            below = await asyncio.to_thread(shim.descendants, self.shim.pid)
            processes.signal_all(below, signal.SIGKILL)
            processes.signal_process(self.shim, signal.SIGKILL)
            async with asyncio.timeout(STOP_SLACK):
                return await self.swept()

    async def pause(self) -> None:
        """Freezes the worker and all below it; its shim stays awake."""
        await asyncio.to_thread(self._signal_tree, signal.SIGSTOP)

    async def resume(self) -> None:
        """Lets a frozen worker go on."""
        await asyncio.to_thread(self._signal_tree, signal.SIGCONT)

    def _signal_tree(self, signum: signal.Signals) -> None:
        done: set[int] = set()
        for _ in range(10):  # a process may fork between being listed and being stopped
            new = [pid for pid in shim.descendants(self.shim.pid) if pid not in done]
            if not new:
                return
            processes.signal_all(new, signum)
            done.update(new)

    def alive(self) -> bool:
        """Whether the main process still runs."""
        return not self._ended.is_set() and processes.alive(self.record)

    def family(self) -> list[int]:
        """Pids of its shim and of everything below it, the shim first."""
        return [self.shim.pid, *shim.descendants(self.shim.pid)]


class LocalRuntime:
    """Starts and adopts workers on this machine. Not for Windows."""

    def __init__(self, containment: Containment | None = None, shown: Callable[[], Sequence[Path]] = tuple) -> None:
        """`shown`: what every worker may read besides its own, such as folders that the person shares."""
        self._containment = containment or Containment()
        self._shown = shown
        self._nursery = Nursery()

    @property
    def contained(self) -> bool:
        """Whether a wall stands around its workers."""
        return self._containment.name != NONE

    async def way(self, folder: Path, base_url: str, key: str) -> tuple[str, str]:
        """See Runtime: the real ones."""
        return base_url, key

    def counted(self, folder: Path) -> None:
        """See Runtime: nothing stands between a worker and its model."""

    async def start(self, launch: LaunchSpec, folder: Path, name: str) -> LocalWorker:
        """Starts a worker whose traces are kept in `folder`; `name` shows in the process list.

        The environment is the allow-list of worker_env with the launch's own on top. A program that cannot be started
        is no error here: `wait` then tells it in its record. RuntimeFault when the shim cannot be started.
        """
        self._write(launch, folder)
        spec, title = str(folder.absolute() / "spec.json"), f"aura-{name}"
        bell = os.open(folder / "bell", os.O_RDONLY | os.O_NONBLOCK)
        fault("worker.written")
        try:
            pid = await self._nursery.shim(spec, title) or _spawn(spec, title)
        except TimeoutError as error:
            os.close(bell)
            found = await self.adopt(folder)  # one that comes late is killed, unless it works already
            if isinstance(found, LocalWorker):
                return found
            raise RuntimeFault(
                f"No shim for the worker was forked within {2 * LIMIT:.0f} s.", cure="Is the machine overloaded?"
            ) from error
        except OSError as error:
            os.close(bell)
            raise RuntimeFault(
                f"No process could be started for the worker: {error.strerror}.", cure="Are there too many processes?"
            ) from error
        except asyncio.CancelledError:
            os.close(bell)
            traces.take_back(folder)  # keys are in it, and perhaps nobody comes for it any more
            raise
        fault("worker.spawned")
        worker = LocalWorker(folder, bell, pid=pid)
        await worker.running()
        return worker

    async def clear(self, folder: Path) -> None:
        """See Runtime. Its records are the attempt's own files, and stay."""

    async def tidy(self, live: Collection[Path]) -> None:
        """See Runtime. Nothing outlives its shim."""

    async def aclose(self) -> None:
        """See Runtime."""

    def close(self) -> None:
        """See Runtime."""
        self._nursery.close()

    def _write(self, launch: LaunchSpec, folder: Path) -> None:
        home = Path(launch.env.get("HOME", folder / "home"))
        env = worker_env({**self._containment.env, **launch.env}, home=home)
        env[shim.MARK] = secrets.token_hex(8)
        if any("\0" in text for text in (*launch.argv, *env, *env.values())):
            raise RuntimeFault("The worker's command line or environment holds a zero byte.")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        cwd, temp = traces.refuse_link(Path(launch.cwd)), Path(env["TMPDIR"])
        traces.refuse_link(home).mkdir(parents=True, exist_ok=True, mode=0o700)
        for top in (home, cwd):  # theirs whose turn was before this one's, too
            if top in temp.parents:
                traces.own_folder(top, temp)
        temp.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in launch.files.items():
            traces.private(traces.own_place(home, name), text)
        for name, source in launch.logins.items():
            traces.own_place(home, name).symlink_to(source)
        spec = launch.model_dump(include={"cwd", "stdin_open", "stop_signals"}) | self._walled(launch, env, home)
        traces.private(folder / ("input.jsonl" if launch.stdin_open else "stdin.txt"), launch.stdin)
        os.mkfifo(folder / "bell", 0o600)
        traces.private(folder / "spec.json", json.dumps({**spec, "env": env, "boot_id": processes.boot_id()}))

    def _walled(self, launch: LaunchSpec, env: Mapping[str, str], home: Path) -> dict[str, object]:
        """The part of the spec that says how the program is started behind the wall."""
        cwd = Path(launch.cwd)
        program = program_at(launch.argv[0], env["PATH"], cwd)
        # A login is a link from its HOME to the person's own file, which is shown where it lies.
        write = (cwd, home, *map(Path, launch.logins.values()))
        view = View(write=write, read=tuple(self._shown()), temp=Path(env["TMPDIR"]), shim=True)
        return {
            "argv": self._containment.wrap((program, *launch.argv[1:]), view),
            "program": program,
            "inner": self._containment.inner,
            "scope": self._containment.scope,
            "limits": LIMITS if os.getuid() else {name: LIMITS[name] for name in LIMITS if name != "NPROC"},
        }

    async def adopt(self, folder: Path) -> LocalWorker | ExitRecord | None:
        """What became of the worker of `folder`: still there, ended, or never (or no longer) there.

        After None it is certain that none will start there: a shim that was only just coming up finds its spec gone,
        one that has begun and says nothing within START_LIMIT seconds is killed with what it started.
        """
        if traces.take_back(folder):
            return None
        if not await traces.spoken_for(folder, START_LIMIT):
            return await self._left(folder)
        try:
            bell = os.open(folder / "bell", os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:  # its shim took it away this instant: it has ended
            return traces.exit_in(folder)
        told = traces.told_in(folder)
        if told is None or told.worker is None or not processes.alive(told.shim):
            os.close(bell)
            return await self._left(folder)
        worker = LocalWorker(folder, bell, pid=told.shim.pid)
        worker.know()
        if (record := traces.exit_in(folder)) is not None:  # it rang before we listened
            if not (folder / "held").exists():
                worker.close()
                return record
            worker.has_ended()
        return worker

    @staticmethod
    async def _left(folder: Path) -> ExitRecord | None:
        """How it ended. What is left of one whose shim is gone, or says nothing, cannot be watched: it is killed."""
        told = traces.told_in(folder)
        cut_off = told is not None and told.worker is not None and processes.alive(told.worker)
        if traces.is_unswept(folder):
            await asyncio.to_thread(traces.kill_left, folder)
        record = traces.exit_in(folder)
        if record is None and cut_off:
            record = ExitRecord(error="its shim was gone; the worker was killed")
        return record


def _spawn(spec: str, name: str) -> int:
    """Starts a shim; its pid. OSError when no process can be had."""
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    argv = [sys.executable, "-I", "-S", script(shim), spec, name]
    # Half the price of Popen (0.5 ms), and no object that wants to be waited for in its own way.
    return os.posix_spawn(sys.executable, argv, shim.ENV, file_actions=null, setsid=True)
