"""The planner's history: what is kept of it, how it is told, and its screen."""

from __future__ import annotations

import time

from tui_fakes import FakeLink, Run, group, leaf, story
from tui_pilot import glass, screen, shown, taken, told, until

from aura_engine.core import events as ev
from aura_engine.core.commands import Ask
from aura_engine.core.model import Check, Usage
from aura_engine.core.plan import Brief, Criterion, Retry, TaskChange
from aura_tui import decisions
from aura_tui.history import DECISIONS, History
from aura_tui.screens.decisions import Decisions
from aura_tui.screens.dialogs import Write
from aura_tui.sheet import Layout, Section


def history_of(run: Run) -> History:
    history = History()
    for each in run.told:
        history.note(each.event, each.time)
    return history


def text_of(sections: list[Section]) -> str:
    layout = Layout(sections, {section.key: True for section in sections}, 100)
    return "\n".join(layout.text(row) for row in range(len(layout)))


def planned(*, ago: float = 500.0) -> Run:
    """A run with a call that made the plan, one that failed, a person's change, and one under way."""
    run = Run(start=time.time() - ago)
    brief = Brief(final_goal="A page", criteria=(Criterion(text="It prints", checks=("tests",)),), notes="short")
    run.add(
        ev.PlannerAsked(call=1, triggers=("goal_new:r1",), revision="r1"),
        ev.PlanChanged(
            reason="data first",
            call=1,
            told=True,
            brief=brief,
            add=(group("A1", "Data"), leaf("A1.1", "Fetch"), leaf("A1.2", "Clean", ["A1.1"])),
            goal_checks=(Check(name="probe", run="true"),),
        ),
        ev.PlannerReplied(
            call=1, requests=2, usage=Usage(input=3000, output=500, cost=0.0125), summary="set_brief, add_tasks"
        ),
        ev.PlannerAsked(call=2, triggers=("task_failed:A1.2", "review"), revision="r1"),
        ev.PlannerFailed(call=2, failure="overloaded", message="529 [bold]busy", requests=1, retry_at=run.now + 900),
        ev.PlanChanged(reason="edit", change=(TaskChange(id="A1.2", instructions="better"),)),
    )
    return run.add(ev.PlannerAsked(call=3, triggers=("task_failed:A1.2",), revision="r1"))


def test_decisions_are_kept_with_what_they_did_and_cost() -> None:
    history = history_of(planned())
    first, failed, own, thinking = history.decisions
    assert (first.call, first.requests, first.usage.tokens, len(first.changes)) == (1, 2, 3500, 1)
    assert failed.failure is not None
    assert failed.ended
    assert (own.call, len(own.changes)) == (0, 1)
    assert thinking is history.open_call


def test_a_call_that_an_engine_died_over_is_not_under_way_for_ever() -> None:
    run = planned().add(ev.PlannerAsked(call=4, triggers=("goal_new:r1",), revision="r1"))
    history = history_of(run)
    assert history.decisions[3].ended
    assert history.open_call is history.decisions[4]


def test_only_so_many_are_kept_and_each_keeps_its_number() -> None:
    history = History()
    for call in range(1, DECISIONS + 11):
        history.note(ev.PlannerAsked(call=call, triggers=("review",), revision="r"), float(call))
    assert len(history.decisions) == DECISIONS
    assert history.decisions[0].number == 11


def test_a_decision_in_words() -> None:
    run = planned()
    history = history_of(run)
    text = text_of(decisions.pages(history.decisions[0], run.state, run.now))
    for words in (
        *("Call 1", "a new goal", "data first", "+2 tasks, +1 goal check", "set_brief, add_tasks", "took 2.0s"),
        *("2 requests, 3.0k in, 500 out, $0.0125", "A1.2  Clean  needs A1.1", "probe  true", "It prints (tests)"),
    ):
        assert words in text, words
    failed = text_of(decisions.pages(history.decisions[1], run.state, run.now))
    assert "a task failed for good (A1.2)" in failed
    assert "overloaded: 529 [bold]busy; next try at" in failed
    own = text_of(decisions.pages(history.decisions[2], run.state, run.now))
    assert "Your change" in own
    assert "A1.2  instructions" in own


