"""A task's role, and what an attempt's outcome leads to. Pure code, no model (DESIGN section 6, Routing)."""

from __future__ import annotations

from enum import StrEnum
from itertools import takewhile
from typing import NamedTuple

from aura_engine.core.model import Difficulty, EndKind, Outcome, Role, WorkerMode
from aura_engine.core.state import Attempt, Task

FLASH_TRIES = 2
"""Capability failures on Flash before a mode that may escalate goes to Pro: one retry with the hand-over note."""

CONFLICTS_BEFORE_ALONE = 2
INFRASTRUCTURE_TRIES = 12
"""Starts in a row that may fail for the machinery before a person is asked: about an hour at the back-off's ceiling."""
CRASHES = 3
"""Crashes or hang-ups of the worker in a row; a CLI that dies each time on this task won't be saved by waiting."""

OUTCOME_OF: dict[EndKind, Outcome] = {
    EndKind.FINISHED: Outcome.PASSED,
    EndKind.GAVE_UP: Outcome.CAPABILITY,
    EndKind.OUT_OF_TURNS: Outcome.CAPABILITY,
    EndKind.LOOPING: Outcome.CAPABILITY,
    EndKind.OUT_OF_TIME: Outcome.BUDGET,
    EndKind.OVER_CAP: Outcome.BUDGET,
    EndKind.RUN_CAPPED: Outcome.INTERRUPTED,
    EndKind.CONTEXT_OVERFLOW: Outcome.RESOURCE,
    EndKind.OUT_OF_MEMORY: Outcome.RESOURCE,
    EndKind.OVER_LIMIT: Outcome.RESOURCE,
    EndKind.KILLED: Outcome.INTERRUPTED,
    EndKind.LOST: Outcome.INTERRUPTED,
}
"""What a worker's ending means before its work was looked at; every other kind is `infrastructure`."""

ROLE_WIDE = frozenset({EndKind.RATE_LIMIT, EndKind.OVERLOADED, EndKind.UNREACHABLE})
NEEDS_PERSON = frozenset({EndKind.CREDENTIALS, EndKind.MONEY, EndKind.MISSING_CLI})
CUT_OFF = ROLE_WIDE | {EndKind.CREDENTIALS, EndKind.MONEY, EndKind.KILLED, EndKind.LOST, EndKind.RUN_CAPPED}
"""Endings that say nothing about the work: the next attempt goes on in the same session, where the program can."""


def outcome_of(kind: EndKind) -> Outcome:
    """The outcome a worker's ending stands for; unknown ones are the machinery's fault, never the model's."""
    return OUTCOME_OF.get(kind, Outcome.INFRASTRUCTURE)


class Step(StrEnum):
    """What routing decided."""

    RETRY = "retry"
    PLANNER = "planner"
    PERSON = "person"
    WAIT = "wait"


class Next(NamedTuple):
    """The next step for a task. `delay` in seconds before jitter; `park` stops the whole role for that long."""

    step: Step
    reason: str
    delay: float = 0.0
    park: bool = False


def role_for(task: Task, mode: WorkerMode) -> Role:
    """The role of the task's next attempt."""
    if mode is WorkerMode.PRO_ONLY:
        return Role.PRO
    if mode is WorkerMode.FLASH_ONLY:
        return Role.FLASH
    if task.forced_role:
        return task.forced_role
    if mode is WorkerMode.AUTO and task.spec.difficulty is Difficulty.HARD:
        return Role.PRO
    failed = [a for a in task.counted if a.role is Role.FLASH and a.outcome is Outcome.CAPABILITY]
    gave_up = any(a.ending is not None and a.ending.kind is EndKind.GAVE_UP for a in failed)
    escalated = any(a.role is Role.PRO for a in task.counted)
    return Role.PRO if escalated or gave_up or len(failed) >= FLASH_TRIES else Role.FLASH


def cut_off(task: Task) -> Attempt | None:
    """The last attempt, if it was broken off in mid-work and the task is still worded as it was: it can be resumed."""
    last = None if task.live else last_that_ran(task)
    if last is None or last.ending is None or not last.ending.session or last.n <= task.changed:
        return None
    judged = last.outcome not in (Outcome.INFRASTRUCTURE, Outcome.INTERRUPTED)
    return None if judged or last.ending.kind not in CUT_OFF else last


