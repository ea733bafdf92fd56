"""One engine per run: a lock file that the kernel frees the moment its owner dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from aura_engine.errors import JournalError, OwnedError
from aura_engine.faults import fault

TRIES = 4
PAUSE = 0.05
"""Seconds between tries: somebody who only asks who owns the lock holds it for microseconds."""


class Owner(NamedTuple):
    """Who holds a lock, as it wrote itself down. `started` is wall time in seconds; pid 0: it has not written yet."""

    pid: int = 0
    host: str = ""
    boot_id: str = ""
    started: float = 0.0

    def describe(self) -> str:
        """A few words for a person."""
        return f"process {self.pid} on {self.host}" if self.pid else "another process"


class OwnerLock:
    """The lock of one run; held until `release`, the end of a `with`, or the death of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock at `path`; raise OwnedError when a living engine holds it, JournalError when it can't be made.

        Blocks for at most 0.2 s. A lock file left over by a dead engine is taken at once.
        """
        # O_CLOEXEC: a worker that inherited the descriptor would hold the lock after the engine's death.
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise JournalError(
                f"The lock {path} could not be opened: {error.strerror}.",
                cure="Check that the folder exists and is yours to write.",
            ) from error
        try:
            if not _flock(descriptor, fcntl.LOCK_EX, TRIES):
                owner = _read(descriptor)
                raise OwnedError(
                    f"This goal is already run by {owner.describe()}.",
                    cure="Let it go on, or stop it first; `aura status` shows how far it is.",
                )
            _write(descriptor, Owner(os.getpid(), socket.gethostname(), _boot_id(), time.time()))
        except BaseException:
            os.close(descriptor)
            raise
        fault("lock.taken")
        return cls(path, descriptor)

    def release(self) -> None:
        """Give the lock up; harmless when done twice. The file stays: removing it would let two engines in."""
        if self._descriptor >= 0:
            fault("lock.going")
            descriptor, self._descriptor = self._descriptor, -1
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def owner(path: Path) -> Owner | None:
    """Who holds the lock at `path` now; None when nobody does. Never blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return None if _flock(descriptor, fcntl.LOCK_SH, 1) else _read(descriptor)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, mode: int, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(PAUSE)
            continue
        return True
    return False


def _read(descriptor: int) -> Owner:
    try:
        return Owner(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):
        return Owner()


def _write(descriptor: int, who: Owner) -> None:
    text = json.dumps(who._asdict()).encode()
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, text, 0)
    except OSError:
        # A full disk: the lock holds all the same, only the message will not name us.
        os.ftruncate(descriptor, 0)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
