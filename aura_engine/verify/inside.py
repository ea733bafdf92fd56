"""Touching files of a checkout that a worker filled: never through a link out of it, never a FIFO or device."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISLNK, "a link"))


class Unusable(Exception):
    """The file cannot be used by a check; the message is a sentence for a person."""


class Put(NamedTuple):
    """A probe file put into a checkout: where, what stood there, and the folders that had to be made."""

    path: Path
    kept: Path | None
    made: tuple[Path, ...]


def resolve(root: Path, path: str) -> Path:
    """The real path of a project path; Unusable when a link on the way leads out of the checkout."""
    try:
        real = (root / path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links
        raise Unusable(f"{path} cannot be reached: {error}") from error
    if not real.is_relative_to(root.resolve()):
        raise Unusable(f"{path} leads out of the project")
    return real


def open_regular(root: Path, path: str) -> int:
    """A read-only descriptor of a regular file; Unusable says what is there instead. Never waits."""
    real = resolve(root, path)
    try:
        mode = real.lstat().st_mode
        if stat.S_ISREG(mode):
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
    except FileNotFoundError:
        raise Unusable(f"{path} is missing") from None
    except NotADirectoryError:
        raise Unusable(f"{path} is missing: a part of its path is a file") from None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from error
    kind = next((name for test, name in _KINDS if test(mode)), "a device")
    raise Unusable(f"{path} is {kind}, not a file")


def remove(root: Path, path: str) -> None:
    """Delete a file (a link itself, not what it leads to) so that only a new one can be found there."""
    try:
        target = resolve(root, str(Path(path).parent)) / Path(path).name
        target.unlink(missing_ok=True)
    except OSError as error:
        if not isinstance(error, NotADirectoryError):
            raise Unusable(f"{path} cannot be made anew: {error.strerror}") from error


def put(root: Path, path: str, text: str) -> Put:
    """Write a probe file into the checkout, in the place of whatever stands there; `take_back` undoes it."""
    folder = resolve(root, str(Path(path).parent))
    made: list[Path] = []
    try:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            made.insert(0, parent)
        target = folder / Path(path).name
        kept = None
        if os.path.lexists(target):
            kept = target.with_name(f"{target.name}.{os.urandom(4).hex()}.kept")
            target.rename(kept)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise Unusable(f"a probe file of the check cannot be put at {path}: {error.strerror}") from error
    return Put(target, kept, tuple(made))


def take_back(probe: Put) -> None:
    """Remove a probe file and put back what stood there; folders that the check filled stay."""
    try:
        probe.path.unlink(missing_ok=True)
        if probe.kept:
            probe.kept.rename(probe.path)
        for folder in probe.made:
            folder.rmdir()
    except OSError:
        return  # the check moved things about; the checkout is thrown away after its checks
