"""Freezes the workers of this machine when the engine that counts what they spend dies: one small process beside it.

Its standard input is a pipe that the engine alone holds open. When that ends without a word, the engine was killed: the
workers are stopped in their tracks, since nobody would notice them going past a cap. The next engine counts what they
used and lets those go on that it takes over. A word, whatever it says, means that all is well.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from aura_engine.runtimes import shim

_FAREWELL = b"."
_ROUNDS = 10
"""A process may fork between being listed and being stopped."""
PATIENCE = 2.0
"""Seconds that it may take to leave."""


class Warden:
    """The engine's side. Blocks for the moments that a fork and an end take; OSError when it cannot be started."""

    def __init__(self, attempts: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aura_engine.runtimes.warden", os.fspath(attempts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """The engine ends as it should."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(_FAREWELL, timeout=PATIENCE)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def freeze(attempts: Path) -> int:
    """Freeze all that runs below the shims of these attempts' folders; how many processes that were."""
    shims = {pid for file in attempts.glob("*/*/process.json") if (pid := _shim(file))}
    done: set[int] = set()
    for _ in range(_ROUNDS):
        new = [pid for root in shims for pid in shim.descendants(root) if pid not in done]
        if not new:
            break
        for pid in new:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)
        done.update(new)
    return len(done)


def _shim(file: Path) -> int:
    """The pid of the shim whose worker has not ended; 0 for none, or when that pid is somebody else's by now."""
    if (file.parent / "exit.json").exists():
        return 0
    try:
        told: dict[str, Any] = json.loads(file.read_bytes())["shim"]
        pid = int(told["pid"])
        return pid if shim.start_time(pid) == told["start_time"] else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def main(attempts: str) -> None:
    """Wait for the engine's end."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # what ends the engine is not to end this first
    if not sys.stdin.buffer.read():
        freeze(Path(attempts))


if __name__ == "__main__":
    main(sys.argv[1])
