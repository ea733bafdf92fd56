"""Running a check's command: own session, time and output limits, and nothing of it left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
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

    RuntimeFault when it could not be started at all.
    """
    loop = asyncio.get_running_loop()
    token = secrets.token_hex(16)
    output = _Output(max_output)
    # An own pipe instead of asyncio's: then `wait` ends with the process, not with the last holder of the pipe.
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader(limit=_CHUNK)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    started = time.monotonic()
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=cwd,
                env={**env, _MARK: token},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
                umask=0o022,
            )
        except (OSError, ValueError) as error:
            raise RuntimeFault(
                f"the check's command could not be started ({argv[0]}): {error}",
                cure="Look whether this program and the checkout's folder exist.",
            ) from error
        finally:
            os.close(write_end)
        pump = asyncio.create_task(_pump(reader, output))
        exited = asyncio.create_task(process.wait())
        timed_out = False
        try:
            await asyncio.wait({exited, pump}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not output.overflowed:
                await asyncio.wait({exited}, timeout=max(0.0, started + limit - time.monotonic()))
                timed_out = not exited.done()
        finally:
            await asyncio.shield(asyncio.to_thread(_stop, token, process.pid, alive=process.returncode is None))
            await asyncio.wait({exited, pump}, timeout=_PIPE_GRACE)
            pump.cancel()
            exited.cancel()
    finally:
        transport.close()
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


async def _pump(reader: asyncio.StreamReader, output: _Output) -> None:
    while not output.overflowed and (chunk := await reader.read(_CHUNK)):
        output.add(chunk)


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


def _left(token: str, session: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session or _marked(pid, token):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _marked(pid: int, token: str) -> bool:
    if psutil.LINUX:  # five times cheaper than psutil's parsed copy, and this looks at every process of the machine
        return f"{_MARK}={token}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return psutil.Process(pid).environ().get(_MARK) == token
