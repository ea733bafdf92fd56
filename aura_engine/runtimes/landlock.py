"""Containment by Landlock, a filter of system calls and dropped powers, where there is no bubblewrap that works."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from aura_engine.runtimes import launcher
from aura_engine.runtimes.containment import LANDLOCK, Containment, Ground, View, gpus
from aura_engine.runtimes.installations import SYSTEM
from aura_engine.runtimes.scripts import script

DEVICES = tuple(Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom", "shm"))
"""No terminals: a program could paint on the person's, and read what is typed there."""
GAPS = (
    "see the names and command lines of other processes",
    "change mode, owner and times of your files",
    "reach memory that your other programs share in /dev/shm",
    "reach what listens on this machine's network, where it has the network",
)


class Landlock(Containment):
    """See Containment. Needs Linux 6.2 on x86-64 or ARM; no unix sockets and no terminals inside, no folder for
    all in /tmp."""

    name = LANDLOCK
    lacks = "terminals of their own (pty)"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        signals = () if launcher.abi() >= launcher.SCOPES else ("send signals to your other programs",)
        self.gaps = (*GAPS, *signals)
        self._readable = [
            part for path in (*SYSTEM, Path("/proc"), Path("/sys")) if path.is_dir() for part in without(path, ground)
        ]

    def problem(self) -> str:
        """See Containment."""
        if launcher.abi() < launcher.TRUNCATES:
            return "the kernel is older than 6.2 or was built without it"
        if platform.machine() not in launcher.MACHINES:
            return f"not for {platform.machine()}"
        return self.try_it()

    def wrap(self, argv: Sequence[str], view: View) -> list[str]:
        """See Containment."""
        found = self.ground.of(argv, view)
        temp = () if view.temp is None else (view.temp,)
        writable = [*DEVICES, *(gpus() if view.gpu else ()), *view.write, *temp]
        options = [] if view.network else ["--offline"]
        for path in (*self._readable, *sorted(found.shown)):
            options += ("--read", str(path))
        for path in writable:
            options += ("--write", str(path))
        return launched(options, argv)


def launched(options: Iterable[str], argv: Sequence[str]) -> list[str]:
    """The command line that gives up what `options` say (see launcher.py), then becomes `argv`."""
    return [sys.executable, "-I", "-S", script(launcher), *options, "--", *argv]


def without(path: Path, ground: Ground) -> Iterator[Path]:
    """`path`, or the parts of it that hold nothing hidden: a rule counts for all that lies below it."""
    if path in ground.hidden:
        return
    if not any(path in hidden.parents for hidden in ground.hidden):
        yield path
        return
    with suppress(PermissionError), os.scandir(path) as entries:
        for entry in entries:
            yield from without(Path(entry.path), ground)
