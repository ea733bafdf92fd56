"""The line at the bottom: what can be done here, by key and with the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.strip import Strip

from aura_tui.logs.wrap import cells
from aura_tui.widgets.painted import Painted, Part


@dataclass(frozen=True, slots=True)
class Hint:
    """A key, what it does, and whether it can be done now."""

    id: str
    key: str
    label: str
    enabled: bool = True


class Hints(Painted):
    """Hints from the left; the last ones (help, palette) keep their place when it gets narrow."""

    KEPT = 2

    @dataclass
    class Chosen(Message):
        """A hint was clicked."""

        id: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._hints: Sequence[Hint] = ()

    def show(self, hints: Sequence[Hint]) -> None:
        """Show these; painted when they changed."""
        if hints != self._hints:
            self._hints = hints
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        parts: list[Part] = []
        for hint in self._fitting():
            parts += [(f" {hint.key} ", "key" if hint.enabled else "dim"), (f"{hint.label} ", "dim")]
        return self.line(parts, self.size.width)

    def on_click(self, event: events.Click) -> None:
        """See Widget."""
        x = 0
        for hint in self._fitting():
            x += _width(hint)
            if event.x < x:
                self.post_message(self.Chosen(hint.id))
                return

    def _fitting(self) -> list[Hint]:
        kept = list(self._hints[-self.KEPT :])
        room = self.size.width - sum(map(_width, kept))
        shown: list[Hint] = []
        for hint in self._hints[: -self.KEPT]:
            room -= _width(hint)
            if room < 0:
                break
            shown.append(hint)
        return shown + kept


def _width(hint: Hint) -> int:
    return cells(hint.key) + cells(hint.label) + 3
