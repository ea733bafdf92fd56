"""Which file system a path lies on: SQLite's shared-memory log is unsound on network file systems."""

from __future__ import annotations

import re
from pathlib import Path

from aura_engine.errors import JournalError

NETWORK = frozenset(
    {
        "9p",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
MOUNTS = Path("/proc/mounts")


def filesystem_type(path: Path, *, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds `path`, such as `ext4`; empty where the system has no mount table."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    resolved = path.resolve()
    best, kind = -1, ""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescape(fields[1]))
        # A later line hides an earlier one at the same place: that is what was mounted last.
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def refuse_network(folder: Path, *, mounts: Path = MOUNTS) -> None:
    """Raise JournalError when `folder` is on a network file system."""
    kind = filesystem_type(folder, mounts=mounts)
    if kind in NETWORK:
        raise JournalError(
            f"{folder} is on a network file system ({kind}), where the journal cannot be kept safely.",
            cure="Choose a folder on a local disk with --data-dir.",
        )


def _unescape(field: str) -> str:
    """The mount table writes blanks as octal: `/my\\040disk`."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
