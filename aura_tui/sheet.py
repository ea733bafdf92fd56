"""A text in sections that fold: what stands in which row of a given width. No Textual here.

Whoever makes sections has cleaned their heads; bodies clean what they show. A body of any length costs what is seen of
it: wrapped text is laid out once per width, the lines of a diff never are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

from aura_engine.core.text import clean
from aura_tui.logs.wrap import cells, cut, wrap

Part = tuple[str, str]
"""(text, tone)."""
Parts = Sequence[Part]
LABEL = 12
"""Cells of the column of labels."""
INDENT = 4
MAX_ROWS = 2_000
"""Rows that one wrapped text may take."""


class Body(Protocol):
    """What lies below a section's head."""

    def height(self, width: int) -> int:
        """Rows that it takes."""
        ...

    def row(self, at: int, width: int, pan: int) -> Parts:
        """A row of it; `pan` cells at the left are passed over where its lines are not wrapped."""
        ...


@dataclass(frozen=True, slots=True)
class Para:
    """A text that is wrapped, with a label at its left; not cleaned."""

    text: str
    tone: str = "say"
    label: str = ""
    indent: int = INDENT


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs below each other."""

    paras: tuple[Para, ...]

    def height(self, width: int) -> int:
        """See Body."""
        return len(_laid(self.paras, width))

    def row(self, at: int, width: int, pan: int) -> Parts:
        """See Body."""
        return _laid(self.paras, width)[at]


@dataclass(frozen=True, slots=True)
class Section:
    """A head, and what it unfolds to: its body and the deeper sections that follow it."""

    key: str
    """What a fold and the cursor are remembered by; no two sections share one."""
    left: tuple[Part, ...]
    right: tuple[Part, ...] = ()
    body: Body | None = None
    depth: int = 0
    open: bool = True
    """Unless a person folded it otherwise."""


def prose(*paras: Para | None) -> Prose | None:
    """A body of the paragraphs that say something; None where none does."""
    kept = tuple(para for para in paras if para is not None and para.text)
    return Prose(kept) if kept else None


@lru_cache(maxsize=256)
def _laid(paras: tuple[Para, ...], width: int) -> list[Parts]:
    rows: list[Parts] = []
    for para in paras:
        # Where there is hardly room for the text, the column of labels is given up.
        column = min(LABEL if para.label else 0, max(0, width - para.indent - 20))
        room = max(1, width - para.indent - column - 1)
        label = cut(para.label, column - 1) if column else ""
        for number, line in enumerate(wrap(clean(para.text).rstrip("\n"), room, limit=MAX_ROWS)):
            lead = label if number == 0 else ""
            pad = " " * (column - cells(lead))
            rows.append([(" " * para.indent, ""), (lead, "dim"), (pad + line, para.tone)])
    return rows


class Layout:
    """Sections laid out for a width. `folds` says what a person folded: open or not, by key."""

    def __init__(self, sections: Sequence[Section], folds: Mapping[str, bool], width: int) -> None:
        self.width = width
        self.sections: list[Section] = []
        """Those in sight."""
        self.folded: dict[str, bool] = {}
        """Whether each that can be folded is."""
        heights: list[int] = []
        below: int | None = None
        for number, section in enumerate(sections):
            if below is not None and section.depth > below:
                continue
            below = None
            deeper = number + 1 < len(sections) and sections[number + 1].depth > section.depth
            height = 1
            if section.body is not None or deeper:
                self.folded[section.key] = folded = not folds.get(section.key, section.open)
                if folded:
                    below = section.depth
                elif section.body is not None:
                    height += section.body.height(width)
            self.sections.append(section)
            heights.append(height)
        self._starts = [0, *accumulate(heights)]
        self._row_of = {section.key: start for section, start in zip(self.sections, self._starts, strict=False)}

    def __len__(self) -> int:
        """All rows."""
        return self._starts[-1]

    def place(self, row: int) -> tuple[Section, int]:
        """The section of a row, and the row's number in it: 0 is the head. IndexError beyond the end."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        number = bisect_right(self._starts, row) - 1
        return self.sections[number], row - self._starts[number]

    def find(self, key: str) -> int | None:
        """The row of a section's head; None when it is not in sight."""
        return self._row_of.get(key)

    def row_at(self, key: str, offset: int) -> int | None:
        """The row of a section nearest to that number in it; None when it is not in sight."""
        start = self._row_of.get(key)
        if start is None:
            return None
        end = self._starts[bisect_right(self._starts, start)]
        return min(start + offset, end - 1)

    def row(self, row: int, pan: int = 0) -> tuple[Parts, Parts]:
        """What stands at the left and at the right of a row."""
        section, at = self.place(row)
        if at and section.body is not None:
            return section.body.row(at - 1, self.width, pan), ()
        mark = "  " if self.folded else ""
        if section.key in self.folded:
            mark = "▸ " if self.folded[section.key] else "▾ "
        return [(f" {'  ' * section.depth}{mark}", "dim"), *section.left], section.right

    def text(self, row: int) -> str:
        """A row's text, for a search."""
        left, right = self.row(row)
        return "".join(text for text, _ in (*left, *right))
