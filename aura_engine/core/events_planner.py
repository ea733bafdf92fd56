"""Facts about money and about what the planner keeps, reviews and answers. Part of the union in events.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aura_engine.core.budget import Caps
from aura_engine.core.duration import format_duration
from aura_engine.core.model import Frozen, Usage


class ModelAsked(Frozen):
    """Intent: a model is about to be asked by the engine itself. Until it has replied, `reserve` counts as spent."""

    kind: Literal["model_asked"] = "model_asked"
    id: int
    purpose: Literal["planner", "judge", "answer"]
    reserve: Usage
    """What the answer may cost at most."""


class ModelReplied(Frozen):
    """It replied, or failed, and this is what it is counted as."""

    kind: Literal["model_replied"] = "model_replied"
    id: int
    purpose: Literal["planner", "judge", "answer"]
    usage: Usage
    model: str = ""
    failure: str = ""


class CapReached(Frozen):
    """A cap stands in the way of the next step; one of the run stops all that costs, until it is raised."""

    kind: Literal["cap_reached"] = "cap_reached"
    scope: Literal["run", "task", "attempt"]
    measure: Literal["cost", "tokens", "work"]
    used: float
    """USD, tokens or seconds, as the measure has it; what the next step was reserved is not in it."""
    cap: float
    task: str = ""
    n: int = 0


class CapsChanged(Frozen):
    """The person changed what may be spent, while the run goes on: what was stopped by a cap looks again."""

    kind: Literal["caps_changed"] = "caps_changed"
    caps: Caps
    """In force from here on."""


class MemoryEdited(Frozen):
    """The person changed the planner's memory; these are its lessons now."""

    kind: Literal["memory_edited"] = "memory_edited"
    lessons: tuple[str, ...]


class Reviewed(Frozen):
    """The planner stood back and looked at the whole run."""

    kind: Literal["reviewed"] = "reviewed"
    call: int
    report: str = Field(max_length=20_000)
    advice: str = Field(default="", max_length=4000)
    """To its next planning."""
    work: float = 0.0
    """Seconds that workers had worked by then, running ones too."""


class Inquired(Frozen):
    """A person asked the planner something about the run."""

    kind: Literal["inquired"] = "inquired"
    id: str
    question: str = Field(max_length=4000)
    actor: str = "person"


class InquiryAnswered(Frozen):
    """The planner's answer, with what it rests on."""

    kind: Literal["inquiry_answered"] = "inquiry_answered"
    id: str
    answer: str = Field(max_length=20_000)
    tasks: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    """Numbers in the journal."""
    failed: bool = False
    """There is no answer; the text says why."""


OVER_CAP = "budget"
"""A planner's failure: the run's cap left no room to ask it."""
CAP_SETTINGS = {"cost": "AURA_MAX_COST_USD", "tokens": "AURA_MAX_TOKENS", "work": "AURA_MAX_WORK_TIME"}
"""Measure → the setting of the run's cap."""


def caps_words(caps: Caps) -> str:
    """All caps in force, for a person: `run $20.00; task 2,000,000 tokens`."""
    told: list[str] = []
    for scope, limit in (("run", caps.run), ("task", caps.task), ("attempt", caps.attempt)):
        amounts = [f"${limit.cost:.{2 if limit.cost >= 1 else 4}f}"] if limit.cost else []
        amounts += [f"{limit.tokens:,} tokens"] if limit.tokens else []
        amounts += [f"{format_duration(limit.work)} of work"] if limit.work else []
        told += [f"{scope} {', '.join(amounts)}"] if amounts else []
    return "; ".join(told) or "no cap is in force"


def cap_words(reached: CapReached) -> str:
    """Which cap stands in the way, for a person: `$4.80 of $5.00 are used`."""
    match reached.measure:
        case "cost":
            digits = 2 if reached.cap >= 1 else 4
            used, cap = f"${reached.used:.{digits}f}", f"${reached.cap:.{digits}f}"
        case "tokens":
            used, cap = f"{reached.used:,.0f}", f"{reached.cap:,.0f} tokens"
        case "work":
            used, cap = format_duration(round(reached.used)), f"{format_duration(reached.cap)} of work"
    return f"{used} of {cap} used, and the next step does not fit"
