"""What a person does with keys and dialogs, through the Link alone."""

from __future__ import annotations

import time

import pytest
from textual.pilot import Pilot
from tui_fakes import FakeLink, Run, story
from tui_pilot import glass, screen, select, shown, told, until

from aura_engine.core import events as ev
from aura_engine.core.commands import AddTask, Answer, DropTask, Kill, Message, Pause, Restore, Resume, RetryTask, Stop
from aura_engine.core.model import RunStatus
from aura_engine.core.plan import TaskSpec
from aura_tui.app import AuraApp
from aura_tui.screens.dashboard import Dashboard
from aura_tui.screens.dialogs import Choose, Confirm, Write


async def test_kill_asks_first() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3.1")
        await pilot.press("k")
        await until(lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")
        await pilot.pause()
        assert link.commands == []
        await pilot.press("k")
        await until(lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(lambda: link.commands)
        assert link.commands == [Kill(task="A3.1")]


async def test_what_cannot_be_done_is_said_with_its_reason() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A1.1")
        await pilot.press("k")
        await until(lambda: told(app))
        assert "A1.1 is completed" in told(app)
        assert not isinstance(app.screen, Confirm)


async def test_space_pauses_the_worker_and_lets_it_go_on() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3.1")
        await pilot.press("space")
        await until(lambda: app.model.state.tasks["A3.1"].paused_at)
        await pilot.press("space")
        await until(lambda: not app.model.state.tasks["A3.1"].paused_at)
        assert link.commands == [Pause(task="A3.1"), Resume(task="A3.1")]


async def test_pausing_the_run_is_undone_with_u() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        await pilot.press("P")
        await until(lambda: app.model.state.paused)
        assert "paused" in screen(app)[0]
        await pilot.press("u")
        await until(lambda: not app.model.state.paused)
        assert link.commands == [Pause(), Resume()]


async def test_drop_and_undo_bring_a_task_like_it_back() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3.3")
        await pilot.press("x")
        await until(lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(lambda: link.commands)
        await pilot.press("u")
        await until(lambda: len(link.commands) == 2)
        assert link.commands == [DropTask(task="A3.3"), Restore(task="A3.3")]


async def test_a_message_to_the_worker() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3.1")
        await pilot.press("m")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.press("h", "i", "q", "ctrl+s")
        await until(lambda: link.commands)
        assert link.commands == [Message(task="A3.1", text="hiq")]
        await until(lambda: "A3.1 is told." in told(app))


async def test_an_order_that_shows_only_later_is_confirmed() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3.1")
        await pilot.press("e")
        await until(lambda: "A3.1 goes to Pro next." in told(app))


async def test_a_task_of_ones_own_and_thinking_better_of_it() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        await pilot.press("a")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.press("x", "escape")
        await until(lambda: isinstance(app.screen, Dashboard))
        assert link.commands == []
        await pilot.press("a")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.press("D", "o", "enter", "w", "ctrl+s")
        await until(lambda: link.commands)
        assert link.commands == [AddTask(title="Do", instructions="w")]


async def test_a_question_is_answered() -> None:
    run = story().add(ev.QuestionAsked(id="Q1", question="Which range?", options=("2020", "all"), default="all"))
    link = FakeLink(run)
    async with shown(link) as (app, pilot):
        assert "needs you" in screen(app)[0]
        assert "Which range?" in screen(app)[1]
        await pilot.press("n")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press("up", "enter")
        await until(lambda: link.commands)
        assert link.commands == [Answer(question="Q1", answer="2020")]


async def test_n_goes_to_what_needs_a_person() -> None:
    run = story()
    run.add(ev.TaskSettled(task="A3.3", status="blocked", reason="no key"))
    async with shown(FakeLink(run)) as (app, pilot):
        await pilot.press("n")
        await until(lambda: app.model.outline.selected == "A3.3")


async def test_n_tells_what_needs_a_person_where_it_is_no_task() -> None:
    run = story().add(ev.PlannerFailed(call=2, failure="malformed", message="its answers were refused 4 times"))
    async with shown(FakeLink(run)) as (app, pilot):
        assert "refused 4 times" in screen(app)[1]
        await pilot.press("n")
        await until(
            lambda: "It needs you: the planner: its answers were refused 4 times. W asks it again." in told(app)
        )


@pytest.mark.parametrize(
    ("keys", "returned", "command"),
    [
        (("enter",), "background", None),
        (("down", "enter"), None, Stop(drain=True)),
        (("down", "down", "enter"), None, Stop()),
    ],
)
async def test_quitting_asks_what_becomes_of_the_run(keys, returned, command) -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press(*keys)
        await until(lambda: app.return_value == returned and (command is None or link.commands == [command]))


@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c"])
async def test_no_way_out_leaves_unasked(key) -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.press(key)
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press(key)
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, Dashboard))
        assert app.return_value is None


async def test_a_screen_that_was_left_closes_when_the_run_has_ended() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press("down", "down", "enter")
        await until(lambda: "closes when the run has ended" in told(app))
        assert app.return_value is None
        link.run.add(ev.RunEnded(status=RunStatus.INTERRUPTED, reason="stopped by you"))
        link.tell()
        await until(lambda: app.return_value == "")


async def test_with_nobody_at_work_there_is_nobody_to_wait_for() -> None:
    run = Run(start=time.time() - 9).plan(TaskSpec(id="A1", title="Later"))
    async with shown(FakeLink(run)) as (app, pilot):
        assert not app.model.state.busy
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, Choose))
        assert "workers are done" not in glass(app)
        assert "Stop now" in glass(app)


