"""One worker's output, as steps or raw: follows the end, or holds still and counts what is new."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import ClassVar

from textual import events, work
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from aura_engine.workers.parsers import parser_maker
from aura_tui.actions import bound
from aura_tui.logs.pager import Page, Pager, Place, Request, Shown
from aura_tui.panes import Source
from aura_tui.widgets.log_rows import row_parts
from aura_tui.widgets.painted import Painted, Part

log = logging.getLogger(__name__)
WHEEL = 3
"""Rows per notch."""
COLOURS = 130
"""Bytes of a row beyond its cells: colours, and the moves of the cursor."""


class LogPane(Painted, can_focus=True):
    """A view on a file that somebody else writes. All reading is done on a thread; the pane paints the latest page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("move.up", "move(-1)"),
        bound("move.down", "move(1)"),
        bound("move.page_up", "page(-1)"),
        bound("move.page_down", "page(1)"),
        bound("move.first", "first"),
        bound("move.last", "follow"),
        bound("move.follow", "follow"),
    ]

    @dataclass
    class Drawn(Message):
        """So many bytes, about, were sent to the terminal unasked: whoever minds that counts them."""

        bytes: int

    @dataclass
    class Found(Message):
        """A search ended."""

        pane: LogPane
        line: int | None
        share: float
        """Of the file that was looked at when it stopped; 1.0 at the end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.source: Source | None = None
        self.raw = False
        self.needle = ""
        self.head: list[Part] = []
        self.figures: list[Part] = []
        self.live: bool = False
        self._pager: Pager | None = None
        self._page: Page | None = None
        self._top: Place | None = None
        """Where it holds; None: it follows the end."""
        self._move = 0
        self._held_at = 0
        self._quiet = 0
        self._found: int | None = None
        self._wake = asyncio.Event()
        self._foot: list[Part] = []

    @property
    def following(self) -> bool:
        """It shows the end, wherever that moves."""
        return self._top is None

    @property
    def new(self) -> int:
        """Lines written since it holds still."""
        return max(0, self._page.complete - self._held_at) if self._page and not self.following else 0

    @property
    def unread(self) -> bool:
        """It has not come to rest at the end of its file yet."""
        return self._quiet < 2

    @property
    def texts(self) -> list[str]:
        """The rows as they stand on the screen."""
        return [row.text for row in self._page.rows] if self._page else []

    def show(self, source: Source | None) -> None:
        """Look at another attempt's output, from its end."""
        if source == self.source:
            return
        self.source = source
        path = source.path if source else None
        self._pager = Pager(path, parser_maker(source.backend)) if source and path else None
        self._page, self._top, self._move, self._found, self._quiet = None, None, 0, None, 0
        self.poll()
        self.refresh()

    def set_title(self, head: list[Part], figures: list[Part], *, live: bool = False) -> None:
        """What the title line says, painted when it changed; `live` while the worker runs."""
        if live != self.live:
            # Its last words may have come since the last look.
            self.live, self._quiet = live, 0
            self.repaint(self.size.height - 1)
        before = self._title_parts()
        self.head, self.figures = head, figures
        self.repaint_changes(0, before, self._title_parts())

    def poll(self) -> None:
        """Look whether there is something new."""
        self._wake.set()

    def on_mount(self) -> None:
        """See Widget."""
        self._read()

    def on_resize(self) -> None:
        """Rows are as wide as the pane."""
        self.poll()

    @work(exclusive=True, group="log-pages", exit_on_error=False)
    async def _read(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            pager = self._pager
            if pager is None or not self.is_mounted or self.size.height < 2 or not self.size.width:
                continue
            move, self._move = self._move, 0
            request = Request(self._room, self._height, self._top, move, self.raw)
            try:
                page = await asyncio.to_thread(pager.page, request, time.time())
            except (OSError, ValueError, IndexError):
                log.exception("a page of %s could not be made", self.source)
                continue
            if pager is self._pager:
                self._take(page, request)

    @property
    def _height(self) -> int:
        return max(1, self.size.height - 2)

    @property
    def _room(self) -> int:
        return max(1, self.size.width - 2)

    def _take(self, page: Page, request: Request) -> None:
        """Show a page; go over to following where a person has moved down to the end."""
        old, self._page = self._page, page
        self._quiet = self._quiet + 1 if old is not None and old.total == page.total and not page.behind else 0
        if old is not None and page.generation != old.generation:
            self._top = None
        elif request.move:
            if page.at_end and request.move > 0:
                self._top = None
            else:
                self._held_at = page.complete if self._top is None else self._held_at
                self._top = page.top
        if page.behind or self._move:
            self.poll()
        self._paint(old.rows if old else (), page.rows)

    def _paint(self, old: tuple[Shown, ...], new: tuple[Shown, ...]) -> None:
        first = next((y for y, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        last = max(len(old), len(new))
        painted = 0
        if first < last:
            self.repaint(1 + first, last - first)
            painted = (last - first) * (self.size.width + COLOURS)
        foot = self._foot_parts()
        if foot != self._foot:
            self._foot = foot
            self.repaint(self.size.height - 1)
            painted += self.size.width + COLOURS
        if painted:
            self.post_message(self.Drawn(painted))

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        width = self.size.width
        if y == 0:
            return self.line(self._title_parts(), width)
        if y == self.size.height - 1:
            self._foot = self._foot_parts()
            return self.line(self.spread([], self._foot, width), width)
        page = self._page
        if page is None or y > len(page.rows):
            text = ""
            if y == 1:
                text = page.error if page else ""
                text = text or ("" if self._pager else "No worker runs now.")
                text = text or ("waiting for its first word" if page else "")
            return self.line([(f" {text}", "dim" if text else "")], width)
        return self.line(row_parts(page.rows[y - 1], raw=self.raw, needle=self.needle), width)

    def _title_parts(self) -> list[Part]:
        return self.rule(self.head or [("Output", "title")], self.figures, self.size.width, focused=self.has_focus)

    def _foot_parts(self) -> list[Part]:
        page = self._page
        raw: list[Part] = [("raw  ", "ask")] if self.raw else []
        if page is None or self._pager is None:
            return []
        if page.behind > 1 << 22:
            return [*raw, (f"reading, {page.behind >> 20} MB to go ", "dim")]
        if self.following:
            return [*raw, ("↓ following " if self.live else "ended ", "dim")] if page.total else raw
        share = f"{100 * (page.top.line + 1) // max(1, page.total)}%"
        news = f"  +{self.new:,} new lines" if self.new else ""
        return [*raw, (f"{self.glyph('held')} held at {share}", "ask"), (f"{news} ", "ask bold")]

    def action_move(self, by: int) -> None:
        """Move by rows; up means to hold still, down to the end to follow again."""
        if self.following and by > 0:
            return
        self._move += by
        self.poll()

    def action_page(self, by: int) -> None:
        """Move by pages."""
        self.action_move(by * max(1, self._height - 1))

    def action_first(self) -> None:
        """Hold at the first line."""
        self._hold(Place(0))

    def action_follow(self) -> None:
        """Go to the end and stay there."""
        self._top, self._move = None, 0
        self.poll()

    def toggle_raw(self) -> None:
        """Steps or the lines as they are; the line at the top stays."""
        self.raw = not self.raw
        if self._top is not None:
            self._top = Place(self._top.line)
        self.poll()
        self.repaint(self.size.height - 1)

    def _hold(self, place: Place) -> None:
        if self.following and self._page:
            self._held_at = self._page.complete
        self._top, self._move = place, 0
        self.poll()

    @work(exclusive=True, group="log-search", exit_on_error=False)
    async def search(self, needle: str, *, back: bool = True) -> None:
        """Look for a text from the last find (or from what is shown) on; hold where it is."""
        page, pager = self._page, self._pager
        if needle != self.needle:
            self.needle, self._found = needle, None
            self.refresh()
        if page is None or pager is None or not needle:
            return
        start = self._found if self._found is not None else page.total if self.following and back else page.top.line
        while pager is self._pager:
            line, start = await asyncio.to_thread(pager.find, needle, start, back=back, raw=self.raw)
            if line is not None:
                self._found = line
                self._hold(Place(line))
            ended = start < 0 or start >= page.total
            if line is not None or ended:
                self.post_message(self.Found(self, line, 1.0))
                return
            self.post_message(self.Found(self, None, (page.total - start if back else start) / max(1, page.total)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """See Widget."""
        event.stop()
        self.action_move(-WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """See Widget."""
        event.stop()
        self.action_move(WHEEL)

    def on_click(self, event: events.Click) -> None:
        """A click on the foot of a pane that holds still lets it follow again."""
        if event.y == self.size.height - 1 and not self.following:
            self.action_follow()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The title's brightness tells where the keys go."""
        super().watch_has_focus(_has_focus)
        self.repaint(0)
