"""`aura start --detach`: the engine goes on in a process of its own, in no terminal's session."""

from __future__ import annotations

import contextlib
import os
import sys

from aura_engine.paths import RunPaths

_READY = b"1"


class Background:
    """Splits the process: the part that returns at once, and the one that runs. Use it while there is one thread."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._tell = -1

    def part(self) -> int | None:
        """None in the process that is to run the engine; in the one that was called its exit status.

        That one waits until the engine owns the journal, or has failed: then its words stand on the terminal.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        heard, tell = os.pipe()  # close-on-exec: no worker holds it
        child = os.fork()
        if child == 0:
            os.close(heard)
            os.setsid()
            self._tell = tell
            self._redirect(os.devnull, os.O_RDONLY, 0)
            return None
        os.close(tell)
        with os.fdopen(heard, "rb") as pipe:
            ready = pipe.read(1) == _READY
        if not ready:
            _, status = os.waitpid(child, 0)
            return max(1, os.waitstatus_to_exitcode(status))
        print(f"Aura runs in the background: process {child}, log {self._paths.log}")
        print("Watch it: aura attach. How it stands: aura status. Stop it: aura stop.")
        return 0

    def ready(self) -> None:
        """The journal is ours: the terminal is let go, what is printed goes to the log."""
        self._redirect(os.fspath(self._paths.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1, 2)
        with contextlib.suppress(BrokenPipeError):  # whoever waited was interrupted
            os.write(self._tell, _READY)
        os.close(self._tell)

    @staticmethod
    def _redirect(path: str, flags: int, *descriptors: int) -> None:
        opened = os.open(path, flags | os.O_CLOEXEC, 0o600)
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
        os.close(opened)
