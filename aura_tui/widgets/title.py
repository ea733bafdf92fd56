"""A panel's title line: a rule with a title on its left and figures on its right."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from aura_tui.widgets.painted import Painted, Part


class Title(Painted):
    """One line above a panel; it tells by brightness whether the panel has the focus."""

    def __init__(self, text: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: Sequence[Part] = [(text, "title")]
        self._right: Sequence[Part] = []

    def set(self, left: Sequence[Part], right: Sequence[Part] = ()) -> None:
        """Show these parts; nothing is painted when they are shown already."""
        before = self._parts()
        self._left, self._right = left, right
        self.repaint_changes(0, before, self._parts())

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        return self.line(self._parts(), self.size.width)

    def _parts(self) -> list[Part]:
        return self.rule(self._left, self._right, self.size.width, focused=self.has_class("focused"))
