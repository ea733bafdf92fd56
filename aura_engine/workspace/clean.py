"""A clean checkout that is used again: whatever a command did to it is undone, and it moves on to the next tree.

What is as it should be is told by the stat that each file had when the engine had written it. Every change of a file's
bytes, mode, owner, attributes or number of links moves its change time, which no program can set. So only what changed
is written again, for most checks nothing, and the folder is then as exact as one that was filled anew.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from aura_engine.errors import GitError
from aura_engine.removal import remove_tree
from aura_engine.workspace import trees
from aura_engine.workspace.checkout import checkout
from aura_engine.workspace.large import copy
from aura_engine.workspace.marks import (
    Looker,
    Mark,
    Unmendable,
    file_mark,
    mark_of,
    prove_the_clock,
    wait_for_the_clock,
)
from aura_engine.workspace.names import folders_of, parents, within
from aura_engine.workspace.objects import EXECUTABLE, LINK, TREE, Entry, write_all
from aura_engine.workspace.store import GitStore

MAX_REPAIRS = 500
"""Files that are written or removed one by one; where there is more to do, git fills a new folder sooner."""


class CleanCheckout:
    """One folder that holds one tree, and perhaps files that were put there before `settle`. Not for concurrent use."""

    def __init__(self, store: GitStore, folder: Path, *, skip: Collection[str] = ()) -> None:
        self.folder = folder
        self.tree = ""
        self.marks: dict[str, Mark] = {}
        """By path; the folder itself is the empty one."""
        self.size = 0
        """Bytes of the files that belong in it."""
        self._store = store
        self._looker = Looker(skip)
        self.entries: Mapping[str, Entry] = {}
        self._given: set[str] = set()
        """What does not come from the tree."""
        self._settled = False

    async def fill(self, tree: str) -> None:
        """Check the tree out into the folder, which must be missing or empty. GitError."""
        await checkout(self._store, tree, self.folder)
        self.tree = tree

    async def settle(self) -> None:
        """All that is in the folder now is as it should be: to be called once, after `fill`."""
        with contextlib.suppress(Unmendable):
            await self._store.run(self._settle)
            self._settled = True

    async def become(self, tree: str, folder: Path) -> bool:
        """Undo what was done in the folder, bring it to the tree and move it to `folder`.

        False when that cannot be done, or not sooner than making it anew: then it is where it was and of no more use.
        """
        settled, self._settled = self._settled, False
        with contextlib.suppress(Unmendable, OSError, GitError):
            if settled:
                await self._store.run(self._become, tree, folder)
                self._settled = True
        return self._settled

    def is_as_given(self, path: str, info: os.stat_result, entry: Entry) -> bool:
        """Whether a file that now looks like `info` is untouched and holds what `entry` says."""
        return self._settled and self.marks.get(path) == file_mark(info) and self.entries.get(path) == entry

    def _settle(self) -> None:
        prove_the_clock(self.folder)
        self.marks = self._looker.look(self.folder)
        self.size = _size(self.marks)
        self.entries = self._store.flat(self.tree)
        self._given = self.marks.keys() - self.entries.keys() - folders_of(self.entries) - {""}
        wait_for_the_clock(self.marks.values())

    def _become(self, tree: str, folder: Path) -> None:
        self._mend(tree)
        self.entries = self._store.flat(tree)
        self.move(folder)

    def move(self, folder: Path) -> None:
        """Rename the folder. OSError when there is one already."""
        self.folder.rename(folder)
        self.folder = folder

    def _mend(self, tree: str) -> None:
        now = self._looker.look(self.folder, self.marks)
        if tree == self.tree and now == self.marks:
            return
        odd = {path for path, mark in now.items() if self.marks.get(path) != mark}
        within_odd = tuple(f"{path}/" for path in odd & self.marks.keys())
        lost = {path for path, mark in self.marks.items() if now.get(path) != mark or path.startswith(within_odd)}
        changes = list(trees.diff(self._store.objects, self.tree, tree))
        spoilt = {path for path in odd if not within(path.rpartition("/")[0], odd)}
        if len(lost) + len(changes) + len(spoilt) > MAX_REPAIRS or "" in lost:
            raise Unmendable
        if not self._given.isdisjoint(lost) or any(within(change.path, self._given) for change in changes):
            raise Unmendable
        for path in spoilt:
            _remove(self.folder / path, now[path])
        for path in lost:
            del self.marks[path]
        for change in changes:
            if change.old and change.path in self.marks:
                self._drop(change.path)
        wanted = {path: trees.lookup(self._store.objects, tree, path) for path in lost}
        wanted |= {change.path: change.new for change in changes}
        marks = [self._write(path, entry) for path, entry in wanted.items() if entry and entry.mode != TREE]
        self.tree = tree
        self.size = _size(self.marks)
        wait_for_the_clock(marks)

    def _drop(self, path: str) -> None:
        """Remove a file of ours, and the folders that are empty without it."""
        (self.folder / path).unlink()
        del self.marks[path]
        for folder in parents(path):
            try:
                (self.folder / folder).rmdir()
            except OSError:
                break
            del self.marks[folder]

    def _write(self, path: str, entry: Entry) -> Mark:
        place = self.folder / path
        for folder in reversed([*parents(path)]):
            if folder not in self.marks:
                (self.folder / folder).mkdir()
                self.marks[folder] = mark_of(self.folder / folder)
        if entry.mode == LINK:
            place.symlink_to(os.fsdecode(self._store.objects.read(entry.oid)))
        else:
            mode = 0o777 if entry.mode == EXECUTABLE else 0o666
            if large := self._store.large.find(entry.oid):
                copy(large, place, mode)
            else:
                fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
                try:
                    write_all(fd, self._store.objects.read(entry.oid))
                finally:
                    os.close(fd)
        mark = self.marks[path] = mark_of(place)
        return mark


def _size(marks: Mapping[str, Mark]) -> int:
    return sum(mark[4] for mark in marks.values())


def _remove(place: Path, mark: Mark) -> None:
    if stat.S_ISDIR(mark[2]):
        remove_tree(place)
    else:
        place.unlink()
