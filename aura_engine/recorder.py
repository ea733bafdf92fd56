"""Facts first: an event is folded and queued for the disk at once, and its effects wait for the commit.

State may run ahead of the disk by the events in flight; whoever acts on one awaits `record` first (rule 1), and
subscribers hear of it only when it is committed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from aura_engine.clock import Clock
from aura_engine.core.events import Event, decode, encode
from aura_engine.core.fold import apply
from aura_engine.core.redaction import Redactor
from aura_engine.core.state import RunState
from aura_engine.errors import JournalError
from aura_engine.journal.store import Journal


class Committed(NamedTuple):
    """An event that is on the disk; `time` is wall time in seconds."""

    seq: int
    time: float
    event: Event


Subscriber = Callable[[Committed], None]


class Recorder:
    """The one way in which anything becomes true."""

    def __init__(self, journal: Journal, clock: Clock, redactor: Redactor | None = None) -> None:
        self.journal = journal
        self.clock = clock
        self.redactor = redactor or Redactor()
        """Takes secrets out of what is written."""
        self.state = RunState()
        self._subscribers: list[Subscriber] = []

    def replay(self) -> None:
        """Fold what the journal holds. JournalError when an event cannot be understood."""
        for entry in self.journal.read():
            try:
                apply(self.state, decode(entry.kind, entry.payload), entry.time)
            except (ValueError, KeyError, IndexError) as error:
                raise JournalError(
                    f"event {entry.seq} ({entry.kind}) of {self.journal.path} cannot be replayed: {error}.",
                    cure="Was it written by a newer Aura? Update, or move the folder aside to begin afresh.",
                ) from error

    def subscribe(self, subscriber: Subscriber) -> None:
        """Called on the loop for every committed event, in order. Must be quick and must not raise."""
        self._subscribers.append(subscriber)

    def record(self, *events: Event) -> asyncio.Future[int]:
        """Fold the events now; the future resolves when the last of them is on the disk."""
        return self._take(events, soon=True)

    def note(self, *events: Event) -> asyncio.Future[int]:
        """The same for what nobody waits for: a moment later, or with the next that somebody waits for, in one write.

        A crash in that moment forgets them: nothing may be done on them that a fact must stand for.
        """
        return self._take(events, soon=False)

    def _take(self, events: Sequence[Event], *, soon: bool) -> asyncio.Future[int]:
        now = self.clock.wall()
        future: asyncio.Future[int] | None = None
        for given in events:
            event, payload = self._without_secrets(given)
            apply(self.state, event, now)
            future = self.journal.append(event.kind, now, payload, soon=soon)
            future.add_done_callback(partial(self._committed, now, event))
        assert future is not None
        return future

    def _without_secrets(self, event: Event) -> tuple[Event, str]:
        """What is told and folded is what is written: a replay must give the same state."""
        payload = encode(event)
        if not self.redactor.touches(payload):
            return event, payload
        payload = json.dumps(self.redactor.value(json.loads(payload)), ensure_ascii=False, separators=(",", ":"))
        return decode(event.kind, payload), payload

    def _committed(self, time: float, event: Event, future: asyncio.Future[int]) -> None:
        if future.cancelled() or future.exception() is not None:
            return  # the journal's failure stops the engine; nobody hears of what was not written
        committed = Committed(future.result(), time, event)
        for subscriber in self._subscribers:
            subscriber(committed)
