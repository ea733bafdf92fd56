"""What a check's command leaves running: found by its session and by the mark in its environment, and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import psutil

MARK = "AURA_CHECK"
"""Name of the variable that all processes of a command carry."""
_SWEEPS = 50
_SWEEP_PAUSE = 0.02
_GLANCES = (0.001, 0.002, 0.004)
"""Seconds after which those that were killed are looked for again, before a thread takes over."""
_GRACE = 5.0
_SHORT = 1.0
"""Seconds in which process ids cannot go round and come to stand above a command's own again."""
_FEW = 32
"""Process ids that are tried one by one, on the loop; where there are more, a thread asks for those in use."""
_UNSURE = 5
"""Looks, at most, for the sake of processes that cannot be told whose they are."""
_ENDING = 0x4
"""The kernel's PF_EXITING: it runs no more of its program."""
_KERNEL = 0x200000
"""PF_KTHREAD: a thread of the kernel itself."""
_CHUNK = 65_536


class _Found(NamedTuple):
    """What a look found of a command: process ids, and whether there is one that does not show whose it is."""

    left: tuple[int, ...]
    unsure: bool


_NOTHING = _Found((), unsure=False)


def end_leftovers(scratch: Path) -> int:
    """Kill the commands that an engine left running when it died: those with a HOME below `scratch`; how many.

    Blocks for some milliseconds. The run's lock must be held: it would end a living engine's as well.
    """
    below = f"{scratch}{os.sep}"
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            if MARK in environ and environ.get("HOME", "").startswith(below):
                process.kill()
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or not ours
    psutil.wait_procs(found, timeout=_GRACE)
    return len(found)


async def sweep(token: str, leader: int, *, alive: bool, ran: float) -> None:
    """Kill what a command left: its tree while it is `alive`, its session, and those of both that carry its mark.

    `ran`: its seconds so far. Goes on to the end when it is cancelled.
    """
    whole = ran >= _SHORT
    if alive or whole or _look(token, leader) != _NOTHING:
        await asyncio.shield(asyncio.ensure_future(_sweep(token, leader, alive=alive, whole=whole)))


async def _sweep(token: str, leader: int, *, alive: bool, whole: bool) -> None:
    """Commonly it is one process that was about to end anyway, that of the wall: no thread is asked for that."""
    for pause in _GLANCES:
        found = None if alive or whole else _look(token, leader)
        if found is None:
            break
        if found == _NOTHING:
            return
        _kill(found.left)
        await asyncio.sleep(pause)
    await asyncio.to_thread(_stop, token, leader, alive=alive, whole=whole)


def _look(token: str, leader: int) -> _Found | None:
    """What a short command left, where few processes of the machine are newer than it: a quick look; else None."""
    newest = _newest_pid()
    return _find(range(leader + 1, newest + 1), token, leader) if 0 <= newest - leader <= _FEW else None


def _newest_pid() -> int:
    """The id of the process that was started last; 0 where the system does not say."""
    try:
        return int(os.pread(_load(), _CHUNK, 0).rsplit(None, 1)[-1])
    except (OSError, ValueError):
        return 0


@lru_cache(maxsize=1)
def _load() -> int:
    """A descriptor of the file that ends with that id: it is read twice for each command. OSError: there is none."""
    return os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)


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


def _stop(token: str, leader: int, *, alive: bool, whole: bool) -> None:
    """Kill the command and what it left: its tree, its session, and those that left both but still carry its mark.

    Blocks. `whole`: it ran for so long that ids may have begun anew and passed its own: all are looked at.
    """
    if alive:
        _kill(_tree(leader))
    unsure = _UNSURE
    for _ in range(_SWEEPS):
        found = _look(token, leader) if not whole else None
        if found is None:
            pids = psutil.pids()
            wrapped = whole or _newest_pid() < leader
            found = _find(pids if wrapped else [pid for pid in pids if pid > leader], token, leader)
        unsure -= found.unsure
        if not found.left and (not found.unsure or unsure < 0):
            return
        _kill(found.left)
        time.sleep(_SWEEP_PAUSE)


def _tree(leader: int) -> list[int]:
    try:
        return [leader, *(child.pid for child in psutil.Process(leader).children(recursive=True))]
    except psutil.Error:
        return []


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _find(pids: Iterable[int], token: str, leader: int) -> _Found:
    left: list[int] = []
    unsure = False
    for pid in pids:
        try:
            if os.getsid(pid) == leader:
                marked = True
            else:
                environ = _environ(pid)
                marked = token in environ
                # While it becomes another program, a process shows none; the kernel's own never do.
                unsure = unsure or not (environ or _has_ended(pid, _ENDING | _KERNEL))
            if marked and not _has_ended(pid, _ENDING):
                left.append(pid)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or not ours
    return _Found(tuple(left), unsure)


def _environ(pid: int) -> str:
    if psutil.LINUX:  # five times cheaper than psutil's parsed copy
        return _slurp(f"/proc/{pid}/environ").decode(errors="replace")
    return " ".join(psutil.Process(pid).environ().values()) or " "


def _has_ended(pid: int, flags: int) -> bool:
    """Whether nothing of the process's program runs any more, though the system still knows it."""
    if not psutil.LINUX:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    fields = _slurp(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    # Its other threads may go on when its first has ended.
    return (fields[0] in b"ZX" or bool(int(fields[6]) & flags)) and int(fields[17]) <= 1