def test_what_was_dropped_retried_learned_and_asked() -> None:
    run = Run().plan(leaf("A1"), leaf("A2"))
    run.add(ev.TaskSettled(task="A2", status="failed", reason="no"))
    run.add(
        ev.PlannerAsked(call=2, triggers=("task_failed:A2",), revision="r1"),
        ev.PlanChanged(reason="x", call=2, archive=("A1",), retry=(Retry(id="A2", instructions="smaller"),)),
        ev.PlanChanged(reason="y", call=2, lessons=("fees count twice",)),
        ev.QuestionAsked(id="Q1", question="Which?", options=("a", "b"), default="a", task="A2"),
        ev.GoalDeclared(revision="r1", summary="all is well"),
        ev.PlannerReplied(call=2, requests=1, usage=Usage()),
        ev.QuestionAnswered(id="Q1", answer="b"),
    )
    text = text_of(decisions.pages(history_of(run).decisions[-1], run.state, run.now))
    for words in ("A1  Task A1", "A2  smaller", "fees count twice", "a / b", "all is well", "asks you"):
        assert words in text, words
    assert "answer      b" in text


async def test_the_screen_tells_the_history_newest_first() -> None:
    link = FakeLink(planned())
    link.prompts = {1: "First [i]of all[/i]", 3: "You are the planner.\n[red]exactly[/red]"}
    async with shown(link, (140, 40)) as (app, pilot):
        await pilot.press("d")
        await until(lambda: isinstance(app.place, Decisions) and "characters" in glass(app))
        lines = screen(app)
        order = [next(at for at, line in enumerate(lines) if word in line) for word in ("thinks", "by you", "new goal")]
        assert order == sorted(order)
        assert "Call 3" in glass(app)
        assert "[red]exactly" not in glass(app), "the prompt is folded at first"
        await pilot.press("enter", "end", "right")
        await until(lambda: "[red]exactly[/red]" in glass(app))
        await pilot.press("shift+tab", "end")
        await until(lambda: "Call 1" in glass(app) and "data first" in glass(app))
        await until(lambda: "characters" in glass(app))
        await pilot.press("enter", "end", "right")
        await until(lambda: "First [i]of all[/i]" in glass(app))
        await pilot.press("shift+tab", "home", "down", "down")
        await until(lambda: "it is not kept any longer" in glass(app))


async def test_a_question_of_a_person_and_its_answer_stand_among_the_decisions() -> None:
    link = FakeLink(planned())
    async with shown(link, (140, 40)) as (app, pilot):
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.press(*"why", "ctrl+s")
        await until(lambda: link.commands == [Ask(question="why")])
        assert "the answer comes" in told(app)
        link.run.add(ev.Inquired(id="i1", question="why [b]so[/b]?"))
        await taken(app, link, pilot)
        await pilot.press("d")
        await until(lambda: "you asked" in glass(app) and "it thinks about it" in glass(app))
        link.run.add(ev.InquiryAnswered(id="i1", answer="since fees count twice"))
        await taken(app, link, pilot)
        await until(lambda: glass(app).count("since fees count twice") >= 2)
        assert "why [b]so[/b]?" in glass(app)


async def test_the_cursor_stays_on_its_decision() -> None:
    run = planned()
    link = FakeLink(run)
    async with shown(link, (140, 40)) as (app, pilot):
        await pilot.press("d")
        await until(lambda: isinstance(app.place, Decisions))
        await pilot.press("down", "down")
        await until(lambda: "529" in glass(app))
        run.add(ev.PlannerReplied(call=3, requests=1, usage=Usage(input=10)))
        run.add(ev.PlannerAsked(call=4, triggers=("review",), revision="r1"))
        await taken(app, link, pilot)
        assert app.place.list_.key == "decision/2"
        assert "overloaded" in glass(app)


async def test_a_run_without_decisions_says_so() -> None:
    async with shown(FakeLink(Run())) as (app, pilot):
        await pilot.press("d")
        await until(lambda: "Nothing has been decided yet" in glass(app))


async def test_the_key_that_opens_a_place_closes_it() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        before = app.place
        await pilot.press("d")
        await until(lambda: isinstance(app.place, Decisions))
        await pilot.press("d")
        await until(lambda: app.place is before)


async def test_places_take_each_others_place_and_escape_leads_home() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        for key, name in (("d", "decisions"), ("c", "receipts"), ("t", "timeline"), ("enter", "detail")):
            await pilot.press(key)
            await until(lambda name=name: app.place.place_name == name)
        await pilot.press("escape")
        await until(lambda: app.place.place_name == "timeline")
        await pilot.press("enter", "d")
        await until(lambda: app.place.place_name == "decisions")
        await pilot.press("escape")
        await until(lambda: app.place.place_name == "dashboard")
