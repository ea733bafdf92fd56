"""The journal's file: how it is laid out, opened, made, migrated, copied, and what its errors mean."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import uuid
import zlib
from contextlib import closing, suppress
from pathlib import Path

from aura_engine.errors import DiskFull, JournalError
from aura_engine.faults import fault

APPLICATION_ID = 0x41757261
"""“Aura” in the file's header: another program's database is never taken for a journal."""

# A commit writes whole pages: small ones make small commits (measured, one event each with all checkpoints: 2.7 kB
# at 1 KiB, 5.2 kB at 4 KiB).
PAGE_SIZE = 1024
BUSY_MS = 5_000

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
        payload TEXT NOT NULL, crc INTEGER NOT NULL
    );
    """,
)
"""Step N brings a file of schema version N to N + 1; a new file goes through all of them. Only ever add to the end."""

PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_BUSY})
"""Errors after which the same commit may be tried again: nothing of it was kept."""


def checksum(seq: int, time: float, kind: str, version: int, payload: str) -> int:
    """CRC-32 of one event. SQLite has none of its own: a flipped bit in a payload would be folded as a fact."""
    return zlib.crc32(f"{seq}\0{time!r}\0{kind}\0{version}\0{payload}".encode())


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open the existing file at `path`; it is never created here. Autocommit; usable from one thread at a time."""
    uri = f"{path.resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=16)
    try:
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            "cell_size_check=ON",
            # A reader must be able to recover the log of a dead engine, which `mode=ro` may not.
            f"query_only={'ON' if readonly else 'OFF'}",
            "synchronous=FULL",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path) -> None:
    """Make a new journal at `path`: whole or not at all, so that an empty file there is always damage."""
    fresh = path.with_name(path.name + ".new")
    for leftover in (fresh, _beside(fresh, "-wal"), _beside(fresh, "-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(connect(fresh, readonly=False)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        _step(connection, 0, "".join(MIGRATIONS), len(MIGRATIONS))
        connection.execute("INSERT INTO meta VALUES ('epoch', 0), ('run_id', ?)", (uuid.uuid4().hex,))
    fault("journal.create")
    fresh.rename(path)
    sync_folder(path.parent)


def check(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of an open journal; raise JournalError when the file is not one, damaged or too new."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise damaged(path, "it is not a journal of Aura's")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise JournalError(
            f"{path} was written by a newer Aura (schema {version}; this one knows {len(MIGRATIONS)}).",
            cure="Use that version of Aura, or another folder with --data-dir.",
        )
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem == "ok" and _layout(connection) != _expected_layout(version):
        problem = "its tables are not those of a journal"
    if problem != "ok":
        raise damaged(path, problem)
    return version


def migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Bring the file from schema `version` to the newest, each step one transaction; the old file is kept beside it."""
    if version == len(MIGRATIONS):
        return
    copy(path, path.with_name(f"{path.name}.v{version}.bak"))
    for number in range(version, len(MIGRATIONS)):
        _step(connection, number, MIGRATIONS[number], number + 1)


def copy(path: Path, destination: Path) -> None:
    """Write a whole copy of a journal, in use or not, to `destination`; a half-made one never bears that name."""
    part = destination.with_name(destination.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(connect(path, readonly=True)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        fault("backup.copied")
        part.rename(destination)
        sync_folder(destination.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def exists(path: Path) -> bool:
    """Whether there is a journal; raise JournalError when only its log is left."""
    if path.exists():
        return True
    if _beside(path, "-wal").exists():
        raise damaged(path, "the file is gone, only its log is left")
    return False


def identity(path: Path) -> tuple[int, ...]:
    """What tells the file and its log from others of the same names: device and inode; FileNotFoundError if gone."""
    file, log = os.stat(path), os.stat(f"{path}-wal")  # noqa: PTH116  # after each commit: no Path is made for it
    return file.st_dev, file.st_ino, log.st_dev, log.st_ino


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(path: Path, what: str) -> JournalError:
    """The error for a file that cannot be trusted; names the copies that there are."""
    copies = sorted(file.name for file in path.parent.glob(f"{path.name}*.bak"))
    found = f" Copies beside it: {', '.join(copies)}." if copies else ""
    return JournalError(
        f"The journal {path} is damaged: {what}.",
        cure=f"Put a backup in its place and remove {path.name}-wal and -shm, or move its folder away to begin afresh."
        + found,
    )


def explain(error: Exception, path: Path) -> JournalError:
    """What an error of SQLite or of the system means, in a person's words."""
    # The low byte is the kind; the rest says which call it was.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.Error) else 0)
    kind = code & 0xFF
    no_space = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if no_space or kind == sqlite3.SQLITE_FULL or (kind == sqlite3.SQLITE_IOERR and _is_full(path.parent)):
        return DiskFull(f"The disk that holds {path} is full.", cure="Free some space.")
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    return JournalError(
        f"The journal {path} cannot be used: {error}.",
        cure="Check that its folder is there, is yours to write, and that the disk is sound.",
    )


def _step(connection: sqlite3.Connection, number: int, script: str, version: int) -> None:
    """One migration in one transaction; on any error the file stays as it was."""
    connection.set_trace_callback(lambda _: fault("journal.migrate"))
    try:
        # executescript commits what is open first, so the transaction stands in the script itself.
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version={version}; COMMIT;")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise JournalError(
            f"The journal could not be brought from schema {number} to {version}: {error}.",
            cure="Nothing was changed. Use the former version of Aura, or another folder with --data-dir.",
        ) from error
    finally:
        connection.set_trace_callback(None)


def _layout(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Names and definitions of all tables: a flipped bit in them SQLite takes as sound, and finds nothing."""
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def _expected_layout(version: int) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.executescript("".join(MIGRATIONS[:version]))
        return _layout(scratch)


def _is_full(folder: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(folder).free < PAGE_SIZE * 64
    return False


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
