"""Checks with their receipts: those of the goal and of landed tasks, filtered, one in full."""

from __future__ import annotations

import time

from tui_fakes import FakeLink, Run, leaf, many, story
from tui_pilot import glass, screen, shown, taken, until

from aura_engine.core import events as ev
from aura_engine.core.model import Check, Phase, Receipt, Verdict
from aura_tui.history import History
from aura_tui.receipts import fits, of_goal, of_landed
from aura_tui.screens.detail import Detail
from aura_tui.screens.receipts import Receipts


def goal_ran(run: Run, check: str, verdict: Verdict, reason: str = "", phase: Phase = Phase.GOAL) -> Run:
    receipt = Receipt(
        check=check, check_hash="h", tree="t1", phase=phase, verdict=verdict, reason=reason, exit_code=1, tail="1.11"
    )
    return run.add(ev.CheckRan(receipt=receipt))


def checked() -> Run:
    run = story()
    goal_ran(run, "sharpe", Verdict.RED, phase=Phase.BEFORE)
    goal_ran(run, "tests", Verdict.GREEN)
    return goal_ran(run, "sharpe", Verdict.RED, "1.11 is below 1.5")


def history_of(run: Run) -> History:
    history = History()
    for told in run.told:
        history.note(told.event, told.time)
    return history


def test_goal_checks_with_their_last_receipts() -> None:
    run = checked()
    tests, sharpe = of_goal(run.state, history_of(run))
    assert tests.receipt is not None
    assert tests.receipt.green
    assert sharpe.receipt is not None
    assert (sharpe.receipt.reason, sharpe.before) == ("1.11 is below 1.5", Verdict.RED)
    assert sharpe.time > tests.time


def test_a_receipt_of_an_older_wording_of_a_goal_check_says_nothing() -> None:
    run = checked()
    checks = (Check(name="tests", run="pytest", person=True), Check(name="sharpe", run="x", person=True))
    run.add(ev.GoalRead(revision="r2", text="g", prose="g", checks=checks))
    tests, sharpe = of_goal(run.state, history_of(run))
    assert tests.receipt is None
    assert sharpe.receipt is not None


def test_a_later_run_of_a_landed_check_is_the_one_that_counts() -> None:
    run = Run().plan(leaf("A1"), leaf("A2")).start("A1").land("A1").start("A2")
    assert [(each.task, each.receipt and each.receipt.green) for each in of_landed(run.state, history_of(run))] == [
        ("A1", True)
    ]
    red = Receipt(check="unit", check_hash="h", tree="t2", phase=Phase.RATCHET, verdict=Verdict.RED, reason="broken")
    run.add(ev.CheckRan(task="A1", receipt=red))
    landed = of_landed(run.state, history_of(run))[0]
    assert landed.receipt == red


def test_a_filter_looks_at_name_task_command_and_verdict() -> None:
    run = checked()
    history = history_of(run)
    found = [*of_goal(run.state, history), *of_landed(run.state, history)]
    assert [each.check.name for each in found if fits(each, "red")] == ["sharpe"]
    assert [each.task for each in found if fits(each, "a2.1 pytest")] == ["A2.1"]
    assert len([each for each in found if fits(each, "")]) == len(found) == 7
    assert [each.check.name for each in found if fits(each, "yours green")] == ["tests"]


async def test_the_screen_shows_them_and_one_in_full() -> None:
    async with shown(FakeLink(checked()), (140, 40)) as (app, pilot):
        await pilot.press("c")
        await until(lambda: isinstance(app.place, Receipts) and "1/2 green" in glass(app))
        assert "5/5 green" in glass(app)
        await pilot.press("down")
        await until(lambda: "red: 1.11 is below 1.5" in glass(app))
        assert "it was red before the work" in glass(app)
        assert "you, in the goal" in glass(app)


async def test_a_filter_is_typed_and_taken_back() -> None:
    async with shown(FakeLink(checked()), (140, 40)) as (app, pilot):
        await pilot.press("c")
        await until(lambda: isinstance(app.place, Receipts))
        await pilot.press("slash", *"a1.2", "enter")
        await until(lambda: "1 found" in glass(app))
        assert "sharpe" not in "\n".join(screen(app)[2:])
        assert app.place.chosen == "A1.2" or app.place.list_.key.startswith("list/")
        await pilot.press("escape")
        await until(lambda: "found" not in glass(app))
        assert isinstance(app.place, Receipts)


async def test_a_landed_check_means_its_task() -> None:
    async with shown(FakeLink(checked()), (140, 40)) as (app, pilot):
        await pilot.press("c")
        await until(lambda: isinstance(app.place, Receipts))
        await pilot.press("end")
        await pilot.pause()
        assert app.place.chosen == "A2.2"
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        assert app.place.task_id == "A2.2"


async def test_new_receipts_come_within_a_second() -> None:
    run = checked()
    link = FakeLink(run)
    async with shown(link, (140, 40)) as (app, pilot):
        await pilot.press("c")
        await until(lambda: isinstance(app.place, Receipts))
        goal_ran(run, "sharpe", Verdict.GREEN)
        await taken(app, link, pilot)
        app.place.tick()
        await until(lambda: "2/2 green" in glass(app))


def test_ten_thousand_landed_tasks_are_listed_in_time() -> None:
    run = many(10_000, running=1)
    history = History()
    for task in run.state.tasks.values():
        if not task.spec.group:
            task.status = task.status.COMPLETED
    start = time.process_time()
    assert len(of_landed(run.state, history)) > 9_000
    assert time.process_time() - start < 1.0
