"""Files over 5 MB, kept by hash beside the store: in its trees stands a one-line pointer.

A file that merely looks like a pointer is kept this way too, so that every pointer in a tree is one of ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Container, Iterator
from pathlib import Path

from aura_engine.workspace.objects import make, write_all

LARGE = 5 * 1024 * 1024
"""Bytes from which on a file is kept beside the store."""

MAGIC = b"aura-large-file sha256:"
_NAME = re.compile(r"[0-9a-f]{64}-\d+")
_CHUNK = 1 << 20


def chunks(fd: int, size: int) -> Iterator[bytes]:
    """At most `size` bytes of an open file: it may be growing while it is read."""
    while size > 0 and (chunk := os.read(fd, min(_CHUNK, size))):
        size -= len(chunk)
        yield chunk


def copy(source: Path, target: Path, mode: int) -> None:
    """Copy a file's bytes to a new file, sharing blocks where the file system can; never a hard link.

    OSError where not all of it fits.
    """
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with source.open("rb", buffering=0) as file, os.fdopen(out, "wb", buffering=0) as sink:
        if hasattr(os, "copy_file_range"):
            try:
                while os.copy_file_range(file.fileno(), sink.fileno(), 1 << 30):
                    pass
                if sink.tell() == os.fstat(file.fileno()).st_size:
                    return
            except OSError:  # across file systems, or one that cannot
                pass
            file.seek(0)
            sink.seek(0)
        while chunk := file.read(_CHUNK):
            write_all(sink.fileno(), chunk)  # a full disk takes a part and says so only when it is asked again


class LargeFiles:
    """The large files of one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_pointer: dict[str, Path] = {}

    def load(self, *, tidy: bool = True) -> None:
        """Make the folder, and know what earlier runs left in it. `tidy` is for whoever owns the store."""
        self._folder.mkdir(0o700, exist_ok=True)
        for place in self._folder.iterdir():
            if _NAME.fullmatch(place.name):
                self._by_pointer[_pointer(place.name)[1]] = place
            elif tidy:
                place.unlink()  # a copy that a crash cut short

    def keep_only(self, pointers: Container[str]) -> None:
        """Remove the large files that none of these blobs points to."""
        for oid in [oid for oid in self._by_pointer if oid not in pointers]:
            self._by_pointer.pop(oid).unlink(missing_ok=True)

    @property
    def any(self) -> bool:
        """There are some."""
        return bool(self._by_pointer)

    def find(self, oid: str) -> Path | None:
        """The large file that this blob points to; None for an ordinary blob."""
        return self._by_pointer.get(oid)

    def identify(self, fd: int, size: int) -> str:
        """The id its pointer would have; nothing is kept."""
        digest = hashlib.sha256()
        read = 0
        for chunk in chunks(fd, size):
            digest.update(chunk)
            read += len(chunk)
        return _pointer(f"{digest.hexdigest()}-{read}")[1]

    def add(self, fd: int, size: int) -> bytes:
        """Keep at most `size` bytes of an open file; the pointer that stands for it. OSError when the disk is full."""
        digest = hashlib.sha256()
        read = 0
        temporary = self._folder / f"tmp-{secrets.token_hex(8)}"
        try:
            out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(out, "wb") as sink:
                for chunk in chunks(fd, size):
                    digest.update(chunk)
                    sink.write(chunk)
                    read += len(chunk)
                sink.flush()
                os.fsync(sink.fileno())
            place = self._folder / f"{digest.hexdigest()}-{read}"
            temporary.rename(place)
        finally:
            temporary.unlink(missing_ok=True)
        data, oid = _pointer(place.name)
        self._by_pointer[oid] = place
        return data


def _pointer(name: str) -> tuple[bytes, str]:
    sha, _, size = name.partition("-")
    data = MAGIC + f"{sha} size:{size}\n".encode()
    return data, make({}, "blob", data)
