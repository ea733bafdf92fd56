"""Attempts as bars over time, a lane for each worker slot; fits the width, whatever the time."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aura_tui import chart
from aura_tui.actions import bound
from aura_tui.history import Bar
from aura_tui.viewmodel import ViewModel
from aura_tui.widgets.painted import Painted, Part

GUTTER = 10
"""Cells of the lanes' names."""
BAR = {1: 0, 2: 0, 3: 2}
"""Which row of a lane its bars stand in, by the lane's height; its names stand above where there are two rows more."""
TOP = 2
"""Rows above the lanes: the ticks, and the planner's own."""


class Bars(Painted, ScrollView, can_focus=True):
    """The lanes of a run's history, with one attempt chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("move.fold", "step(-1)"),
        bound("move.unfold", "step(1)"),
        bound("move.up", "lane(-1)"),
        bound("move.down", "lane(1)"),
        bound("move.first", "step(-1000000)"),
        bound("move.last", "step(1000000)"),
    ]

    @dataclass
    class Chosen(Message):
        """Another attempt is looked at."""

        bar: Bar

        def can_replace(self, message: Message) -> bool:
            """Only the latest matters."""
            return isinstance(message, Bars.Chosen)

    @dataclass
    class Opened(Message):
        """An attempt was clicked twice."""

        bar: Bar

    def __init__(self, model: ViewModel, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = model
        self.chosen: Bar | None = None
        """Stays with its attempt until a person moves on."""
        self._lane = 0
        self._painted: dict[int, list[Part]] = {}
        self._known: dict[int, list[chart.Box]] = {}
        """Boxes by lane, as of the last frame: a lane may hold thousands of attempts."""

    @property
    def gap(self) -> int:
        """Rows from one lane to the next: with room for names above the bars, for a blank one between, or for none."""
        lanes = max(1, len(self.model.history.lanes))
        return max(1, min(3, (self.size.height - TOP) // lanes))

    def frame(self) -> None:
        """Bring the screen up to the model and the time; only rows that changed are painted."""
        lanes = self.model.history.lanes
        if self.chosen is None and lanes:
            lane = max(range(len(lanes)), key=lambda number: lanes[number][-1].start)
            self._choose(lane, lanes[lane][-1])
        self._known.clear()
        self.virtual_size = Size(self.size.width, TOP + self.gap * len(lanes))
        for y in range(self.size.height):
            row = y + self.scroll_offset.y
            if self._parts(row) != self._painted.get(row):
                self.repaint(y)

    def span(self) -> chart.Span:
        """The time that is shown."""
        width = self.size.width - GUTTER
        return chart.span_of(self.model.state, time.time(), self.model.ended_at, width)

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        row, width = y + self.scroll_offset.y, self.size.width
        parts = self._painted[row] = self._parts(row)
        return self.line(parts, width) if parts else Strip([Segment(" " * width, self.rich_style)], width)

    def _parts(self, row: int) -> list[Part]:
        history, span = self.model.history, self.span()
        now = self.model.ended_at or time.time()
        if span.width < 2:
            return []
        if row == 0:
            return [(" " * GUTTER, ""), *self._ticks(span)]
        if row == 1:
            boxes = chart.planner_lane(history.decisions, span, now)
            return [(f" {'planner':<{GUTTER - 1}}", "dim"), *self._bars(boxes, span, now)]
        lane, rest = divmod(row - TOP, self.gap)
        if lane >= len(history.lanes):
            return []
        gutter: list[Part] = [(" " * GUTTER, "")]
        if rest == BAR[self.gap]:
            gutter = [(f" worker {lane + 1}"[:GUTTER].ljust(GUTTER), "dim")]
        elif rest != BAR[self.gap] - 1:
            return [*gutter, *self._bars([], span, now)]
        boxes = self._boxes(lane, span, now)
        if rest != BAR[self.gap]:
            return [*gutter, *chart.labels(self.model.state, boxes, span, now)]
        if self.gap == 3:
            boxes = [replace(box, label="") for box in boxes]
        return [*gutter, *self._bars(boxes, span, now)]

    def _boxes(self, lane: int, span: chart.Span, now: float) -> list[chart.Box]:
        if lane not in self._known:
            self._known[lane] = chart.lane(self.model.state, self.model.history.lanes[lane], span, now)
        return self._known[lane]

    def _bars(self, boxes: list[chart.Box], span: chart.Span, now: float) -> list[Part]:
        over = "cursor" if self.has_focus else "cursor-blur"
        return chart.parts(boxes, span, now, bar="=" if self.plain else "━", chosen=self.chosen, over=over)

    def _ticks(self, span: chart.Span) -> list[Part]:
        parts: list[Part] = []
        at = 0
        for cell, words in chart.ticks(span):
            if cell >= at:
                parts += [(" " * (cell - at), ""), (words, "dim")]
                at = cell + len(words)
        return parts

    def _choose(self, lane: int, bar: Bar) -> None:
        if bar == self.chosen:
            return
        before, self._lane, self.chosen = self._lane, lane, bar
        for number in {before, lane}:
            y = self._row_of(number) - self.scroll_offset.y
            if 0 <= y < self.size.height:
                self.repaint(y)
        self.post_message(self.Chosen(bar))

    def _in_sight(self) -> None:
        """Scroll to the chosen lane."""
        row, top, height = self._row_of(self._lane), self.scroll_offset.y, max(1, self.size.height)
        if not top <= row < top + height:
            target = 0 if self._lane == 0 else row if row < top else row - height + 1
            self.scroll_to(y=target, animate=False, force=True, immediate=True)

    def _row_of(self, lane: int) -> int:
        return TOP + self.gap * lane + BAR[self.gap]

    def action_step(self, by: int) -> None:
        """Along the lane."""
        lanes = self.model.history.lanes
        if self.chosen is None or self._lane >= len(lanes):
            return
        lane = lanes[self._lane]
        at = max(0, min(lane.index(self.chosen) + by, len(lane) - 1))
        self._choose(self._lane, lane[at])

    def action_lane(self, by: int) -> None:
        """To what another worker did at the time."""
        lane = max(0, min(self._lane + by, len(self.model.history.lanes) - 1))
        if self.chosen is None or lane == self._lane:
            return
        bar = chart.nearest(self.model.history, lane, self.chosen.start)
        if bar is not None:
            self._choose(lane, bar)
            self._in_sight()

    def _under(self, x: int, y: int) -> tuple[int, Bar] | None:
        """The lane and the attempt at a place of the widget."""
        lane, rest = divmod(y + self.scroll_offset.y - TOP, self.gap)
        lanes = self.model.history.lanes
        if lane < 0 or lane >= len(lanes) or rest not in (BAR[self.gap], BAR[self.gap] - 1):
            return None
        now = self.model.ended_at or time.time()
        boxes = self._boxes(lane, self.span(), now)
        box = next((box for box in boxes if box.first <= x - GUTTER <= box.last), None)
        return (lane, box.bars[-1]) if box and box.bars else None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """What the mouse is over is told."""
        under = self._under(event.x, event.y)
        if under is not None:
            self._choose(*under)

    def on_click(self, event: events.Click) -> None:
        """Choose it; twice, open it."""
        under = self._under(event.x, event.y)
        if under is not None:
            self._choose(*under)
            if event.chain == 2:
                self.post_message(self.Opened(under[1]))

    def on_resize(self) -> None:
        """Everything fits the new width."""
        self._painted.clear()
        self.frame()
        self._in_sight()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The chosen one's colour tells where the keys go."""
        super().watch_has_focus(_has_focus)
        self.refresh()
