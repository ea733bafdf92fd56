"""What our line-painting widgets share: tones, glyphs with a plain-ASCII set, and lines cut to the width.

A line is painted from (text, tone) parts. The text is data: it is never read as markup, and whoever makes the parts has
cleaned it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import getters
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from aura_engine.report.words import ASCII, UNICODE
from aura_tui.base import BaseApp
from aura_tui.logs.wrap import cells, cut

Part = tuple[str, str]
"""(text, tone); tones may be joined with a blank: `live bold`."""

ONE_CELL = {**ASCII, "done": "+", "waiting": "."}
PLAIN = str.maketrans(
    {
        **{UNICODE[name]: ONE_CELL[name] for name in UNICODE},
        "▾": "v",
        "─": "-",
        "│": "|",
        "↓": "v",
        "↑": "^",
        "→": ">",
        "−": "-",
        "…": "~",
        "·": "-",
        "█": "#",
        "—": "-",
        "“": '"',
        "”": '"',
        "≥": ">",
        "≤": "<",
        "°": " ",
        "▌": "|",
        "┃": "|",
        "⏎": "<",
    }
)
"""Our own glyphs, one cell each way, for terminals without Unicode."""


class Painted(Widget):
    """A widget that paints its own lines."""

    ALLOW_SELECT = False
    aura = getters.app(BaseApp)

    def __init__(self, *, id: str | None = None) -> None:
        self._tones: dict[str, Style] = {}
        super().__init__(id=id)

    def style_of(self, tone: str) -> Style:
        """The style of a tone, or of several joined by blanks, on this widget's own. Kept until the theme changes."""
        found = self._tones.get(tone)
        if found is None:
            found = self.rich_style
            below, palette = self.background_colors[1], self.aura.palette
            for name in tone.split():
                found = palette.lay(name, found, below)
            self._tones[tone] = found
        return found

    def notify_style_update(self) -> None:
        """See Widget."""
        self._tones = {}
        super().notify_style_update()

    @property
    def plain(self) -> bool:
        """Only ASCII glyphs may be shown."""
        return self.aura.ascii_only

    def glyph(self, name: str) -> str:
        """The one-cell symbol of that name (see report.words)."""
        return ONE_CELL[name] if self.plain else UNICODE[name]

    def line(self, parts: Iterable[Part], width: int, *, over: Style | None = None) -> Strip:
        """A strip of exactly `width` cells; what is too long ends with “…”. `over` is laid over every part."""
        pieces: list[tuple[str, Style]] = []
        left = width
        for text, tone in parts:
            if left <= 0:
                break
            shown = cut(text, left)
            left -= cells(shown)
            pieces.append((shown.translate(PLAIN) if self.plain else shown, self.style_of(tone)))
        if left > 0:
            pieces.append((" " * left, self.rich_style))
        segments: list[Segment] = []
        for text, style in pieces:
            style = style + over if over else style
            if segments and segments[-1].style == style:
                # Each change of style costs some forty bytes on the line.
                segments[-1] = Segment(segments[-1].text + text, style)
            elif text:
                segments.append(Segment(text, style))
        return Strip(segments, width)

    def rule(self, left: Sequence[Part], right: Sequence[Part], width: int, *, focused: bool) -> list[Part]:
        """A title line: a rule with these parts in it, brighter where the keys go."""
        tone = "rule-focus" if focused else "rule"
        ends: list[Part] = [(" ", ""), *right, (" ─", tone)] if right else []
        return self.spread([("─ ", tone), *left, (" ", "")], ends, width, ("─", tone))

    def spread(self, left: Sequence[Part], right: Sequence[Part], width: int, fill: Part = (" ", "")) -> list[Part]:
        """`left` and `right` at the ends of a line; the left one is cut where both don't fit."""
        taken = sum(cells(text) for text, _ in right)
        room = max(0, width - taken)
        parts: list[Part] = []
        for text, tone in left:
            shown = cut(text, room)
            room -= cells(shown)
            parts.append((shown, tone))
        return [*parts, (fill[0] * room, fill[1]), *right]

    def repaint(self, y: int, height: int = 1, x: int = 0, width: int | None = None) -> None:
        """Paint lines anew: less goes to the terminal than for the whole widget."""
        self.refresh(Region(x, y, self.size.width - x if width is None else width, height))

    def repaint_changes(self, y: int, old: Iterable[Part], new: Iterable[Part]) -> None:
        """Paint anew what differs between two lines of parts, from the first changed cell to the last."""
        before = [(char, tone) for text, tone in old for char in text]
        after = [(char, tone) for text, tone in new for char in text]
        if before == after:
            return
        same = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
        start = min(len(before), len(after)) if same is None else same
        x = cells("".join(char for char, _ in after[:start]))
        end = max(cells("".join(char for char, _ in line)) for line in (before, after))
        if len(before) == len(after):
            # The same length: what follows the last change stands where it stood.
            back = next(at for at, (a, b) in enumerate(zip(reversed(before), reversed(after), strict=True)) if a != b)
            tail = "".join(char for char, _ in after[len(after) - back :])
            old_tail = "".join(char for char, _ in before[len(before) - back :])
            whole = cells("".join(char for char, _ in after))
            if tail == old_tail and whole == cells("".join(char for char, _ in before)):
                end = whole - cells(tail)
        self.repaint(y, x=x, width=max(1, min(end, self.size.width) - x))
