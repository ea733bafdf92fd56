"""The newest events of a run, kept for whoever follows it; what is older is read from the journal.

Nobody has a queue of events of its own: each follower remembers the number it has, so that memory does not grow with
followers that are slow, and none misses anything.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from contextlib import closing
from typing import Any

from aura_engine.control.host import Host
from aura_engine.control.link import Told
from aura_engine.control.protocol import event_text
from aura_engine.core.events import encode

KEPT = 2_000
"""Events held in memory."""
AT_ONCE = 500
"""Events given at once."""
BYTES_AT_ONCE = 2 << 20


class Item:
    """One event, with its text for the wire once somebody asked for that."""

    __slots__ = ("_text", "told")

    def __init__(self, told: Told) -> None:
        self.told = told
        self._text = ""

    @property
    def text(self) -> str:
        """See protocol.event_text."""
        if not self._text:
            told = self.told
            self._text = event_text(told.seq, told.time, told.event.kind, encode(told.event))
        return self._text


class Feed:
    """Follows one host. Use it on the engine's loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._items: deque[Item] = deque(maxlen=KEPT)
        self._wakers: set[asyncio.Event] = set()
        self.last = host.last_seq
        """The number of the newest event that is on the disk."""
        host.subscribe(self._heard)

    def _heard(self, told: Told) -> None:
        self._items.append(Item(told))
        self.last = told.seq
        for waker in self._wakers:
            waker.set()

    def wake(self, waker: asyncio.Event, *, wanted: bool) -> None:
        """Set `waker` whenever there is something new, or no longer."""
        (self._wakers.add if wanted else self._wakers.discard)(waker)

    def between(self, first: int, last: int) -> list[str]:
        """The texts of the events from number `first` to `last`, as far as they are still held."""
        return [item.text for item in self._items if first <= item.told.seq <= last]

    async def after(self, seq: int) -> tuple[int, list[str]]:
        """Some events above `seq`: the number of the last of them, and their texts. JournalError."""
        if seq >= self.last:
            return seq, []
        if self._items and self._items[0].told.seq <= seq + 1:
            start = seq + 1 - self._items[0].told.seq
            rows: list[str] = []
            size = 0
            for item in itertools.islice(self._items, start, start + AT_ONCE):
                rows.append(item.text)
                size += len(item.text)
                if size > BYTES_AT_ONCE:
                    break
            return seq + len(rows), rows
        return await asyncio.to_thread(self._from_journal, seq)

    def _from_journal(self, seq: int) -> tuple[int, list[str]]:
        rows: list[str] = []
        size = 0
        found: Any = self._host.history(seq)
        with closing(found):
            for row in itertools.islice(found, AT_ONCE):
                rows.append(event_text(row.seq, row.time, row.kind, row.payload))
                size += len(rows[-1])
                seq = row.seq
                if size > BYTES_AT_ONCE:
                    break
        return seq, rows
