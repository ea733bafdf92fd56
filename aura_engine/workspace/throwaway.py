"""The throw-away `.git` of a workspace: one commit of what the worker finds there.

It is for the agent's own git and for builds that ask git for a version. The engine never reads it. Most of its objects
come from a pack of the line that is made from time to time; what the line lacks is a small pack beside it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from aura_engine.removal import remove_tree
from aura_engine.workspace.checkout import large_files, without
from aura_engine.workspace.clean import CleanCheckout
from aura_engine.workspace.git import call
from aura_engine.workspace.large import copy
from aura_engine.workspace.lately import Lately
from aura_engine.workspace.marks import Looker, Mark, file_mark
from aura_engine.workspace.objects import (
    EMPTY_TREE,
    TREE,
    Entry,
    New,
    Objects,
    make,
    pack_with_index,
    write_all,
)
from aura_engine.workspace.store import ATTRIBUTES, GitStore, commit_text

_MOST_LACKING = 128
"""Objects that a workspace may have beyond the pack of the line; then the line is packed again."""
_PACKS_KEPT = 4
_MESSAGE = "The project as this task found it"
_MODE = 0o644
_HEAD = 12
"""Bytes at the start of an index, which count its entries."""
_BLOCK = 1024
_MOST_KEPT = 1024 * 1024
"""Bytes of an index that are remembered."""
_INDEX_ENTRY = struct.Struct(">10I20sH")

_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tautocrlf = false
\tprotectNTFS = false
[user]
\tname = worker
\temail = worker@localhost
[gc]
\tauto = 0
"""


class LinePack(NamedTuple):
    """The objects of one tree of the line, packed."""

    tree: str
    folder: Path

    def files(self) -> list[Path]:
        """The pack and its index."""
        return [*self.folder.glob("pack-*.pack"), *self.folder.glob("pack-*.idx")]


class LinePacks:
    """The packs of the line, one for each set of files that is withheld: what is hidden must not be in a pack."""

    def __init__(self, store: GitStore) -> None:
        self.lock = threading.Lock()
        """Held while a pack is copied, so that nobody takes it away."""
        self._store = store
        self._packs: OrderedDict[frozenset[str], LinePack] = OrderedDict()
        self.packed = Lately()
        """Objects that the packs lack, as they stand in the small ones."""

    def nearest(self, line: str, hidden: frozenset[str], tree: str) -> tuple[LinePack, New]:
        """A pack for a workspace of `tree` and what it lacks. `line`: the head's tree without what is hidden."""
        pack = self._packs.get(hidden)
        if pack is not None:
            self._packs.move_to_end(hidden)
            lacking: New = {}
            if _lacking(self._store.objects, pack.tree, tree, lacking, _MOST_LACKING) or pack.tree == line:
                return pack, lacking
            shutil.rmtree(pack.folder)
        self._packs[hidden] = pack = self._make(line)
        while len(self._packs) > _PACKS_KEPT:
            shutil.rmtree(self._packs.popitem(last=False)[1].folder)
        _lacking(self._store.objects, line, tree, lacking := {})
        return pack, lacking

    def _make(self, tree: str) -> LinePack:
        folder = self._store.path / "packs" / os.urandom(8).hex()
        folder.mkdir(0o700, parents=True)
        args = ["pack-objects", "--revs", "--window=0", "-q", str(folder / "pack")]
        commit = self._store.commit_now(tree, (), _MESSAGE)
        self._store.objects.publish()
        call(args, git_dir=self._store.path, stdin=commit.encode() + b"\n", timeout=600)
        return LinePack(tree, folder)


