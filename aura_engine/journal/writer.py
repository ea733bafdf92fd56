"""The writer thread: takes all events that wait into one transaction, and tells the loop when they are safe."""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aura_engine.errors import AuraError, JournalError, OwnedError
from aura_engine.faults import fault
from aura_engine.journal import schema
from aura_engine.journal.reserve import Reserve

GROUP = 1_000
"""Events after which a transaction takes no more."""
LATER = 0.05
"""Seconds that an event which nobody waits for may wait for others."""
FIRST_DELAY, LONGEST_DELAY, GIVE_UP = 0.05, 5.0, 24 * 3600.0
"""Seconds: between tries of a commit that found the disk full, and until the journal gives up."""

Row = tuple[int, float, str, int, str, int]
Trouble = Callable[[AuraError | None], None]


class Pending(NamedTuple):
    """An event on its way to the disk (None: just a mark in the queue) and the future that tells when it is there."""

    row: Row | None
    future: asyncio.Future[int]


class Writer:
    """Owns the writing connection. `put` is for the loop's thread; all else happens on the writer's own."""

    def __init__(self, connection: sqlite3.Connection, path: Path, epoch: int, on_trouble: Trouble) -> None:
        self.failure: AuraError | None = None
        """Why nothing can be written any more."""
        self._connection = connection
        self._path = path
        self._epoch = epoch
        self._on_trouble = on_trouble
        self._identity = schema.identity(path)
        self._reserve = Reserve(path.with_name(path.name + ".reserve"))
        self._reserve.hold()
        self._troubled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.waiting = 0
        """Events queued and not yet settled; counted on the loop's thread only."""
        self._held: list[Pending] = []
        self._due: asyncio.TimerHandle | None = None
        """When what is held goes at the latest."""
        self._queue: queue.SimpleQueue[list[Pending] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        # A daemon: a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, pending: Pending, *, soon: bool = True) -> None:
        """Queue an event; order is kept. One that is not wanted soon goes with the next that is, or after LATER."""
        self._loop = pending.future.get_loop()
        self.waiting += 1
        self._held.append(pending)
        if soon or len(self._held) >= GROUP:
            self.release()
        elif self._due is None:
            self._due = self._loop.call_later(LATER, self.release)

    def release(self) -> None:
        """Hand over what is held; on the loop's thread."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._held:
            self._queue.put(self._held)
            self._held = []

    def stop(self, limit: float) -> bool:
        """Write what was released, close the file, end the thread; False when that took more than `limit` s. Blocks."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(limit)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            open_end = True
            while open_end:
                batch, open_end = self._next_batch()
                if batch:
                    self._settle(batch)
                if not self._reserve.held and self.failure is None:
                    self._recover()
            fault("journal.close")
        except Exception as caught:  # `stop` tells of it
            self.failure = schema.explain(caught, self._path)
        finally:
            self._reserve.release()
            with suppress(sqlite3.Error):
                self._connection.close()

    def _next_batch(self) -> tuple[list[Pending], bool]:
        """All that waits (it blocks until there is something) and whether more may come."""
        batch: list[Pending] = []
        try:
            # After trouble it looks from time to time whether the disk has room again, also when nothing is written.
            item = self._queue.get(timeout=LONGEST_DELAY if self._troubled else None)
        except queue.Empty:
            return batch, True
        while item is not None:
            batch += item
            if len(batch) >= GROUP:
                return batch, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _settle(self, batch: Sequence[Pending]) -> None:
        """Commit a batch and resolve its futures, or fail them all: after a failure nothing later may be written."""
        error = self.failure
        if error is None:
            try:
                self._commit(batch)
            except Exception as caught:
                self._roll_back()
                error = caught if isinstance(caught, AuraError) else schema.explain(caught, self._path)
                self.failure = error
                self._tell(self._on_trouble, error)
        self._tell(self._resolve, batch, error)

    def _commit(self, batch: Sequence[Pending]) -> None:
        """One transaction, tried again while the disk is full; raises what no waiting will mend."""
        rows = [pending.row for pending in batch if pending.row is not None]
        delay, deadline = FIRST_DELAY, time.monotonic() + GIVE_UP
        while True:
            try:
                self._transaction(rows)
                break
            except sqlite3.Error as error:
                self._roll_back()
                last_try = self._closing.is_set() or time.monotonic() > deadline
                if getattr(error, "sqlite_errorcode", 0) not in schema.PASSING:
                    raise
                given_up = self._reserve.release()
                if last_try and not given_up:
                    raise
                if not self._troubled:
                    self._troubled = True
                    self._tell(self._on_trouble, schema.explain(error, self._path))
            if not given_up:
                self._closing.wait(delay * random.uniform(0.5, 1.0))
                delay = min(delay * 2, LONGEST_DELAY)

    def _recover(self) -> None:
        """After trouble: it is over when the reserve can be had again."""
        if self._reserve.hold() and self._troubled:
            self._troubled = False
            self._tell(self._on_trouble, None)

    def _transaction(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        epoch = self._connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
        if epoch != self._epoch:
            raise OwnedError(
                "Another engine has taken this goal over; this one stops writing.",
                cure="Watch it with `aura status`.",
            )
        self._connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
        fault("journal.commit")
        self._connection.execute("COMMIT")
        fault("journal.committed")
        # Looked at after the commit and before anybody is told: what was written to a deleted file is not safe.
        try:
            there = schema.identity(self._path) == self._identity
        except FileNotFoundError:
            there = False
        if not there:
            raise JournalError(
                f"The journal {self._path} was deleted or replaced while Aura was running.",
                cure="Put the folder back, or start the goal again.",
            )

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        # RuntimeError: the loop is closed, nobody is left to be told.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(callback, *arguments)

    def _resolve(self, batch: Sequence[Pending], error: AuraError | None) -> None:
        """On the loop: one wake-up for the whole group."""
        self.waiting -= len(batch)
        for row, future in batch:
            if future.done():
                continue
            if error is None:
                future.set_result(row[0] if row else 0)
            else:
                future.set_exception(error)
                # Marked as seen: `on_trouble` has told it, and many callers never look at the future.
                future.exception()
