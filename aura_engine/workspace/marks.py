"""What a folder holds, told by the stat of each file and by each folder's own: cheap to take again and to compare.

Every change of a file's bytes, mode, owner, attributes or number of links moves its change time, and every entry that
comes to a folder or goes moves the folder's; no program can set either.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from aura_engine.workspace.files import MAX_SEEN

_CLOCK = 5 if sys.platform == "linux" else time.CLOCK_REALTIME
"""The clock that stamps files: CLOCK_REALTIME_COARSE, for which Python has no name."""
_STEP = max(0.001, time.clock_getres(_CLOCK))
"""Seconds between two of its steps: up to 0.01."""
_ANCHOR = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""For a folder that is only looked into from; it may be one that cannot be read."""
_TICKS = 12
"""Steps to wait for a later time than the newest file's; kernels from 6.13 on stamp up to one step ahead."""

Attributes = list[tuple[str, bytes]] | None
Mark = tuple[int, int, int, int, int, int, int, object]
"""Time of change, time of its content, mode, inode, size, user, group; a folder, whose times move with every file in
it, has zeros for them and its extended attributes at the end."""


class Unmendable(Exception):
    """The folder has to be made anew."""


class Looker:
    """Looks at one folder again and again: one in it that has not changed since the last time is not listed anew."""

    def __init__(self, skip: Collection[str] = ()) -> None:
        self._skip = skip
        """What others see to."""
        self._listed: dict[str, tuple[tuple[int, int], list[str], Attributes]] = {}
        """By path: inode and change time of a folder, and the paths in it and attributes that it had then."""

    def look(self, root: Path, like: Mapping[str, Mark] = MappingProxyType({})) -> dict[str, Mark]:
        """The marks of a folder (as "") and all below it. One that cannot be read shows as empty: its mode tells.

        `like`: marks that most files will still have. Unmendable where there is too much; OSError when something goes
        away meanwhile.
        """
        top = os.open(root, _ANCHOR)
        try:
            return self._look(str(root), top, like)
        finally:
            os.close(top)

    def _look(self, root: str, top: int, like: Mapping[str, Mark]) -> dict[str, Mark]:
        before, self._listed = self._listed, {}
        lstat = os.lstat
        now = time.clock_gettime_ns(_CLOCK)
        marks: dict[str, Mark] = {}
        folders = [("", lstat(root))]
        while folders:
            path, info = folders.pop()
            state = (info.st_ino, info.st_ctime_ns)
            known = before.get(path)
            if known is None or known[0] != state:
                place = f"{root}/{path}" if path else root
                known = (state, self._paths(place, path), _attributes(place))
            if info.st_ctime_ns < now:  # else a change in the same step of the clock would not show
                self._listed[path] = known
            marks[path] = _folder_mark(info, known[2])
            for below in known[1]:
                info = lstat(below, dir_fd=top)
                was = like.get(below)
                if was is not None and was[0] == info.st_ctime_ns and file_mark(info) == was:
                    marks[below] = was  # a file: folders have no time
                elif stat.S_ISDIR(info.st_mode):
                    folders.append((below, info))
                else:
                    marks[below] = file_mark(info)
            if len(marks) > MAX_SEEN:
                raise Unmendable
        return marks

    def _paths(self, place: str, path: str) -> list[str]:
        """What lies in the folder `path`, without what is skipped."""
        paths = [f"{path}/{name}" for name in _names(place)] if path else _names(place)
        return [below for below in paths if below not in self._skip]


def mark_of(place: Path) -> Mark:
    """The mark of one file or folder as it is now."""
    info = place.lstat()
    return _folder_mark(info, _attributes(str(place))) if stat.S_ISDIR(info.st_mode) else file_mark(info)


def file_mark(i: os.stat_result) -> Mark:
    """What is remembered of a file or link."""
    return (i.st_ctime_ns, i.st_mtime_ns, i.st_mode, i.st_ino, i.st_size, i.st_uid, i.st_gid, None)


def _folder_mark(info: os.stat_result, attributes: Attributes) -> Mark:
    return (0, 0, info.st_mode, info.st_ino, 0, info.st_uid, info.st_gid, attributes)


def _names(place: str) -> list[str]:
    try:
        return os.listdir(place)  # noqa: PTH208 - a hundred times for each check: no Path for each name
    except PermissionError:
        return []


def _attributes(place: str) -> Attributes:
    """A default access list, for one, would reach the files that are made in a folder. None where there are none."""
    if not hasattr(os, "listxattr"):
        return None
    names = os.listxattr(place, follow_symlinks=False)
    return [(name, os.getxattr(place, name, follow_symlinks=False)) for name in names] or None


def prove_the_clock(folder: Path) -> None:
    """Unmendable where the file system does not stamp in small steps of this machine's clock, as a server may not.

    Moves the folder's times.
    """
    before = time.clock_gettime_ns(_CLOCK)
    os.utime(folder)
    stamp = folder.lstat().st_ctime_ns
    if stamp < before or stamp % 1_000_000 == 0:
        raise Unmendable


def wait_for_the_clock(marks: Iterable[Mark]) -> None:
    """Until a change would get a later time than any of these have: the clock that stamps files goes in steps."""
    newest = max((mark[0] for mark in marks), default=0)
    for _ in range(_TICKS):
        if newest < time.clock_gettime_ns(_CLOCK):
            return
        time.sleep(_STEP)
    raise Unmendable  # the file system has a clock of its own
