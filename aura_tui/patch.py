"""A unified diff as files with their lines, for reading. No Textual here; a long diff is to be read in a thread."""

from __future__ import annotations

from dataclasses import dataclass

from aura_engine.core.text import clean
from aura_engine.report import patch as report_patch
from aura_tui.sheet import Part, Parts, Section

TONES = {"+": "good", "-": "bad", "@": "key", "\\": "dim"}
OPEN_UP_TO = 400
"""Lines of a whole diff up to which its files are unfolded."""
TAB = "    "


@dataclass(frozen=True, eq=False, slots=True)
class Patch(report_patch.FilePatch):
    """What happened to one file; a Body. Lines are cleaned when they are shown."""

    def height(self, width: int) -> int:
        """See Body."""
        return len(self.lines)

    def row(self, at: int, width: int, pan: int) -> Parts:
        """See Body: the sign stays in sight, the rest can be panned."""
        line = clean(self.lines[at].replace("\t", TAB)).replace("\n", " ")
        tone = TONES.get(line[:1], "say")
        return [("    " + line[:1], tone), (line[1 + pan :], tone)]


def files_of(diff: str) -> list[Patch]:
    """The files of a unified diff (as git writes it) in its order. Whatever is no diff is no file."""
    return [Patch(file.path, file.what, file.added, file.removed, file.lines) for file in report_patch.files_of(diff)]


def counts(files: list[Patch]) -> tuple[Part, ...]:
    """`+61 −12 in 4 files`."""
    added, removed = sum(file.added for file in files), sum(file.removed for file in files)
    noun = "file" if len(files) == 1 else "files"
    return ((f"+{added}", "good"), (f" −{removed}", "bad"), (f" in {len(files)} {noun} ", "dim"))


def sections(files: list[Patch], *, depth: int = 0, open_up_to: int = OPEN_UP_TO) -> list[Section]:
    """A section for each file, unfolded when the whole diff has at most so many lines."""
    short = sum(len(file.lines) for file in files) <= open_up_to
    return [
        Section(
            f"diff/{number}/{file.path}",
            ((file.path, "bold"), (f"  {file.what}" if file.what else "", "ask")),
            ((f"+{file.added}", "good"), (f" −{file.removed} ", "bad")),
            file if file.lines else None,
            depth,
            open=short,
        )
        for number, file in enumerate(files)
    ]
