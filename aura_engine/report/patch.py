"""A unified diff as files with their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aura_engine.core.text import one_line

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


@dataclass(frozen=True, eq=False, slots=True)
class FilePatch:
    """What happened to one file. Its lines, from the first `@@` on, are as git wrote them: to be cleaned when shown."""

    path: str
    what: str
    """`new`, `deleted`, `renamed` …, "" for a plain change."""
    added: int
    removed: int
    lines: list[str]


def files_of(diff: str) -> list[FilePatch]:
    """The files of a unified diff (as git writes it) in its order. Whatever is no diff is no file."""
    pieces = re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE)
    return [_file(piece.removesuffix("\n").split("\n")) for piece in pieces if piece.startswith("diff --git ")]


def _file(lines: list[str]) -> FilePatch:
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
    return FilePatch(one_line(path, 300), what, added, removed, body)


def _name(text: str) -> str:
    """`a/x` or `b/x` without its letter; git ends a name with a blank in it by a tab."""
    text = text.removesuffix("\t").strip('"')
    return text[2:] if text[:2] in ("a/", "b/") else text
