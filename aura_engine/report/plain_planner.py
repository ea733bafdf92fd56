"""Money, memory, reviews and questions about the run as lines for a person; part of the table in plain.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aura_engine.core import events_planner as ev
from aura_engine.core.events_planner import CAP_SETTINGS, cap_words, caps_words
from aura_engine.core.state import RunState
from aura_engine.core.text import clean, one_line
from aura_engine.report.words import count

Told = list[tuple[str, str]]
MAX_LINES = 40


def _cap_reached(e: ev.CapReached, state: RunState, time: float) -> Told:
    if e.scope == "run":
        return [("ask", f"the run's cap ({CAP_SETTINGS[e.measure]}): {cap_words(e)}; nothing new starts")]
    whose = f"{e.task}#{e.n}" if e.scope == "attempt" else f"{e.task}, all its attempts"
    return [("held", f"the cap of {whose}: {cap_words(e)}")]


def _caps_changed(e: ev.CapsChanged, state: RunState, time: float) -> Told:
    return [("say", f"you changed what may be spent: {caps_words(e.caps)}")]


def _memory_edited(e: ev.MemoryEdited, state: RunState, time: float) -> Told:
    return [("say", f"you changed the planner's memory: {count(len(e.lessons), 'lesson')}")]


def _reviewed(e: ev.Reviewed, state: RunState, time: float) -> Told:
    advice = f": {one_line(e.advice, 300)}" if e.advice else ""
    return [("say", f"the planner has reviewed the run (memory/reviews){advice}")]


def _inquired(e: ev.Inquired, state: RunState, time: float) -> Told:
    return [("ask", f"you asked: {one_line(e.question, 300)}")]


def _inquiry_answered(e: ev.InquiryAnswered, state: RunState, time: float) -> Told:
    if e.failed:
        return [("bad", f"no answer: {one_line(e.answer, 300)}")]
    first, *rest = clean(e.answer).splitlines()[:MAX_LINES] or [""]
    return [("say", f"the planner answers: {first}"), *(("", line) for line in rest)]


TELL_PLANNER: dict[type[Any], Callable[[Any, RunState, float], Told]] = {
    ev.CapReached: _cap_reached,
    ev.CapsChanged: _caps_changed,
    ev.MemoryEdited: _memory_edited,
    ev.Reviewed: _reviewed,
    ev.Inquired: _inquired,
    ev.InquiryAnswered: _inquiry_answered,
}
