"""The application under a Pilot, through the Link alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tui_fakes import FakeLink, Run, group, leaf, many, story
from tui_pilot import screen, shown, told, until

from aura_engine.control.link import Live
from aura_engine.core import events as ev
from aura_engine.core.commands import AddTask, Answer, DropTask, Kill, Message, Pause, Resume, RetryTask, Stop
from aura_engine.core.model import RunStatus
from aura_engine.errors import AuraError
from aura_tui.app import AuraApp
from aura_tui.base import Options
from aura_tui.screens.dashboard import Dashboard
from aura_tui.screens.dialogs import Choose, Confirm, Write
from aura_tui.screens.help import Help
from aura_tui.widgets.header import Header
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.tree import TaskTree


def board(app: AuraApp) -> Dashboard:
    place = app.place
    assert isinstance(place, Dashboard)
    return place


def select(app: AuraApp, task: str) -> None:
    board(app).task_tree.reveal(task)


def lines(path: Path, *texts: str) -> Path:
    with path.open("a") as file:
        file.writelines(json.dumps({"event": "message", "text": text}) + "\n" for text in texts)
    return path


async def test_the_dashboard_tells_the_story() -> None:
    async with shown(FakeLink(story())) as (app, _):
        text = "\n".join(screen(app))
        for words in ("quant", "running", "5/11", "workers 2/4", "$1.75", "A2.3 Slippage", "Decisions", "goal checks"):
            assert words in text, words
        assert "cpu" not in text or "61%" in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 12), (20, 5)])
async def test_any_size_is_filled_and_no_word_of_the_header_is_cut(size: tuple[int, int]) -> None:
    async with shown(FakeLink(story()), size) as (app, _):
        glass = screen(app)
        assert len(glass) == size[1]
        assert {len(line) for line in glass} == {size[0]}
        assert "…" not in glass[0]
        assert "running" in glass[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2), (500, 3)])
async def test_absurd_sizes_and_back(size: tuple[int, int]) -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.resize_terminal(*size)
        await pilot.pause()
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert "A2.3 Slippage" in "\n".join(screen(app))


async def test_an_event_changes_one_row() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        assert any("A3.1 Baseline ridge" in line and "◐" in line for line in screen(app))
        link.run.land("A3.1")
        link.tell()
        await until(lambda: app.model.seq >= len(link.run.told))
        await pilot.pause()
        assert any("A3.1 Baseline ridge" in line and "✓" in line for line in screen(app))


async def test_nothing_jumps_when_rows_come(tmp_path: Path) -> None:
    run = Run().plan(*(leaf(f"A{number}") for number in range(1, 101)))
    link = FakeLink(run)
    async with shown(link) as (app, pilot):
        select(app, "A60")
        await pilot.pause()
        before = [at for at, line in enumerate(screen(app)) if "Task A60" in line]
        run.plan(group("A0"), *(leaf(f"A0.{number}") for number in range(1, 31)), reason="more")
        link.tell()
        await until(lambda: app.model.seq >= len(run.told))
        await pilot.pause()
        assert [at for at, line in enumerate(screen(app)) if "Task A60" in line] == before
        assert app.model.outline.selected == "A60"


async def test_moving_and_folding() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.press("down")
        assert app.model.outline.selected == "A1.1"
        await pilot.press("left")
        assert app.model.outline.selected == "A1"
        await pilot.press("left")
        assert "A1.1" not in app.model.outline.index
        await pilot.press("right", "right")
        assert app.model.outline.selected == "A1.1"
        await pilot.press("end")
        assert app.model.outline.selected == "A3.3"
        await pilot.press("home", "o")
        assert app.model.outline.rows == ["A1", "A2", "A3"]


async def test_the_mouse_selects_and_folds() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.click(TaskTree, offset=(10, 3))
        assert app.model.outline.selected == "A1.3"
        await pilot.click(TaskTree, offset=(0, 0))
        assert app.model.outline.selected == "A1"
        assert "A1.3" not in app.model.outline.index


async def test_filter_as_it_is_typed_and_taken_back() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.press("slash", "r", "i", "d", "g")
        assert app.model.outline.rows == ["A3", "A3.1"]
        await pilot.press("enter")
        assert isinstance(app.focused, TaskTree)
        assert app.model.outline.rows == ["A3", "A3.1"]
        await pilot.press("escape")
        assert len(app.model.outline.rows) == 14


async def test_letters_typed_into_the_filter_do_nothing_else() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        await pilot.press("slash", "k", "q", "x", "P")
        assert app.screen.query_one(PromptLine).value == "kqxP"
        assert link.commands == []


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
        assert link.commands[0] == DropTask(task="A3.3")
        assert isinstance(link.commands[1], AddTask)
        assert link.commands[1].title == "Ensemble"


async def test_a_message_to_the_worker() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        select(app, "A3.1")
        await pilot.press("m")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.press("h", "i", "q", "ctrl+s")
        await until(lambda: link.commands)
        assert link.commands == [Message(task="A3.1", text="hiq")]


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


async def test_quitting_an_ended_run_needs_no_question() -> None:
    link = FakeLink(story().add(ev.RunEnded(status=RunStatus.ACHIEVED, reason="done")))
    async with shown(link) as (app, pilot):
        assert "achieved" in screen(app)[0]
        await pilot.press("q")
        await until(lambda: app.return_value == "")


async def test_help_and_palette_hold_the_whole_table() -> None:
    async with shown(FakeLink(story()), (120, 60), keys={"task.kill": "K"}) as (app, pilot):
        await pilot.press("question_mark")
        await until(lambda: isinstance(app.screen, Help))
        await pilot.pause()
        text = "\n".join(screen(app))
        assert "Stop the task's worker" in text
        assert "  K  " in text
        await pilot.press("escape")
        names = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Kill", "Logs", "Filter", "Quit", "Theme"} <= names


async def test_keys_can_be_changed_in_the_config() -> None:
    link = FakeLink(story())
    async with shown(link, keys={"run.pause": "f5", "no.such": "x"}) as (app, pilot):
        assert "no.such" in told(app)
        await pilot.press("P")
        await pilot.pause()
        assert link.commands == []
        await pilot.press("f5")
        await until(lambda: link.commands == [Pause()])


async def test_a_read_only_screen_says_so_and_sends_nothing() -> None:
    link = FakeLink(story())
    link.read_only = True
    async with shown(link) as (app, pilot):
        assert "read-only" in screen(app)[0]
        await pilot.press("P")
        await until(lambda: told(app))
        assert "only looks on" in told(app)
        assert link.commands == []


async def test_the_log_follows_holds_and_counts(tmp_path: Path) -> None:
    path = lines(tmp_path / "out", *(f"line {number}" for number in range(200)))
    link = FakeLink(story(), {("A3.1", 1): path})
    async with shown(link) as (app, pilot):
        pane = next(pane for pane in board(app).panes if pane.source and pane.source.task == "A3.1")
        await until(lambda: "line 199" in pane.texts)
        assert pane.following
        pane.focus()
        await pilot.press("up", "up", "up")
        await until(lambda: not pane.following)
        held = pane.texts
        lines(path, "new 1", "new 2")
        await until(lambda: pane.new == 2)
        assert pane.texts == held
        await pilot.pause()
        assert any("+2 new lines" in line for line in screen(app))
        await pilot.press("f")
        await until(lambda: "new 2" in pane.texts)
        await pilot.press("home")
        await until(lambda: pane.texts[:1] == ["line 0"])
        await pilot.press("v")
        await until(lambda: pane.texts[0].startswith('{"event"'))


async def test_the_last_words_of_a_worker_are_shown(tmp_path: Path) -> None:
    path = lines(tmp_path / "out", "first")
    link = FakeLink(story(), {("A3.1", 1): path})
    async with shown(link) as (app, _):
        pane = next(pane for pane in board(app).panes if pane.source and pane.source.task == "A3.1")
        await until(lambda: pane.texts == ["first"] and not pane.unread)
        lines(path, "last words")
        link.run.land("A3.1")
        link.tell()
        await until(lambda: "last words" in pane.texts and not pane.live)


async def test_search_in_the_log(tmp_path: Path) -> None:
    path = lines(tmp_path / "out", *(f"line {number}" for number in range(500)))
    link = FakeLink(story(), {("A3.1", 1): path})
    async with shown(link) as (app, pilot):
        select(app, "A3.1")
        await pilot.press("l")
        pane = board(app).pane
        assert pane is not None
        await until(lambda: "line 499" in pane.texts)
        await pilot.press("slash", *"line", "space", *"333", "enter")
        await until(lambda: pane.texts[:1] == ["line 333"])
        await pilot.press("escape")
        assert isinstance(app.focused, TaskTree)


async def test_hostile_output_reaches_the_glass_as_text(tmp_path: Path) -> None:
    evil = "\x1b]52;c;AAAA\x07\x1b[2J\x9b31m [red]x[/red] [@click=app.quit]y[/] \u202egnp"
    path = lines(tmp_path / "out", evil)
    run = Run(start=time.time() - 9).plan(leaf("A1", evil)).start("A1")
    run.add(ev.QuestionAsked(id="Q1", question=evil), ev.Notice(text=evil))
    link = FakeLink(run, {("A1", 1): path})
    link.live = {"A1#1": Live(step=evil)}
    async with shown(link) as (app, pilot):
        pane = board(app).panes[0]
        await until(lambda: pane.texts)
        app.say(evil, "error")
        await pilot.pause()
        await pilot.press("n")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.pause()
        text = "\n".join(screen(app))
        assert not set(text) & {"\x1b", "\x9b", "\x07", "\u202e"}
        assert "[red]x[/red] [@click=app.quit]y[/] <U+202E>gnp" in " ".join(pane.texts)


async def test_panes_for_all_workers_and_zoom() -> None:
    async with shown(FakeLink(many(40, running=4)), (160, 60)) as (app, pilot):
        assert [pane.source.task for pane in board(app).panes if pane.source] == ["A1.1", "A1.2", "A1.3", "A1.4"]
        await pilot.press("tab", "tab")
        pane = board(app).pane
        assert pane is not None
        await pilot.press("z")
        await pilot.pause()
        assert pane.size.width == 160
        assert board(app).panes == [pane]
        await pilot.press("escape")
        await pilot.pause()
        assert len(board(app).panes) == 4


async def test_the_drawer_on_a_narrow_screen(tmp_path: Path) -> None:
    path = lines(tmp_path / "out", "hello there")
    async with shown(FakeLink(story(), {("A3.1", 1): path}), (80, 24)) as (app, pilot):
        assert board(app).panes == []
        select(app, "A3.1")
        await pilot.press("l")
        await until(lambda: any("hello there" in line for line in screen(app)))
        await pilot.press("l")
        await pilot.pause()
        assert board(app).panes == []


async def test_ten_thousand_tasks() -> None:
    async with shown(FakeLink(many(10_000))) as (app, pilot):
        await pilot.press("end")
        assert app.model.outline.selected == "A500.20"
        assert any("A500.20" in line for line in screen(app))


async def test_no_color_and_a_terminal_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown(FakeLink(story()), ascii_only=True) as (app, _):
        text = "\n".join(screen(app))
        assert text.isascii(), {char for char in text if not char.isascii()}
        assert app.theme == "terminal-16"
        for strip in app.screen._compositor.render_strips():
            for segment in strip.apply_filter(app._filters[-1], app.background_colors[1]):
                assert segment.style is None or segment.style.color is None or segment.style.color.is_default


async def test_a_theme_is_chosen_and_a_bad_one_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nprimary = "#123456"\n')
    (tmp_path / "bad.toml").write_text("nonsense")
    async with shown(FakeLink(story()), themes=tmp_path, theme="aura-light") as (app, pilot):
        assert "bad.toml" in told(app)
        assert app.theme == "aura-light"
        await pilot.press("T")
        await until(lambda: isinstance(app.screen, Choose))
        await pilot.press("end")
        await until(lambda: app.theme == "mine")
        await pilot.press("escape")
        await until(lambda: app.theme == "aura-light")
        (tmp_path / "mine.toml").write_text('name = "mine"\nprimary = "#654321"\n')
        app._look_at_themes()
        assert app.available_themes["mine"].primary == "#654321"


async def test_what_must_not_be_missed_is_a_toast() -> None:
    link = FakeLink(story(ago=-60))
    async with shown(link) as (app, _):
        link.run.add(ev.QuestionAsked(id="Q1", question="Which [bold]range?"))
        link.tell()
        await until(lambda: "Which [bold]range?" in told(app))


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), AuraError("the engine let go")])
async def test_a_link_that_breaks_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("aura_tui.bridge.FIRST_PAUSE", 0.01)

    class Breaking(FakeLink):
        broke = False

        async def events(self, since: int):
            async for batch in super().events(since):
                yield batch
                if not self.broke:
                    self.broke = True
                    raise error

    link = Breaking(story())
    async with shown(link) as (app, _):
        await until(lambda: link.broke)
        link.run.land("A3.1")
        link.tell()
        await until(lambda: app.model.seq == len(link.run.told))
        assert len(app.model.state.tasks["A3.1"].attempts) == 1
        assert told(app).count("broke") == 1


async def test_facts_that_do_not_fit_are_said_and_do_not_end_the_screen() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, _):
        link.run.told.append(link.run.told[-1]._replace(seq=9999, event=ev.Landed(task="A1", n=5, commit="", tree="")))
        link.tell()
        await until(lambda: "cannot follow" in told(app))
        assert app.is_running


async def test_a_widget_that_raises_ends_the_screen_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    link = FakeLink(story())
    app = AuraApp(link, Options())

    async def break_it() -> None:
        async with app.run_test(size=(100, 30)) as pilot:
            await until(lambda: app.place)
            monkeypatch.setattr(Header, "render_line", lambda self, y: 1 // 0)
            app.screen.query_one(Header).refresh()
            await pilot.pause()

    with pytest.raises(ZeroDivisionError):
        await break_it()
    assert app.return_code == 1


async def test_retry_of_a_failed_task() -> None:
    run = story()
    run.add(ev.TaskSettled(task="A3.3", status="failed", reason="gave up"))
    link = FakeLink(run)
    async with shown(link) as (app, pilot):
        select(app, "A3.3")
        await pilot.press("r")
        await until(lambda: link.commands == [RetryTask(task="A3.3")])


async def test_hints_can_be_clicked() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.click("#hints", offset=(2, 0))
        await until(lambda: app.place.place_name == "detail")
