"""The git store of a run: one bare repository outside every workspace, which only the engine reads and writes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from aura_engine.errors import GitError
from aura_engine.paths import atomic_write, private_dir
from aura_engine.workspace import trees
from aura_engine.workspace.files import MAX_FILE, SHORT, Root, mode_of
from aura_engine.workspace.git import call
from aura_engine.workspace.large import LARGE, MAGIC, LargeFiles, chunks
from aura_engine.workspace.objects import EMPTY_TREE, EXECUTABLE, FILE, LINK, TREE, Entry, New, Objects, make

__all__ = ["EMPTY_TREE", "Change", "Entry", "GitStore", "Merged"]

Change = trees.Change
P = ParamSpec("P")
T = TypeVar("T")

IDENTITY = "Aura <aura@localhost>"

_CONFIG = """[core]
\trepositoryformatversion = 0
\tbare = true
\tsharedRepository = 0600
\tfilemode = true
\tsymlinks = true
\tautocrlf = false
\tprotectNTFS = false
\tprotectHFS = false
[merge]
\tdirectoryRenames = false
"""
# protect*: a file called `git~1` is harmless here, and refusing it would let a worker make every checkout fail.

ATTRIBUTES = "* -text !eol !filter !ident !merge !working-tree-encoding\n"
_THREADS = 4
_FLATS_CACHED = 64
_FLAT_NAMES = 200_000
"""In all cached lists of files together, about 20 MB."""
_FEW = 10_000
"""Files that are compared on the loop: a millisecond or two."""
_COMMITS_CACHED = 4096
_PENDING_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Merged:
    """A merge's tree and the paths that conflict; where they do, the tree's files hold the conflict markers."""

    tree: str
    conflicts: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing conflicts."""
        return not self.conflicts


