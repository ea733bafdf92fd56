"""The local runtime: workers as processes of this machine, each under its shim, which outlives the engine.

What a worker's folder holds is told in shim.py. The engine listens to the `bell` FIFO and to the shim's pidfd; both are
opened again by `adopt`, so that nothing depends on having been the parent. Where there is no pidfd (macOS) the shim's
end is looked for every 20 ms once the bell has fallen silent.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from aura_engine.core.model import ExitRecord, LaunchSpec, ProcessRecord
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes import processes, shim
from aura_engine.runtimes.containment import NONE, Containment, View, program_at
from aura_engine.runtimes.environment import worker_env
from aura_engine.runtimes.scripts import script

START_LIMIT = 15.0
"""Seconds a shim may take until its worker runs; a machine under heavy load needs a few."""
STOP_SLACK = shim.TERM_GRACE + shim.SWEEP_LIMIT + 5.0
"""Seconds beyond the stop ladder after which the shim itself is taken for stuck."""
GONE_POLL = 0.02
LIMITS = {"NOFILE": 65_536, "NPROC": 8_192}
"""Of each worker, where the system's own are not lower: open files; processes of its user, which bind no root."""
_BELL_ROOM = 64


class LocalWorker:
    """One worker, started or adopted. `record` is its process, or its shim's where it could not be started."""

    def __init__(self, folder: Path, bell: int, *, pid: int) -> None:
        self.folder = folder
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
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)  # our own child, not yet waited for: the pid is still its
            raise RuntimeFault(
                f"The worker's shim did not start within {START_LIMIT:.0f} s.", cure="Is the machine overloaded?"
            ) from None
        self.know()

    def know(self) -> bool:
        """Reads who runs from process.json; False when it is not there."""
        found = _processes_in(self.folder)
        if found is not None:
            self.shim, self.record, self._stop_within = found
        elif not self.shim.start_time:
            self.record = self.shim = ProcessRecord(
                pid=self._pid, start_time=shim.start_time(self._pid), boot_id=processes.boot_id()
            )
        return found is not None

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
            if self._exit is None:
                self._exit = _exit_in(self.folder)
            if self._exit is None:  # the shim died first (out of memory?): nobody watches the worker any more
                await asyncio.to_thread(processes.kill_session, self.record)
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

    def sent(self) -> frozenset[str]:
        """The lines that its input holds so far."""
        return frozenset((self.folder / "input.jsonl").read_text("utf-8").split("\n"))

    def send(self, line: str) -> None:
        """Appends one line to the worker's input. RuntimeFault when its stdin was not kept open."""
        data = line.rstrip("\n").replace("\n", " ").encode() + b"\n"
        try:
            fd = os.open(self.folder / "input.jsonl", os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            raise RuntimeFault("This worker takes no further input.") from None
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def close_input(self) -> None:
        """Closes the worker's stdin once all that was sent has been read."""
        self.send('{"aura":"close"}')

    def alive(self) -> bool:
        """Whether the main process still runs."""
        return not self._ended.is_set() and processes.alive(self.record)

    def family(self) -> list[int]:
        """Pids of its shim and of everything below it, the shim first."""
        return [self.shim.pid, *shim.descendants(self.shim.pid)]

    def usage_sample(self) -> tuple[float, int, int]:
        """CPU seconds so far, resident bytes and number of processes, the shim's own included. About 1 ms."""
        return processes.usage_below(self.shim.pid) if processes.alive(self.shim) else (0.0, 0, 0)


class LocalRuntime:
    """Starts and adopts workers on this machine. Not for Windows."""

    def __init__(self, containment: Containment | None = None, shown: Callable[[], Sequence[Path]] = tuple) -> None:
        """`shown`: what every worker may read besides its own, such as folders that the person shares."""
        self._containment = containment or Containment()
        self._shown = shown
        self._spares: list[tuple[int, int]] = []
        """Shims that wait for work: pid, and the pipe through which they are told."""

    @property
    def contained(self) -> bool:
        """Whether a wall stands around its workers."""
        return self._containment.name != NONE

    async def start(self, launch: LaunchSpec, folder: Path, name: str) -> LocalWorker:
        """Starts a worker whose traces are kept in `folder`; `name` shows in the process list.

        The environment is the allow-list of worker_env with the launch's own on top. A program that cannot be started
        is no error here: `wait` then tells it in its record. RuntimeFault when the shim cannot be started.
        """
        self._write(launch, folder)
        bell = os.open(folder / "bell", os.O_RDONLY | os.O_NONBLOCK)
        try:
            pid = self._use_spare(folder) or _spawn(str(folder / "spec.json"), f"aura-{name}")
        except OSError as error:
            os.close(bell)
            raise RuntimeFault(
                f"No process could be started for the worker: {error.strerror}.", cure="Are there too many processes?"
            ) from error
        worker = LocalWorker(folder, bell, pid=pid)
        await worker.running()
        return worker

    def keep_spares(self, count: int) -> None:
        """Have `count` shims wait for work. They end by themselves when the engine does. Cheap when they are there."""
        with suppress(OSError):  # too many processes: the next start will say so
            while len(self._spares) < count:
                read_end, write_end = os.pipe()
                try:
                    self._spares.append((_spawn("-", "aura-spare", stdin=read_end), write_end))
                except OSError:
                    os.close(write_end)
                    raise
                finally:
                    os.close(read_end)

    def _use_spare(self, folder: Path) -> int | None:
        """The pid of a waiting shim that was given this folder; None when there is none alive."""
        while self._spares:
            pid, pipe = self._spares.pop(0)
            try:
                os.write(pipe, os.fsencode(folder.absolute() / "spec.json") + b"\n")
            except BrokenPipeError:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            else:
                return pid
            finally:
                os.close(pipe)
        return None

    def close(self) -> None:
        """End the shims that wait; workers go on."""
        for pid, pipe in self._spares:
            os.close(pipe)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._spares.clear()

    def _write(self, launch: LaunchSpec, folder: Path) -> None:
        home = Path(launch.env.get("HOME", folder / "home"))
        env = worker_env({**self._containment.env, **launch.env}, home=home)
        if any("\0" in text for text in (*launch.argv, *env, *env.values())):
            raise RuntimeFault("The worker's command line or environment holds a zero byte.")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(env["TMPDIR"]).mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in launch.files.items():
            _private(_own_place(home, name), text)
        for name, source in launch.logins.items():
            _own_place(home, name).symlink_to(source)
        spec = launch.model_dump(include={"cwd", "stdin_open", "stop_signals"}) | self._walled(launch, env, home)
        _private(folder / ("input.jsonl" if launch.stdin_open else "stdin.txt"), launch.stdin)
        os.mkfifo(folder / "bell", 0o600)
        _private(folder / "spec.json", json.dumps({**spec, "env": env, "boot_id": processes.boot_id()}))

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

        After None it is certain that none will start there: a shim that was only just coming up finds its spec gone.
        """
        held = (folder / "held").exists()
        if not held and (record := _exit_in(folder)) is not None:
            return record
        with suppress(FileNotFoundError):
            (folder / "spec.json").unlink()
            return None
        if not await _spoken_for(folder):
            return _exit_in(folder) or await self._orphan(folder)
        try:
            bell = os.open(folder / "bell", os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:  # its shim took it away this instant: it has ended
            return _exit_in(folder)
        found = _processes_in(folder)
        if found is None or not processes.alive(found[0]):
            os.close(bell)
            return _exit_in(folder) or await self._orphan(folder)
        worker = LocalWorker(folder, bell, pid=found[0].pid)
        worker.know()
        if (record := _exit_in(folder)) is not None:  # it rang before we listened
            if not held:
                worker.close()
                return record
            worker.has_ended()
        return worker

    @staticmethod
    async def _orphan(folder: Path) -> ExitRecord | None:
        """A worker whose shim is gone cannot be watched: it is killed."""
        found = _processes_in(folder)
        if found is None or not processes.alive(found[1]):
            return None
        await asyncio.to_thread(processes.kill_session, found[1])
        return ExitRecord(error="its shim was gone; the worker was killed")


async def _spoken_for(folder: Path) -> bool:
    """Whether a shim holds the bell, waiting (at most START_LIMIT seconds) for it to say who runs or how it ended."""
    for _ in range(int(START_LIMIT / GONE_POLL)):
        try:
            os.close(os.open(folder / "bell", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # no FIFO, or nobody holds its other end
            return False
        if (folder / "process.json").exists() or (folder / "exit.json").exists():
            return True
        await asyncio.sleep(GONE_POLL)
    return True


def _spawn(spec: str, name: str, *, stdin: int | None = None) -> int:
    """Starts a shim; its pid. OSError when no process can be had."""
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    actions = null if stdin is None else [(os.POSIX_SPAWN_DUP2, stdin, 0), *null[1:]]
    argv = [sys.executable, "-I", "-S", script(shim), spec, name]
    # Half the price of Popen (0.5 ms), and no object that wants to be waited for in its own way.
    return os.posix_spawn(sys.executable, argv, {}, file_actions=actions, setsid=True)


def _own_place(home: Path, name: str) -> Path:
    """Where a file of this name goes in a HOME that a worker may have had before: no link that it left is followed."""
    path = home
    for part in Path(name).parts[:-1]:
        path /= part
        if path.is_symlink():
            path.unlink()
        path.mkdir(mode=0o700, exist_ok=True)
    path /= Path(name).name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text, encoding="utf-8")


def _exit_in(folder: Path) -> ExitRecord | None:
    try:
        return ExitRecord.model_validate_json((folder / "exit.json").read_bytes())
    except (OSError, ValidationError):  # an empty one is what a power cut leaves
        return None


def _processes_in(folder: Path) -> tuple[ProcessRecord, ProcessRecord, float] | None:
    try:
        found = json.loads((folder / "process.json").read_bytes())
        shim_record = ProcessRecord.model_validate(found["shim"])
        return shim_record, ProcessRecord.model_validate(found["worker"]), float(found["stop_within"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
