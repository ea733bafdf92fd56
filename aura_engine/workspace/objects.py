"""Git objects in memory and on disk: hashing, trees, and an object database that reads by `cat-file` and writes itself.

A process costs 2 ms of CPU and each new file up to 1 ms, so what Aura writes after each attempt goes to one log, and
into a pack only when git itself has to see it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
import sys
import threading
import zlib
from collections import OrderedDict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from aura_engine.errors import GitError
from aura_engine.faults import fault
from aura_engine.workspace.git import CatFile, call
from aura_engine.workspace.lately import Lately

FILE, EXECUTABLE, LINK, TREE, GITLINK = "100644", "100755", "120000", "40000", "160000"
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

New = dict[str, tuple[str, bytes]]
"""Objects that are made but not yet written: id → kind and bytes."""

_KINDS = {"commit": 1, "tree": 2, "blob": 3}
_CODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_LOGGED_AT_MOST = 32
"""Objects; a larger batch becomes a pack at once."""
_TREES_CACHED = 4096
_NAMES_CACHED = 100_000
"""In all cached trees together, about 25 MB: a folder of a thousand files makes a new tree with each landing."""

_MADE = 1000
"""Trees that wait to be written at most."""
_LOG = "recent-objects"
_LOG_HEAD = struct.Struct(">20sI")
_LIKE = 1 << 31
"""Of a size in the log: the id of an earlier tree stands first, and its bytes are the dictionary of the compression."""
_LIKES = 8
"""Trees logged last that the next one may be like: versions of a folder differ in a name or two."""
_LIKE_AT_LEAST = 512
_LOG_AT_MOST = 2 * 1024 * 1024
_RECENT_AT_MOST = 16 * 1024 * 1024
"""Bytes of logged objects that are kept in memory."""


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
    parts: list[tuple[bytes, bytes]] = []
    for name, (mode, oid) in entries.items():
        written = name.encode(_CODING, _ERRORS)
        order = written + b"/" if mode == TREE else written  # git sorts a folder as if its name ended in a slash
        parts.append((order, b"%s %s\0%s" % (mode.encode(), written, bytes.fromhex(oid))))
    parts.sort()
    return make(new, "tree", b"".join([part for _, part in parts]))


def parse_tree(data: bytes, shared: dict[str, str] | None = None) -> dict[str, Entry]:
    """The names in a tree object. Versions of a tree have nearly all in common: what is cached of them is `shared`."""
    entries: dict[str, Entry] = {}
    share, at = ({} if shared is None else shared).setdefault, 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        name, mode, oid = os.fsdecode(data[space + 1 : end]), data[at:space].decode(), data[end + 1 : end + 21].hex()
        entries[share(name, name)] = Entry(share(mode, mode), share(oid, oid))
        at = end + 21
    return entries


def pack(new: New) -> bytes:
    """A pack file of these objects, without deltas."""
    return pack_with_index(new)[0]


def _packed(kind: str, data: bytes) -> bytes:
    """An object as it stands in a pack."""
    size = len(data)
    byte = (_KINDS[kind] << 4) | (size & 15)
    size >>= 4
    header = bytearray()
    while size:
        header.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    header.append(byte)
    return bytes(header) + zlib.compress(data, 1)


def pack_with_index(new: New, known: Lately | None = None) -> tuple[bytes, bytes]:
    """A pack file of these objects, without deltas, and its index (version 2).

    `known`: objects as they stood in earlier packs; it is added to.
    """
    known = Lately() if known is None else known
    parts = [b"PACK" + struct.pack(">II", 2, len(new))]
    at = len(parts[0])
    found: list[tuple[bytes, int, int]] = []
    for oid, (kind, data) in new.items():
        part = known.get(oid)
        if part is None:
            part = _packed(kind, data)
            known.put(oid, part)
        found.append((bytes.fromhex(oid), zlib.crc32(part), at))
        parts.append(part)
        at += len(part)
    body = b"".join(parts)
    name = hashlib.sha1(body, usedforsecurity=False).digest()
    found.sort()
    counts = [0] * 256
    for oid, _, _ in found:
        counts[oid[0]] += 1
    index = b"".join(
        (
            b"\xfftOc\0\0\0\2",
            struct.pack(">256I", *itertools.accumulate(counts)),
            *(oid for oid, _, _ in found),
            *(struct.pack(">I", crc) for _, crc, _ in found),
            *(struct.pack(">I", offset) for _, _, offset in found),
            name,
        )
    )
    return body + name, index + hashlib.sha1(index, usedforsecurity=False).digest()


def _unpacked(oid: bytes, body: bytes, like: bytes) -> tuple[str, bytes] | None:
    """Kind and bytes of a logged object; None when it is torn."""
    try:
        text = zlib.decompressobj(zdict=like).decompress(body)
    except zlib.error:
        return None
    head, _, data = text.partition(b"\0")
    return (head.split()[0].decode(), data) if hashlib.sha1(text, usedforsecurity=False).digest() == oid else None


def logged(git_dir: Path) -> New:
    """What the log of a store holds, whole objects only: all that is in no pack yet, and perhaps more."""
    log = git_dir / _LOG
    data = log.read_bytes() if log.exists() else b""
    found: New = {}
    at = 0
    while len(head := data[at : at + _LOG_HEAD.size]) == _LOG_HEAD.size:
        oid, size = _LOG_HEAD.unpack(head)
        like = b""
        at += _LOG_HEAD.size
        if size & _LIKE:
            size ^= _LIKE
            like = found.get(data[at : at + 20].hex(), ("", b""))[1]
            at, size = at + 20, size - 20
        at += size
        known = _unpacked(oid, data[at - size : at], like)
        if known is None:
            break  # the last, torn append: nobody was told that it was written
        found[oid.hex()] = known
    return found


def write_all(fd: int, data: bytes) -> int:
    """All of it, whatever the system takes at once; its length."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return len(data)


