"""What is seen of an output file: a page of rows at a place, however long the file and whatever the width.

A place is a line of the file and a row within what that line is shown as, so that neither a new width nor new lines
move it. Only lines near the place are ever parsed. Everything here blocks on the disk: it runs off the screen's loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from aura_engine.core.model import Signal
from aura_engine.report.steps import LABEL, Step, raw_step, said_clock, steps_of
from aura_engine.report.words import clock_time
from aura_engine.workers.base import StreamParser
from aura_engine.workers.parsers import ParserMaker
from aura_tui.logs.file import Line, LogFile
from aura_tui.logs.wrap import wrap

RUN = 64
"""Lines that are parsed together."""
CACHE = 1024
"""Lines whose steps are remembered."""
MOST = 4096
"""Lines looked at for one page: a stream that says nothing for longer shows what there is."""
CLOCK = 9
"""Cells of the column of times."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the file: line number from 0, and which of its rows."""

    line: int
    row: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """One row of a page."""

    place: Place
    time: str
    label: str
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class Request:
    """What to show: from `top` on, or the end when it is None; then moved by so many rows."""

    width: int
    height: int
    top: Place | None = None
    move: int = 0
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The rows, and where they lie in the file."""

    rows: tuple[Shown, ...]
    top: Place
    at_end: bool
    total: int
    """Lines of the file."""
    complete: int
    behind: int
    """Bytes not looked at yet."""
    generation: int
    error: str


class Pager:
    """Pages of one output file. A search and a page may be asked for from two threads."""

    def __init__(self, path: Path, make_parser: ParserMaker) -> None:
        self.file = LogFile(path)
        self._make = make_parser
        self._cache: OrderedDict[tuple[int, bool], tuple[str, list[Step]]] = OrderedDict()
        self._lock = Lock()
        self._generation = 0
        self._partial = -1

    def page(self, request: Request, now: float) -> Page:
        """Take in what is new and show what is asked for. `now` is wall time in seconds."""
        with self._lock, self.file.opened():
            self.file.index(now)
            self._settle()
            return self._page(request)

    def find(self, needle: str, start: int, *, back: bool, raw: bool, limit: int = 2048) -> tuple[int | None, int]:
        """Look through at most `limit` lines from `start` on (that one left out): (line found, where it stopped).

        The second is -1 or the file's length when there is nothing left to look at.
        """
        with self._lock, self.file.opened():
            self._settle()
            return self._find(needle.casefold(), start, back=back, raw=raw, left=limit)

    def _page(self, request: Request) -> Page:
        file = self.file
        height = max(1, request.height)
        if request.top is None and request.move >= 0:
            rows = self._before(Place(file.total), height, request)
        else:
            top = request.top or self._first(self._before(Place(file.total), height, request))
            rows = self._around(self._moved(top, request), height, request)
        top = self._first(rows)
        end = rows[-1].place if rows else top
        at_end = (request.top is None and request.move >= 0) or next(self._after(end, request, skip=1), None) is None
        return Page(tuple(rows), top, at_end, file.total, file.complete, file.behind, file.generation, file.error)

    def _find(self, wanted: str, start: int, *, back: bool, raw: bool, left: int) -> tuple[int | None, int]:
        # What is plain in the needle is plain in JSON too: most lines need no parsing to be passed over.
        quick = wanted.encode().split() if wanted.isascii() and not set(wanted) & set('"\\') else []
        step, at = (-RUN if back else RUN), start
        while left > 0 and (at > 0 if back else at < self.file.total - 1):
            low, high = (max(0, at - RUN), at) if back else (at + 1, min(self.file.total, at + 1 + RUN))
            lines = list(self.file.lines(low, high))
            for line in reversed(lines) if back else lines:
                if quick and not all(word in line.data.lower() for word in quick):
                    continue
                if any(wanted in f"{s.label} {s.text}".casefold() for s in self._steps(line.number, raw)[1]):
                    return line.number, line.number
            at, left = at + step, left - RUN
        exhausted = at <= 0 if back else at >= self.file.total - 1
        return None, (-1 if back else self.file.total) if exhausted else at

    def _settle(self) -> None:
        if self._generation != self.file.generation:
            self._generation = self.file.generation
            self._cache.clear()
        for raw in (False, True):  # it may have grown since
            self._cache.pop((self._partial, raw), None)

    @staticmethod
    def _first(rows: list[Shown]) -> Place:
        return rows[0].place if rows else Place(0)

    def _moved(self, top: Place, request: Request) -> Place:
        if request.move < 0:
            return self._first(self._before(top, -request.move, request)) if top.line or top.row else top
        if request.move > 0:
            after = self._after(top, request, skip=1)
            last = top
            for _, shown in zip(range(request.move), after, strict=False):
                last = shown.place
            return last
        return top

    def _around(self, top: Place, height: int, request: Request) -> list[Shown]:
        """A full page from `top` on; where the end comes first, rows before it fill the page up."""
        rows = [shown for _, shown in zip(range(height), self._after(top, request), strict=False)]
        if len(rows) < height:
            rows = self._before(rows[0].place if rows else top, height - len(rows), request) + rows
        return rows

    def _before(self, place: Place, count: int, request: Request) -> list[Shown]:
        """The `count` rows before a place."""
        found: list[Shown] = self._rows(place.line, request)[: place.row]
        line = place.line
        for _ in range(MOST):
            if len(found) >= count or line <= 0:
                break
            line -= 1
            found = self._rows(line, request) + found
        return found[-count:] if count else []

    def _after(self, place: Place, request: Request, skip: int = 0) -> Iterator[Shown]:
        """The rows from a place on, `skip` of them left out."""
        rows = self._rows(place.line, request)
        yield from rows[place.row + skip :]
        for line in range(place.line + 1, min(self.file.total, place.line + 1 + MOST)):
            yield from self._rows(line, request)

    def _rows(self, number: int, request: Request) -> list[Shown]:
        if number >= self.file.total:
            return []
        time, steps = self._steps(number, request.raw)
        found: list[Shown] = []
        room = max(1, request.width if request.raw else request.width - CLOCK - LABEL - 1)
        for step in steps:
            for index, text in enumerate(wrap(step.text, room)):
                first = index == 0
                place = Place(number, len(found))
                found.append(Shown(place, time if not found else "", step.label if first else "", text, step.tone))
        return found

    def _steps(self, number: int, raw: bool) -> tuple[str, list[Step]]:
        """The time and the steps of a line. Lines are parsed in aligned runs: the same ones always together."""
        found = self._cache.get((number, raw))
        if found is None:
            low = number - number % RUN
            self._parse(
                [line for line in self.file.lines(low, low + RUN) if (line.number, raw) not in self._cache], raw
            )
            found = self._cache.get((number, raw), ("", []))
        return found

    def _parse(self, lines: list[Line], raw: bool) -> None:
        parser = None if raw else self._make()
        for line in lines:
            if line.number < self.file.complete:
                self._cache[line.number, raw] = (self._time(line), self._read(parser, line))
            else:
                # Not written to its end: raw it is shown as far as it goes; as a step it says nothing yet.
                self._cache[line.number, raw] = ("", [raw_step(line.data, line.size)] if raw else [])
                self._partial = line.number
        if parser is not None and lines and (rest := steps_of(parser.close())):
            self._cache[lines[-1].number, raw][1].extend(rest)
        while len(self._cache) > CACHE:
            self._cache.popitem(last=False)

    def _read(self, parser: StreamParser | None, line: Line) -> list[Step]:
        if parser is None or line.size > len(line.data):
            return [raw_step(line.data, line.size)]
        signals: list[Signal] = parser.feed(line.data + b"\n")
        return steps_of(signals)

    def _time(self, line: Line) -> str:
        if said := said_clock(line.data):
            return said
        seen = self.file.arrival(line.number)
        return clock_time(seen) if seen is not None else ""
