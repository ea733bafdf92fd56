"""What an edit of the goal will change, before it is applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from aura_tui.sheet import Section
from aura_tui.widgets.sheet import Sheet


class ReviewScreen(ModalScreen[bool]):
    """Apply or not; not is what an accident chooses."""

    CSS_PATH = "goal.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,ctrl+s", "dismiss(True)", "apply", show=False, id="review.apply"),
        Binding("n,escape,q", "dismiss(False)", "cancel", show=False, id="review.cancel"),
    ]

    def __init__(self, title: str, sections: Sequence[Section]) -> None:
        super().__init__()
        self._title, self._sections = title, sections

    def compose(self) -> ComposeResult:
        """See Screen."""
        with Vertical(classes="review"):
            yield Static(self._title, markup=False, classes="question")
            yield Sheet(id="review")
            yield Static("y applies (also ctrl+s)    n goes back to the text (also esc)", markup=False, classes="hint")

    def on_mount(self) -> None:
        """See Screen."""
        sheet = self.query_one(Sheet)
        sheet.show(self._sections)
        sheet.focus()
