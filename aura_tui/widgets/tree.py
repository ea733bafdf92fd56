"""The task tree: a flat list of rows painted line by line, so that ten thousand tasks cost what forty do."""

from __future__ import annotations

import time
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
from aura_tui.logs.wrap import cells, cut
from aura_tui.rows import Row
from aura_tui.viewmodel import ViewModel
from aura_tui.widgets.painted import Painted, Part

WHO, TIME = 8, 7
"""Cells of the columns at the right: role and number, time."""
NARROW = 34
"""Cells below which those columns are left out."""


class TaskTree(Painted, ScrollView, can_focus=True):
    """The rows of a ViewModel's outline. The model is shared: it is folded and laid out by whoever owns it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("move.up", "move(-1)"),
        bound("move.down", "move(1)"),
        bound("move.page_up", "page(-1)"),
        bound("move.page_down", "page(1)"),
        bound("move.first", "move(-1000000)"),
        bound("move.last", "move(1000000)"),
        bound("move.fold", "fold(True)"),
        bound("move.unfold", "fold(False)"),
    ]

    @dataclass
    class Selected(Message):
        """The selection moved to a task."""

        task: str

        def can_replace(self, message: Message) -> bool:
            """Only the latest matters."""
            return isinstance(message, TaskTree.Selected)

    @dataclass
    class Opened(Message):
        """A task was opened with the mouse."""

        task: str

    def __init__(self, model: ViewModel, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = model
        self._painted: dict[int, Row] = {}

    def frame(self) -> None:
        """Bring the screen up to the model: lay out once if need be, else repaint the rows that changed."""
        model, outline = self.model, self.model.outline
        kept_row, kept_at = self._anchor()
        if model.layout():
            self.virtual_size = Size(self.scrollable_content_region.width, len(outline.rows))
            if kept_row in outline.index:
                # The row that was looked at stays where it was on the glass.
                self.scroll_to(y=outline.index[kept_row] - kept_at, animate=False, force=True, immediate=True)
            self._painted.clear()
            model.dirty.rows.clear()
            model.dirty.all_rows = False
            self.refresh()
            return
        if model.dirty.all_rows:
            self.tick()
        else:
            for task_id in model.dirty.rows:
                row = outline.index.get(task_id)
                if row is not None and row in self._painted:
                    self._repaint_if_changed(row)
        model.dirty.rows.clear()
        model.dirty.all_rows = False

    def tick(self) -> None:
        """Repaint the visible rows that say something else now, such as a time that goes on."""
        for row in list(self._painted):
            self._repaint_if_changed(row)

    def reveal(self, task_id: str) -> None:
        """Select a task, unfolded and in sight."""
        if self.model.outline.unfold_to(task_id):
            self.model.dirty.structure = True
        before = self.model.outline.row()
        self.model.outline.selected = task_id
        self.frame()
        self._moved(before)

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        row_number = y + self.scroll_offset.y
        width = self.size.width
        outline = self.model.outline
        if row_number >= len(outline.rows):
            return Strip([Segment(" " * width, self.rich_style)], width)
        if len(self._painted) > 4 * self.size.height + 100:
            self._painted.clear()
        row = self._painted[row_number] = self.model.row(outline.rows[row_number], time.time())
        over = None
        if row.id == outline.selected:
            over = self.style_of("cursor" if self.has_focus else "cursor-blur")
        return self.line(self._parts(row, width), width, over=over)

    def _parts(self, row: Row, width: int) -> list[Part]:
        mark = ("▸ " if row.folded else "▾ ") if row.group else f"{self.glyph(row.symbol)} "
        tone = row.tone if not row.group or row.tone in ("bad", "ask") else "bold"
        left = width - 1
        columns: list[Part] = []
        if width >= NARROW and row.who:
            left -= WHO + TIME + 1
            columns = [(f" {cut(row.who, WHO):<{WHO}}", "dim"), (f"{cut(row.time, TIME):>{TIME}}", "dim")]
        lead = f"{'  ' * min(row.depth, 12)}{mark}"
        head = f"{row.id} "
        room = max(0, left - cells(lead) - cells(head))
        done = f"{self.glyph(row.symbol)} " if row.group and row.tone in ("good", "bad", "ask") else ""
        note = f"  {done}{row.note}" if row.note else ""
        # Of a long title and a long note each keeps a share; what has room to spare gives it to the other.
        title = cut(row.title, max(room - cells(note), room * 3 // 5))
        note = cut(note, room - cells(title))
        pad = " " * max(0, room - cells(title) - cells(note))
        title_tone = "bold" if row.group else "dim" if row.tone == "dim" else "say"
        note_tone = row.tone if row.tone in ("bad", "ask", "good") else "dim"
        return [(lead, tone), (head, "dim"), (title, title_tone), (note, note_tone), (pad, ""), *columns]

    def _repaint_if_changed(self, row_number: int) -> None:
        rows = self.model.outline.rows
        old = self._painted.get(row_number)
        if old is None or row_number >= len(rows):
            self._painted.pop(row_number, None)
            return
        y = row_number - self.scroll_offset.y
        if not 0 <= y < self.size.height:
            self._painted.pop(row_number, None)
            return
        new = self.model.row(rows[row_number], time.time())
        if new == old:
            return
        self._painted[row_number] = new
        only_time = (new.id, new.note, new.symbol, new.who) == (old.id, old.note, old.symbol, old.who)
        if only_time and self.size.width >= NARROW and new.who and new.title == old.title:
            self.repaint(y, x=self.size.width - TIME - 1, width=TIME)
        else:
            self.repaint(y)

    def _anchor(self) -> tuple[str, int]:
        """The row that must not move on the glass, and its height there: the selected one if in sight, else the top."""
        outline, top = self.model.outline, self.scroll_offset.y
        row = outline.index.get(outline.selected)
        if row is not None and top <= row < top + self.size.height:
            return outline.selected, row - top
        return (outline.rows[top], 0) if top < len(outline.rows) else ("", 0)

    def _moved(self, before: int) -> None:
        """Repaint the old and the new row, keep the new one in sight, tell."""
        outline = self.model.outline
        row, top, height = outline.row(), self.scroll_offset.y, max(1, self.size.height)
        if row < top or row >= top + height:
            target = row if row < top else row - height + 1
            self.scroll_to(y=target, animate=False, force=True, immediate=True)
        for changed in {before, row}:
            if 0 <= (y := changed - self.scroll_offset.y) < height:
                self.repaint(y)
        self.post_message(self.Selected(outline.selected))

    def action_move(self, by: int) -> None:
        """Move the selection."""
        before = self.model.outline.row()
        self.model.outline.move(by)
        self._moved(before)

    def action_page(self, by: int) -> None:
        """Move the selection by a page."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_fold(self, folded: bool) -> None:
        """Fold the selected group, or go to the group above; unfold it, or go to its first task."""
        outline = self.model.outline
        task = self.model.state.tasks.get(outline.selected)
        if task is None:
            return
        if task.spec.group and folded != (task.spec.id in outline.folded):
            self.model.fold(task.spec.id, folded)
            self.frame()
        elif folded and (above := outline.parent(task.spec.id)) in outline.index:
            before = outline.row()
            outline.selected = above
            self._moved(before)
        elif not folded and task.spec.group:
            self.action_move(1)

    def on_resize(self) -> None:
        """The selection stays in sight."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.model.outline.rows))
        self._painted.clear()
        row, top, height = self.model.outline.row(), self.scroll_offset.y, max(1, self.size.height)
        if row < top or row >= top + height:
            self.scroll_to(y=max(0, row - height + 1), animate=False, force=True, immediate=True)

    def on_click(self, event: events.Click) -> None:
        """Select; on the mark of a group or twice on it, fold it."""
        row = event.y + self.scroll_offset.y
        outline = self.model.outline
        if row >= len(outline.rows):
            return
        before = outline.row()
        task_id = outline.select(row)
        group = self.model.state.tasks[task_id].spec.group
        mark = 2 * outline.depth.get(task_id, 0)
        if group and (event.chain == 2 or mark <= event.x <= mark + 1):
            self.model.fold(task_id)
            self.frame()
        elif event.chain == 2:
            self.post_message(self.Opened(task_id))
        self._moved(before)

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The selection's colour tells where the keys go."""
        super().watch_has_focus(_has_focus)
        row = self.model.outline.row() - self.scroll_offset.y
        if 0 <= row < self.size.height:
            self.repaint(row)
