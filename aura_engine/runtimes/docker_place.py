"""What an attempt's container is given: the files that its shim needs, and all mounts.

Workspace and HOME lie at the same path inside and outside, so that sessions, links and launch specs hold in both. Of
the attempt's folder the container gets its two output files, its input, and a folder of its own for the shim's records:
it can put nothing else, and no link, in the way of the engine. What holds keys goes by a file on a tmpfs that the shim
alone is told of; it is gone, inside as well, as soon as the worker runs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aura_engine.core.model import LaunchSpec
from aura_engine.errors import RuntimeFault
from aura_engine.removal import below
from aura_engine.runtimes import processes, shim, traces
from aura_engine.runtimes.docker_profile import Mount
from aura_engine.runtimes.docker_worker import TRACES

INSIDE = "/aura"
"""Where a container finds what is Aura's."""
BOX = f"{INSIDE}/box"
SPEC = "spec.json"
"""In the box: what holds keys. Taken away as soon as the worker runs."""
PACKAGE = Path(__file__).parent.parent
ROOTS_USER = 65_533
"""Whose workspaces are when Aura itself runs as root: nobody's on this machine, and not root inside."""
TMPFS = Path("/dev/shm")


@dataclass(frozen=True)
class Owner:
    """The user that a container runs as."""

    uid: int
    gid: int

    @property
    def user(self) -> str:
        """As the container engine takes it."""
        return f"{self.uid}:{self.gid}"

    def take(self, *tops: Path) -> None:
        """Makes all below these paths its own, links themselves and not what they lead to. Blocks."""
        if self.uid != os.geteuid():
            self.take_back(*tops)

    def take_back(self, *tops: Path) -> None:
        """The same, also for this process's own user."""
        for top in tops if os.geteuid() == 0 else ():
            for place in (top, *_below(top)):
                found = place.lstat()
                if (found.st_uid, found.st_gid) != (self.uid, self.gid):
                    os.lchown(place, self.uid, self.gid)


def owner(*, rootless: bool) -> Owner:
    """Who containers run as: the person; in an engine without root's powers its root, which is the person outside."""
    if rootless:
        return Owner(0, 0)
    return Owner(ROOTS_USER, ROOTS_USER) if os.geteuid() == 0 else Owner(os.geteuid(), os.getegid())


def secret_folder(project: str, otherwise: Path) -> Path:
    """A folder on a tmpfs for what holds keys, the person's alone; below `otherwise` where the system has none."""
    folder = (TMPFS if os.access(TMPFS, os.W_OK) else otherwise) / f"aura-{os.geteuid()}-{project}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid():
        raise RuntimeFault(f"{folder} belongs to somebody else.", cure="Have it taken away: keys would go there.")
    folder.chmod(0o700)
    return folder


def accounts(folder: Path, who: Owner) -> list[Mount]:
    """An `/etc/passwd` in which the user has a name: without one `whoami` and node's `os` fail."""
    if not who.uid:
        return []
    place = folder / "passwd"
    place.write_text(f"root:x:0:0:root:/root:/bin/sh\nworker:x:{who.uid}:{who.gid}:worker:/tmp:/bin/sh\n", "utf-8")
    place.chmod(0o644)
    return [Mount(str(place), "/etc/passwd")]


@dataclass(frozen=True)
class Laid:
    """An attempt's files, laid out."""

    command: tuple[str, ...]
    mounts: tuple[Mount, ...]


def lay_out(launch: LaunchSpec, folder: Path, box: Path, who: Owner, name: str) -> Laid:
    """Writes an attempt's files; the command of its container, and its mounts. RuntimeFault, OSError. Blocks.

    `box`: a folder to be made for the shim, the spec, and a place for each file that is mounted beside them.
    """
    if any("\0" in text for text in (*launch.argv, *launch.env, *launch.env.values())):
        raise RuntimeFault("The worker's command line or environment holds a zero byte.")
    home, cwd = Path(launch.env["HOME"]), traces.refuse_link(Path(launch.cwd))
    traces.refuse_link(home).mkdir(parents=True, exist_ok=True, mode=0o700)
    temp = Path(launch.env.get("TMPDIR") or home / "tmp")
    for top in (home, cwd):
        if top in temp.parents:
            traces.own_folder(top, temp)
    for place, text in launch.files.items():
        traces.private(traces.own_place(home, place), text)
    for place, source in launch.logins.items():
        traces.own_place(home, place).symlink_to(source)
    inbox = "input.jsonl" if launch.stdin_open else "stdin.txt"
    private = {"output.jsonl": "", "error.log": "", inbox: launch.stdin}
    shutil.rmtree(box, ignore_errors=True)
    box.mkdir(mode=0o700)
    shutil.copyfile(shim.__file__, box / "shim.py")
    for place, text in private.items():
        traces.private(folder / place, text)
        (box / place).touch()
    (folder / TRACES).mkdir(mode=0o700)
    os.mkfifo(folder / TRACES / "bell", 0o600)
    argv = _inside(launch.argv)
    spec = launch.model_dump(include={"cwd", "stdin_open", "stop_signals"})
    spec |= {"argv": argv, "env": {**launch.env, "TMPDIR": str(temp)}, "boot_id": processes.boot_id()}
    traces.private(box / SPEC, json.dumps(spec))
    (box / SPEC).chmod(0o400)
    who.take(cwd, home, folder / TRACES, box, *(folder / place for place in private))
    return Laid(_command(name), tuple(_mounts(launch, argv, folder, box, inbox)))


def _command(name: str) -> tuple[str, ...]:
    return ("python3", "-I", "-S", f"{BOX}/shim.py", f"{BOX}/{SPEC}", f"aura-{name}", f"{INSIDE}/{TRACES}")


def _mounts(launch: LaunchSpec, argv: Sequence[str], folder: Path, box: Path, inbox: str) -> Iterable[Mount]:
    yield Mount(str(box), BOX)
    yield Mount(str(folder / TRACES), f"{INSIDE}/{TRACES}", writable=True)
    for name in ("output.jsonl", "error.log"):
        yield Mount(str(folder / name), f"{BOX}/{name}", writable=True)
    yield Mount(str(folder / inbox), f"{BOX}/{inbox}")
    for path in (launch.cwd, launch.env["HOME"], *launch.logins.values()):
        yield Mount(path, path, writable=True)
    for word in argv:  # the built-in worker is a program of Aura's own, which no image has
        if word.startswith("/") and PACKAGE in Path(word).parents:
            yield Mount(word, word)


def _inside(argv: Sequence[str]) -> list[str]:
    """The command line as it holds inside, where the programs are the image's."""
    return ["python3" if argv[0] == sys.executable else argv[0], *argv[1:]]


def _below(top: Path) -> Iterable[Path]:
    if top.is_symlink() or not top.is_dir():
        return
    for entry in below(top):
        yield Path(entry.path)


def take_away(folder: Path, keep: Collection[str]) -> None:
    """Removes the boxes of attempts that are no more."""
    for box in folder.glob("aura-*"):
        if box.name not in keep:
            shutil.rmtree(box, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """The run has no secrets any more."""
    shutil.rmtree(folder, ignore_errors=True)
