"""Looking at a folder that somebody else may be changing: nothing outside it is ever reached, nothing odd is opened.

Every step is taken from an open folder with O_NOFOLLOW, so a link swapped in between two steps leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from aura_engine.workspace.names import folders_of, is_cache, is_secret, within
from aura_engine.workspace.objects import EXECUTABLE, FILE, LINK

MAX_FILE = 4 * 1024**3
"""Bytes above which a file is left out and named; a sparse file counts in full, since all of it would be read."""

MAX_FILES = 200_000
"""New files that one walk takes; what goes beyond is left out and named."""

MAX_SEEN = 1_000_000
"""Names that one walk looks at, and the most that one folder may hold."""

MAX_PATH = 900
"""Characters of a path, so that it still fits below any workspace's own."""

SHORT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})
"""Errors that say nothing about a file, only that the machine could not read or keep it now."""

EXPECTED = frozenset({"ignored", "cache", "virtual environment", "secret", "not a regular file"})
"""Reasons for which nobody misses what was left out."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stamp(NamedTuple):
    """What changes when a file changes. The inode's change time cannot be set back by whoever owns the file."""

    ctime: int
    mtime: int
    inode: int
    size: int

    def is_of(self, info: os.stat_result) -> bool:
        """Whether the file still is as it was."""
        return self.ctime == info.st_ctime_ns and self == stamp(info)


def stamp(info: os.stat_result) -> Stamp:
    """A file's stamp, times in nanoseconds."""
    return Stamp(info.st_ctime_ns, info.st_mtime_ns, info.st_ino, info.st_size)


def mode_of(info: os.stat_result) -> str | None:
    """Git's mode for a file or link; None for what git cannot hold, folders too."""
    if stat.S_ISLNK(info.st_mode):
        return LINK
    if stat.S_ISREG(info.st_mode):
        return EXECUTABLE if info.st_mode & stat.S_IXUSR else FILE
    return None


