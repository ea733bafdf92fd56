"""When the planner is asked: exactly when judgement is needed, about each thing once, and never on a timer."""

from __future__ import annotations

import pytest

from aura_engine.core import events as ev
from aura_engine.core.ending import goal_proven
from aura_engine.core.fold import fold
from aura_engine.core.model import (
    Check,
    Ending,
    EndKind,
    ExitRecord,
    Outcome,
    Phase,
    Receipt,
    Role,
    RunStatus,
    TaskStatus,
    Usage,
    Verdict,
)
from aura_engine.core.plan import Brief, Criterion, Retry, TaskSpec
from aura_engine.planner.triggers import review_due, triggers

GOAL = Check(name="goal", run="make check", person=True)
READ = ev.GoalRead(revision="r1", text="do it", prose="do it", checks=(GOAL,))
BASE = ev.BaseTaken(commit="c0", tree="t0")
BRIEF = Brief(final_goal="it", criteria=(Criterion(text="it works", checks=("goal",)),))
SPEC = TaskSpec(id="A1", title="One", checks=(Check(name="c", run="true"),))
PLANNED = (
    ev.PlannerAsked(call=1, triggers=("goal_new:r1",), revision="r1"),
    ev.PlanChanged(reason="plan", told=True, brief=BRIEF, add=(SPEC,)),
    ev.PlannerReplied(call=1, requests=1, usage=Usage()),
)
STARTING = ev.AttemptStarting(task="A1", n=1, role=Role.FLASH, backend="builtin", base="c0")
FINISHED = ev.WorkerEnded(task="A1", n=1, ending=Ending(kind=EndKind.FINISHED), exit=ExitRecord(code=0))
LANDED = ev.Landed(task="A1", n=1, commit="c1", tree="t1")


def state_of(*events: object):
    return fold((event, float(number)) for number, event in enumerate(events, 1))


def receipt(verdict: Verdict, phase: Phase = Phase.GOAL) -> ev.CheckRan:
    return ev.CheckRan(receipt=Receipt(check="goal", check_hash=GOAL.hash, tree="t1", phase=phase, verdict=verdict))


def kinds(state, *, quiet: bool = True) -> list[str]:
    return [key.partition(":")[0] for key in triggers(state, quiet=quiet)]


def test_nothing_before_a_goal_and_a_new_goal_once():
    assert kinds(state_of()) == []
    assert kinds(state_of(READ, BASE)) == ["goal_new"]
    assert kinds(state_of(READ, BASE, *PLANNED), quiet=False) == []


def test_a_running_plan_asks_nothing():
    assert kinds(state_of(READ, BASE, *PLANNED, STARTING), quiet=False) == []
    assert kinds(state_of(READ, BASE, *PLANNED, STARTING, FINISHED), quiet=False) == []


def test_an_edit_is_told_even_when_it_came_while_the_planner_was_thinking():
    edited = READ.model_copy(update={"revision": "r2", "text": "do more"})
    state = state_of(READ, BASE, PLANNED[0], edited, *PLANNED[1:])
    assert kinds(state, quiet=False) == ["goal_changed"]
    assert state.told_text == "do it"
    asked = ev.PlannerAsked(call=2, triggers=tuple(triggers(state, quiet=False)), revision="r2")
    state = state_of(READ, BASE, PLANNED[0], edited, *PLANNED[1:], asked, PLANNED[2])
    assert kinds(state, quiet=False) == []


def test_a_failed_task_is_asked_about_once_and_again_after_the_next_failure():
    failed = ev.AttemptEnded(task="A1", n=1, outcome=Outcome.CAPABILITY, reason="no")
    settled = ev.TaskSettled(task="A1", status=TaskStatus.FAILED, reason="no")
    story = [READ, BASE, *PLANNED, STARTING, FINISHED, failed, settled]
    assert kinds(state_of(*story), quiet=False) == ["task_failed"]
    asked = ev.PlannerAsked(call=2, triggers=("task_failed:A1#1",), revision="r1")
    replied = ev.PlannerReplied(call=2, requests=1, usage=Usage())
    assert kinds(state_of(*story, asked, replied), quiet=False) == []
    retry = ev.PlanChanged(reason="again", retry=(Retry(id="A1", instructions="better"),))
    second = [STARTING.model_copy(update={"n": 2}), FINISHED.model_copy(update={"n": 2})]
    second += [failed.model_copy(update={"n": 2}), settled]
    assert kinds(state_of(*story, asked, retry, replied, *second), quiet=False) == ["task_failed"]


