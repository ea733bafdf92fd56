"""Whether the goal is reached, and why a run ends when nothing can go on. Pure: asked in one place."""

from __future__ import annotations

from aura_engine.core.events_planner import CAP_SETTINGS, cap_words
from aura_engine.core.model import RunStatus, TaskStatus
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line


def all_landed(state: RunState) -> bool:
    """There are wanted tasks, and every one has landed."""
    wanted = [task for task in state.leaves() if task.status is not TaskStatus.ARCHIVED]
    return bool(wanted) and all(task.status is TaskStatus.COMPLETED for task in wanted)


def checked(state: RunState) -> bool:
    """The goal checks were run on the head, for the goal as it is."""
    return state.checked is not None and state.checked[:2] == (state.head_tree, state.revision)


def goal_proven(state: RunState) -> bool:
    """At least one goal check was seen red on an earlier tree and is green now."""
    return any(
        check.hash in state.goal_seen_red and (receipt := state.goal_receipts.get(name)) is not None and receipt.green
        for name, check in state.goal_checks.items()
    )


def for_want_of_room(state: RunState) -> tuple[RunStatus, str]:
    """The end of a run in which nothing goes on and nothing can start, once that was waited for in vain."""
    cure = "make room or change that limit, then start the same command again"
    return RunStatus.NEEDS_PERSON, f"nothing can start: {one_line(state.no_room, 300)}; {cure}"


def how_it_ends(state: RunState) -> tuple[RunStatus, str]:
    """The status and the reason of a run in which nothing can go on."""
    red = state.checked[2] if state.checked and checked(state) else ()
    if all_landed(state) and checked(state) and not red and state.declared == state.revision:
        unproven = [task.spec.id for task in state.leaves() if not task.proven]
        unproven += [] if goal_proven(state) else ["the goal itself"]
        more = f" (done, unproven: {', '.join(unproven)})" if unproven else ""
        return RunStatus.ACHIEVED, f"{one_line(state.declared_summary, 300)}{more}"
    if state.capped:
        return RunStatus.BUDGET, f"{cap_words(state.capped)}; raise {CAP_SETTINGS[state.capped.measure]} to go on"
    questions = state.open_questions()
    if state.unapproved:
        return RunStatus.NEEDS_PERSON, "the plan waits for your approval (aura approve, or aura reject WHY)"
    if questions:
        return RunStatus.NEEDS_PERSON, f"{questions[0].question} (aura answer {questions[0].id} TEXT)"
    stuck = [f"{role}: {why}" for role, (until, why) in state.parked.items() if until is None]
    if stuck and state.ready:
        return RunStatus.NEEDS_PERSON, "; ".join(stuck)
    if state.planner_failure and state.planner_failure[2] is None:
        return RunStatus.NEEDS_PERSON, f"the planner cannot be asked: {state.planner_failure[1]}"
    killed = [task.spec.id for task in state.leaves() if task.status is TaskStatus.KILLED]
    if killed:
        return RunStatus.NEEDS_PERSON, f"you stopped {', '.join(killed)}"
    failed = [f"{t.spec.id} {t.spec.title}: {t.reason}" for t in state.leaves() if t.status is TaskStatus.FAILED]
    if failed:
        return RunStatus.FAILED, one_line("; ".join(failed), 500)
    if red:
        return RunStatus.FAILED, f"goal checks are red: {', '.join(red)}"
    return RunStatus.FAILED, "nothing is left to do, but the planner did not declare the goal reached"
