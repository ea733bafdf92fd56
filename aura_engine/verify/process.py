"""Running a check's command: own session, time and output limits, and nothing of it left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aura_engine.errors import RuntimeFault
from aura_engine.verify.leftovers import MARK, sweep

_CHUNK = 65_536
_TAIL_BYTES = 8_000
_TAIL_CHARS = 2_000
_PIPE_GRACE = 5.0


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

    RuntimeFault when it could not be started at all, or nobody can tell how it ended.
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
            env={**env, MARK: token},
            stdin=_nothing(),
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
    watch = _Watch(process, read_end, output)
    try:
        await watch.until(_Watch.is_over, limit)
        timed_out = not (watch.exited or output.overflowed)
    finally:
        try:
            await sweep(token, process.pid, alive=not watch.exited, ran=time.monotonic() - started)
            await watch.until(_Watch.has_ended, _PIPE_GRACE)
        finally:
            watch.close()
    if watch.untold:
        raise RuntimeFault(
            f"how the check's command ended was not told ({argv[0]})",
            cure="Does something else in this process wait for its children, or ignore SIGCHLD?",
        )
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


@lru_cache(maxsize=1)
def _nothing() -> int:
    """What commands read: an end of file, opened once and never closed."""
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class _Watch:
    """Follows a process and what it writes, both by their descriptors, as it comes.

    Where the system has no descriptors of processes (macOS), or no more of them, a thread waits for the end.
    """

    def __init__(self, process: subprocess.Popen[bytes], pipe: int, output: _Output) -> None:
        self.exited = False
        self.untold = False
        """It has ended, and its exit status went to somebody else, or to nobody."""
        self._process = process
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._reached: Callable[[_Watch], bool] = _Watch.has_ended
        self._pipe = pipe
        self._is_open = True
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)
        self._descriptor = -1
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self._descriptor = os.pidfd_open(process.pid)
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._reap)
        else:
            waiting = self._loop.run_in_executor(None, _status, process.pid, 0)
            waiting.add_done_callback(lambda done: None if done.cancelled() else self._take(*done.result()))

    def is_over(self) -> bool:
        """It has ended, or has written more than it may."""
        return self.exited or self._output.overflowed

    def has_ended(self) -> bool:
        """It has ended, and all that was written is read."""
        return self.exited and not self._is_open

    async def until(self, reached: Callable[[_Watch], bool], limit: float) -> None:
        """Wait for one of the above, `limit` seconds at most."""
        if reached(self):
            return
        self._reached = reached
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(limit, self._wake)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _look(self) -> None:
        if self._reached(self):
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._is_open = False
            self._loop.remove_reader(self._pipe)
        elif not self._output.overflowed:
            self._output.add(chunk)
        self._look()

    def _reap(self) -> None:
        self._take(*_status(self._process.pid, os.WNOHANG))

    def _take(self, ended: int, status: int | None) -> None:
        if not ended:
            return
        self.exited, self.untold = True, status is None
        self._process.returncode = os.waitstatus_to_exitcode(status or 0)
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self._look()

    def close(self) -> None:
        """Stop following."""
        if self._is_open:
            self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        if self._descriptor >= 0:
            if not self.exited:
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)


def _status(pid: int, flags: int) -> tuple[int, int | None]:
    """As `os.waitpid`; None for a status that somebody else has taken, which Popen would take for a 0."""
    try:
        return os.waitpid(pid, flags)
    except ChildProcessError:
        return pid, None
