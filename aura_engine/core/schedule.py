"""Which tasks may start now. Pure: state, roles and the wall time in, a list of starts out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, TypeGuard

from aura_engine.core.model import Role, WorkerMode
from aura_engine.core.routing import must_run_alone, role_for
from aura_engine.core.state import RunState

Parked = tuple[float | None, str]
"""Until when (wall time; None: until a person acts), and why."""


class Start(NamedTuple):
    """A task to start now, in this role."""

    task: str
    role: Role
    fallback: bool = False
    """By the role's second worker, since the first is parked."""


def parked(state: RunState, role: Role, now: float) -> list[Parked]:
    """What keeps the role from starting anything: each of its workers is parked. Empty when one may start."""
    first = state.parked.get(role)
    if not _holds(first, now):
        return []
    second = state.parked_fallbacks.get(role)
    if role not in state.fallbacks:
        return [first]
    return [first, second] if _holds(second, now) else []


def _holds(until: Parked | None, now: float) -> TypeGuard[Parked]:
    return until is not None and (until[0] is None or until[0] > now)


def waits(state: RunState, now: float) -> list[float | None]:
    """For each role that may start nothing: until when (wall time), None where a person has to act first."""
    found: list[float | None] = []
    for role in state.parked:
        if holds := parked(state, role, now):
            known = [until for until, _ in holds if until is not None]
            found.append(min(known) if known else None)
    return found


def starts(state: RunState, mode: WorkerMode, capacity: int, now: float) -> list[Start]:
    """Ready tasks to start while capacity lasts; the longest chains of dependents first, then in reading order.

    Nothing starts while the run is paused or the planner has not been told of the goal's first revision.
    """
    free = capacity - len(state.busy)
    if state.paused or state.capped or state.no_room or state.plan_held or free <= 0 or not state.ready:
        return []
    if any(must_run_alone(state.tasks[task_id]) for task_id in state.busy | state.verifying):
        return []
    chosen: list[Start] = []
    asked = bool(state.open_questions())
    for task_id in _in_order(state):
        task = state.tasks[task_id]
        if task.not_before > now or task.paused_at or (asked and state.blocked_by_question(task_id)):
            continue
        role = role_for(task, mode)
        if parked(state, role, now):
            continue
        start = Start(task_id, role, fallback=_holds(state.parked.get(role), now))
        if must_run_alone(task):
            if state.busy or state.verifying or chosen:
                continue
            return [start]
        chosen.append(start)
        if len(chosen) == free:
            break
    return chosen


def next_moment(state: RunState, now: float) -> float | None:
    """Wall time at which something that waits for a time may start; None when nothing does."""
    moments = [state.tasks[task_id].not_before for task_id in state.ready]
    both = (*state.parked.values(), *state.parked_fallbacks.values())
    moments += [until for until, _ in both if until is not None]
    if state.planner_failure and state.planner_failure[2]:
        moments.append(state.planner_failure[2])
    return min((moment for moment in moments if moment > now), default=None)


def soon(state: RunState, limit: int) -> list[str]:
    """The ready tasks that start next, whatever keeps them from starting now: their workspaces can be made."""
    return list(islice(_in_order(state), limit))


def _in_order(state: RunState) -> Iterator[str]:
    """The ready tasks as they are to start; nothing is sorted for the few that are looked at."""
    return (task_id for task_id in state.order if task_id in state.ready)
