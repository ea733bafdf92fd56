"""The two lines at the top: how it goes, what it does, what it costs; whether you are needed, or the last decision."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.strip import Strip

from aura_tui.figures import Figures
from aura_tui.logs.wrap import cells
from aura_tui.widgets.painted import Painted, Part


class Header(Painted):
    """Figures in their order of weight: what does not fit the width is left out as a whole, never cut in a word."""

    class NeedsYou(Message):
        """The line that says what a person is needed for was clicked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._figures: Figures | None = None
        self._consent = ""

    @property
    def consent(self) -> str:
        """Said all the while when set: that workers run without containment, that the screen is read-only."""
        return self._consent

    @consent.setter
    def consent(self, text: str) -> None:
        if text != self._consent:
            self._consent = text
            self.refresh()  # the rest of the line moves

    def show(self, figures: Figures) -> None:
        """Show these figures; only the lines that changed are painted."""
        old, self._figures = self._figures, figures
        if old is None:
            self.refresh()
            return
        for y in (0, 1):
            self.repaint_changes(y, self._line(y, old), self._line(y, figures))

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        if self._figures is None:
            return self.line([(" aura", "bold")], self.size.width)
        return self.line(self._line(y, self._figures), self.size.width)

    def on_click(self, event: events.Click) -> None:
        """See Widget."""
        if event.y == 1 and self._figures and self._figures.needs_you:
            self.post_message(self.NeedsYou())

    def _line(self, y: int, figures: Figures) -> list[Part]:
        return self._first(figures) if y == 0 else self._second(figures)

    def _first(self, f: Figures) -> list[Part]:
        """The figures; when it gets narrow the heaviest stay, and all keep their order."""
        failed = [(f" {f.failed} failed", "bad")] if f.failed else []
        done_tone = "good" if f.wanted and f.done == f.wanted else "say"
        width = len(str(f.wanted))
        pieces: list[tuple[int, list[Part]]] = [
            (4, [(" aura ", "bold"), (f" {f.goal} ", "title")]),
            (9, [(f" {self.glyph(f.symbol)} {f.state}", f"{f.tone} bold"), (f" {f.elapsed:<7}", "say")]),
            (8, [("  tasks ", "dim"), (f"{f.done:>{width}}/{f.wanted}", done_tone), *failed]),
            (6, [("  workers ", "dim"), (f"{f.busy}/{f.workers}", "live" if f.busy else "say")]),
            (7, [(f"  {f.cost:>6}", "say")]),
            (5, [(f"  {f.tokens:>6}", "say"), (" tok", "dim")]),
            (3, [(f"  {f.work}", "live")] if f.work else []),
            (2, [(f"  {f.planner}", "dim")] if f.planner else []),
            (6, [(f"  {self.consent}", "ask")] if self.consent else []),
        ]
        while len(pieces) > 1 and sum(cells(text) for _, parts in pieces for text, _ in parts) > self.size.width:
            pieces.remove(min(pieces, key=lambda piece: piece[0]))
        return [part for _, parts in pieces for part in parts]

    def _second(self, f: Figures) -> list[Part]:
        if f.needs_you:
            return [(f" {self.glyph('ask')} needs you ", "ask bold"), ("(n)  ", "dim"), (f.needs_you, "ask")]
        return [(f" {f.decision}", "dim")]
