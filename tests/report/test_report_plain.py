"""The plain view tells the story of a run, line by line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aura_engine.core import events as ev
from aura_engine.core.fold import apply
from aura_engine.core.model import Ending, EndKind, ExitRecord, Outcome, Role, RunStatus, TaskStatus
from aura_engine.core.plan import TaskSpec
from aura_engine.core.state import RunState
from aura_engine.report.history import history_rows, history_text
from aura_engine.report.plain import lines


def told(story: Any, **options: Any) -> list[str]:
    """The lines of a whole story, without the times."""
    state = RunState()
    found: list[str] = []
    for event, time in story.events:
        apply(state, event, time)
        found += lines(event, state, time, **options)
    for line in found:
        assert re.match(r"\d\d:\d\d:\d\d | {9}", line), line
    return [line[9:].strip() for line in found]


def last(story: Any, **options: Any) -> list[str]:
    """The lines of the newest event, without the times."""
    event, time = story.events[-1]
    return [line[9:].strip() for line in lines(event, story.state, time, **options)]


def test_a_whole_run_reads_as_a_story(story: Any) -> None:
    story.whole()
    assert told(story) == [
        "▸ Aura 0.1.0: /home/me/quant/task.md, mode auto, 2 workers at once",
        "· goal read (revision 4f1c9a22, 1 check of yours)",
        "· goal checks before any work: 1 of 1 red, as they should be",
        "· planner asked: a new goal",
        "· plan made: 3 tasks — first plan",
        "A1.1  Fetch daily bars",
        "A1.2  Clean and align  needs A1.1",
        "A2  Report",
        "▸ A1.1 started (flash, builtin): Fetch daily bars",
        "· A1.1 worker finished after 2.0s, 3.4k tokens; checking",
        "✗ A1.1 check “unit tests” is red: 1 failed, 7 passed (the worker said “All done, tests pass!”: not believed)",
        "↻ A1.1 attempt 2 (flash, builtin): check “unit tests”: 1 failed, 7 passed",
        "· A1.1 worker finished after 2.0s, 3.4k tokens; checking",
        "✗ A1.1 check “unit tests” is red: 1 failed, 7 passed (the worker said “All done, tests pass!”: not believed)",
        "↻ A1.1 escalated to pro, attempt 3 (pro, builtin): check “unit tests”: 1 failed, 7 passed",
        "· A1.1 worker finished after 2.0s, 3.4k tokens; checking",
        "✓ A1.1 landed (3 files, 1 check green): Fetch daily bars",
        "· goal edited (revision 77aa, 1 check of yours): the plan follows",
        "· planner asked: the goal was edited; a task failed for good (A2)",
        "· plan changed: +1 task, dropped A2 — the goal wants a report each month",
        "B1  Monthly report  needs A1",
        "▸ A1.2 started (flash, builtin): Clean and align",
        "· A1.2 worker finished after 2.0s, 3.4k tokens; checking",
        "✓ A1.2 landed (3 files, 1 check green): Clean and align",
        "▸ B1 started (flash, builtin): Monthly report",
        "· B1 worker finished after 2.0s, 3.4k tokens; checking",
        "✓ B1 landed (3 files, 1 check green): Monthly report",
        "✓ goal checks: 1 of 1 green",
        "· planner declares the goal reached: All criteria hold.",
        "· delivered to branch aura/task",
        "✓ goal achieved: all goal checks are green",
        "3 of 3 tasks done, 5 attempts, 27.0k tokens, $0.45, 40s",
        "place: branch aura/task",
        "take it: git merge aura/task",
    ]


def test_ascii(story: Any) -> None:
    story.whole()
    found = told(story, ascii_only=True)
    assert all(line.isascii() for line in found)
    assert "ok A1.1 landed (3 files, 1 check green): Fetch daily bars" in found
    assert any(line.startswith('x A1.1 check "unit tests" is red') for line in found)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_nothing_that_others_wrote_is_printed_raw(story: Any, nasty: str, ascii_only: bool) -> None:
    story.begin()
    story.tell(ev.PlanChanged(reason=nasty, add=(TaskSpec(id="A3", title=nasty),), lessons=(nasty,)))
    story.start("A3")
    story.finish("A3", claims=nasty)
    story.tell(
        ev.AttemptEnded(task="A3", n=1, outcome=Outcome.CAPABILITY, reason=nasty, failed_check=nasty),
        ev.Notice(text=nasty, level="error"),
        ev.PersonLanded(commit="c", tree="t", paths=(nasty,)),
        ev.PlannerFailed(call=1, failure="x", message=nasty),
        ev.QuestionAsked(id="q1", question=nasty, options=(nasty,), default=nasty, task="A3"),
        ev.QuestionAnswered(id="q1", answer=nasty),
        ev.GoalDeclared(revision="r", summary=nasty),
        ev.HeadBroken(task="A3", check=nasty, tree="t", reason=nasty),
        ev.Delivered(commit="c", tree="t", place=nasty, take=nasty, kept=(nasty,)),
        ev.TaskSettled(task="A3", status=TaskStatus.FAILED, reason=nasty),
        ev.RoleParked(role=Role.PRO, until=None, reason=nasty),
        ev.Requested(command="retry", task="A3", text=nasty),
        ev.PlannerAsked(call=9, triggers=(nasty,), revision="r"),
        ev.RunEnded(status=RunStatus.FAILED, reason=nasty),
    )
    state = RunState()
    count = 0
    for event, time in story.events:
        apply(state, event, time)
        for line in lines(event, state, time, ascii_only=ascii_only):
            assert line.isprintable(), repr(line)
            assert "\u202e" not in line
            assert "pwned" not in line
            count += "Forged" in line
    assert count > 15


def test_a_kill_is_told_once(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    killed = ev.TaskSettled(task="A1.1", status=TaskStatus.KILLED, reason="stopped by you")
    story.tell(ev.WorkerEnded(task="A1.1", n=1, ending=Ending(kind=EndKind.KILLED), exit=ExitRecord()))
    story.tell(ev.AttemptEnded(task="A1.1", n=1, outcome=Outcome.INTERRUPTED, reason="stopped by you"))
    assert last(story) == ["⏹ A1.1 stopped: stopped by you"]
    story.tell(killed)
    assert last(story) == []
    story.tell(ev.Requested(command="retry", task="A1.1"), killed)  # before another attempt began
    assert last(story) == ["⏹ A1.1 stays stopped: stopped by you"]


@pytest.mark.parametrize(("level", "mark"), [("info", "·"), ("warning", "!"), ("error", "✗")])
def test_a_notice_is_marked_by_what_it_is(story: Any, level: Any, mark: str) -> None:
    story.begin()
    story.tell(ev.Notice(text="the disk is filling up", level=level))
    assert last(story) == [f"{mark} the disk is filling up"]


def test_a_question_says_how_to_answer(story: Any) -> None:
    story.begin()
    story.tell(ev.QuestionAsked(id="q1", question="Which exchange?", options=("NYSE", "LSE"), default="LSE", task="A2"))
    assert last(story) == [
        "? question to you (q1, A2 waits): Which exchange?",
        "options: NYSE / LSE (if you don't say: LSE)",
        "to answer, write it into task.md and save it",
    ]
    story.tell(ev.RunEnded(status=RunStatus.NEEDS_PERSON, reason="a question is open"))
    assert last(story)[0] == "? you are needed: a question is open"
    assert "question q1: Which exchange? (aura answer q1 TEXT, then start again)" in last(story)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Outcome.INTERRUPTED, "⏹ A1.1 stopped: why"),
        (Outcome.CONFLICT, "↻ A1.1 conflicts with what landed meanwhile: why"),
        (Outcome.BUDGET, "✗ A1.1 attempt 1 ended (budget): why"),
        (Outcome.INFRASTRUCTURE, "✗ A1.1 attempt 1 ended (infrastructure): why"),
    ],
)
def test_how_an_attempt_ended(story: Any, outcome: Outcome, line: str) -> None:
    story.begin()
    story.start("A1.1")
    story.tell(ev.WorkerEnded(task="A1.1", n=1, ending=Ending(kind=EndKind.KILLED), exit=ExitRecord()))
    assert last(story) == [], "its end is told once, with the reason"
    story.tell(ev.AttemptEnded(task="A1.1", n=1, outcome=outcome, reason="why"))
    assert last(story) == [line]


def test_a_worker_that_ended_unseen_is_told_with_its_own_time(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    began = story.state.tasks["A1.1"].attempts[0].started
    ending = Ending(kind=EndKind.FINISHED, claims="done")
    story.tell(ev.WorkerEnded(task="A1.1", n=1, ending=ending, exit=ExitRecord(code=0, ended=began + 0.5)))
    assert last(story) == ["· A1.1 worker finished after 0.5s; checking"]


def test_an_interruption_names_the_workers_that_go_on(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    story.tell(ev.RunEnded(status=RunStatus.INTERRUPTED, reason="stopped by you"))
    assert "1 worker (A1.1) goes on without Aura; the same command takes up its work" in last(story)
    story.start("A2")
    story.tell(ev.RunEnded(status=RunStatus.INTERRUPTED, reason="stopped by you"))
    assert "2 workers (A1.1, A2) go on without Aura; the same command takes up their work" in last(story)
    story.tell(ev.Requested(command="pause", task="A2"))
    story.tell(ev.RunEnded(status=RunStatus.INTERRUPTED, reason="stopped by you"))
    assert "1 worker (A1.1) goes on without Aura; the same command takes up its work" in last(story)
    assert "1 worker (A2) stays paused: aura resume A2, then the same command" in last(story)


def test_a_plan_without_a_reason_does_not_name_its_triggers(story: Any) -> None:
    story.begin()
    story.tell(ev.PlanChanged(reason="goal_changed, review", lessons=("use the cache",)))
    assert last(story) == ["· plan changed: learned: use the cache"]
    story.tell(ev.PlanChanged(reason="the person asked", lessons=("use the cache",)))
    assert last(story) == ["· plan changed: learned: use the cache — the person asked"]
    assert "a new goal; a review is due" in history_text(
        history_rows([(ev.PlanChanged(reason="goal_new, review"), 0.0)])
    )


def test_a_failed_call_reads_as_one_sentence(story: Any) -> None:
    story.begin()
    story.tell(ev.PlannerFailed(call=1, failure="unreachable", message="It cannot be reached. Check the network."))
    assert last(story) == ["✗ planner call failed: It cannot be reached. Check the network; it needs you"]


def test_waits_say_what_they_wait_for(story: Any) -> None:
    story.begin()
    story.tell(ev.TaskDelayed(task="A1.1", until=story.now + 41))
    assert last(story) == ["⏸ A1.1 next try in 40s"]
    story.tell(ev.RoleParked(role=Role.FLASH, until=story.now + 3601, reason="limit reached"))
    assert re.fullmatch(r"⏸ flash workers wait until \d\d:\d\d:\d\d: limit reached", last(story)[0])
    story.tell(ev.RoleParked(role=Role.FLASH, until=0.0, reason=""))
    assert last(story) == ["· flash workers go on"]
    story.tell(ev.PlannerFailed(call=2, failure="overloaded", message="busy", retry_at=story.now + 11))
    assert last(story) == ["✗ planner call failed: busy; next try in 10s"]
    story.tell(ev.PlannerFailed(call=2, failure="credentials", message="wrong key"))
    assert last(story) == ["✗ planner call failed: wrong key; it needs you"]


def test_what_was_left_out_and_unproven_is_said(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    story.finish("A1.1")
    story.land("A1.1", proven=False, unproven_why="no check was red before", dropped=("conftest.py",))
    assert last(story) == [
        "✓ A1.1 landed (3 files, 1 check green); unproven: no check was red before: Fetch daily bars",
        "left out, since it decides checks and the plan did not name it: conftest.py",
    ]
    story.tell(ev.RunEnded(status=RunStatus.ACHIEVED))
    assert "1 of 3 tasks done (1 unproven)" in last(story)[1]
    assert "A1.1 done, unproven: no check was red before" in last(story)


def test_an_end_without_the_goal_says_what_is_missing(story: Any) -> None:
    story.begin()
    story.tell(
        ev.TaskSettled(task="A1.1", status=TaskStatus.FAILED, reason="3 attempts as pro failed"),
        ev.GoalChecked(tree="t", revision="r", red=("sharpe",)),
        ev.RunEnded(status=RunStatus.FAILED, reason="the planner gave up"),
    )
    assert last(story)[0] == "✗ ended without achieving the goal: the planner gave up"
    assert "A1.1 failed: 3 attempts as pro failed" in last(story)


def test_a_further_start_goes_on_and_an_early_look_ahead_changes_nothing(story: Any) -> None:
    first = ev.EngineStarted(version="1", pid=1, task_file="task.md")
    story.tell(first)
    began = story.now
    story.begin()
    assert lines(first, story.state, began)[0].endswith("Aura 1: task.md"), "the state is ahead, the start is not"
    story.tell(first)
    assert last(story) == ["▸ Aura 1 goes on: task.md"]
    story.start("A1.1")
    starting, time = story.events[-2]
    before = lines(starting, story.state, time)
    story.finish("A1.1")
    story.fail("A1.1")
    story.start("A1.1")
    assert lines(starting, story.state, time) == before


def test_noise_is_left_out(story: Any) -> None:
    story.begin()
    quiet = (
        ev.BaseTaken(commit="c", tree="t"),
        ev.DeliveryStarted(tree="t"),
        ev.PlannerReplied(call=1, requests=1, usage=story.state.planner_usage),
        ev.Requested(command="probe_asked", task="A1.1", actor="engine"),
    )
    for event in quiet:
        story.tell(event)
        assert last(story) == []


def test_a_plan_of_hundreds_is_listed_in_part(story: Any) -> None:
    story.tell(ev.PlanChanged(reason="", add=tuple(TaskSpec(id=f"A{i}", title=f"T{i}") for i in range(1, 301))))
    found = last(story)
    assert found[0] == "· plan made: 300 tasks"
    assert found[-1] == "… and 288 more"
    assert len(found) == 14
