"""Git objects in memory and on disk: hashing, trees, and an object database that reads by `cat-file` and writes itself.

A process costs 2 ms of CPU and a loose object 0.1 ms, so what Aura writes after each attempt is written by Python.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from aura_engine.errors import GitError
from aura_engine.workspace.git import CatFile, call

FILE, EXECUTABLE, LINK, TREE, GITLINK = "100644", "100755", "120000", "40000", "160000"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

New = dict[str, tuple[str, bytes]]
"""Objects that are made but not yet written: id → kind and bytes."""

_KINDS = {"commit": 1, "tree": 2, "blob": 3}
_LOOSE_AT_MOST = 32
# A larger batch becomes a pack: git then copies it into throw-away repositories without compressing anything again.
_TREES_CACHED = 4096

_LOG = "recent-objects"
_LOG_HEAD = struct.Struct(">20sI")
_LOG_AT_MOST = 2 * 1024 * 1024


class Entry(NamedTuple):
    """What a tree holds at a name: git's mode (as git prints it) and the object's id."""

    mode: str
    oid: str


def make(new: New, kind: str, data: bytes) -> str:
    """Add an object to `new`; its id."""
    oid = hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
    new[oid] = (kind, data)
    return oid


def make_tree(new: New, entries: Mapping[str, Entry]) -> str:
    """Add a tree of these names to `new`; its id."""

    def order(item: tuple[str, Entry]) -> bytes:  # git sorts a folder as if its name ended in a slash
        return os.fsencode(item[0]) + (b"/" if item[1].mode == TREE else b"")

    parts = [
        entry.mode.encode() + b" " + os.fsencode(name) + b"\0" + bytes.fromhex(entry.oid)
        for name, entry in sorted(entries.items(), key=order)
    ]
    return make(new, "tree", b"".join(parts))


def parse_tree(data: bytes) -> dict[str, Entry]:
    """The names in a tree object."""
    entries: dict[str, Entry] = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        entries[os.fsdecode(data[space + 1 : end])] = Entry(data[at:space].decode(), data[end + 1 : end + 21].hex())
        at = end + 21
    return entries


def pack(new: New) -> bytes:
    """A pack file of these objects, without deltas."""
    parts = [b"PACK" + struct.pack(">II", 2, len(new))]
    for kind, data in new.values():
        size = len(data)
        byte = (_KINDS[kind] << 4) | (size & 15)
        size >>= 4
        header = bytearray()
        while size:
            header.append(byte | 0x80)
            byte, size = size & 0x7F, size >> 7
        header.append(byte)
        parts += [bytes(header), zlib.compress(data, 1)]
    body = b"".join(parts)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _is_intact(oid: bytes, body: bytes) -> bool:
    try:
        return hashlib.sha1(zlib.decompress(body), usedforsecurity=False).digest() == oid
    except zlib.error:
        return False


def _write_all(fd: int, data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return len(data)


class Objects:
    """The objects of one repository. Thread-safe; every method blocks.

    A store of Aura's gets loose objects written here; a `foreign` repository (the person's) only through git itself,
    which knows that repository's permissions and layout.
    """

    def __init__(self, git_dir: Path, *, foreign: bool = False) -> None:
        self.git_dir = git_dir
        self._foreign = foreign
        self._cat = CatFile(git_dir)
        self._trees: OrderedDict[str, dict[str, Entry]] = OrderedDict()
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def close(self) -> None:
        """End the reading process."""
        self._cat.close()

    def read(self, oid: str) -> bytes:
        """The bytes of an object. GitError when it is missing."""
        return self._cat.read(oid)[1]

    def tree(self, oid: str) -> Mapping[str, Entry]:
        """The names directly in a tree. GitError when it is missing or no tree."""
        with self._lock:
            if oid in self._trees:
                self._trees.move_to_end(oid)
                return self._trees[oid]
        kind, data = self._cat.read(oid)
        if kind != "tree":
            raise GitError(f"{oid} in {self.git_dir} is a {kind}, not a tree.")
        return self._remember(oid, parse_tree(data))

    def header(self, commit: str) -> tuple[str, tuple[str, ...]]:
        """A commit's tree and parents. GitError when it is missing or no commit."""
        kind, data = self._cat.read(commit)
        if kind != "commit":
            raise GitError(f"{commit} in {self.git_dir} is a {kind}, not a commit.")
        head = data.split(b"\n\n", 1)[0].decode(errors="replace").splitlines()
        parents = tuple(line[7:] for line in head if line.startswith("parent "))
        return head[0][5:], parents

    def add(self, new: New) -> None:
        """Write the objects durably. Clears `new`. OSError when the disk refuses."""
        for oid, (kind, data) in new.items():
            if kind == "tree":
                self._remember(oid, parse_tree(data))
        if len(new) > _LOOSE_AT_MOST:
            call(["index-pack", "--stdin"], git_dir=self.git_dir, stdin=pack(new), timeout=600)
        elif new and self._foreign:
            call(["unpack-objects", "-q"], git_dir=self.git_dir, stdin=pack(new))
        else:
            self._add_loose(new)
        new.clear()

    def recover(self) -> None:
        """Write again what the log holds: a power cut may have left those loose objects empty."""
        log = self.git_dir / _LOG
        data = log.read_bytes() if log.exists() else b""
        at = 0
        while len(head := data[at : at + _LOG_HEAD.size]) == _LOG_HEAD.size:
            oid, size = _LOG_HEAD.unpack(head)
            body = data[at + _LOG_HEAD.size : at + _LOG_HEAD.size + size]
            if not _is_intact(oid, body):
                break  # the last, torn append: nobody was told that it was written
            self._write_loose(oid.hex(), body)
            at += _LOG_HEAD.size + size
        if data:
            self._empty_log()

    def _add_loose(self, new: New) -> None:
        """One flush for the whole batch, of the log that has it all; git's files need not wait for the disk."""
        bodies = {
            oid: zlib.compress(f"{kind} {len(data)}\0".encode() + data, 1)
            for oid, (kind, data) in new.items()
            if not self._place(oid).exists()
        }
        if not bodies:
            return
        with self._writing:
            parts = (_LOG_HEAD.pack(bytes.fromhex(oid), len(body)) + body for oid, body in bodies.items())
            fd = os.open(self.git_dir / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            length = os.fstat(fd).st_size
            try:
                length += _write_all(fd, b"".join(parts))
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, length)  # what comes after a torn append would be lost
                raise
            finally:
                os.close(fd)
            for oid, body in bodies.items():
                self._write_loose(oid, body)
            if length > _LOG_AT_MOST:
                self._empty_log()

    def _write_loose(self, oid: str, body: bytes) -> None:
        place = self._place(oid)
        temporary = self.git_dir / "objects" / f"tmp_obj_{oid}"
        temporary.write_bytes(body)
        try:
            temporary.rename(place)
        except FileNotFoundError:
            place.parent.mkdir(exist_ok=True)
            temporary.rename(place)

    def _empty_log(self) -> None:
        os.sync()
        (self.git_dir / _LOG).write_bytes(b"")

    def _place(self, oid: str) -> Path:
        return self.git_dir / "objects" / oid[:2] / oid[2:]

    def _remember(self, oid: str, entries: dict[str, Entry]) -> dict[str, Entry]:
        with self._lock:
            self._trees[oid] = entries
            while len(self._trees) > _TREES_CACHED:
                self._trees.popitem(last=False)
        return entries
