"""The goal's editor: Markdown in the theme's colours, problems marked at their lines, nothing hidden in the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import getters, on
from textual._text_area_theme import TextAreaTheme
from textual.binding import BindingType
from textual.widgets import TextArea

from aura_engine.core.text import clean
from aura_tui.actions import bound
from aura_tui.base import BaseApp
from aura_tui.edit import Place, find
from aura_tui.logs.wrap import cut
from aura_tui.widgets.painted import PLAIN

_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})\s*(check|prepare)\b")
SYNTAX = {
    "heading": "title",
    "heading.marker": "dim",
    "punctuation.delimiter": "key",
    "link.uri": "live",
    "link.label": "live",
    "list.marker": "key",
    "string.escape": "dim",
}
"""Tone by the grammar's names."""


class Editor(TextArea):
    """A TextArea for Markdown. What a file holds beside plain text is shown as a mark, and stays in the text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("goal.start", "edge(False)"),
        bound("goal.end", "edge(True)"),
    ]

    aura = getters.app(BaseApp)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            language="markdown", soft_wrap=True, show_line_numbers=True, tab_behavior="indent", compact=True, id=id
        )
        self.cursor_blink = False
        self.marks: Mapping[int, str] = {}
        """What is wrong with a line, by its number from 0."""

    def on_mount(self) -> None:
        """See Widget."""
        self._colour()

    def mark(self, marks: Mapping[int, str]) -> None:
        """Show what is wrong at these lines, and at no others."""
        if marks != self.marks:
            self.marks = marks
            self.notify_style_update()  # forgets the lines as they were painted
            self.refresh()

    def get_line(self, line_index: int) -> Text:
        """See TextArea: as long as the line, but for what is said of it behind its end."""
        line = Text(visible(self.document.get_line(line_index)), end="", no_wrap=True)
        below = self.background_colors[1]
        if fence := _FENCE.match(line.plain):
            line.stylize(self.aura.palette.lay("good", Style(bold=True), below), *fence.span(1))
        what = self.marks.get(line_index)
        if what is not None:
            words = f"  ◂ {cut(clean(what), max(1, self.size.width - len(line) - self.gutter_width - 6))}"
            line.stylize(Style(underline=True))
            line.append(
                words.translate({**PLAIN, ord("◂"): "<"}) if self.aura.ascii_only else words,
                self.aura.palette.lay("bad", Style(), below),
            )
        return line

    def action_edge(self, end: bool) -> None:
        """To the end of the text, or to its start."""
        self.move_cursor(self.document.end if end else (0, 0))

    def find(self, needle: str, *, start: Place | None = None, back: bool = False) -> bool:
        """Select the next place where the text stands, from `start` or from the selection on; False where none is."""
        first, last = sorted(self.selection)
        found = find(self.document.lines, needle, start or (first if back else last), back=back)
        if found is not None:
            self.move_cursor(found[0], center=True)
            self.move_cursor(found[1], select=True)
        return found is not None

    def next_mark(self) -> bool:
        """Go to the next line with something wrong; False when there is none."""
        row = self.cursor_location[0]
        rows = sorted(self.marks)
        if rows:
            self.move_cursor((next((each for each in rows if each > row), rows[0]), 0), center=True)
        return bool(rows)

    def take(self, text: str) -> str:
        """Show another text, the cursor where it was; how the editor writes it. What came before cannot be undone."""
        at = self.cursor_location
        with self.prevent(TextArea.Changed):
            self.load_text(text)
        self.move_cursor(at)
        self.call_after_refresh(self.scroll_cursor_visible)
        return self.text

    @on(TextArea.Changed)
    def _keep_the_cursor_in_sight(self) -> None:
        # A new last line is no part yet of what can be scrolled to when Textual itself tries.
        self.call_after_refresh(self.scroll_cursor_visible)

    def _app_theme_changed(self) -> None:
        self._colour()

    def _colour(self) -> None:
        """Take the colours from the theme as it is now."""
        palette, below = self.aura.palette, self.background_colors[1]
        styles = {name: palette.lay(tone, Style(), below) for name, tone in SYNTAX.items()}
        self.register_theme(TextAreaTheme("aura", syntax_styles=styles))
        self.theme = "aura"


def visible(line: str) -> str:
    """The line with a mark in place of each character that a terminal would obey or that nobody could see.

    Each takes as many characters, and bytes of UTF-8, as before, so that no colour moves.
    """
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        char if char == "\t" or clean(char) == char else {1: "?", 2: "¿"}.get(len(char.encode("utf-8", "replace")), "�")
        for char in line
    )
