"""The goal's editor: nothing saved unseen, nobody's edit lost, problems at their lines."""

from __future__ import annotations

import time

import pytest
from textual.pilot import Pilot
from textual.widgets import Static
from tui_fakes import FakeLink, Run, leaf, story
from tui_pilot import glass, screen, shown, taken, told, until

from aura_engine.core import events as ev
from aura_engine.core.model import Check, RunStatus, Usage
from aura_tui import revise
from aura_tui.app import AuraApp
from aura_tui.edit import Edit, Saw, find
from aura_tui.history import History
from aura_tui.screens.dashboard import Dashboard
from aura_tui.screens.dialogs import Choose
from aura_tui.screens.goal import Goal
from aura_tui.screens.review import ReviewScreen
from aura_tui.sheet import Layout
from aura_tui.widgets.editor import visible

GOAL = """\
# A page

It prints.

```check
name = "tests"
run = "pytest -q"
```
"""


def link_with(text: str = GOAL, run: Run | None = None) -> FakeLink:
    link = FakeLink(run or story())
    link.disk = text
    return link


async def opened(app: AuraApp, pilot: Pilot) -> Goal:
    await pilot.press("g")
    await until(lambda: isinstance(app.place, Goal) and app.place.edit.loaded)
    await pilot.pause()
    assert isinstance(app.place, Goal)
    return app.place


# ---- without a screen


def test_an_edit_notices_what_becomes_of_the_file() -> None:
    edit = Edit()
    assert edit.saw("a") is Saw.FRESH
    edit.took("a", "a")
    assert edit.saw("a") is Saw.SAME
    assert edit.saw("b") is Saw.FRESH, "nothing is edited: theirs is taken over"
    edit.text = "mine"
    assert edit.draft is not None
    assert edit.saw("b") is Saw.CLASH
    assert edit.saw("b") is Saw.SAME, "told once"
    assert edit.theirs == "b"
    assert edit.saw("a") is Saw.SAME
    assert edit.theirs is None, "they took it back"


@pytest.mark.parametrize(
    ("needle", "start", "back", "found"),
    [
        ("b", (0, 0), False, ((0, 1), (0, 2))),
        ("B", (0, 2), False, ((2, 0), (2, 1))),
        ("b", (2, 1), False, ((0, 1), (0, 2))),
        ("b", (0, 1), True, ((2, 0), (2, 1))),
        ("zz", (0, 0), False, None),
        ("", (0, 0), False, None),
    ],
)
def test_find(needle, start, back, found) -> None:
    assert find(["abc", "", "b"], needle, start, back=back) == found


def test_find_where_folding_changes_the_length() -> None:
    assert find(["Straße", "STRASSE x"], "x", (0, 0)) == ((1, 8), (1, 9))


def test_a_review_tells_what_a_save_changes() -> None:
    new = GOAL.replace("pytest -q", "pytest").replace("It prints.", "It prints well.")
    new += '```check\nname = "size"\nfile = "page.txt"\n```\n'
    found = revise.review(GOAL, new, ())
    assert [check.name for check in found.checks.added] == ["size"]
    assert [before.name for before, _ in found.checks.changed] == ["tests"]
    text = reviewed(found)
    for words in ("+ size  file page.txt", "~ tests", "run: pytest -q → pytest", "-It prints.", "+It prints well."):
        assert words in text, words
    gone = revise.review(GOAL, "# A page\n", ())
    assert "− tests  pytest -q" in reviewed(gone)


def reviewed(found: revise.Review) -> str:
    layout = Layout(revise.sections(found, story().state), {}, 100)
    return "\n".join(layout.text(row) for row in range(len(layout)))


def test_where_the_old_text_was_malformed_the_checks_in_force_are_compared() -> None:
    found = revise.review("```check\nnonsense\n```\n", GOAL, [Check(name="tests", run="x", person=True)])
    assert [(before.run, after.run) for before, after in found.checks.changed] == [("x", "pytest -q")]


