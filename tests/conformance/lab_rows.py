"""What a row of the matrix is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aura_engine.core.model import EndKind
from aura_engine.guard.activity import Limits

BEGIN = ("begin",)
WORK = ("write", "made.txt", "hello\n")
LONG = 60.0
STILL = 0.5
"""Seconds of silence that are too long in the rows that hang."""
AT_START = Limits(first_output=STILL, no_event=LONG, post_result=LONG)
IN_THE_MIDDLE = Limits(first_output=10.0, no_event=STILL, post_result=LONG)
AT_THE_END = Limits(first_output=LONG, no_event=LONG, post_result=0.2)


def every(kind: EndKind, *backends: str) -> dict[str, EndKind]:
    """The same ending for some."""
    return dict.fromkeys(backends, kind)


def reason(text: str, *backends: str) -> dict[str, str]:
    """The same reason for some."""
    return dict.fromkeys(backends, text)


@dataclass(frozen=True)
class Clock:
    """The next time that it is this hour in this zone."""

    hour: int
    zone: str

    def seconds(self, now: float) -> float:
        here = datetime.fromtimestamp(now, ZoneInfo(self.zone))
        then = here.replace(hour=self.hour, minute=0, second=0, microsecond=0)
        return (then if then > here else then + timedelta(days=1)).timestamp() - now


@dataclass(frozen=True)
class Moment:
    """One time, in a zone."""

    when: datetime

    def seconds(self, now: float) -> float:
        return self.when.timestamp() - now

    def __format__(self, pattern: str) -> str:
        return format(self.when, pattern)


def days_from_now(days: int, hour: int, zone: str) -> Moment:
    """That hour of a day to come."""
    then = datetime.now(ZoneInfo(zone)) + timedelta(days=days)
    return Moment(then.replace(hour=hour, minute=0, second=0, microsecond=0))


Wait = float | Clock | Moment


@dataclass(frozen=True)
class Row:
    """A behaviour and what is expected of each backend."""

    name: str
    kind: EndKind
    steps: tuple[tuple[object, ...], ...]
    but: dict[str, EndKind] = field(default_factory=dict)
    cannot: dict[str, str] = field(default_factory=dict)
    wait: Wait | None = None
    """Seconds until the limit is over."""
    words: str = ""
    """Stands in what is said of the ending, of those backends that end as all do."""
    limits: Limits | None = None
    turns: int = 50
    budget: float = 600.0
    stop: bool = False
    """Somebody stops it as soon as it is in the middle."""
    program: str = ""
    """Started in place of the worker's program."""

    @property
    def makes(self) -> bool:
        """Whether its work lies in the workspace afterwards."""
        return any(step == WORK or step[-1] == "hand over" for step in self.steps)

    def expected(self, backend: str) -> EndKind:
        return self.but.get(backend, self.kind)

    def waits(self, backend: str, now: float) -> float | None:
        wait = self.wait if backend not in self.but else None
        return wait.seconds(now) if isinstance(wait, Clock | Moment) else wait


def api(name: str, kind: EndKind, status: int, text: str, **more: object) -> Row:
    """A call of the model that the service refuses."""
    return Row(name, kind, (BEGIN, ("fail", status, text)), **more)


def limit(name: str, text: str, wait: Wait | None, **more: object) -> Row:
    """A limit in the service's words."""
    return Row(name, EndKind.RATE_LIMIT, (BEGIN, ("limit", text)), wait=wait, **more)
