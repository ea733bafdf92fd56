"""What a page of the set-up is: one thing to choose, or a few things to write, and how the answers are tried."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aura_engine.config import references
from aura_engine.config.settings import INFOS
from aura_engine.doctor.brains import masked
from aura_engine.doctor.findings import Finding
from aura_engine.setup.draft import Draft
from aura_engine.setup.machine import Machine


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several answers."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to write: a setting's name, the question, and what an empty answer means."""

    name: str
    question: str
    hint: str = ""

    @property
    def secret(self) -> bool:
        """Never shown in full."""
        return INFOS[self.name].secret


Trial = Callable[[Draft], Coroutine[Any, Any, Sequence[Finding]]]
"""Tries what was answered for real; never raises AuraError."""


@dataclass(frozen=True, slots=True)
class Page:
    """One step. It has either choices or entries."""

    id: str
    title: str
    about: Callable[[Draft, Machine], str]
    """A few sentences above the question."""
    choices: Callable[[Draft, Machine], Sequence[Choice]] | None = None
    chosen: Callable[[Draft], str] = lambda draft: ""
    """The choice that the answers amount to now."""
    choose: Callable[[Draft, Machine, str], None] = lambda draft, machine, value: None
    """Take a choice."""
    entries: Callable[[Draft, Machine], Sequence[Entry]] = lambda draft, machine: ()
    finish: Callable[[Draft], None] = lambda draft: None
    """After entries were taken: fill in what follows from them."""
    trial: Trial | None = None
    wanted: Callable[[Draft, Machine], bool] = lambda draft, machine: True
    """Whether there is anything to ask here, after what was answered before."""


def shown(name: str, value: str) -> str:
    """A value as it may be shown: a key by its end, or where it comes from."""
    if value and INFOS[name].secret:
        return references.shown(value) if references.is_reference(value) else masked(value)
    return value


def take(page: Page, draft: Draft, answers: Mapping[str, str]) -> str:
    """Take what was written on a page; what is wrong with it, in words, empty when nothing is. Takes all or nothing."""
    for name, value in answers.items():
        if wrong := draft.check(name, value):
            return f"{name}: {wrong}"
    draft.put(answers)
    page.finish(draft)
    return ""
