"""The processes of one worker, each as one look at /proc tells it; off Linux as far as psutil can."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from aura_engine.core.model import ContainerUse, ProcessRecord

LINUX = sys.platform == "linux"
TICK = float(os.sysconf("SC_CLK_TCK"))
PAGE = os.sysconf("SC_PAGE_SIZE")
STARTING = 10.0
"""Seconds after the main process's start within which a process that shares its stdout is a part of the program:
a launcher, node's second process, the program below its wrapper. qwen takes 0.5 s, a loaded machine ten times that."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    start: float
    """With the pid it names the process: clock ticks since boot (off Linux seconds since the epoch)."""
    state: str
    """As in /proc: R running, S sleeping, D waiting in the kernel (mostly for a disk), T stopped, Z ended."""
    cpu: float
    """Its own CPU seconds."""
    reaped: float
    """CPU seconds of its children that have ended and been waited for."""
    rss: int
    """Resident bytes."""
    io: int | None
    """Bytes read and written so far, by those children too; None where that cannot be seen. Pipes and files, and what
    `read` and `write` move through sockets: `recv` and `send` are not counted, see sockets.py."""
    own: bool
    """Whether it is the worker's program itself (or its shim) and not something that it runs."""


@dataclass(frozen=True)
class Tree:
    """Where the processes of one worker are found."""

    pids: Callable[[], Sequence[int]]
    """The shim, then all below it, at this moment. Below the shim, since it adopts what a dead parent leaves."""
    main: ProcessRecord
    """The main process that the shim started."""
    output: Path
    """The file that the kernel writes the program's stdout to."""

    container: Callable[[], ContainerUse | None] = lambda: None
    """What the kernel counts for its container, if it has one."""

    def usage(self) -> tuple[Process, ...]:
        """As `look`, without `io` and without telling what is the program's own: half the price."""
        if not LINUX:
            return self.look()
        read = (self._told(pid, stat_fields(pid)) for pid in self.pids())
        return tuple(process for process in read if process is not None)

    def look(self) -> tuple[Process, ...]:
        """Every process of the worker that could be read, parents first. About 0.1 ms each."""
        pids = self.pids()
        try:
            found = self.output.stat()
            output = (found.st_dev, found.st_ino)
        except OSError:
            output = (0, 0)
        read = (self._read(pid, output, is_shim=at == 0) for at, pid in enumerate(pids))
        return tuple(process for process in read if process is not None)

    def _read(self, pid: int, output: tuple[int, int], *, is_shim: bool) -> Process | None:
        if not LINUX:
            return _portable(pid, own=is_shim or pid == self.main.pid)
        fields = stat_fields(pid)
        if not fields:
            return None
        start = float(fields[19])
        # A tool's output is caught by the program, so a tool never shares the stdout of the program.
        own = is_shim or pid == self.main.pid
        if not own and start - self.main.start_time <= STARTING * TICK:
            own = _stdout(pid) == output
        return self._told(pid, fields, io=_io_bytes(pid), own=own)

    @staticmethod
    def _told(pid: int, fields: list[bytes], *, io: int | None = None, own: bool = False) -> Process | None:
        if not fields:
            return None
        return Process(
            pid=pid,
            start=float(fields[19]),
            state=fields[0].decode("ascii", "replace"),
            cpu=(int(fields[11]) + int(fields[12])) / TICK,
            reaped=(int(fields[13]) + int(fields[14])) / TICK,
            rss=int(fields[21]) * PAGE,
            io=io,
            own=own,
        )


def cpu_seconds(before: Sequence[Process], after: Sequence[Process]) -> tuple[float, float]:
    """CPU seconds between two looks: of the program itself, and of its children, with those that came and went."""
    known = {(process.pid, process.start): process.cpu for process in before}
    own = children = 0.0
    for process in after:
        grown = process.cpu - known.get((process.pid, process.start), 0.0)
        if process.own:
            own += grown
        else:
            children += grown
    # An ended process's time is its parent's from then on, unless the parent does not wait for its children: then the
    # sum over all falls. Both ways the figure is at most the truth.
    total = sum(process.cpu + process.reaped for process in after)
    total -= sum(process.cpu + process.reaped for process in before)
    return own, max(children, total - own)


def stat_fields(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat from the third on (state, ppid, …); empty when there is no such process."""
    return _slurp(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def namespace_pids(pid: int) -> tuple[int, ...]:
    """The process's pid in each pid namespace that it is in, ours first; empty where that is not told."""
    for line in _slurp(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return tuple(map(int, line.split()[1:]))
    return ()


def _slurp(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 16_384)
    except OSError:  # it ended between the two calls
        return b""
    finally:
        os.close(fd)


def _stdout(pid: int) -> tuple[int, int]:
    try:
        found = os.stat(f"/proc/{pid}/fd/1")  # noqa: PTH116 (the quicker call; nothing is opened)
    except OSError:
        return (-1, -1)
    return found.st_dev, found.st_ino


def _io_bytes(pid: int) -> int | None:
    text = _slurp(f"/proc/{pid}/io")
    if not text:
        return None
    rchar, wchar, _, _, read_bytes, write_bytes = (int(line.rpartition(b":")[2]) for line in text.splitlines()[:6])
    # The first two pass over what is mapped into memory, the last two over what the page cache has.
    return max(rchar, read_bytes) + max(wchar, write_bytes)


_STATES = {psutil.STATUS_RUNNING: "R", psutil.STATUS_DISK_SLEEP: "D", psutil.STATUS_STOPPED: "T"}


def _portable(pid: int, *, own: bool) -> Process | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return Process(
                pid=pid,
                start=process.create_time(),
                state=_STATES.get(process.status(), "S"),
                cpu=times.user + times.system,
                reaped=0.0,
                rss=process.memory_info().rss,
                io=None,
                own=own,
            )
    except psutil.Error:
        return None
