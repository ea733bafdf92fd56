"""Attempts as bars over time: which cells of a line each takes, and the ticks above them. No Textual here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aura_engine.core.model import Outcome
from aura_engine.core.state import Attempt, RunState
from aura_engine.core.text import one_line
from aura_engine.report.words import UNICODE, clock_time
from aura_tui.dossier import OUTCOMES
from aura_tui.history import Bar, Decision, History
from aura_tui.logs.wrap import cells, cut
from aura_tui.sheet import Part

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
"""Seconds between two ticks."""
TICK = 14
"""Cells between two ticks at least."""
WORDS = {Outcome.PASSED: "landed", Outcome.CAPABILITY: "not good enough"}
ROOM_AFTER = 0.02
"""Share of the width that stays free after now."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is shown, and in how many cells; wall times."""

    start: float
    end: float
    width: int

    def cell(self, at: float) -> int:
        """The cell of a moment, clamped to those there are."""
        share = (at - self.start) / max(1.0, self.end - self.start)
        return max(0, min(self.width - 1, int(share * self.width)))


@dataclass(frozen=True, slots=True)
class Box:
    """What stands in some cells of a lane; `first` and `last` are both taken."""

    first: int
    last: int
    mark: str
    tone: str
    label: str
    bars: tuple[Bar, ...]
    """More than one where there is no room to tell them apart; empty for the planner."""


def span_of(state: RunState, now: float, ended: float, width: int) -> Span:
    """From the run's start to now, or to its end."""
    start = state.started_at or now
    end = max(ended or now, start + 1.0)
    return Span(start, end + (end - start) * (0 if ended else ROOM_AFTER), max(1, width))


def lane(state: RunState, bars: Sequence[Bar], span: Span, now: float) -> list[Box]:
    """The boxes of a lane, from left to right; bars that share a cell share a box."""
    boxes: list[Box] = []
    for bar in bars:
        attempt = state.tasks[bar.task].attempts[bar.n - 1]
        first, last = span.cell(bar.start), span.cell(attempt.ended or now)
        if boxes and first <= boxes[-1].last:
            # It begins in the cell that the one before ends in: one cell further on, if that leaves it one.
            first = boxes[-1].last + 1
            if last < first:
                boxes[-1] = _joined(boxes[-1], bar, attempt)
                continue
        mark, tone = standing(attempt)
        boxes.append(Box(first, last, mark, tone, f"{bar.task}{f'#{bar.n}' if bar.n > 1 else ''}", (bar,)))
    return boxes


def _joined(box: Box, bar: Bar, attempt: Attempt) -> Box:
    """The worst of what shares a box is what is seen of it."""
    mark, tone = standing(attempt)
    worse = SEVERITY.get(tone, 0) > SEVERITY.get(box.tone, 0)
    bars = (*box.bars, bar)
    return Box(box.first, box.last, mark if worse else box.mark, tone if worse else box.tone, f"{len(bars)}", bars)


SEVERITY = {"bad": 3, "ask": 2, "live": 1}


def standing(attempt: Attempt) -> tuple[str, str]:
    """(mark, tone) of an attempt."""
    if attempt.outcome is not None:
        name, tone = OUTCOMES[attempt.outcome]
        return UNICODE[name], tone
    return (UNICODE["running"], "live") if attempt.ended is None else (UNICODE["say"], "live")


def planner_lane(decisions: Sequence[Decision], span: Span, now: float) -> list[Box]:
    """When the planner thought."""
    boxes: list[Box] = []
    for each in decisions:
        if not each.call:
            continue
        first, last = span.cell(each.time), span.cell(each.ended or now)
        if boxes and first <= boxes[-1].last:
            first = boxes[-1].last + 1
        if last >= first:
            mark, tone = ("✗", "bad") if each.failure else ("▸", "title")
            boxes.append(Box(first, last, mark, tone, "", ()))
    return boxes


def ticks(span: Span) -> list[tuple[int, str]]:
    """(cell, local time) at round moments, far enough apart to be read."""
    per_cell = (span.end - span.start) / span.width
    step = next((step for step in STEPS if step >= per_cell * TICK), 86_400 * (1 + int(per_cell * TICK / 86_400)))
    found: list[tuple[int, str]] = []
    at = (span.start // step + 1) * step
    while at < span.end and len(found) < span.width:
        words = clock_time(at)
        cell = span.cell(at)
        if cell + len(words) <= span.width:
            found.append((cell, words[:5] if step >= 60 else words))
        at += step
    return found


def parts(boxes: Sequence[Box], span: Span, now: float, *, bar: str, chosen: Bar | None, over: str) -> list[Part]:
    """A lane as parts of exactly `span.width` cells; `bar` fills a box, `over` is the tone of the chosen one."""
    found: list[Part] = []
    at, line = 0, span.cell(now)
    for box in boxes:
        found += _gap(at, box.first, line)
        room = box.last - box.first
        label = f"{box.label} " if box.label and len(box.label) + 2 <= room else ""
        tone = f"{box.tone} {over}" if chosen is not None and chosen in box.bars else box.tone
        found.append((label + bar * (room - len(label)) + box.mark, tone))
        at = box.last + 1
    return found + _gap(at, span.width, line)


def labels(state: RunState, boxes: Sequence[Box], span: Span, now: float) -> list[Part]:
    """The names over a lane's bars, each with the room up to the next: `A1.2#2 Length of the day`."""
    found: list[Part] = []
    at, line = 0, span.cell(now)
    for box, end in zip(boxes, [*(box.first for box in boxes[1:]), span.width], strict=False):
        found += _gap(at, box.first, line)
        room = end - box.first
        title = one_line(state.tasks[box.bars[0].task].spec.title, 100) if len(box.bars) == 1 else "attempts"
        text = cut(f"{box.label} {title}", room - 1) if room > len(box.label) else ""
        found.append((text, "dim"))
        at = box.first + cells(text)
    return found + _gap(at, span.width, line)


def _gap(start: int, end: int, line: int) -> list[Part]:
    """Nothing, with the line of now in it."""
    if start <= line < end:
        return [(" " * (line - start), ""), ("│", "rule"), (" " * (end - line - 1), "")]
    return [(" " * max(0, end - start), "")]


def legend(state: RunState, lanes: Sequence[Sequence[Bar]]) -> list[Part]:
    """What the marks mean that are to be seen."""
    attempts = [state.tasks[bar.task].attempts[bar.n - 1] for lane in lanes for bar in lane]
    seen = {attempt.outcome for attempt in attempts}
    found: list[Part] = []
    for outcome, (name, tone) in OUTCOMES.items():
        if outcome in seen:
            found += [(f" {UNICODE[name]} ", tone), (f"{WORDS.get(outcome, outcome.value)} ", "dim")]
    if None in seen:
        found += [(f" {UNICODE['running']} ", "live"), ("running ", "dim")]
    if any(attempt.outcome is None and attempt.ended is not None for attempt in attempts):
        found += [(f" {UNICODE['say']} ", "live"), ("being checked ", "dim")]
    return found


def nearest(history: History, lane_number: int, at: float) -> Bar | None:
    """The bar of a lane that began last before a moment, else its first."""
    bars = history.lanes[lane_number] if 0 <= lane_number < len(history.lanes) else []
    before = [bar for bar in bars if bar.start <= at]
    return before[-1] if before else bars[0] if bars else None
