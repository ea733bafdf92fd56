"""An edit of the goal beside its file: what it began with, whether it differs, what somebody else has made of the file.

And the search in a text. No Textual here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

Place = tuple[int, int]
"""(line, column), both from 0."""


class Saw(Enum):
    """What a look at the file has shown."""

    SAME = "same"
    """Nothing new."""
    FRESH = "fresh"
    """A text to be taken over: the first, or somebody else's where nothing is edited here."""
    CLASH = "clash"
    """Somebody else's text, beside an edit here."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An edit that is not saved, kept while its editor is closed."""

    base: str
    """The file that it began with."""
    text: str


@dataclass(slots=True)
class Edit:
    """Where an edit stands."""

    base: str = ""
    """The file as this edit began with it."""
    clean: str = ""
    """The editor's text when nothing was edited: an editor may write line ends in its own way."""
    text: str = ""
    theirs: str | None = None
    """The file as somebody else has left it since."""
    loaded: bool = False

    @property
    def edited(self) -> bool:
        """There is something to save."""
        return self.loaded and self.text != self.clean

    @property
    def draft(self) -> Draft | None:
        """What must not be lost."""
        return Draft(self.base, self.text) if self.edited else None

    def saw(self, disk: str) -> Saw:
        """Take in what the file reads now."""
        if not self.loaded:
            return Saw.FRESH
        if disk == self.base:
            self.theirs = None  # they took it back
            return Saw.SAME
        if disk == self.theirs:
            return Saw.SAME
        if not self.edited:
            return Saw.FRESH
        self.theirs = disk
        return Saw.CLASH

    def took(self, disk: str, text: str) -> None:
        """The file's text is shown, as `text` in the editor's way; or what is shown was written to it."""
        self.base, self.clean, self.text = disk, text, text
        self.theirs, self.loaded = None, True


def find(lines: Sequence[str], needle: str, start: Place, *, back: bool = False) -> tuple[Place, Place] | None:
    """Where the needle stands next, from the other end again after the last; upper and lower case are one."""
    text = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    folded, wanted = text.casefold(), needle.casefold()
    if len(folded) != len(text):  # folding would move the places
        folded, wanted = text, needle
    if not wanted:
        return None
    begin = starts[min(start[0], len(lines) - 1)] + start[1] if lines else 0
    at = folded.rfind(wanted, 0, begin) if back else folded.find(wanted, begin)
    if at < 0:
        at = folded.rfind(wanted) if back else folded.find(wanted)
    if at < 0:
        return None

    def place(index: int) -> Place:
        row = bisect_right(starts, index) - 1
        return row, index - starts[row]

    return place(at), place(at + len(wanted))
