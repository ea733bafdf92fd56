"""A unified diff as files with their lines, for reading. No Textual here; a long diff is to be read in a thread."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aura_engine.core.text import clean, one_line
from aura_tui.sheet import Part, Parts, Section

TONES = {"+": "good", "-": "bad", "@": "key", "\\": "dim"}
OPEN_UP_TO = 400
"""Lines of a whole diff up to which its files are unfolded."""
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
TAB = "    "


@dataclass(frozen=True, eq=False, slots=True)
class Patch:
    """What happened to one file; a Body. Lines are cleaned when they are shown."""

    path: str
    what: str
    """`new`, `deleted`, `renamed` …, "" for a plain change."""
    added: int
    removed: int
    lines: list[str]

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
    pieces = re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE)
    return [_file(piece.removesuffix("\n").split("\n")) for piece in pieces if piece.startswith("diff --git ")]


def _file(lines: list[str]) -> Patch:
    path, what, old = "", "", ""
    body: list[str] = []
    added = removed = 0
    left = right = 0  # lines that the hunk still holds: only they are content, whatever they begin with
    for line in lines[1:]:
        if left > 0 or right > 0:
            body.append(line)
            sign = line[:1]
            added += sign == "+"
            removed += sign == "-"
            left -= sign in " -"
            right -= sign in " +"
        elif hunk := _HUNK.match(line):
            left, right = (int(count) if count is not None else 1 for count in hunk.groups())
            body.append(line)
        elif line.startswith("\\"):
            body.append(line)
        elif line.startswith("--- "):
            old = _name(line[4:])
        elif line.startswith("+++ "):
            path = _name(line[4:])
        elif line.startswith(("new file", "deleted file", "rename from", "Binary files", "new mode")):
            what = {"new": "new", "del": "deleted", "ren": "renamed", "Bin": "binary"}[line[:3]]
            what = "mode" if line.startswith("new mode") else what
        elif line.startswith("rename to "):
            path = line[10:]
    if path in ("", "/dev/null"):
        path = old if old not in ("", "/dev/null") else lines[0].rpartition(" b/")[2]
    return Patch(one_line(path, 300), what, added, removed, body)


def _name(text: str) -> str:
    """`a/x` or `b/x` without its letter; git ends a name with a blank in it by a tab."""
    text = text.removesuffix("\t").strip('"')
    return text[2:] if text[:2] in ("a/", "b/") else text


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