def test_what_is_malformed_is_named_with_its_line() -> None:
    assert [(each.line, "rnu" in each.what) for each in revise.problems_of(GOAL.replace("run =", "rnu ="))] == [
        (7, True)
    ]
    assert "empty" in revise.problems_of(" \n")[0].what
    assert "1 MiB" in revise.problems_of("x" * (1 << 20 | 1))[0].what
    assert revise.problems_of(GOAL) == ()
    text = reviewed(revise.review(GOAL, GOAL.replace("run =", "rnu ="), ()))
    assert "line 7" in text
    assert "the goal before it stays in force" in text


def test_what_came_of_a_save() -> None:
    run = Run().plan(leaf("A1"), leaf("A2"), leaf("A3")).start("A3")

    def told_now() -> str:
        history = History()
        for each in run.told:
            history.note(each.event, each.time)
        return "".join(text for text, _ in revise.aftermath(run.state, history, "new\r\n", run.now))

    assert "has not read it yet" in told_now()
    run.add(ev.GoalRead(revision="r2", text="new\n", prose="new\n"))
    assert "the planner is asked next" in told_now()
    run.add(ev.PlannerAsked(call=2, triggers=("goal_changed:r2",), revision="r2"))
    assert "thinks" in told_now()
    run.add(ev.PlannerFailed(call=2, failure="overloaded", message="529", retry_at=1.0))
    assert "could not be asked: 529" in told_now()
    run.add(ev.PlannerAsked(call=3, triggers=("goal_changed:r2",), revision="r2"))
    run.add(ev.PlanChanged(reason="x", call=3, told=True, add=(leaf("B1"),), archive=("A2", "A3")))
    run.add(ev.PlannerReplied(call=3, requests=1, usage=Usage()))
    assert told_now() == "the plan follows: +1 task, 2 dropped, 1 stopped, 1 kept"


def test_what_cannot_be_seen_is_shown_and_moves_nothing() -> None:
    line = "a\tb\x1b[2J\x9bc\u202ed\x07é測"
    shown_ = visible(line)
    assert not set(shown_) & {"\x1b", "\x9b", "\x07", "\u202e"}
    assert len(shown_) == len(line)
    assert len(shown_.encode()) == len(line.encode())
    assert shown_.startswith("a\tb?[2J")
    assert shown_.endswith("é測")


# ---- on the screen


