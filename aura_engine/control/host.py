"""What the socket's server and the in-process link need of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aura_engine.control.link import Live, Machine, Told
from aura_engine.core.commands import Command
from aura_engine.core.events import Event


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that was read back, from the journal or from an engine; a `Told`."""

    seq: int
    time: float
    event: Event


class Row(Protocol):
    """An event as the journal holds it."""

    @property
    def seq(self) -> int:
        """Its number."""
        ...

    @property
    def time(self) -> float:
        """Wall time in seconds since the epoch."""
        ...

    @property
    def kind(self) -> str:
        """Of the event."""
        ...

    @property
    def payload(self) -> str:
        """The event as JSON."""
        ...


class Host(Protocol):
    """An engine as its viewers see it. All but `history` and the plain values is called on the engine's loop."""

    run: Path
    """The run's folder."""
    task_file: Path

    @property
    def last_seq(self) -> int:
        """The number of the newest event, on the disk or on its way there."""
        ...

    def subscribe(self, subscriber: Callable[[Told], None]) -> None:
        """Called for each event once it is on the disk, in order; for as long as the engine runs."""
        ...

    def history(self, after: int) -> Iterator[Row]:
        """The events on the disk with numbers above `after`. Blocks; from any thread. JournalError."""
        ...

    async def on_disk(self) -> None:
        """Return when all that has happened so far is on the disk. JournalError when that takes too long."""
        ...

    def command(self, command: Command) -> str:
        """Take a request: "" when it is accepted, else why not."""
        ...

    def telemetry(self) -> Mapping[str, Live]:
        """By attempt, for those that run. A new mapping each time."""
        ...

    def machine(self) -> Machine | None:
        """The latest sample."""
        ...

    async def diff(self, task: str) -> str:
        """Unified diff of what landed or is in work. AuraError, OSError."""
        ...

    def diff_left(self, task: str) -> str:
        """What the last attempt left, once the engine has ended. Blocks; from any thread. AuraError, OSError."""
        ...
