"""Containment by bubblewrap: namespaces of its own, and a file system in which nothing else is there."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from aura_engine.runtimes import launcher
from aura_engine.runtimes.containment import BUBBLEWRAP, Containment, Ground, View, gpus
from aura_engine.runtimes.installations import SYSTEM
from aura_engine.runtimes.landlock import launched

SPACES = ("--unshare-user-try", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
SYS = tuple(Path("/sys", name) for name in ("devices", "bus", "class", "module"))
"""Runtimes count processors there, CUDA finds its devices."""
TEMPS = ("/tmp", "/var/tmp")
SYSTEM_WITHIN = tuple(f"{path}/" for path in SYSTEM)


class Bubblewrap(Containment):
    """See Containment. The program is the child of bubblewrap's own first process in a process namespace of its own."""

    name = BUBBLEWRAP
    inner = 2

    def __init__(self, ground: Ground, program: str | None = None) -> None:
        super().__init__(ground)
        self._program = program or shutil.which("bwrap", path=ground.path) or shutil.which("bwrap")
        # A set-uid bwrap of an older system would lose its right by the promise that a scope takes.
        setuid = self._program is not None and Path(self._program).stat().st_mode & stat.S_ISUID
        self.scope = not setuid and launcher.abi() >= launcher.SCOPES
        abstract = () if self.scope else ("reach abstract sockets of your other programs, where it has the network",)
        self.gaps = ("reach what listens on this machine's network, where it has the network", *abstract)
        self._base = [
            *(self._program or "bwrap", *SPACES, "--cap-drop", "ALL"),
            *_system(),
            *("--proc", "/proc", "--dev", "/dev"),
            *(word for path in SYS if path.is_dir() for word in ("--ro-bind", str(path), str(path))),
            *(word for path in ground.hidden for word in _mask(path)),
        ]
        self._gpus = [word for path in gpus() for word in ("--dev-bind-try", str(path), str(path))]

    def problem(self) -> str:
        """See Containment."""
        return self.try_it() if self._program else "it is not installed"

    def wrap(self, argv: Sequence[str], view: View) -> list[str]:
        """See Containment."""
        found = self.ground.of(argv, view)
        writable = [str(found.follow(path)) for path in view.write]
        # As text: paths would cost more than all else, at each start and check.
        binds = dict.fromkeys(map(str, found.shown), "--ro-bind-try") | dict.fromkeys(writable, "--bind")
        links = {str(link): target for link, target in found.links.items()}
        words = [*self._base, *(self._gpus if view.gpu else ())]
        for place in TEMPS:
            # Where something of the view lies in it, the folder has to be empty: it would show up in the private one.
            taken = any(path.startswith(f"{place}/") for path in (*binds, *links))
            words += ("--tmpfs", place) if view.temp is None or taken else ("--bind", str(view.temp), place)
        shown = (*SYSTEM_WITHIN, *(f"{path}/" for path in binds))
        for link, target in links.items():
            if not f"{link}/".startswith(shown):
                words += ("--symlink", target, link)
        for path in sorted(binds, key=lambda path: path.count("/")):  # what lies within another comes after it
            words += (binds[path], path, path)
        words += ("--remount-ro", "/")
        if not view.network:
            words.append("--unshare-net")
        if not view.shim:
            words.append("--die-with-parent")
        words += ("--", *argv)
        return words if view.shim or not view.network or not self.scope else launched(["--scope"], words)


def _system() -> list[str]:
    words: list[str] = []
    for path in SYSTEM:
        if path.is_symlink():
            words += ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            words += ("--ro-bind", str(path), str(path))
    return words


def _mask(path: Path) -> tuple[str, ...]:
    """Nothing there, whatever lies beneath."""
    return ("--tmpfs", str(path)) if path.is_dir() else ("--ro-bind", "/dev/null", str(path))
