"""A text in sections that fold, with a cursor: the one widget of all places that tell something at length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aura_tui.actions import bound
from aura_tui.sheet import Layout, Part, Section
from aura_tui.widgets.log_rows import marked
from aura_tui.widgets.painted import Painted

PAN = 8
"""Cells that a long line is moved at a time."""


class Sheet(Painted, ScrollView, can_focus=True):
    """Shows sections; what is looked at stays where it is when they change, and only changed rows are painted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("move.up", "move(-1)"),
        bound("move.down", "move(1)"),
        bound("move.page_up", "page(-1)"),
        bound("move.page_down", "page(1)"),
        bound("move.first", "move(-100000000)"),
        bound("move.last", "move(100000000)"),
        bound("move.fold", "fold(True)"),
        bound("move.unfold", "fold(False)"),
        bound("task.detail", "open"),
        bound("move.before", "section(-1)"),
        bound("move.next", "section(1)"),
        bound("move.pan_left", "pan(-1)"),
        bound("move.pan_right", "pan(1)"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor stands in another section."""

        sheet: Sheet
        key: str

        def can_replace(self, message: Message) -> bool:
            """Only the latest matters."""
            return isinstance(message, Sheet.Moved) and message.sheet is self.sheet

    @dataclass
    class Opened(Message):
        """A section that does not fold was opened, with enter or the mouse."""

        sheet: Sheet
        key: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sections: Sequence[Section] = ()
        self.laid: Layout = Layout((), {}, 1)
        self.needle = ""
        """What was searched for is brought out."""
        self._folds: dict[str, bool] = {}
        self._row = 0
        self._pan = 0
        self._painted: dict[int, list[Part]] = {}

    @property
    def key(self) -> str:
        """The section that the cursor stands in; "" when there is none."""
        return self.laid.place(self._row)[0].key if self._row < len(self.laid) else ""

    def show(self, sections: Sequence[Section]) -> None:
        """Show these sections in place of what was there."""
        if sections != self.sections:
            self.sections = sections
            self._lay()

    def select(self, key: str) -> None:
        """Put the cursor on a section's head, in sight."""
        row = self.laid.find(key)
        if row is not None:
            self._go(row)

    def reset(self) -> None:
        """Back to the top, folds forgotten: something else is to be shown."""
        self._folds.clear()
        self._row = self._pan = 0
        self.scroll_to(y=0, animate=False, force=True, immediate=True)

    def fold_all(self) -> None:
        """Fold all sections, or unfold them when all are folded."""
        unfold = all(self.laid.folded.values())
        self._folds = {section.key: unfold for section in self.sections}
        self._lay()

    def _lay(self) -> None:
        """Lay out anew; the cursor's row stays at its height of the glass, or the topmost one if it is out of sight."""
        before, top, height = self.laid, self.scroll_offset.y, max(1, self.size.height)
        key, offset = self._spot(before, self._row)
        in_sight = top <= self._row < top + height
        anchor = (key, offset) if in_sight else self._spot(before, top)
        kept = self._row - top if in_sight else 0
        self.laid = after = Layout(self.sections, self._folds, max(1, self.size.width))
        row = after.row_at(key, offset)
        self._row = max(0, min(self._row, len(after) - 1)) if row is None else row
        self.virtual_size = Size(self.size.width, len(after))
        anchored = after.row_at(*anchor)
        if anchored is not None and anchored - kept != self.scroll_offset.y:
            self.scroll_to(y=max(0, anchored - kept), animate=False, force=True, immediate=True)
        for y in range(self.size.height):
            parts = self._parts(y + self.scroll_offset.y)
            if parts != self._painted.get(y + self.scroll_offset.y):
                self.repaint(y)
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    def _spot(self, layout: Layout, row: int) -> tuple[str, int]:
        if row >= len(layout):
            return "", 0
        section, offset = layout.place(row)
        return section.key, offset

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        row, width = y + self.scroll_offset.y, self.size.width
        if len(self._painted) > 4 * self.size.height + 100:
            self._painted.clear()
        parts = self._painted[row] = self._parts(row)
        if not parts:
            return Strip([Segment(" " * width, self.rich_style)], width)
        over = None
        if row == self._row:
            head = self.laid.place(row)[1] == 0
            over = self.style_of("cursor" if self.has_focus and head else "cursor-blur")
        return self.line(parts, width, over=over)

    def _parts(self, row: int) -> list[Part]:
        if row >= len(self.laid):
            return []
        left, right = self.laid.row(row, self._pan)
        if self.needle:
            left = [piece for text, tone in left for piece in marked(text, tone, self.needle)]
        return self.spread(left, right, self.size.width)

    def _go(self, row: int) -> None:
        """Put the cursor on a row and keep it in sight."""
        before, key = self._row, self.key
        self._row = row = max(0, min(row, len(self.laid) - 1))
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if not top <= row < top + height:
            target = row if row < top else row - height + 1
            self.scroll_to(y=max(0, target), animate=False, force=True, immediate=True)
        for changed in {before, row}:
            if 0 <= (y := changed - self.scroll_offset.y) < height:
                self.repaint(y)
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._go(self._row + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a page, and the page with it."""
        step = by * max(1, self.size.height - 1)
        self.scroll_to(y=self.scroll_offset.y + step, animate=False, force=True, immediate=True)
        self._go(self._row + step)

    def action_section(self, by: int) -> None:
        """To the next section's head, or to this one's or the one before."""
        section, offset = self._section_at_cursor()
        if section is None:
            return
        if by < 0 and offset:
            self._go(self._row - offset)
            return
        keys = [each.key for each in self.laid.sections]
        at = keys.index(section.key) + by
        if 0 <= at < len(keys):
            self.select(keys[at])

    def action_fold(self, folded: bool) -> None:
        """Fold the section, or go to the one above it; unfold it."""
        section, offset = self._section_at_cursor()
        if section is None:
            return
        if section.key in self.laid.folded and self.laid.folded[section.key] != folded:
            self._fold(section, folded, offset)
        elif folded:
            at = self.laid.sections.index(section)
            above = (each for each in reversed(self.laid.sections[:at]) if each.depth < section.depth)
            self._go(self._row - offset if offset else self.laid.find(next(above, section).key) or 0)

    def action_open(self) -> None:
        """Fold or unfold the section; what does not fold is opened."""
        section, offset = self._section_at_cursor()
        if section is None:
            return
        if section.key in self.laid.folded:
            self._fold(section, not self.laid.folded[section.key], offset)
        else:
            self.post_message(self.Opened(self, section.key))

    def _section_at_cursor(self) -> tuple[Section | None, int]:
        return self.laid.place(self._row) if self._row < len(self.laid) else (None, 0)

    def _fold(self, section: Section, folded: bool, offset: int) -> None:
        if folded and offset:
            self._go(self._row - offset)
        self._folds[section.key] = not folded
        self._lay()

    def action_pan(self, by: int) -> None:
        """Move long lines sideways."""
        self._pan = max(0, self._pan + by * PAN)
        self.refresh()

    def search(self, needle: str, *, again: bool = False) -> bool:
        """Go to the next row that holds the text, from the top again after the last; False when none does."""
        self.needle = needle
        self.refresh()
        total, wanted = len(self.laid), needle.casefold()
        for step in range(1 if again else 0, total + 1):
            row = (self._row + step) % total
            if wanted and wanted in self.laid.text(row).casefold():
                self._go(row)
                return True
        return False

    def on_resize(self) -> None:
        """Text is wrapped to the new width."""
        self._painted.clear()
        self._lay()
        self._go(self._row)

    def on_click(self, event: events.Click) -> None:
        """Go there; a click on a fold's mark, or the second on a head, folds or opens."""
        row = event.y + self.scroll_offset.y
        if row >= len(self.laid):
            return
        self._go(row)
        section, offset = self.laid.place(row)
        mark = 2 * section.depth + 1
        if offset == 0 and (event.chain == 2 or (section.key in self.laid.folded and mark <= event.x <= mark + 1)):
            self.action_open()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The cursor's colour tells where the keys go."""
        super().watch_has_focus(_has_focus)
        if 0 <= (y := self._row - self.scroll_offset.y) < self.size.height:
            self.repaint(y)