class Objects:
    """The objects of one repository. Thread-safe; every method blocks.

    A store of Aura's has what is new in a log that only this class reads, until `publish`. A `foreign` repository (the
    person's) is written through git itself, which knows that repository's permissions and layout.
    """

    def __init__(self, git_dir: Path, *, foreign: bool = False) -> None:
        self.git_dir = git_dir
        self._foreign = foreign
        self._cat = CatFile(git_dir)
        self._trees: OrderedDict[str, dict[str, Entry]] = OrderedDict()
        self._names = 0
        self._lately = Lately()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._recent: New = {}
        """What is in the log and in no pack."""
        self._recent_size = 0
        self._likes: deque[tuple[str, bytes]] = deque(maxlen=_LIKES)
        """Trees that stand in the log."""
        self._made: dict[str, dict[str, Entry]] = {}
        """Trees that are to be written, as they were made."""
        self._shared: dict[str, str] = {}
        """Names and ids of the cached trees. Not the interpreter's own: some 3.12 keep those for ever."""

    def close(self) -> None:
        """End the reading process."""
        self._cat.close()

    def read(self, oid: str) -> bytes:
        """The bytes of an object. GitError when it is missing."""
        data = self._lately.get(oid)
        if data is None:
            data = self._read(oid)[1]
            self._lately.put(oid, data)
        return data

    def tree(self, oid: str) -> Mapping[str, Entry]:
        """The names directly in a tree. GitError when it is missing or no tree."""
        with self._lock:
            if oid in self._trees:
                self._trees.move_to_end(oid)
                return self._trees[oid]
        kind, data = self._read(oid)
        if kind != "tree":
            raise GitError(f"{oid} in {self.git_dir} is a {kind}, not a tree.")
        return self._remember(oid, parse_tree(data, self._shared))

    def make_tree(self, new: New, entries: dict[str, Entry]) -> str:
        """Add a tree of these names, which must not change any more, to `new`; its id."""
        oid = make_tree(new, entries)
        if len(self._made) >= _MADE:
            self._made.clear()  # of merges that came to nothing
        self._made[oid] = entries
        return oid

    def header(self, commit: str) -> tuple[str, tuple[str, ...]]:
        """A commit's tree and parents. GitError when it is missing or no commit."""
        kind, data = self._read(commit)
        if kind != "commit":
            raise GitError(f"{commit} in {self.git_dir} is a {kind}, not a commit.")
        head = data.split(b"\n\n", 1)[0].decode(errors="replace").splitlines()
        parents = tuple(line[7:] for line in head if line.startswith("parent "))
        return head[0][5:], parents

    def add(self, new: New) -> None:
        """Write the objects durably. Clears `new`. OSError when the disk refuses."""
        if len(new) > _LOGGED_AT_MOST:
            self._add_pack(new)
        elif new and self._foreign:
            call(["unpack-objects", "-q"], git_dir=self.git_dir, stdin=pack(new))
        elif new:
            self._add_to_log(new)
        for oid, (kind, data) in new.items():
            if kind == "tree" and oid not in self._trees:
                self._remember(oid, self._made.pop(oid, None) or parse_tree(data, self._shared))
        new.clear()

    def publish(self) -> None:
        """Pack what is only in the log: to be called before a git process needs the newest objects."""
        with self._writing:
            self._publish()

    def recover(self) -> None:
        """Take in what the log holds from before a crash."""
        found = logged(self.git_dir)
        if found:
            self._add_pack(found)
        log = self.git_dir / _LOG
        if log.exists() and log.stat().st_size:
            self._empty_log()

    def look(self) -> frozenset[str]:
        """For whoever only reads, beside an engine: take in what its log holds now, and change nothing; the ids."""
        self._recent = logged(self.git_dir)
        return frozenset(self._recent)

    def _read(self, oid: str) -> tuple[str, bytes]:
        return self._recent.get(oid) or self._cat.read(oid)

    def _add_pack(self, new: New) -> None:
        call(["index-pack", "--stdin"], git_dir=self.git_dir, stdin=pack(new), timeout=600)

    def _publish(self) -> None:
        if self._recent:
            self._add_pack(self._recent)
            self._recent = {}  # a new one: whoever reads meanwhile finds it in the old or in the pack
            self._recent_size = 0

    def _add_to_log(self, new: New) -> None:
        """One flush for the whole batch."""
        with self._writing:
            parts = [self._logging(oid, *of) for oid, of in new.items() if oid not in self._recent]
            fd = os.open(self.git_dir / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            length = os.fstat(fd).st_size
            try:
                length += write_all(fd, b"".join(parts))
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, length)  # what comes after a torn append would be lost
                raise
            finally:
                os.close(fd)
            fault("store.logged")
            self._likes += [(oid, data) for oid, (kind, data) in new.items() if kind == "tree"]
            self._recent.update(new)
            self._recent_size += sum(len(data) for _, data in new.values())
            if length > _LOG_AT_MOST or self._recent_size > _RECENT_AT_MOST:
                self._publish()
                self._empty_log()

    def _logging(self, oid: str, kind: str, data: bytes) -> bytes:
        """An object as it stands in the log; a tree as what it has beyond the most similar one there."""
        text, head = f"{kind} {len(data)}\0".encode() + data, b""
        if kind == "tree" and len(data) >= _LIKE_AT_LEAST and self._likes:
            name, like = min(self._likes, key=lambda known: abs(len(known[1]) - len(data)))
            head, packer = bytes.fromhex(name), zlib.compressobj(1, zdict=like)
        else:
            packer = zlib.compressobj(1)
        body = head + packer.compress(text) + packer.flush()
        return _LOG_HEAD.pack(bytes.fromhex(oid), len(body) | (_LIKE if head else 0)) + body

    def _empty_log(self) -> None:
        self._likes.clear()
        os.sync()
        (self.git_dir / _LOG).write_bytes(b"")

    def _remember(self, oid: str, entries: dict[str, Entry]) -> dict[str, Entry]:
        with self._lock:
            if oid not in self._trees:
                self._trees[oid] = entries
                self._names += len(entries)
            while len(self._trees) > 1 and (len(self._trees) > _TREES_CACHED or self._names > _NAMES_CACHED):
                self._names -= len(self._trees.popitem(last=False)[1])
            if len(self._shared) > 2 * _NAMES_CACHED:
                self._shared.clear()
        return entries
