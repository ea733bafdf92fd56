"""Reads `task.md`: one normalised text and its hash, or one clear line saying why the file cannot be a goal."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from aura_engine.errors import GoalError

MAX_BYTES = 1024 * 1024
_EXAMPLE = "Write down what is to be reached, in plain words, and start again."
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class GoalText:
    """One revision of a goal: `text` with `\\n` line ends and no BOM, `revision` the sha256 (hex) of exactly that."""

    path: Path
    text: str
    revision: str


def read_goal(path: Path, *, project: Path | None = None) -> GoalText:
    """The goal in `path`. A symbolic link is followed inside its own folder and inside `project` only.

    Raises GoalError for a file that is missing, unreadable, not a regular file, over 1 MiB, not UTF-8 text, or empty.
    Never blocks on a pipe or a device.
    """
    try:
        _check_link(path, project)
        _check_kind(path, path.stat().st_mode)
        # The file may be exchanged for a pipe after stat: without O_NONBLOCK opening that would wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(handle, "rb") as file:
            _check_kind(path, os.fstat(handle).st_mode)
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise GoalError(f"There is no task file {path}.", cure=_EXAMPLE) from None
    except PermissionError:
        raise GoalError(f"{path} may not be read.", cure=f"Allow it: chmod u+r '{path}'") from None
    except OSError as error:
        raise GoalError(f"{path} cannot be read: {error.strerror}.", cure="Name another task file.") from error
    except ValueError:  # a NUL in the name
        raise GoalError(f"{str(path)!r} is not a file name.", cure="Name another task file.") from None
    text = _decode(path, raw)
    return GoalText(path, text, hashlib.sha256(text.encode()).hexdigest())


def _check_link(path: Path, project: Path | None) -> None:
    """A link out of the project would send a file of somebody's choosing, such as a private key, to the model."""
    if not path.is_symlink():
        return
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise GoalError(f"{path} is a symbolic link to nothing.", cure="Mend the link or name another file.") from None
    inside = (path.parent, project) if project else (path.parent,)
    if not any(target.is_relative_to(folder.resolve()) for folder in inside):
        raise GoalError(
            f"{path} is a symbolic link out of the project, to {target}.", cure="Name that file itself or copy it here."
        )


def _check_kind(path: Path, mode: int) -> None:
    for is_kind, words in _KINDS:
        if is_kind(mode):
            raise GoalError(f"{path} is {words}, not a text file.", cure="Name a Markdown file with the goal in it.")


def _decode(path: Path, raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise GoalError(
            f"{path} is larger than 1 MiB.", cure="Keep the goal short and let it name the files that hold the rest."
        )
    save_as = "Save it as UTF-8 text."
    if raw.startswith(_WIDE_BOMS):
        raise GoalError(f"{path} is UTF-16 or UTF-32, not UTF-8.", cure=save_as)
    if b"\0" in raw:
        raise GoalError(f"{path} is a binary file.", cure="Name a Markdown file with the goal in it.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise GoalError(f"{path} is not UTF-8 text: line {line} has a byte that is not.", cure=save_as) from None
    if not text.strip():
        raise GoalError(f"{path} is empty.", cure=_EXAMPLE)
    # A final newline that an editor adds is no new goal.
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"
