"""The event store: appends are numbered at once, safe a moment later, and read back in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Self

from aura_engine.errors import AuraError, JournalError
from aura_engine.faults import fault
from aura_engine.journal import schema
from aura_engine.journal.filesystem import refuse_network
from aura_engine.journal.writer import Pending, Trouble, Writer

QUEUE = 100_000
"""Events that may wait for the disk before `append` refuses more."""


class Entry(NamedTuple):
    """One event as stored. `time` is wall time in seconds; `version` that of the event's own form; `payload` JSON."""

    seq: int
    time: float
    kind: str
    version: int
    payload: str


class Journal:
    """The events of one run. Use it from one event loop; `read` from anywhere."""

    def __init__(self, path: Path, run_id: str, last: int, epoch: int, writer: Writer | None) -> None:
        self.path = path
        self.run_id = run_id
        self.epoch = epoch
        """How often the journal was opened for writing; an older writer's commits are refused."""
        self._last = last
        self._writer = writer

    @classmethod
    def open(cls, path: Path, *, writer: bool = True, on_trouble: Trouble = lambda _: None) -> Self:
        """Open the journal at `path`; a writer makes it if there is none. Blocks: it checks the whole file.

        Args:
            path: the file; its folder must exist, on a local disk.
            writer: whether events will be appended. The run's lock must be held; the writer before is fenced off.
            on_trouble: called on the loop with DiskFull or another JournalError when a commit has to wait, with None
                when that is over, and with the error that also becomes `failure` when nothing can be written any more.

        Raises:
            JournalError: no such folder, damaged, too new, on a network file system, not there (readers).
        """
        try:
            if writer:
                refuse_network(path.parent)
                if not schema.exists(path):
                    schema.create(path)
            elif not schema.exists(path):
                raise JournalError(f"There is no journal at {path}.", cure="Start the goal first: aura TASK.md")
            connection = schema.connect(path, readonly=not writer)
        except (OSError, sqlite3.Error) as error:
            raise schema.explain(error, path) from error
        try:
            return cls._opened(connection, path, on_trouble if writer else None)
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise schema.explain(error, path) from error
        except BaseException:
            connection.close()
            raise

    @classmethod
    def _opened(cls, connection: sqlite3.Connection, path: Path, on_trouble: Trouble | None) -> Self:
        version = schema.check(connection, path)
        if on_trouble is not None:
            schema.migrate(connection, path, version)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
            fault("journal.opened")
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        last = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        if not isinstance(meta.get("epoch"), int) or not meta.get("run_id"):
            raise schema.damaged(path, "its head is missing")
        if on_trouble is None:
            connection.close()
            return cls(path, meta["run_id"], last, meta["epoch"], None)
        return cls(path, meta["run_id"], last, meta["epoch"], Writer(connection, path, meta["epoch"], on_trouble))

    @property
    def last_seq(self) -> int:
        """The number of the newest event, on disk or on its way; 0 for none."""
        return self._last

    @property
    def failure(self) -> AuraError | None:
        """Why nothing can be appended any more; None while all is well or only waits for the disk."""
        return self._writer.failure if self._writer else None

    def append(
        self, kind: str, time: float, payload: str, *, version: int = 1, soon: bool = True
    ) -> asyncio.Future[int]:
        """Number an event and queue it; the future gives that number once it is on the disk.

        `soon`: somebody waits for it. Else it goes with the next event that is waited for, or a moment later.

        Numbers have no gaps. A commit that finds the disk full is tried again, so the future may wait long; it fails
        with the journal's `failure`. Cancelling it does not take the event back.

        Raises:
            JournalError, OwnedError: nothing can be appended (any more), or too much waits; nothing was numbered.
        """
        if self._writer is None:
            raise JournalError(f"The journal {self.path} is not open for writing.")
        if self._writer.failure is not None:
            raise self._writer.failure
        if self._writer.waiting >= QUEUE:
            raise JournalError(
                f"{self._writer.waiting} events wait for the disk that holds {self.path}.",
                cure="Free space on that disk.",
            )
        seq, when = self._last + 1, float(time)
        row = (seq, when, kind, version, payload, schema.checksum(seq, when, kind, version, payload))
        future = asyncio.get_running_loop().create_future()
        self._last = seq
        self._writer.put(Pending(row, future), soon=soon)
        return future

    async def flush(self, limit: float = 30.0) -> None:
        """Return when all events appended so far are on the disk; JournalError after `limit` seconds."""
        if self._writer is None:
            return
        mark: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._writer.put(Pending(None, mark))
        try:
            async with asyncio.timeout(limit):
                await mark
        except TimeoutError:
            raise JournalError(
                f"The journal {self.path} could not be written for {limit:g} s.", cure="Look at the disk that holds it."
            ) from None

    async def close(self, limit: float = 30.0) -> None:
        """Write what waits (one last try) and close the file; raises `failure`, or JournalError after `limit` s."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.release()
        if not await asyncio.to_thread(writer.stop, limit):
            raise JournalError(f"The journal {self.path} could not be closed within {limit:g} s.")
        if writer.failure is not None:
            raise writer.failure

    def read(self, after: int = 0) -> Iterator[Entry]:
        """The events on the disk with numbers above `after`, in order, each checked. Blocks; exhaust it soon.

        Raises:
            JournalError: the file is damaged; what was yielded before is sound.
        """
        seq = after
        try:
            with closing(schema.connect(self.path, readonly=True)) as connection:
                rows = connection.execute(
                    "SELECT seq, time, kind, version, payload, crc FROM events WHERE seq > ? ORDER BY seq", (after,)
                )
                for *fields, crc in rows:
                    entry = Entry(*fields)
                    seq += 1
                    if entry.seq != seq or crc != schema.checksum(*entry):
                        raise schema.damaged(self.path, f"event {seq} is missing or changed")
                    yield entry
        except (OSError, sqlite3.Error) as error:
            raise schema.explain(error, self.path) from error

    async def backup(self, destination: Path) -> None:
        """Write a whole copy to `destination`, also while events are appended; it appears there only when complete."""
        try:
            await asyncio.to_thread(schema.copy, self.path, destination)
        except (OSError, sqlite3.Error) as error:
            raise schema.explain(error, self.path) from error
