"""Where the socket of a run lies: in a folder that is nobody else's, under a short name, told by a file of the run."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from aura_engine.errors import AuraError
from aura_engine.paths import PRIVATE, atomic_write, state_home

MAX_PATH = 107
"""Bytes that the kernel takes for a socket's path."""
ADDRESS = "socket"
"""The file in the run's folder that holds the path."""


def choose(run: Path, environ: Mapping[str, str] | None = None) -> Path:
    """The socket's path for the run in this folder; its own folder is made, 0700.

    AuraError when no place will do: each is somebody else's, open to others, or its name too long.
    """
    environ = os.environ if environ is None else environ
    name = hashlib.sha256(os.fsencode(run.resolve())).hexdigest()[:16] + ".sock"
    why: list[str] = []
    for folder in _folders(environ):
        path = folder / name
        if len(os.fsencode(path)) > MAX_PATH:
            why.append(f"{folder}: its path is too long for a socket")
            continue
        problem = _make_private(folder)
        if not problem:
            return path
        why.append(f"{folder}: {problem}")
    raise AuraError(f"there is no place for the control socket ({'; '.join(why)})")


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and Path(runtime).is_dir():
        yield Path(runtime) / "aura"
    yield state_home(environ) / "sockets"
    yield Path(tempfile.gettempdir()) / f"aura-{os.getuid()}"


def _make_private(folder: Path) -> str:
    """Make it; why it cannot be used, or ""."""
    try:
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        found = folder.lstat()  # a link would lead where somebody else wants it
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(found.st_mode):
        return "it is no folder"
    if found.st_uid != os.getuid():
        return "it belongs to somebody else"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return "others can enter it"
    return ""


def announce(run: Path, socket: Path) -> None:
    """Write down where the socket is, for whoever wants to reach the engine. OSError."""
    atomic_write(run / ADDRESS, f"{socket}\n", durable=False)


def find(run: Path) -> Path | None:
    """Where the socket of the run is said to be; None when no engine has said it."""
    try:
        text = (run / ADDRESS).read_text("utf-8").rstrip("\n")
    except (OSError, ValueError):
        return None
    return Path(text) if text.startswith("/") else None


def withdraw(run: Path, socket: Path) -> None:
    """Take the socket and the note about it away; never raises."""
    for path in (socket, run / ADDRESS):
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue  # it names nothing that answers, and the next engine replaces it
