"""What a worker's folder and HOME tell and hold: records of its processes, and the places that the engine writes to.

The files are told in shim.py. A worker may have had its HOME before: what it left there is never trusted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from aura_engine.core.model import ExitRecord, ProcessRecord
from aura_engine.errors import RuntimeFault
from aura_engine.removal import remove_few
from aura_engine.runtimes import processes

LOOK = 0.02
"""Seconds between two looks at what another process has to write."""
MOST_BYTES = 64 << 10
LONGEST_STOP = 60.0
"""Seconds that a record can ask for, for a worker to end when it is told to."""
DEATH = 2.0
"""Seconds that a killed shim may take to be gone."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who runs, by the shim's own word; no `worker` as long as it is only just being started."""

    shim: ProcessRecord
    worker: ProcessRecord | None
    mark: str
    stop_within: float


def told_in(folder: Path) -> Told | None:
    """Who runs there; None before a shim has taken the spec for good."""
    for name in ("process.json", "starting.json"):
        try:
            found = json.loads(slurp(folder / name))
            worker = ProcessRecord.model_validate(found["worker"]) if "worker" in found else None
            shim = ProcessRecord.model_validate(found["shim"])
            # In a container its worker could have written it: neither for ever nor infinite.
            stop_within = min(max(0.0, float(found.get("stop_within", 0.0))), LONGEST_STOP)
            return Told(shim, worker, str(found.get("mark", "")), stop_within)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
    return None


def exit_in(folder: Path) -> ExitRecord | None:
    """How its main process ended; None when it did not, or nobody wrote it down."""
    try:
        return ExitRecord.model_validate_json(slurp(folder / "exit.json"))
    except (OSError, ValidationError):  # an empty one is what a power cut leaves
        return None


def slurp(path: Path) -> bytes:
    """A record, which in a container its worker could have put there: no link is followed, nothing is waited for.

    At most MOST_BYTES of it; OSError for what is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is not a regular file")
        return os.read(fd, MOST_BYTES)
    finally:
        os.close(fd)


def is_unswept(folder: Path) -> bool:
    """Whether its shim has not come to its end: the last thing it does is to take its bell away."""
    return (folder / "bell").exists()


def take_back(folder: Path) -> bool:
    """Takes the spec from a shim that has not begun to start the worker; True makes certain that it never will."""
    for name in ("spec.json", "spec.json.claimed"):  # in the order of the shim's rename
        try:
            (folder / name).unlink()
        except FileNotFoundError:
            continue
        return True
    return False


def kill_left(folder: Path) -> None:
    """SIGKILL to its shim and to all that can be told to be its worker's; its folder then says so.

    Blocks for some milliseconds, for up to DEATH seconds while the shim lives.
    """
    told = told_in(folder)
    if told is not None:
        processes.signal_process(told.shim, signal.SIGKILL)
        until = time.monotonic() + DEATH
        while processes.alive(told.shim) and time.monotonic() < until:
            time.sleep(LOOK)
        processes.kill_left(told.worker or told.shim, told.mark)
    for name in ("held", "starting.json", "bell"):
        (folder / name).unlink(missing_ok=True)


async def spoken_for(folder: Path, limit: float) -> bool:
    """Whether a shim holds the bell, waiting (at most `limit` seconds) for it to say who runs or how it ended."""
    until = time.monotonic() + limit
    while True:
        try:
            os.close(os.open(folder / "bell", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # no FIFO, or nobody holds its other end
            return False
        if any((folder / name).exists() for name in ("process.json", "exit.json")) or time.monotonic() > until:
            return True
        await asyncio.sleep(LOOK)


def refuse_link(path: Path) -> Path:
    """`path` itself. RuntimeFault when a link stands in the place of a folder of the engine's."""
    if path.is_symlink():
        raise RuntimeFault(
            f"{path} has been replaced by a link: no worker is started there.", cure="Take the link away, then retry."
        )
    return path


def own_folder(top: Path, path: Path) -> None:
    """Makes `path`, a folder below `top`, with all between them: what is no real folder on the way is replaced."""
    here = top
    for part in path.relative_to(top).parts:
        here /= part
        if here.is_symlink() or not here.is_dir():
            here.unlink(missing_ok=True)
            here.mkdir(mode=0o700)


def own_place(home: Path, name: str) -> Path:
    """Where a file of this name goes in a HOME that a worker may have had before: no link that it left is followed."""
    path = home / name
    own_folder(home, path.parent)
    if path.is_dir() and not path.is_symlink():
        remove_few(path)
    path.unlink(missing_ok=True)
    return path


def private(path: Path, text: str) -> None:
    """A new file that nobody else may read, in the place of one of that name."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(text.encode())