class ThrowawayGit:
    """The `.git` of one checkout, made or brought up to date by `renew`."""

    def __init__(self, store: GitStore, packs: LinePacks) -> None:
        self._store = store
        self._packs = packs
        self._looker = Looker()
        self._marks: dict[str, Mark] = {}
        self._basis: tuple[Path, bytes] | None = None
        """Pack of the line and ignore rules that are in place."""
        self._parts: dict[str, tuple[Mark, Entry, bytes]] = {}
        """Of the index, by path."""
        self._written: tuple[Mark, bytes] | None = None
        """The index as it was written last."""
        self._extra = ""
        """The name of the pack of what that one lacks."""

    async def renew(self, checkout: CleanCheckout, line: str, hidden: frozenset[str]) -> None:
        """Give the checkout a `.git` in which everything is committed and clean.

        `line`: the head's tree without the files in `hidden`, from which most of the checkout's files come.
        """
        await self._store.run(self._renew, checkout, line, hidden)

    def _renew(self, checkout: CleanCheckout, line: str, hidden: frozenset[str]) -> None:
        store, git = self._store, checkout.folder / ".git"
        large = large_files(store, checkout.tree)
        tree = without(store, checkout.tree, large)
        lines = [f"/{_quoted(path)}\n".encode(errors="surrogateescape") for path in large if "\n" not in path]
        with self._packs.lock:
            pack, lacking = self._packs.nearest(without(store, line, large_files(store, line)), hidden, tree)
            basis = (pack.folder, b"".join(lines))
            if basis != self._basis or self._looks(git) != self._marks:
                if os.path.lexists(git):
                    remove_tree(git)
                self._extra = ""
                _lay_out(git, pack, b"".join(lines))
        commit = make(lacking, "commit", commit_text(tree, (), _MESSAGE))
        _put(git / "packed-refs", f"{commit} refs/heads/main\n".encode())
        data, index = pack_with_index(lacking, self._packs.packed)
        before, self._extra = self._extra, f"pack-{data[-20:].hex()}"
        for suffix, content in ((".pack", data), (".idx", index)):
            place = git / "objects/pack" / f"{self._extra}{suffix}"
            if before:
                place.with_name(f"{before}{suffix}").rename(place)
            _put(place, content)
        place, index = git / "index", self._index(checkout, large)
        known = self._written is not None and os.path.lexists(place) and self._written[0] == file_mark(place.lstat())
        _put(place, index, self._written[1] if known and self._written else b"")
        self._written = (file_mark(place.lstat()), index) if len(index) <= _MOST_KEPT else None
        self._basis, self._marks = basis, self._looks(git)

    def _looks(self, git: Path) -> dict[str, Mark]:
        """The marks of all but the index, which any question to git may write anew."""
        if git.is_symlink() or not git.is_dir():
            return {}
        marks = self._looker.look(git, self._marks)
        if "index" in marks and stat.S_ISREG(marks["index"][2]):
            del marks["index"]
        return marks

    def _index(self, checkout: CleanCheckout, large: Mapping[str, Entry]) -> bytes:
        """Git's index of the checkout (version 2) with the stat of each file, so that git need not read them."""
        before, self._parts = self._parts, {}
        for path, entry in checkout.entries.items():
            if path not in large:
                mark = checkout.marks[path]
                known = before.get(path)
                fits = known is not None and known[0] == mark and known[1] == entry
                self._parts[path] = known if known and fits else (mark, entry, _index_entry(path, mark, entry))
        parts = sorted((part for _, _, part in self._parts.values()), key=lambda part: part[_INDEX_ENTRY.size :])
        data = struct.pack(">4sII", b"DIRC", 2, len(parts)) + b"".join(parts)
        return data + hashlib.sha1(data, usedforsecurity=False).digest()


def _lacking(objects: Objects, old: str, new: str, found: New, limit: int = sys.maxsize) -> bool:
    """Add to `found` what tree `new` holds and tree `old` does not; False when that is more than `limit`."""
    if old == new or new in found:
        return True
    before, after = objects.tree(old), objects.tree(new)
    found[new] = ("tree", objects.read(new))
    for name, entry in after.items() - before.items():
        was = before.get(name)
        if entry.mode == TREE:
            _lacking(objects, was.oid if was and was.mode == TREE else EMPTY_TREE, entry.oid, found, limit)
        elif was is None or was.oid != entry.oid:
            found[entry.oid] = ("blob", objects.read(entry.oid))
        if len(found) > limit:
            return False
    return True


def _index_entry(path: str, mark: Mark, entry: Entry) -> bytes:
    ctime, mtime, _, inode, size, user, group, _ = mark
    name = os.fsencode(path)
    # The device is zero: git does not compare it.
    stats = (*divmod(ctime, 10**9), *divmod(mtime, 10**9), 0, inode, int(entry.mode, 8), user, group, size)
    numbers = (number & 0xFFFFFFFF for number in stats)
    head = _INDEX_ENTRY.pack(*numbers, bytes.fromhex(entry.oid), min(len(name), 0xFFF))
    return head + name + b"\0" * (8 - (len(head) + len(name)) % 8)


def _put(place: Path, data: bytes, before: bytes = b"") -> None:
    """Write the file anew, into the one that is there where it is nobody else's: an inode made or freed is dear.

    `before`: what it holds where that is known; what stays the same is not written again.
    """
    try:
        fd = os.open(place, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        fd = -1
    if fd >= 0 and not _is_ours(os.fstat(fd)):
        os.close(fd)
        fd = -1
    if fd < 0:
        before = b""
        place.unlink(missing_ok=True)
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        same = _same(before, data)
        write_all(fd, data[:_HEAD] if same else data)
        if same:
            os.lseek(fd, same, os.SEEK_SET)
            write_all(fd, data[same:])
        os.ftruncate(fd, len(data))  # not before: ext4 writes a file at once that was emptied
    finally:
        os.close(fd)


def _same(one: bytes, other: bytes) -> int:
    """Up to where two versions of a file are the same, but for the head; 0 where that is not worth while."""
    at = _HEAD
    while at < len(one) and one[at : at + _BLOCK] == other[at : at + _BLOCK]:
        at += _BLOCK
    return min(at, len(one), len(other)) if at > _HEAD else 0


def _is_ours(info: os.stat_result) -> bool:
    """Whether it is such a file as we would make, under this one name."""
    mode = stat.S_IMODE(info.st_mode)
    plain = stat.S_ISREG(info.st_mode) and mode & ~_MODE == 0 and mode & 0o600 == 0o600
    return plain and info.st_nlink == 1 and info.st_uid == os.geteuid()


def _quoted(path: str) -> str:
    """The path as an ignore rule that means it literally."""
    for special in "\\*?[":
        path = path.replace(special, "\\" + special)
    return path[:-1] + "\\ " if path.endswith(" ") else path


def _lay_out(git: Path, pack: LinePack, exclude: bytes) -> None:
    for folder in ("objects/pack", "refs", "info"):
        (git / folder).mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text(_CONFIG)
    (git / "info/attributes").write_text(ATTRIBUTES)
    if exclude:
        (git / "info/exclude").write_bytes(exclude)
    for part in pack.files():
        copy(part, git / "objects/pack" / part.name, 0o444)
