"""Git's index file (version 2), read only for its stats: which files of a workspace nobody has touched."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from aura_engine.workspace.files import mode_of
from aura_engine.workspace.objects import Entry

_FIELDS = struct.Struct(">IIII4xI4x8xI20sH")
_HEADER = 12


def untouched(place: Path, entries: Mapping[str, Entry], files: Mapping[str, os.stat_result]) -> set[str]:
    """Those of `files` whose stat proves that they still are what the index and `entries` say; none without an index.

    A file written in the same tick of the file system's clock as the index may have been changed since without a trace,
    so it is not among them.
    """
    try:
        data = place.read_bytes()
        written = place.stat().st_mtime_ns
    except FileNotFoundError:
        return set()
    proven: set[str] = set()
    at = _HEADER
    for _ in range(int.from_bytes(data[8:12], "big")):
        cs, cn, ms, mn, inode, size, oid, flags = _FIELDS.unpack_from(data, at)
        start = at + _FIELDS.size
        end = start + (flags & 0xFFF) if flags & 0xFFF < 0xFFF else data.index(b"\0", start)
        at += (end - at + 8) // 8 * 8
        path = data[start:end].decode(errors="surrogateescape")
        info, entry = files.get(path), entries.get(path)
        if (
            info
            and entry
            and info.st_ctime_ns == cs * 1_000_000_000 + cn < written
            and info.st_mtime_ns == ms * 1_000_000_000 + mn
            and info.st_ino & 0xFFFFFFFF == inode
            and info.st_size & 0xFFFFFFFF == size
            and entry.oid == oid.hex()
            and entry.mode == mode_of(info)
        ):
            proven.add(path)
    return proven
