"""What doctor found: a sentence for a person, and the same as data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, field_validator

from aura_engine.core.model import Frozen
from aura_engine.core.text import one_line

MAX_TEXT = 600
Fact = str | int | float | bool


class Section(StrEnum):
    """What a finding is about, in the order in which they are told."""

    MACHINE = "machine"
    SETTINGS = "settings"
    CONTAINMENT = "containment"
    BACKENDS = "backends"
    PROBE = "probe"


class Level(StrEnum):
    """How bad it is."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"
    """It would keep a run from starting, or from getting anywhere."""


class Finding(Frozen):
    """One thing that doctor found."""

    section: Section
    level: Level
    about: str
    """Its subject: `git`, `pro`, `claude`."""
    text: str
    """What is so, and why; one line, cleaned."""
    cure: str = ""
    """What to do about it."""
    facts: dict[str, Fact] = Field(default_factory=dict)
    """The same for programs: `version`, `path`, `seconds`, `tokens`, `cost` (USD), …"""

    @field_validator("about", "text", "cure")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return one_line(value, MAX_TEXT)


Tell = Callable[[Finding], None]
"""Takes each finding as soon as it is made."""


def found(
    section: Section, level: Level, about: str, text: str, cure: str = "", facts: Mapping[str, Fact] | None = None
) -> Finding:
    """A finding; the rooms of doctor fix the section."""
    return Finding(section=section, level=level, about=about, text=text, cure=cure, facts=dict(facts or {}))


async def tell_in_order(works: Iterable[Coroutine[Any, Any, Finding]], tell: Tell) -> None:
    """Find side by side, tell in order; none goes on when this ends."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        for task in tasks:
            tell(await task)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Report(Frozen):
    """All of it."""

    version: str
    """Aura's own."""
    can_start: bool
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, version: str, findings: Sequence[Finding]) -> Self:
        """A run can start when nothing was found that keeps it from that."""
        can_start = all(finding.level is not Level.PROBLEM for finding in findings)
        return cls(version=version, can_start=can_start, findings=tuple(findings))
