"""The last decisions, newest at the bottom, in the words of the plain view."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from aura_tui.figures import Said
from aura_tui.widgets.painted import Painted


class Story(Painted):
    """As many of the last lines as there is room for."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said: list[Said] = []

    def show(self, said: Sequence[Said]) -> None:
        """Show the end of these."""
        self._said = list(said)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        shown = self._said[-self.size.height :]
        text = shown[y].text if y < len(shown) else ""
        clock, _, rest = text.partition(" ")
        newest = y == len(shown) - 1
        return self.line([(f" {clock} ", "dim"), (rest, "say" if newest else "dim")], self.size.width)
