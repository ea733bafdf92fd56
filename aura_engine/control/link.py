"""The one thing a screen knows of an engine: facts in, commands out; the same in-process and over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aura_engine.core.commands import Command
from aura_engine.core.events import Event


class Told(Protocol):
    """An event that is on the disk. The recorder's `Committed` is one."""

    @property
    def seq(self) -> int:
        """Its number in the journal, counted from 1 without gaps."""
        ...

    @property
    def time(self) -> float:
        """Wall time in seconds since the epoch."""
        ...

    @property
    def event(self) -> Event:
        """What happened."""
        ...


Batch = Sequence[Told]


GOAL = "goal"
"""Among the attempts of `Link.telemetry`: which of the goal's checks is run now, as its step."""


@dataclass(frozen=True, slots=True)
class Live:
    """What a running attempt does now, as its stream and the machine say; never journaled."""

    step: str = ""
    """The last thing it did, in words; not cleaned."""
    tokens: int = 0
    cost: float = 0.0
    """USD; 0 where unknown."""
    turns: int = 0
    cpu: float = 0.0
    """Percent of one core."""
    rss: int = 0
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics card."""

    name: str
    percent: float
    used: int
    """Bytes of its memory."""
    total: int
    celsius: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """The latest sample of the machine."""

    cpu: float
    """Percent of all cores."""
    memory_used: int
    memory_total: int
    disk_free: int
    """Bytes, on the disk that holds the run."""
    gpus: tuple[Gpu, ...] = ()


class Link(Protocol):
    """A connection to one run. Everything is called on the screen's loop; the link crosses to the engine by itself."""

    read_only: bool
    """True: commands are refused (another screen steers, or the engine is gone)."""

    def events(self, since: int) -> AsyncIterator[Batch]:
        """The facts after number `since`: history in large batches, then live ones at least 50 ms apart. No gaps."""
        ...

    def telemetry(self) -> Mapping[str, Live]:
        """By attempt (`A1.2#3`), for those that run. A cheap snapshot."""
        ...

    def machine(self) -> Machine | None:
        """The latest sample; None before the first."""
        ...

    async def command(self, command: Command) -> str:
        """Ask for something: "" when it was accepted, else why not, in a sentence."""
        ...

    def output(self, task: str, n: int) -> Path | None:
        """Where the attempt's output is written; None when it cannot be read from here."""
        ...

    async def diff(self, task: str) -> str:
        """Unified diff of what landed, or of what is in work; "" when there is none."""
        ...

    async def prompt(self, call: int) -> str:
        """The exact prompt of that call of the planner's; "" when it is not kept (any longer)."""
        ...

    async def goal(self) -> str:
        """The task file as it is on the disk."""
        ...

    async def save_goal(self, text: str, expected: str) -> str:
        """Write the task file if it still reads `expected`: "" when done, else why not."""
        ...

    async def draft(self) -> tuple[str, str] | None:
        """The task file as it was, and as somebody was about to save it when their screen went; None for none."""
        ...

    async def keep_draft(self, draft: tuple[str, str] | None) -> None:
        """Keep that, over the death of this process too; None forgets it. OSError."""
        ...