async def test_quitting_an_ended_run_needs_no_question() -> None:
    link = FakeLink(story().add(ev.RunEnded(status=RunStatus.ACHIEVED, reason="done")))
    async with shown(link) as (app, pilot):
        assert "achieved" in screen(app)[0]
        await pilot.press("q")
        await until(lambda: app.return_value == "")


async def test_a_read_only_screen_says_so_and_sends_nothing() -> None:
    link = FakeLink(story())
    link.read_only = True
    async with shown(link) as (app, pilot):
        assert "read-only" in screen(app)[0]
        await pilot.press("P")
        await until(lambda: told(app))
        assert "only looks on" in told(app)
        assert link.commands == []


async def test_after_the_end_a_refusal_says_that_it_is_the_end() -> None:
    link = FakeLink(story().add(ev.RunEnded(status=RunStatus.NEEDS_PERSON, reason="a question waits")))
    link.read_only = True
    async with shown(link) as (app, pilot):
        await pilot.press("W")
        await until(lambda: "the run has ended" in told(app))
        assert link.commands == []


async def test_retry_of_a_failed_task() -> None:
    run = story()
    run.add(ev.TaskSettled(task="A3.3", status="failed", reason="gave up"))
    link = FakeLink(run)
    async with shown(link) as (app, pilot):
        select(app, "A3.3")
        await pilot.press("r")
        await until(lambda: link.commands == [RetryTask(task="A3.3")])


async def test_a_dropped_group_comes_back_with_u() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3")
        await pilot.press("x")
        await until(lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(lambda: app.model.state.tasks["A3.3"].status.value == "archived")
        await pilot.press("u")
        await until(lambda: len(link.commands) == 2)
        assert link.commands == [DropTask(task="A3"), Restore(task="A3")]


async def edited_and_left(app: AuraApp, pilot: Pilot[str]) -> None:
    """An `x` in the goal, not saved."""
    await pilot.press("g")
    await until(lambda: app.place.place_name == "goal" and app.place.edit.loaded)
    await pilot.press("x", "escape")
    await until(lambda: app.place.place_name == "dashboard")


async def test_an_edit_of_the_goal_is_not_lost_by_quitting() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        await edited_and_left(app, pilot)
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.pause()
        assert "your edit of the goal is kept, not saved" in glass(app)
    assert link.kept == ("goal", "xgoal")


async def test_an_edit_that_cannot_be_kept_is_not_lost_unasked() -> None:
    link = FakeLink(story())
    link.full = True
    async with shown(link) as (app, pilot):
        await edited_and_left(app, pilot)
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, Confirm))
        await pilot.press("n")
        await until(lambda: isinstance(app.screen, Dashboard))
        link.full = False
        await pilot.press("q")
        await until(lambda: isinstance(app.screen, Choose))
        assert link.kept == ("goal", "xgoal")
