"""Reads `.env` files: KEY=VALUE lines with quotes, comments and `export`. No expansion of `$NAME`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*(.*)", re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'\s*(#.*)?", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(#.*)?', re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass
class EnvFile:
    """What a file says."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    """The last assignment of each name."""
    bad_lines: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """(line number from 1, its text) of what is no assignment."""


def parse_env(text: str) -> EnvFile:
    """The assignments in `text`. A quoted value may span lines; ` #` begins a comment after an unquoted one."""
    found = EnvFile()
    lines = text.lstrip("\ufeff").splitlines()
    for at, name, value, _ in assignments(lines):
        if value is not None:
            found.values[name] = value
        elif lines[at].strip() and not lines[at].lstrip().startswith("#"):
            found.bad_lines.append((at + 1, lines[at]))
    return found


def assignments(lines: list[str]) -> Iterator[tuple[int, str, str | None, int]]:
    """All of the lines in order: index, name, value and the number of lines it takes.

    The value is None, the name empty or of an assignment whose quotes do not close, for a line that is none.
    """
    at = 0
    while at < len(lines):
        blank = not lines[at].strip() or lines[at].lstrip().startswith("#")
        name, value, used = ("", None, 1) if blank else _assignment(lines, at)
        yield at, name, value, used
        at += used


def _assignment(lines: list[str], at: int) -> tuple[str, str | None, int]:
    """Name, value (None: not an assignment) and the number of lines it takes."""
    parts = _ASSIGNMENT.fullmatch(lines[at])
    if not parts:
        return "", None, 1
    name, rest = parts[1], parts[2]
    quoted = {"'": _SINGLE, '"': _DOUBLE}.get(rest[:1])
    if quoted is None:
        return name, re.sub(r"(^|\s)#.*", "", rest).strip(), 1
    # A key in PEM form spans dozens of lines; no value spans hundreds, but a forgotten quote would.
    for used in range(1, min(len(lines) - at, 100) + 1):
        match = quoted.fullmatch("\n".join((rest, *lines[at + 1 : at + used])))
        if match:
            value = match[1]
            if rest[0] == '"':
                value = re.sub(r"\\(.)", lambda char: _ESCAPES.get(char[1], char[1]), value, flags=re.DOTALL)
            return name, value, used
    return name, None, 1
