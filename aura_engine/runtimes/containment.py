"""What a worker, a check or `prepare` may see of this machine, and what a wall that holds it to that has to offer."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aura_engine.clock import steady
from aura_engine.runtimes.installations import Installations

AUTO, BUBBLEWRAP, LANDLOCK, NONE = "auto", "bubblewrap", "landlock", "none"
PROBE_LIMIT = 15.0
FRESH = 2.0
MAX_LATELY = 64
STARTERS = frozenset(
    {"python", "pypy", "node", "nodejs", "bun", "deno", "npx", "uv", "uvx", "ruby", "perl", "java", "php"}
    | {"sh", "bash", "dash", "zsh", "env", "timeout", "nice", "ionice", "stdbuf", "setsid", "xvfb-run"}
)
"""Programs whose command line names the one that they run."""
GPUS = ("nvidia*", "dri", "kfd", "dxg", "nvhost*", "nvmap")
"""Below /dev."""


@dataclass(frozen=True, slots=True)
class View:
    """What one program sees beyond the system's folders and the installed programs. All paths are absolute."""

    write: tuple[Path, ...]
    read: tuple[Path, ...] = ()
    temp: Path | None = None
    """Its private folder for temporary files."""
    network: bool = True
    gpu: bool = True
    shim: bool = False
    """A shim stands by: what outlives the program's end is swept by it, and its limits are set there."""


@dataclass(frozen=True)
class Ground:
    """What every view has in common."""

    shown: tuple[Path, ...] = ()
    """Real paths of installed programs outside the system's folders."""
    links: Mapping[Path, str] = field(default_factory=dict[Path, str])
    hidden: tuple[Path, ...] = ()
    """Inside the system's folders, yet not for others: files and folders."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    homes: tuple[Path, ...] = ()
    private: tuple[Path, ...] = ()
    path: str = os.defpath
    _lately: dict[tuple[str, ...], tuple[float, Installations]] = field(
        default_factory=dict[tuple[str, ...], tuple[float, Installations]], init=False, repr=False, compare=False
    )
    """What was found lately, and when."""

    def of(self, argv: Sequence[str], view: View) -> Installations:
        """The installations shown to one program: all that were found at the start, and its own as it is now.

        What was found less than FRESH seconds ago is not looked up again: it takes a hundred questions to the kernel.
        """
        programs = programs_in(argv)
        above = dict.fromkeys(os.path.dirname(path) for path in view.write)  # noqa: PTH120 (ten times as fast)
        key = (*programs, "", *map(str, view.read), "", *above)
        now = steady()
        since, found = self._lately.get(key, (now - FRESH, None))
        if found is None or now - since >= FRESH:
            found = Installations(self.homes, self.private, self.path)
            found.shown, found.links = set(self.shown), dict(self.links)
            for program in programs:
                found.program(Path(program))
            for path in view.read:
                found.show(found.follow(path))
            for folder in above:
                found.remember(Path(folder))
            if len(self._lately) >= MAX_LATELY:
                self._lately.clear()
            self._lately[key] = (now, found)
        return found.copy()


class Containment:
    """No wall at all: programs run as the person would run them. The real ones are its children."""

    name = NONE
    gaps: tuple[str, ...] = ("whatever you can do yourself",)
    """What it does not keep a program from, in words that go on from “a program can still …”."""
    inner = 0
    """How many processes stand between what is started and the program."""
    scope = False
    """Whether the shim has to close the way to abstract sockets."""
    lacks = ""
    """What programs have to do without, in words that go on from “programs have no …”."""

    def __init__(self, ground: Ground | None = None) -> None:
        self.ground = ground or Ground()

    @property
    def env(self) -> Mapping[str, str]:
        """What a program's environment needs within this wall."""
        return self.ground.env

    def wrap(self, argv: Sequence[str], view: View) -> list[str]:
        """The command line that runs `argv` (an absolute path first) within the wall. Takes about 1 ms."""
        return list(argv)

    def problem(self) -> str:
        """Why it does not work here; empty when it does. Runs it once."""
        return ""

    def command(
        self,
        argv: Sequence[str],
        *,
        write: Sequence[Path],
        temp: Path,
        network: bool,
        read: Sequence[Path] = (),
    ) -> list[str]:
        """`wrap` for a command of the engine's own: a check, `prepare`."""
        return self.wrap(argv, View(write=tuple(write), read=tuple(read), temp=temp, network=network))

    def try_it(self) -> str:
        """What a trial says: empty when the smallest program runs offline in a view of its own."""
        try:
            done = subprocess.run(
                self.wrap(["/bin/sh", "-c", ":"], View(write=(), network=False)),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=PROBE_LIMIT,
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return "" if done.returncode == 0 else (said[-1] if said else f"exit status {done.returncode}")


class InContainers(Containment):
    """Workers and checks run in containers; on this machine nothing is started."""

    name = "docker"


def gpus() -> list[Path]:
    """Device files of the graphics processors."""
    return sorted(path for name in GPUS for path in Path("/dev").glob(name))


def program_at(program: str, path: str, cwd: Path) -> str:
    """The absolute path of a program as the shim would start it; where there is none, the one it would look for."""
    if "/" in program:
        return str(cwd / program)
    found = shutil.which(program, path=path)
    return str(Path(found).absolute()) if found else program


def programs_in(argv: Sequence[str]) -> list[str]:
    """The programs that a command line starts by absolute paths.

    Those are its first word and, after an interpreter or the like, the first path. The rest are not looked at: session
    ids and prompts are among them, and a worker that had a path of its own choice shown there would see that folder.
    """
    found = [argv[0]] if argv[0].startswith("/") else []
    if argv[0].rpartition("/")[2].rstrip("0123456789.") not in STARTERS:
        return found
    for word in argv[1:]:
        if word == "-c":  # what follows is text, a check's for one
            break
        if word.startswith("/"):
            return [*found, word]
    return found