class Root:
    """An open folder. Paths are relative to it; OSError when a step is missing, forbidden or a link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._last: tuple[str, int] = ("", self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        os.close(self._fd)

    def folder(self, path: str) -> int:
        """A descriptor of a folder inside; this object owns it, and only until the next call."""
        if path == self._last[0]:
            return self._last[1]
        self.leave()
        fd = self._fd
        for part in path.split("/") if path else ():
            try:
                deeper = os.open(part, _FOLDER, dir_fd=fd)
            finally:
                if fd != self._fd:
                    os.close(fd)
            fd = deeper
        self._last = (path, fd)
        return fd

    def stat(self, path: str) -> os.stat_result:
        """What is there, links not followed."""
        folder, _, name = path.rpartition("/")
        return os.stat(name, dir_fd=self.folder(folder), follow_symlinks=False)

    def open(self, path: str) -> int:
        """A regular file, open for reading; the caller closes it. Never blocks, even on a FIFO."""
        folder, _, name = path.rpartition("/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=self.folder(folder))
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(f"{path} is not a regular file")
        return fd

    def readlink(self, path: str) -> str:
        """Where a link points."""
        folder, _, name = path.rpartition("/")
        return os.readlink(name, dir_fd=self.folder(folder))

    def leave(self) -> None:
        """Forget the folder that was asked for last: it may be removed now."""
        if self._last[1] != self._fd:
            os.close(self._last[1])
        self._last = ("", self._fd)


@dataclass
class Found:
    """What a walk saw: files and links with their stat, and what was left out with the reason."""

    files: dict[str, os.stat_result] = field(default_factory=dict[str, os.stat_result])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    seen: int = 0


@dataclass(frozen=True)
class Walk:
    """Which files of a folder count. What is in `known` or `keep` always does, whatever its name."""

    known: Mapping[str, object] = field(default_factory=dict[str, object])
    """Files that are already in the tree to compare with."""
    keep: frozenset[str] = frozenset()
    """Files, or folders with all they hold."""
    skip: frozenset[str] = frozenset()
    """Files and folders that are not looked at."""
    without_secrets: bool = False
    ignored: Callable[[Sequence[str]], Collection[str]] = lambda paths: ()
    """Those of the paths that an ignore file names; folders come with a slash at the end."""

    def run(self, root: Root) -> Found:
        """Walk the folder, level by level so that the ignore files are asked once per level. Blocks."""
        found = Found()
        wanted = folders_of((*self.known, *self.keep))
        level = [""]
        while level:
            asked: dict[str, os.stat_result] = {}
            sure: list[str] = []
            for folder in level:
                self._scan(root, folder, wanted, found, asked, sure)
            ignored = frozenset(self.ignored(list(asked))) if asked else frozenset[str]()
            for path, info in asked.items():
                if path in ignored:
                    found.left_out[path.rstrip("/")] = "ignored"
                elif path.endswith("/"):
                    sure.append(path[:-1])
                elif len(found.files) < MAX_FILES:
                    found.files[path] = info
                else:
                    found.left_out[path] = f"more than {MAX_FILES} files"
            level = sure
        return found

    def _scan(
        self,
        root: Root,
        folder: str,
        wanted: set[str],
        found: Found,
        asked: dict[str, os.stat_result],
        sure: list[str],
    ) -> None:
        """One folder: `asked` gets what the ignore files decide, `sure` the folders that are entered anyway."""
        try:
            infos = _stats(root.folder(folder))
        except OSError as error:
            if error.errno in SHORT:
                raise
            found.left_out[folder or "."] = f"cannot be read: {error.strerror}"
            return
        found.seen += len(infos)
        if found.seen > MAX_SEEN:
            found.left_out[folder or "."] = f"beyond the first {MAX_SEEN} names"
            return
        if "pyvenv.cfg" in infos and folder and folder not in wanted and not within(folder, self.keep):
            found.left_out[folder] = "virtual environment"
            return
        for name, info in infos.items():
            path = f"{folder}/{name}" if folder else name
            if name.lower() == ".git" or path in self.skip:
                continue
            is_folder = stat.S_ISDIR(info.st_mode)
            if path in self.known and stat.S_ISREG(info.st_mode) and not (self.without_secrets and is_secret(path)):
                found.files[path] = info  # by far the commonest case
                continue
            certain = path in self.known or within(path, self.keep) or (is_folder and path in wanted)
            if reason := self._unfit(path, info, is_folder=is_folder, certain=certain):
                found.left_out[path] = reason
            elif is_folder and certain:
                sure.append(path)
            elif is_folder:
                asked[path + "/"] = info
            elif certain:
                found.files[path] = info
            else:
                asked[path] = info

    def _unfit(self, path: str, info: os.stat_result, *, is_folder: bool, certain: bool) -> str:
        name = path.rpartition("/")[2]
        mode = mode_of(info)
        if self.without_secrets and is_secret(path):
            return "secret"
        if mode is None and not is_folder:
            return "not a regular file"
        if mode == LINK and name.lower() == ".gitmodules":
            return "git refuses a link of this name"
        if len(path) > MAX_PATH:
            return f"path longer than {MAX_PATH} characters"
        if info.st_size > MAX_FILE and not is_folder:
            return f"larger than {MAX_FILE // 1024**3} GB"
        if not certain and any(is_cache(part) for part in path.split("/")):
            return "cache"
        return ""


def _stats(folder: int) -> dict[str, os.stat_result]:
    infos: dict[str, os.stat_result] = {}
    with os.scandir(folder) as entries:
        for entry in islice(entries, MAX_SEEN + 1):
            try:
                infos[entry.name] = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # gone since: somebody is still at work here
                continue
    return infos


Fingerprint = frozenset[tuple[str, int, int, int, int]]
"""Of every file and folder: path, mode, size, time of change in ns, inode."""


def fingerprint(folder: Path) -> Fingerprint:
    """What every file of a folder looks like; a change of content changes its ctime, which no program can set."""
    seen: set[tuple[str, int, int, int, int]] = set()
    stack = [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    seen.add((entry.path, info.st_mode, 0, 0, info.st_ino))
                    stack.append(entry.path)
                else:
                    seen.add((entry.path, info.st_mode, info.st_size, info.st_ctime_ns, info.st_ino))
    return frozenset(seen)
