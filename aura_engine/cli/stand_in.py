"""The process that stands in at the shell for the one that goes on: what `--detach` and leaving the screen share.

A process cannot give its shell the prompt back and go on. So the one that was called splits, and only waits.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_GOES_ON, _BROKEN = b"1", b"2"


class Split:
    """Splits the process in two, once. Use it while there is one thread."""

    def __init__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._heard, self._tell = os.pipe()  # close-on-exec: no worker holds it
        self.child = os.fork()
        """Its pid in the process that was called; 0 in the child, which does the work."""
        self.broken = False
        """The child goes on since its screen broke, not because it was left."""
        os.close(self._tell if self.child else self._heard)

    def goes_on(self) -> bool:
        """Waits for the child's word that it goes on by itself; False when it ended without it."""
        with os.fdopen(self._heard, "rb") as pipe:
            word = pipe.read(1)
        self.broken = word == _BROKEN
        return word in (_GOES_ON, _BROKEN)

    def status(self) -> int:
        """Waits for the child's end; its exit status, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])

    def go_on(self, *, broken: bool = False) -> None:
        """The child's word. Whoever waited may be gone."""
        with suppress(BrokenPipeError):
            os.write(self._tell, _BROKEN if broken else _GOES_ON)
        os.close(self._tell)


def redirect(path: str, flags: int, *descriptors: int) -> None:
    """Have `descriptors` lead to a file, made with mode 0600 where `flags` say so."""
    opened = os.open(path, flags | os.O_CLOEXEC, 0o600)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


def leave_input() -> None:
    """Read nothing any more."""
    redirect(os.devnull, os.O_RDONLY, 0)


def print_to(log: str | os.PathLike[str]) -> None:
    """What is printed from now on goes to the end of a log."""
    redirect(os.fspath(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1, 2)
