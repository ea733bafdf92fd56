"""`aura start --detach`: the engine goes on in a process of its own, in no terminal's session."""

from __future__ import annotations

import os

from aura_engine.cli.stand_in import Split, leave_input, print_to
from aura_engine.paths import RunPaths


class Background:
    """The part that returns at once, and the one that runs. Use it while there is one thread."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._split: Split | None = None

    def part(self) -> int | None:
        """None in the process that is to run the engine; in the one that was called its exit status.

        That one waits until the engine owns the journal, or has failed: then its words stand on the terminal.
        """
        split = self._split = Split()
        if not split.child:
            os.setsid()
            leave_input()
            return None
        if not split.goes_on():
            return max(1, split.status())
        print(f"Aura runs in the background: process {split.child}, log {self._paths.log}")
        print("Watch it: aura attach. How it stands: aura status. Stop it: aura stop.")
        return 0

    def ready(self) -> None:
        """The journal is ours: the terminal is let go, what is printed goes to the log."""
        assert self._split is not None
        print_to(self._paths.log)
        self._split.go_on()
