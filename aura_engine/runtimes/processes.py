"""Processes by their whole identity: pid, start time and boot. A pid alone may by now be somebody else."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import psutil

from aura_engine.core.model import ProcessRecord
from aura_engine.runtimes import shim

_CLOCK_SLACK = 2.0
"""Seconds by which the shim's note of a start and the system's may differ off Linux."""


@cache
def boot_id() -> str:
    """Names this boot of the machine."""
    if shim.LINUX:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"boot-{round(psutil.boot_time() / 60)}"


def alive(record: ProcessRecord) -> bool:
    """Whether this very process still runs; a zombie does not."""
    if record.boot_id != boot_id():
        return False
    if shim.LINUX:
        return shim.start_time(record.pid) == record.start_time
    try:
        found = psutil.Process(record.pid)
        return found.status() != psutil.STATUS_ZOMBIE and abs(found.create_time() - record.start_time) < _CLOCK_SLACK
    except psutil.Error:
        return False


def pidfd(pid: int) -> int | None:
    """A descriptor that turns readable when the process ends; None where the system has none."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def signal_process(record: ProcessRecord, signum: signal.Signals) -> bool:
    """Signals this very process and never a later owner of its pid; False when it is gone."""
    handle = pidfd(record.pid)
    try:
        if not alive(record):  # asked after the descriptor was opened: from here on it is this process or none
            return False
        if handle is not None and sys.platform == "linux":
            signal.pidfd_send_signal(handle, signum)
        else:
            os.kill(record.pid, signum)
    except OSError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


def signal_all(pids: Iterable[int], signum: signal.Signals) -> None:
    """Signals processes that were listed this instant."""
    for pid in pids:
        started = shim.start_time(pid)
        if started or not shim.LINUX:
            when = started or time.time()
            record = ProcessRecord(pid=pid, start_time=when, boot_id=boot_id())
            if shim.LINUX:
                signal_process(record, signum)
            else:
                shim.send([pid], signum)


def kill_left(leader: ProcessRecord, mark: str) -> None:
    """SIGKILL to a worker (or the shim that was starting it) and all that is its, when no shim will sweep that.

    Its are what is below it, in its session, or has `mark` in its environment: only what left all three escapes.
    Blocks for some milliseconds.
    """
    if leader.boot_id != boot_id():
        return
    for _ in range(10):
        there = alive(leader)
        below = [leader.pid, *shim.descendants(leader.pid)] if there else []
        # A session keeps its number from being given to another process, for as long as one is in it.
        taken = shim.start_time(leader.pid) if shim.LINUX else psutil.pid_exists(leader.pid)
        session = leader.pid if there or not taken else None
        others = [pid for pid in psutil.pids() if pid != os.getpid()]
        own = [pid for pid in others if (session and _session(pid) == session) or _has(pid, mark)]
        found = {*below, *own}
        if not found:
            return
        signal_all(found, signal.SIGKILL)
        time.sleep(0.005)


def inner_pid(pid: int) -> int:
    """The number of a process in the innermost pid namespace that it is in; 0 where that is not told."""
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    except OSError:  # it has ended
        pass
    return 0


def _has(pid: int, mark: str) -> bool:
    """Whether a living process was started with this mark."""
    if not mark or (shim.LINUX and not shim.start_time(pid)):
        return False
    try:
        return psutil.Process(pid).environ().get(shim.MARK) == mark
    except (psutil.Error, OSError):
        return False


def _session(pid: int) -> int | None:
    fields = shim.stat_of(pid)
    if shim.LINUX:
        return int(fields[3]) if fields and fields[0] not in b"ZX" else None
    try:
        return os.getsid(pid)
    except OSError:
        return None
