"""Running a check's command: own session, time and output limits, and nothing of it left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from aura_engine.errors import RuntimeFault

_CHUNK = 65_536
_TAIL_BYTES = 8_000
_TAIL_CHARS = 2_000
_MARK = "AURA_CHECK"
_SWEEPS = 50
_SWEEP_PAUSE = 0.02
_PIPE_GRACE = 5.0
_FEW = 256
"""Process ids that are tried one by one; where there are more, the system is asked for those that are in use."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command. `duration` in seconds; `output_hash` is the SHA-256 of all that was read."""

    code: int | None
    signal: int | None
    timed_out: bool
    overflowed: bool
    duration: float
    output_hash: str
    tail: str


def end_leftovers(scratch: Path) -> int:
    """Kill the commands that an engine left running when it died: those with a HOME below `scratch`; how many.

    Blocks for some milliseconds. The run's lock must be held: it would end a living engine's as well.
    """
    below = f"{scratch}{os.sep}"
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if _MARK in environ and environ.get("HOME", "").startswith(below):
                process.kill()
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or not ours
    psutil.wait_procs(found, timeout=_PIPE_GRACE)
    return len(found)


class _Output:
    """Standard output and error together: hashed whole, kept only at its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self.overflowed = False
        self._hash = hashlib.sha256()
        self._tail = b""

    def add(self, chunk: bytes) -> None:
        """Take in a chunk; `overflowed` is set once the limit is passed."""
        self._size += len(chunk)
        self._hash.update(chunk)
        self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
        self.overflowed = self._size > self._limit

    @property
    def hash(self) -> str:
        """SHA-256 in hex."""
        return self._hash.hexdigest()

    @property
    def tail(self) -> str:
        """The last 2,000 characters."""
        return self._tail.decode(errors="replace")[-_TAIL_CHARS:]


async def run_command(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: float, max_output: int) -> Ran:
    """Run `argv` to its end, `limit` seconds or `max_output` bytes, then kill every process it left.

    RuntimeFault when it could not be started at all.
    """
    token = secrets.token_hex(16)
    # An own pipe: then the wait ends with the process, not with the last holder of the pipe.
    read_end, write_end = os.pipe()
    started = time.monotonic()
    try:
        # It returns after exec, within a millisecond; asyncio's own start costs a thread for each child on Python 3.11.
        process = subprocess.Popen(  # noqa: ASYNC220
            list(argv),
            cwd=cwd,
            env={**env, _MARK: token},
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            start_new_session=True,
            umask=0o022,
        )
    except (OSError, ValueError) as error:
        os.close(read_end)
        raise RuntimeFault(
            f"the check's command could not be started ({argv[0]}): {error}",
            cure="Look whether this program and the checkout's folder exist.",
        ) from error
    finally:
        os.close(write_end)
    output = _Output(max_output)
    pump = _Pump(read_end, output)
    exited = _Exit(process)
    try:
        await asyncio.wait({exited.done, pump.over}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        timed_out = not exited.done.done() and not output.overflowed
    finally:
        alive = not exited.done.done()
        if alive or not _is_alone(token, process.pid):
            await asyncio.shield(asyncio.to_thread(_stop, token, process.pid, alive=alive))
        await asyncio.wait({exited.done, pump.ended}, timeout=_PIPE_GRACE, return_when=asyncio.ALL_COMPLETED)
        pump.close()
        exited.close()
    code = process.returncode
    return Ran(
        code=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        timed_out=timed_out,
        overflowed=output.overflowed,
        duration=time.monotonic() - started,
        output_hash=output.hash,
        tail=output.tail,
    )


class _Pump:
    """Reads a pipe into an output as it comes. `ended`: end of file; `over`: more than it may have written."""

    def __init__(self, descriptor: int, output: _Output) -> None:
        self._descriptor = descriptor
        self._output = output
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.over: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._descriptor)
            if not self.ended.done():
                self.ended.set_result(None)
            return
        if not self._output.overflowed:
            self._output.add(chunk)
        if self._output.overflowed and not self.over.done():
            self.over.set_result(None)

    def close(self) -> None:
        """Stop reading."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.ended.cancel()
        self.over.cancel()


class _Exit:
    """Tells when a process has ended and reaps it: by its descriptor, or by a thread where there is none (macOS)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._descriptor = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else -1
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._reap)
        else:
            self._loop.run_in_executor(None, process.wait).add_done_callback(lambda _: self._set())

    def _reap(self) -> None:
        if self._process.poll() is not None:
            self._loop.remove_reader(self._descriptor)
            self._set()

    def _set(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        """Stop listening."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
        self.done.cancel()


def _is_alone(token: str, leader: int) -> bool:
    """Whether few processes of the machine are newer than the command, and none of them comes from it: a quick look."""
    return 0 <= _newest_pid() - leader <= _FEW and not _left(token, leader)


def _newest_pid() -> int:
    """The id of the process that was started last; 0 where the system does not say."""
    try:
        return int(_slurp("/proc/loadavg").rsplit(None, 1)[-1])
    except (OSError, ValueError):
        return 0


def _slurp(path: str) -> bytes:
    """A file of the system's own, whole: `open` would ask five more questions of the kernel."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while part := os.read(fd, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _stop(token: str, leader: int, *, alive: bool) -> None:
    """Kill the command and what it left: its tree, its session, and those that left both but still carry its mark."""
    if alive:
        _kill(_tree(leader))
    for _ in range(_SWEEPS):
        left = _left(token, leader)
        if not left:
            return
        _kill(left)
        time.sleep(_SWEEP_PAUSE)


def _tree(leader: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(leader)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue


def _left(token: str, leader: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in _candidates(leader):
        try:
            if os.getsid(pid) == leader or _marked(pid, token):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _candidates(leader: int) -> Iterable[int]:
    """Processes that can come from the command: those with later ids, all of them once the ids have begun anew."""
    newest = _newest_pid()
    if leader <= newest <= leader + _FEW:
        return range(leader + 1, newest + 1)
    pids = psutil.pids()
    newest = _newest_pid()  # asked again: what has come meanwhile is among them
    return [pid for pid in pids if leader < pid <= newest] if newest >= leader else pids


def _marked(pid: int, token: str) -> bool:
    if psutil.LINUX:  # five times cheaper than psutil's parsed copy, and this looks at every process of the machine
        return f"{_MARK}={token}".encode() in _slurp(f"/proc/{pid}/environ")
    return psutil.Process(pid).environ().get(_MARK) == token
