"""What every place has: the header above, the hints below, and word of each change."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.screen import Screen

from aura_tui.actions import action_of, available, shown_key, why_not
from aura_tui.base import BaseApp
from aura_tui.viewmodel import ViewModel
from aura_tui.widgets.header import Header
from aura_tui.widgets.hints import Hint, Hints


class Place(Screen[None]):
    """A full screen. Overrides `body`; `frame` is called after facts came in, `tick` once a second."""

    HINTS: ClassVar[tuple[str, ...]] = ()
    """Ids of actions that its line of hints begins with, in this order."""
    ENDING: ClassVar[tuple[str, ...]] = ("app.help", "app.palette")
    """And those that it ends with, however narrow it gets."""
    AUTO_FOCUS = None

    aura = getters.app(BaseApp)
    place_name = ""
    """Its name in the table of places."""

    @property
    def model(self) -> ViewModel:
        """The run as the screen sees it."""
        return self.aura.model

    @property
    def chosen(self) -> str:
        """The task that a person means here; "" for none."""
        return self.model.outline.selected

    def compose(self) -> ComposeResult:
        """See Screen."""
        yield Header(id="header")
        yield from self.body()
        yield Hints(id="hints")

    def body(self) -> ComposeResult:
        """What lies between header and hints."""
        yield from ()

    def frame(self) -> None:
        """Facts came in: show what changed."""
        self.show_header()
        self.show_hints()

    def tick(self) -> None:
        """A second passed."""
        self.show_header()

    def view(self, id: str) -> None:
        """Do one of the table's actions that is a matter of the place; one that means nothing here does nothing."""

    def out(self) -> bool:
        """Back out of what is open in here; False when nothing is, and the place itself is to be left."""
        return False

    def show_header(self) -> None:
        """Bring the header up to date."""
        aura = self.aura
        header = self.query_one(Header)
        placed = self.model.state.placed
        away = "NOT IN DOCKER" if placed is not None and not placed.docker else ""
        header.consent = "  ".join(filter(None, (away, "read-only" if aura.link.read_only else "")))
        header.show(self.model.figures(time.time(), aura.link.telemetry()))

    def show_hints(self) -> None:
        """Bring the hints up to date: what cannot be done now is dim."""
        aura, state = self.aura, self.model.state
        there = {action.id for action in available()}
        named = [*self.HINTS, *self.ENDING]
        actions = [action_of(id) for id in named if id in there]
        self.query_one(Hints).show(
            [Hint(a.id, shown_key(a, aura.keys), a.label, enabled=not why_not(a, state, self.chosen)) for a in actions]
        )

    def on_screen_resume(self) -> None:
        """Shown again: much may have changed meanwhile."""
        self.model.dirty.all_rows = True
        self.call_after_refresh(self._resumed)

    def _resumed(self) -> None:
        if self.is_current:  # it may have been left again before this came
            self.frame()

    def on_hints_chosen(self, message: Hints.Chosen) -> None:
        """A hint was clicked."""
        self.aura.do(message.id)

    def on_header_needs_you(self) -> None:
        """The header's question was clicked."""
        self.aura.do("run.answer")
