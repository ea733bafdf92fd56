"""The line in which a filter or a search is typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Input

from aura_tui.actions import bound


class PromptLine(Input):
    """Hidden until it is opened; enter keeps what was typed, escape takes it back."""

    BINDINGS: ClassVar[list[BindingType]] = [bound("app.back", "cancel")]

    @dataclass
    class Typed(Message):
        """What is in the line now; `done` once it was confirmed."""

        text: str
        purpose: str
        done: bool

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, max_length=200, select_on_focus=True)
        self.purpose = ""
        self.display = False

    def open(self, purpose: str, text: str = "") -> None:
        """Show the line for a purpose, with what was there before."""
        self.purpose = purpose
        self.placeholder = {"filter": "filter: words of the title, id, status or role", "search": "search"}[purpose]
        self.display = True
        with self.prevent(Input.Changed):
            self.value = text
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """See Input."""
        event.stop()
        if self.display:
            self.post_message(self.Typed(self.value, self.purpose, False))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """See Input."""
        event.stop()
        self.display = False
        self.post_message(self.Typed(self.value, self.purpose, True))

    def action_cancel(self) -> None:
        """Close the line and empty what it was for."""
        self.display = False
        self.post_message(self.Typed("", self.purpose, True))

    def on_blur(self, _event: events.Blur) -> None:
        """Whoever goes elsewhere leaves what was typed."""
        self.display = False
