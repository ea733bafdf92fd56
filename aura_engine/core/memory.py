"""The planner's memory: lessons as a Markdown file that a person can read and edit. Pure.

The file's last line holds the hash of the lessons that Aura wrote into it: other lessons with that line mean that a
person changed them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MAX_CHARS = 8000
"""What all lessons together may take: they are part of every request to the planner."""
MAX_LESSONS = 60
MAX_LESSON = 500
_HEAD = """\
# What the planner keeps in mind

One line with a dash for each lesson. Change, add or delete them as you like: it is read before the planner is asked.

"""
_STAMP = re.compile(r"<!-- aura:([0-9a-f]{16}) -->\s*\Z")


def size(lessons: Sequence[str]) -> int:
    """Characters."""
    return sum(len(lesson) for lesson in lessons)


def full(lessons: Sequence[str], *, share: float = 1.0) -> bool:
    """Whether the lessons fill this share of the room there is."""
    return size(lessons) > MAX_CHARS * share or len(lessons) > MAX_LESSONS * share


def render(lessons: Sequence[str]) -> str:
    """The file's text."""
    rows = "\n".join(f"- {' '.join(lesson.split())}" for lesson in lessons)
    return f"{_HEAD}{rows or '(nothing yet)'}\n\n<!-- aura:{digest(lessons)} -->\n"


def parse(text: str) -> tuple[list[str], str]:
    """(the lessons in a file, the hash of those that Aura last wrote into it); a lesson may span lines."""
    stamp = _STAMP.search(text)
    lessons: list[str] = []
    for line in text.splitlines():
        if re.match(r"\s*[-*+]\s+\S", line):
            lessons.append(line.strip()[1:].strip())
        elif lessons and line.startswith((" ", "\t")) and line.strip():
            lessons[-1] += f" {line.strip()}"
    kept = [" ".join(lesson.split())[:MAX_LESSON] for lesson in lessons[:MAX_LESSONS]]
    return kept, stamp[1] if stamp else ""


def digest(lessons: Sequence[str]) -> str:
    """16 hex digits over the lessons as the file has them."""
    return hashlib.sha256("\n".join(" ".join(lesson.split()) for lesson in lessons).encode()).hexdigest()[:16]


def edited(text: str, lessons: Sequence[str]) -> list[str] | None:
    """The lessons as a person wants them; None when the file is as Aura left it. `lessons`: those it keeps now."""
    found, stamp = parse(text)
    if stamp == digest(found):
        return None
    if stamp and stamp != digest(lessons):
        # It was edited from an older state of things: what was learned since is not lost for that.
        found += [lesson for lesson in lessons if lesson not in found]
    return None if digest(found) == digest(lessons) else found