class GitStore:
    """A bare repository that only the engine writes. All `async` methods work off the loop; all raise GitError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects = Objects(path)
        self.large = LargeFiles(path / "large")
        self._flat: OrderedDict[str, Mapping[str, Entry]] = OrderedDict()
        self._flat_lock = threading.Lock()
        self._latest: tuple[str, Mapping[str, Entry]] = (EMPTY_TREE, {})
        self._tree_of: OrderedDict[str, str] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    async def init(self) -> None:
        """Make the store, or take up the one an earlier engine made."""
        await self.run(self._init)

    async def aclose(self) -> None:
        """End the reading process and the threads; what is under way finishes first."""
        with contextlib.suppress(GitError):  # its log has it all
            await self.run(self.objects.publish)
        await asyncio.to_thread(self._threads.shutdown)
        self.objects.close()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work in one of the store's few threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(work, *args, **kwargs))

    async def commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        """Write a commit; the same tree, parents and message always make the same one."""
        commit = await self.run(self.commit_now, tree, parents, message)
        self.knows(commit, tree)
        return commit

    async def tree_of(self, commit: str) -> str:
        """The tree of a commit."""
        known = self._tree_of.get(commit)
        if known is None:
            known = (await self.run(self.objects.header, commit))[0]
            self.knows(commit, known)
        return known

    def knows(self, commit: str, tree: str) -> None:
        """That this is the commit's tree: it will be asked for."""
        self._tree_of[commit] = tree
        while len(self._tree_of) > _COMMITS_CACHED:
            self._tree_of.popitem(last=False)

    async def entries(self, tree: str) -> Mapping[str, Entry]:
        """Every file of the tree by its path; the answer is shared: do not change it."""
        return self._flat.get(tree) or await self.run(self.flat, tree)

    async def read(self, tree: str, path: str) -> bytes | None:
        """A file's bytes (a link's target); None when the tree has no such file."""
        return await self.run(self.read_now, tree, path)

    async def edit(self, tree: str, changes: Mapping[str, Entry | bytes | None]) -> str:
        """The tree with paths added or replaced (an entry, or bytes) or removed (None; a folder goes whole)."""
        return await self.run(self.edit_now, tree, changes)

    async def merge(self, base: str, ours: str, theirs: str) -> Merged:
        """Three-way merge of trees. Only what both sides changed in the same path costs a process."""
        return await self.run(self._merge, base, ours, theirs)

    async def diff(self, old: str, new: str) -> tuple[Change, ...]:
        """What leads from one tree to the other, sorted by path. Renames are a delete and an add."""
        before, after = self._flat.get(old), self._flat.get(new)
        if before is not None and after is not None and len(after) < _FEW:
            return tuple(sorted(trees.flat_diff(before, after)))
        return await self.run(lambda: tuple(sorted(trees.diff(self.objects, old, new))))

    async def patch(self, old: str, new: str, *, paths: Iterable[str] = (), limit: int = 1_000_000) -> str:
        """The difference of two trees as a unified patch of at most `limit` bytes, for the paths or for all."""
        args = ["--literal-pathspecs", "diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color"]

        def ask() -> bytes:
            self.objects.publish()
            return call([*args, old, new, "--", *paths], git_dir=self.path, limit=limit).out

        return (await self.run(ask)).decode(errors="replace")

    def commit_now(self, tree: str, parents: Sequence[str], message: str) -> str:
        """See `commit`; blocks."""
        new: New = {}
        oid = make(new, "commit", commit_text(tree, parents, message))
        self.objects.add(new)
        return oid

    def flat(self, tree: str) -> Mapping[str, Entry]:
        """See `entries`; blocks, and the answer is shared: do not change it."""
        known = self._flat.get(tree)
        if known is not None:
            return known
        # Most trees differ in a few files from one that was asked for lately.
        near, entries = self._latest
        found = dict(entries)
        for change in trees.diff(self.objects, near, tree):
            if change.new:
                found[change.path] = change.new
            else:
                del found[change.path]
        self._latest = (tree, found)
        with self._flat_lock:
            self._flat[tree] = found
            while len(self._flat) > 1 and (
                len(self._flat) > _FLATS_CACHED or sum(map(len, self._flat.values())) > _FLAT_NAMES
            ):
                self._flat.popitem(last=False)
        return found

    def read_now(self, tree: str, path: str) -> bytes | None:
        """See `read`; blocks."""
        entry = trees.lookup(self.objects, tree, path)
        if entry is None or entry.mode == TREE:
            return None
        place = self.large.find(entry.oid)
        return place.read_bytes() if place else self.objects.read(entry.oid)

    def edit_now(self, tree: str, changes: Mapping[str, Entry | bytes | None]) -> str:
        """See `edit`; blocks."""
        new: New = {}
        entries: dict[str, Entry | None] = {}
        for path, change in changes.items():
            if isinstance(change, bytes):
                old = trees.lookup(self.objects, tree, path)
                mode = EXECUTABLE if old and old.mode == EXECUTABLE else FILE
                entries[path] = Entry(mode, make(new, "blob", change))
            else:
                entries[path] = change
        edited = trees.edit(self.objects, tree, entries, new)
        self.objects.add(new)
        return edited

    def take(
        self, root: Root, paths: Iterable[str], skipped: dict[str, str], *, known: Mapping[str, Entry], new: New
    ) -> dict[str, Entry]:
        """Put files and links of a folder into the store, but for those that are as `known` says; blocks.

        What cannot be read goes to `skipped`; OSError where that is the machine's fault (see SHORT). The last objects
        are left in `new`, for the caller to write with its own.
        """
        taken: dict[str, Entry] = {}
        pending = 0
        for path in paths:
            try:
                mode, data = self._read_file(root, path)
            except OSError as error:
                if error.errno in SHORT:
                    raise
                skipped[path] = f"cannot be read: {error.strerror or error}"
                continue
            entry = Entry(mode, make(made := {}, "blob", data))
            if entry == known.get(path):
                continue
            taken[path] = entry
            new.update(made)
            pending += len(data)
            if pending > _PENDING_BYTES:
                self.objects.add(new)
                pending = 0
        return taken

    def identify(self, root: Root, path: str) -> Entry:
        """The entry that `take` would make; nothing is stored. OSError when it is not a readable file or link."""
        info = root.stat(path)
        if mode_of(info) == LINK or info.st_size <= LARGE:
            mode, data = self._read_file(root, path)
            return Entry(mode, make({}, "blob", data))
        fd = root.open(path)
        try:
            return Entry(mode_of(info) or FILE, self.large.identify(fd, MAX_FILE))
        finally:
            os.close(fd)

    def _init(self) -> None:
        for folder in ("objects/info", "objects/pack", "refs/heads", "info", "indexes", "packs"):
            private_dir(self.path / folder)
        for name, text in (("config", _CONFIG), ("info/attributes", ATTRIBUTES), ("HEAD", "ref: refs/heads/line\n")):
            atomic_write(self.path / name, text, durable=False)
        self.large.load()
        self.objects.recover()

    def _read_file(self, root: Root, path: str) -> tuple[str, bytes]:
        mode = mode_of(root.stat(path))
        if mode == LINK:
            return mode, os.fsencode(root.readlink(path))
        if mode is None:
            raise OSError("not a regular file")
        fd = root.open(path)
        try:
            data = b"".join(chunks(fd, LARGE + 1))
            if len(data) > LARGE or data.startswith(MAGIC):
                os.lseek(fd, 0, os.SEEK_SET)
                data = self.large.add(fd, MAX_FILE)
            return mode, data
        finally:
            os.close(fd)

    def _merge(self, base: str, ours: str, theirs: str) -> Merged:
        new: New = {}
        try:
            merged = trees.merge(self.objects, base, ours, theirs, new)
        except trees.Overlap:
            return self._merge_lines(base, ours, theirs)
        self.objects.add(new)
        self.flat(merged)  # who lands it asks for it next
        return Merged(merged)

    def _merge_lines(self, base: str, ours: str, theirs: str) -> Merged:
        # Commits made for this one merge: `merge-tree --merge-base` came only with git 2.40.
        root = self.commit_now(base, (), "base")
        sides = {
            "landed": self.commit_now(ours, (root,), "landed"),
            "attempt": self.commit_now(theirs, (root,), "attempt"),
        }
        self.objects.publish()
        args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", *sides.values()]
        done = call(args, git_dir=self.path, ok=(0, 1))
        tree, *names = done.out.decode(errors="surrogateescape").split("\0")
        conflicts = tuple(dict.fromkeys(name for name in names if name))
        if done.code == 1 and not conflicts:
            raise GitError(f"git merge-tree found a conflict in {ours} and {theirs} but named no file.")
        changes: dict[str, Entry | bytes | None] = {}
        for path in conflicts:
            mine, other, merged = [trees.lookup(self.objects, side, path) for side in (ours, theirs, tree)]
            if merged is None or merged.mode not in (FILE, EXECUTABLE) or self.large.find(merged.oid):
                continue
            if any(side and self.large.find(side.oid) for side in (mine, other)):
                changes[path] = mine  # a pointer must not be torn by markers
                continue
            data = self.objects.read(merged.oid)
            for word, commit in sides.items():  # words instead of commit ids
                data = re.sub(rb"(?m)^(<{7}|>{7}) %s\b" % commit.encode(), rb"\1 %s" % word.encode(), data)
            changes[path] = data
        return Merged(self.edit_now(tree, changes), conflicts)


def commit_text(tree: str, parents: Sequence[str], message: str, *, when: int = 0) -> bytes:
    """A commit object by Aura, at `when` seconds since the epoch."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"{role} {IDENTITY} {when} +0000" for role in ("author", "committer")]
    return ("\n".join(lines) + f"\n\n{message.strip()}\n").encode(errors="surrogateescape")