def last_that_ran(task: Task) -> Attempt | None:
    """The last attempt that is more than an intent: one whose worker could not be started leaves all as it was."""
    return next((a for a in reversed(task.attempts) if a.live or a.process or a.ending), None)


def must_run_alone(task: Task) -> bool:
    """After two conflicts nothing else may move the head under a task."""
    return sum(a.outcome is Outcome.CONFLICT for a in task.counted) >= CONFLICTS_BEFORE_ALONE


def after(task: Task, mode: WorkerMode, *, per_role: int) -> Next:
    """What the last attempt's outcome leads to. `per_role` caps the charged attempts of each role (default 3)."""
    attempt = task.attempts[-1]
    outcome, reason = attempt.outcome, attempt.why
    kind = attempt.ending.kind if attempt.ending else EndKind.CRASHED
    if outcome is Outcome.INTERRUPTED:
        if kind is not EndKind.LOST:
            return Next(Step.WAIT, reason)
        lost = len(list(takewhile(_lost, reversed(task.counted))))
        return (
            Next(Step.RETRY, reason) if lost < CRASHES else Next(Step.PLANNER, f"lost {lost} times in a row: {reason}")
        )
    if outcome is Outcome.CONFLICT:
        if sum(a.outcome is Outcome.CONFLICT for a in task.counted) > CONFLICTS_BEFORE_ALONE + per_role:
            return Next(Step.PLANNER, f"its work conflicts with the head again and again: {reason}")
        return Next(Step.RETRY, reason)
    if outcome is Outcome.INFRASTRUCTURE:
        return _after_infrastructure(task, kind, reason)
    if outcome is Outcome.BUDGET:
        what = "reached its cap" if kind is EndKind.OVER_CAP else "ran out of its time"
        return Next(Step.PLANNER, f"it {what}: {reason}")
    if outcome is Outcome.RESOURCE:
        tries = sum(a.outcome is Outcome.RESOURCE for a in task.counted)
        return Next(Step.RETRY, reason) if tries < 2 else Next(Step.PLANNER, f"too large for a worker: {reason}")
    role = role_for(task, mode)
    charged = sum(a.role is role and a.outcome is Outcome.CAPABILITY for a in task.counted)
    if charged >= per_role:
        return Next(Step.PLANNER, f"{charged} attempts as {role} failed; the last: {reason}")
    return Next(Step.RETRY, reason)


def _lost(attempt: Attempt) -> bool:
    return attempt.ending is not None and attempt.ending.kind is EndKind.LOST


def _after_infrastructure(task: Task, kind: EndKind, reason: str) -> Next:
    if kind in NEEDS_PERSON:
        return Next(Step.PERSON, reason, park=True)
    row = takewhile(lambda a: a.outcome is Outcome.INFRASTRUCTURE, reversed(task.counted))
    last = task.attempts[-1]
    row = [a for a in row if (a.role, a.fallback) == (last.role, last.fallback)]
    streak = len(row)
    if kind in ROLE_WIDE:
        if streak >= INFRASTRUCTURE_TRIES:
            return Next(Step.PERSON, f"{streak} tries in a row failed: {reason}", park=True)
        wait = task.attempts[-1].ending.retry_after if task.attempts[-1].ending else None
        return Next(Step.RETRY, reason, max(1.0, wait) if wait is not None else backoff(streak), park=True)
    # A limit that was waited out in between is no crash of this task's.
    crashes = sum(a.ending is None or a.ending.kind not in ROLE_WIDE for a in row)
    if crashes >= CRASHES:
        return Next(Step.PLANNER, f"{crashes} tries in a row failed: {reason}")
    return Next(Step.RETRY, reason, backoff(crashes, base=1.0))


def backoff(tries: int, *, base: float = 5.0, ceiling: float = 300.0) -> float:
    """Seconds before the next try: doubling from `base` to a ceiling of five minutes; jitter is added outside."""
    return min(ceiling, base * 2 ** max(0, tries - 1))