async def test_a_save_shows_what_changes_and_waits_for_a_yes() -> None:
    link = link_with()
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        assert "# A page" in glass(app)
        await pilot.press("ctrl+end", *"more", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.pause()
        assert "+more" in glass(app)
        await pilot.press("n")
        await until(lambda: app.screen is goal)
        assert link.disk == GOAL
        assert "edited, not saved" in glass(app)
        await pilot.press("ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("y")
        await until(lambda: link.disk == GOAL + "more")
        await pilot.pause()
        assert "the engine has not read it yet" in glass(app)
        assert not goal.edit.edited


async def test_the_planners_change_is_shown_when_it_comes() -> None:
    link = link_with()
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("ctrl+end", *"more", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("y")
        await until(lambda: link.disk.endswith("more"))
        link.run.now = time.time()
        link.run.add(
            ev.GoalRead(revision="r2", text=GOAL + "more\n", prose="x"),
            ev.PlannerAsked(call=2, triggers=("goal_changed:r2",), revision="r2"),
            ev.PlanChanged(reason="x", call=2, told=True, add=(leaf("B1", "Monthly report"),), archive=("A3.3",)),
            ev.PlannerReplied(call=2, requests=1, usage=Usage()),
        )
        await taken(app, link, pilot)
        text = glass(app)
        for words in ("the plan follows: +1 task, 1 dropped, 10 kept", "B1  Monthly report", "A3.3  Ensemble"):
            assert words in text, words


async def test_a_save_that_the_engine_refuses_promises_nothing() -> None:
    link = link_with()
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        link.run.add(
            ev.GoalRead(revision="r2", text=GOAL, prose="x"),
            ev.PlannerAsked(call=2, triggers=("goal_changed:r2",), revision="r2"),
            ev.PlanChanged(reason="x", call=2, told=True, add=(leaf("B1", "Monthly report"),)),
            ev.PlannerReplied(call=2, requests=1, usage=Usage()),
        )
        await taken(app, link, pilot)
        await pilot.press("ctrl+end", "enter", *"```check", "enter", *"fooo = 3", "enter", *"```", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        assert str(app.screen.query_one(".question", Static).content) == "This is no goal yet"
        await pilot.press("y")
        await until(lambda: link.disk.endswith("```"))
        await until(lambda: "until it is right, the goal as it was stays in force" in told(app))
        assert "B1  Monthly report" not in glass(app)
        link.disk = GOAL
        await until(lambda: "by somebody else" in told(app))
        await pilot.pause()
        assert "the plan follows" not in glass(app)
        assert "B1  Monthly report" not in glass(app)


async def test_an_edit_outlives_the_screen_it_was_made_on_and_can_be_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aura_tui.screens.goal.REST", 60.0)  # a hang-up does not wait for the keys to rest
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"my ")
        await until(lambda: app.model.draft is not None and app.model.draft.text == "my one\n")
        app.leave_soon()
    assert link.kept == ("one\n", "my one\n")
    monkeypatch.undo()
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await until(lambda: goal.editor.text == "my one\n")
        await pilot.pause()
        assert goal.edit.edited
        assert "here again" in told(app)
        await pilot.press("ctrl+z")
        await until(lambda: goal.editor.text == "one\n" and link.kept is None)


async def test_a_saved_edit_is_kept_no_longer() -> None:
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"my ")
        await until(lambda: link.kept is not None)
        await pilot.press("ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("y")
        await until(lambda: link.disk == "my one\n" and link.kept is None)


async def test_an_edit_from_outside_is_shown_where_nothing_was_typed() -> None:
    link = link_with()
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        link.disk = "# Another\n"
        goal._look()
        await until(lambda: "# Another" in glass(app))
        assert "changed by somebody else" in told(app)


async def test_two_edits_of_one_text_overwrite_nothing_unseen() -> None:
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await pilot.press(*"my ")
        link.disk = "theirs\n"
        goal._look()
        await until(lambda: goal.edit.theirs == "theirs\n")
        await pilot.press("ctrl+s")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.pause()
        assert "-theirs" in glass(app)
        assert "+my one" in glass(app)
        assert link.disk == "theirs\n"
        await pilot.press("y")
        await until(lambda: link.disk == "my one\n")


async def test_theirs_can_be_taken_and_mine_brought_back() -> None:
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await pilot.press(*"my ")
        link.disk = "theirs\n"
        goal._look()
        await until(lambda: goal.edit.theirs is not None)
        await pilot.press("ctrl+s")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press("down", "enter")
        await until(lambda: goal.editor.text == "theirs\n")
        await pilot.pause()
        assert not goal.edit.edited
        await pilot.press("ctrl+z")
        await until(lambda: goal.editor.text == "my one\n")
        assert goal.edit.edited
        assert link.disk == "theirs\n"


async def test_a_change_between_look_and_save_is_not_overwritten() -> None:
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await pilot.press(*"my ", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        link.disk = "theirs\n"
        await pilot.press("y")
        await until(lambda: goal.edit.theirs == "theirs\n")
        assert "Not saved" in told(app)
        assert link.disk == "theirs\n"
        assert goal.editor.text == "my one\n"


async def test_what_is_not_saved_is_there_again() -> None:
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"my ", "escape")
        await until(lambda: isinstance(app.place, Dashboard))
        assert "kept here" in told(app)
        goal = await opened(app, pilot)
        await until(lambda: goal.editor.text == "my one\n")
        assert goal.edit.edited
        assert link.disk == "one\n"


async def test_problems_are_marked_at_their_lines() -> None:
    link = link_with(GOAL.replace("run =", "rnu ="))
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await until(lambda: goal.editor.marks)
        await pilot.pause()
        line = next(line for line in screen(app) if "rnu = " in line)
        assert "◂ unknown key `rnu`" in line
        assert any("1 problem" in line and "line 7" in line for line in screen(app))
        await pilot.press("f8")
        assert goal.editor.cursor_location[0] == 6
        await pilot.press("delete", "delete", "delete", *"run")
        await until(lambda: not goal.editor.marks)
        await pilot.pause()
        assert "problem" not in "\n".join(screen(app)[:-1])


async def test_find_goes_from_place_to_place() -> None:
    link = link_with("alpha\nbeta\nALPHA\n")
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await pilot.press("ctrl+f", *"alpha", "enter")
        await until(lambda: goal.editor.has_focus)
        assert goal.editor.selected_text == "alpha"
        await pilot.press("f3")
        assert goal.editor.selection.start == (2, 0)
        await pilot.press("f3")
        assert goal.editor.selection.start == (0, 0)
        await pilot.press("shift+f3")
        assert goal.editor.selection.start == (2, 0)
        await pilot.press("ctrl+f", "escape")
        await until(lambda: goal.editor.has_focus)
        assert isinstance(app.place, Goal)
        await pilot.press("ctrl+f", *"zz", "enter")
        await until(lambda: "“zz” is not in the goal" in told(app))


async def test_letters_are_text_and_windows_line_ends_stay() -> None:
    link = link_with("one\r\ntwo\r\n")
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"kxqP", "space", "enter", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("y")
        await until(lambda: link.disk == "kxqP \r\none\r\ntwo\r\n")
        assert link.commands == []


async def test_who_only_looks_on_changes_nothing_but_an_ended_run_may_be_given_a_new_goal() -> None:
    link = link_with("one\n")
    link.read_only = True
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("x", "ctrl+s")
        await until(lambda: "only looks on" in told(app))
        assert link.disk == "one\n"
        link.run.add(ev.RunEnded(status=RunStatus.ACHIEVED))
        await taken(app, link, pilot)
        await pilot.press("x", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.press("y")
        await until(lambda: link.disk == "xone\n")
        assert "the next start" in told(app)


async def test_a_goal_that_cannot_be_read_is_said() -> None:
    class Gone(FakeLink):
        async def goal(self) -> str:
            raise FileNotFoundError(2, "no such [bold]file")

    async with shown(Gone(story())) as (app, pilot):
        await pilot.press("g")
        await until(lambda: "It cannot be read" in glass(app))
        assert "[bold]file" in glass(app)


async def test_the_line_that_is_typed_in_can_be_seen() -> None:
    link = link_with("".join(f"line {number}\n" for number in range(60)))
    async with shown(link, (80, 24)) as (app, pilot):
        goal = await opened(app, pilot)
        await pilot.press("ctrl+end")
        for _ in range(4):
            await pilot.press("enter")
            await pilot.pause()
            editor = goal.editor
            row = editor.wrapped_document.location_to_offset(editor.cursor_location).y
            assert editor.scroll_offset.y <= row < editor.scroll_offset.y + editor.content_size.height


async def test_hostile_text_is_text() -> None:
    link = link_with("\x1b[2J\x1b]0;owned\x07 [red]x[/red] \u202egnp\n")
    async with shown(link) as (app, pilot):
        await opened(app, pilot)
        text = glass(app)
        assert not set(text) & {"\x1b", "\x9b", "\x07", "\u202e"}
        assert "[red]x[/red]" in text
        await pilot.press(*"y", "ctrl+s")
        await until(lambda: isinstance(app.screen, ReviewScreen))
        await pilot.pause()
        assert not set(glass(app)) & {"\x1b", "\x9b", "\x07", "\u202e"}
        assert str(app.screen.query_one(".question", Static).content) == "This changes the goal"


async def test_hints_do_what_keys_do() -> None:
    link = link_with("one\n")
    async with shown(link) as (app, pilot):
        goal = await opened(app, pilot)
        await pilot.press("x")
        x = screen(app)[-1].index("undo")
        await pilot.click("#hints", offset=(x, 0))
        await until(lambda: goal.editor.text == "one\n")
        await pilot.click("#hints", offset=(2, 0))
        await until(lambda: "Nothing has been changed" in told(app))
