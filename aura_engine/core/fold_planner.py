"""fold, for the facts of events_planner.py and for the money in the others. Pure."""

from __future__ import annotations

from aura_engine.core import events_planner as ev
from aura_engine.core.model import Usage
from aura_engine.core.state import Attempt, Inquiry, RunState


def engine_started(state: RunState) -> None:
    """A question that nobody saw answered may have been billed all the same: its possible cost stays counted."""
    for reserve in state.reserved.values():
        state.planner_usage += reserve
    state.reserved = {}
    state.capped = None


def conversation_ended(state: RunState, usage: Usage) -> None:
    """Most of a conversation was counted request by request; journals of older engines have only its sum."""
    state.planner_usage += usage.beyond(state.counted_usage)
    state.counted_usage = Usage()


def worker_ended(state: RunState, attempt: Attempt, charged: Usage) -> None:
    """What the attempt used is settled."""
    attempt.usage = charged
    state.worker_usage += charged
    state.work += attempt.worked(attempt.ended or attempt.started)


def model_asked(state: RunState, e: ev.ModelAsked, time: float) -> None:
    """See ModelAsked."""
    state.model_calls = max(state.model_calls, e.id)
    state.reserved[e.id] = e.reserve


def model_replied(state: RunState, e: ev.ModelReplied, time: float) -> None:
    """See ModelReplied."""
    state.reserved.pop(e.id, None)
    state.planner_usage += e.usage
    if e.purpose == "planner":
        state.counted_usage += e.usage


def cap_reached(state: RunState, e: ev.CapReached, time: float) -> None:
    """See CapReached."""
    if e.scope == "run":
        state.capped = e


def caps_changed(state: RunState, e: ev.CapsChanged, time: float) -> None:
    """See CapsChanged: whether the next step fits now is found out before it is made."""
    state.caps, state.capped = e.caps, None
    if state.planner_failure and state.planner_failure[0] == ev.OVER_CAP:
        state.planner_failure, state.planner_failures = None, 0


def memory_edited(state: RunState, e: ev.MemoryEdited, time: float) -> None:
    """See MemoryEdited."""
    state.lessons = list(e.lessons)


def reviewed(state: RunState, e: ev.Reviewed, time: float) -> None:
    """See Reviewed."""
    state.reviews += 1
    state.advice = e.advice
    state.reviewed_at = e.work


def inquired(state: RunState, e: ev.Inquired, time: float) -> None:
    """See Inquired."""
    state.inquiries[e.id] = Inquiry(e.id, e.question)


def inquiry_answered(state: RunState, e: ev.InquiryAnswered, time: float) -> None:
    """See InquiryAnswered."""
    state.inquiries[e.id].answer = e.answer
