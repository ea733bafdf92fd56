"""A little disk space kept back, so that a full disk can still be journaled."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 1024 * 1024
"""Bytes."""


class Reserve:
    """An allocated file that is given up when the disk is full and taken again when there is room."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.held = False

    def hold(self) -> bool:
        """Allocate the space; False when there is no room for it."""
        descriptor = -1
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            if os.fstat(descriptor).st_size < SIZE:
                _allocate(descriptor)
            self.held = True
        except OSError:
            self.release()
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return self.held

    def release(self) -> bool:
        """Give the space up; False when there was none."""
        held, self.held = self.held, False
        with suppress(OSError):
            self._path.unlink()
        return held


def _allocate(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, SIZE)
    else:  # macOS: blocks are only there once they were written
        os.pwrite(descriptor, bytes(SIZE), 0)