def test_goal_checks_come_before_any_question_about_the_end():
    story = [READ, BASE, *PLANNED, STARTING, FINISHED, LANDED]
    assert kinds(state_of(*story)) == []
    red = ev.GoalChecked(tree="t1", revision="r1", red=("goal",))
    assert kinds(state_of(*story, receipt(Verdict.RED), red)) == ["checks_fail"]
    green = ev.GoalChecked(tree="t1", revision="r1")
    seen = receipt(Verdict.RED, Phase.BEFORE)
    assert kinds(state_of(*story, seen, receipt(Verdict.GREEN), green)) == ["all_landed"]
    declared = ev.GoalDeclared(revision="r1", summary="yes")
    assert kinds(state_of(*story, seen, receipt(Verdict.GREEN), green, declared)) == []


def test_a_goal_never_seen_red_is_asked_about_once():
    green = ev.GoalChecked(tree="t1", revision="r1")
    story = [READ, BASE, *PLANNED, STARTING, FINISHED, LANDED, receipt(Verdict.GREEN), green]
    state = state_of(*story)
    assert not goal_proven(state)
    assert kinds(state) == ["unproven"]
    asked = ev.PlannerAsked(call=2, triggers=tuple(triggers(state, quiet=True)), revision="r1")
    replied = ev.PlannerReplied(call=2, requests=1, usage=Usage())
    assert kinds(state_of(*story, asked, replied)) == ["all_landed"]


def test_several_reasons_are_one_list():
    held = ev.Requested(command="probe_asked", task="A1", actor="aura")
    edited = READ.model_copy(update={"revision": "r2"})
    state = state_of(READ, BASE, *PLANNED, STARTING, FINISHED, held, edited)
    assert kinds(state, quiet=False) == ["goal_changed", "unproven"]


@pytest.mark.parametrize("end", [RunStatus.FAILED, RunStatus.NEEDS_PERSON])
def test_a_new_start_after_an_end_asks_again(end):
    failed = ev.AttemptEnded(task="A1", n=1, outcome=Outcome.CAPABILITY, reason="no")
    settled = ev.TaskSettled(task="A1", status=TaskStatus.FAILED, reason="no")
    asked = ev.PlannerAsked(call=2, triggers=("task_failed:A1#1",), revision="r1")
    replied = ev.PlannerReplied(call=2, requests=1, usage=Usage())
    story = [READ, BASE, *PLANNED, STARTING, FINISHED, failed, settled, asked, replied, ev.RunEnded(status=end)]
    again = ev.EngineStarted(version="1", pid=1)
    assert kinds(state_of(*story, again)) == ["task_failed"]


def test_a_review_is_due_after_so_much_work_and_sooner_where_nothing_lands():
    """Work counts, not the clock: a run that only waits is never looked at."""
    state = state_of(READ, BASE)
    assert review_due(state, 3600.0, 1e9) == ""
    state.told_revision, state.work = state.revision, 1799.0
    assert review_due(state, 3600.0, 1e9) == ""
    state.work = 1800.0
    assert review_due(state, 3600.0, 1e9) == "review:1"
    state.landed_at = 1700.0
    assert review_due(state, 3600.0, 1e9) == ""
    state.work = 3600.0
    assert review_due(state, 3600.0, 1e9) == "review:1"
    state.reviews, state.reviewed_at = 1, 3600.0
    assert review_due(state, 3600.0, 1e9) == ""
    assert review_due(state, 0.0, 1e9) == ""
