"""The small parts: slots, credit, themes, the table of actions, undo, bars."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.style import Style
from textual.color import Color
from textual.dom import DOMNode
from textual.theme import Theme
from tui_fakes import Run, group, leaf

from aura_engine.core import events as ev
from aura_engine.core.commands import DropTask, Kill, Pause, Restore, Resume, RetryTask
from aura_tui import theming
from aura_tui.actions import ACTIONS, action_of, available, bindings, command_for, shown_key, why_not
from aura_tui.panes import Credit, Slots
from aura_tui.places import PLACES
from aura_tui.screens.goal import Goal
from aura_tui.screens.table import make_place
from aura_tui.tones import TONES, Palette
from aura_tui.undo import inverse
from aura_tui.widgets.editor import Editor
from aura_tui.widgets.gauges import bar, gigabytes
from aura_tui.widgets.log_pane import LogPane
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.sheet import Sheet
from aura_tui.widgets.timeline import Bars
from aura_tui.widgets.tree import TaskTree

A, B, C, D = ("A1", 1), ("A2", 1), ("A3", 1), ("A4", 1)


def test_what_runs_keeps_its_slot() -> None:
    slots = Slots()
    assert slots.arrange([A, B, C], 3) == [A, B, C]
    assert slots.arrange([B, C], 3) == [A, B, C], "what has ended stays to be read"
    assert slots.arrange([B, C, D], 3) == [D, B, C]


def test_the_next_attempt_of_a_task_takes_its_slot_over() -> None:
    slots = Slots()
    slots.arrange([A, B], 4)
    assert slots.arrange([("A2", 2)], 4) == [A, ("A2", 2)]


def test_what_has_no_slot_is_counted() -> None:
    slots = Slots()
    assert slots.arrange([A, B, C], 2) == [A, B]
    assert slots.left_out == 1
    assert slots.arrange([A, C], 2) == [A, C]
    assert slots.left_out == 0


def test_one_worker_gets_all_the_room() -> None:
    assert Slots().arrange([A], 8) == [A]
    assert Slots().arrange([], 8) == [None]


def test_somebody_asks_for_an_output() -> None:
    slots = Slots()
    slots.arrange([A, B], 2)
    assert slots.put(C, [A]) == 1
    assert slots.put(C, [A]) == 1
    assert slots.put(D, [A, C]) == 1, "with nothing free the last one gives way"


def test_credit_bounds_what_is_painted() -> None:
    credit = Credit(1000, 2000)
    credit.refill(0.0)
    painted = 0
    for tick in range(1, 601):
        credit.refill(tick / 10)
        if credit.any:
            credit.spend(900)
            painted += 900
    assert painted <= 60 * 1000 + 2000 + 900


def test_our_themes_are_good() -> None:
    loaded = theming.load([theming.OURS])
    assert loaded.problems == []
    assert set(loaded.themes) >= {
        *("aura-dark", "aura-light", "high-contrast", "terminal-16", "colour-blind-safe"),
    }
    assert loaded.themes["terminal-16"].ansi


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('name = "x"', "primary"),
        ('name = "x"\nprimary = "blurple"', "no colour"),
        ('name = "x"\nprimary = "red"\nshiny = true', "shiny"),
        ('name = "[red]"\nprimary = "red"', "name"),
        ("not toml", "not TOML"),
        ('name = "x"\nprimary = "red"\n[variables]\ncursor = "url(evil)"', "no colour"),
        ("a = " + "[" * 5000, "nested"),
        (b"\xff\xfe", "UTF-8"),
        ("#" * (100 << 10), "larger"),
    ],
)
def test_a_bad_theme_is_reported_and_no_more(tmp_path: Path, body: str | bytes, problem: str) -> None:
    (tmp_path / "bad.toml").write_bytes(body if isinstance(body, bytes) else body.encode())
    (tmp_path / "good.toml").write_text('name = "mine"\nprimary = "#123456"\n')
    loaded = theming.load([theming.OURS, tmp_path])
    assert "mine" in loaded.themes
    assert len(loaded.problems) == 1
    assert loaded.problems[0].startswith("bad.toml: ")
    assert problem in loaded.problems[0]


@pytest.mark.parametrize("theme", [*theming.load([theming.OURS]).themes.values()], ids=lambda theme: theme.name)
@pytest.mark.parametrize("tone", TONES)
def test_every_tone_can_be_painted_in_every_theme(theme: Theme, tone: str) -> None:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    palette = Palette(variables, ansi=theme.ansi)
    below = Color.parse(variables["background"])
    base = Style.from_color(Color.parse(variables["foreground"]).rich_color, below.rich_color)
    laid = palette.lay(tone, base, below)
    assert tone in ("say", "do", "bar") or laid != base


def test_a_persons_theme_may_leave_all_to_textual() -> None:
    variables = Theme("mine", primary="#123456").to_color_system().generate()
    palette = Palette(variables, ansi=False)
    for tone in TONES:
        assert isinstance(palette.lay(tone, Style(), Color.parse("#101010")), Style)


def test_a_persons_theme_takes_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "aura-dark"\nprimary = "#123456"\n')
    assert theming.load([theming.OURS, tmp_path]).themes["aura-dark"].primary == "#123456"


def test_a_changed_theme_file_is_noticed(tmp_path: Path) -> None:
    before = theming.stamp(tmp_path)
    (tmp_path / "mine.toml").write_text('name = "mine"\nprimary = "red"\n')
    assert theming.stamp(tmp_path) != before
    assert theming.stamp(tmp_path / "nowhere") == ()


def test_every_action_has_an_id_a_key_and_words_of_its_own() -> None:
    for field in ("id", "key", "help"):
        values = [getattr(action, field) for action in ACTIONS]
        assert len(set(values)) == len(values), field
    assert {binding.id for binding in bindings()} == {action.id for action in available() if action.everywhere}


@pytest.mark.parametrize("widget", [Bars, Editor, Goal, LogPane, PromptLine, Sheet, TaskTree])
def test_every_key_of_a_widget_is_a_row_of_the_table(widget: type[DOMNode]) -> None:
    for binding in widget.__dict__["BINDINGS"]:
        assert binding.key == action_of(binding.id).key
        assert not action_of(binding.id).everywhere or binding.id == "task.detail"


def test_the_keys_that_were_asked_for() -> None:
    wanted = {*"PkermaExugdtlTq", "enter", "space", "slash", "question_mark", "ctrl+p"}
    assert {action.key for action in ACTIONS} >= wanted


def test_an_action_whose_screen_is_not_there_is_not_shown() -> None:
    shown = {action.id for action in available()}
    for action in ACTIONS:
        assert (action.id in shown) == (not action.place or action.place in PLACES)


@pytest.mark.parametrize("name", sorted(PLACES))
def test_every_place_can_be_made(name: str) -> None:
    assert make_place(name).place_name == name


def test_an_action_says_why_it_cannot_be_done() -> None:
    run = Run().plan(leaf("A1"), group("A2"), leaf("A2.1")).start("A1").land("A1")
    assert "completed" in why_not(action_of("task.kill"), run.state, "A1")
    assert why_not(action_of("task.kill"), run.state, "A2.1") == ""
    assert why_not(action_of("task.kill"), run.state, "") == "no task is selected"
    assert "that runs" in why_not(action_of("task.kill"), run.state, "A2")


def test_space_lets_go_on_what_is_paused() -> None:
    run = Run().plan(leaf("A1"))
    assert command_for(action_of("task.pause"), run.state, "A1") == Pause(task="A1")
    run.add(ev.Requested(command="pause", task="A1"))
    assert command_for(action_of("task.pause"), run.state, "A1") == Resume(task="A1")


@pytest.mark.parametrize(("key", "shown"), [("question_mark", "?"), ("slash", "/"), ("ctrl+p", "^p"), ("k", "k")])
def test_keys_are_shown_as_they_are_typed(key: str, shown: str) -> None:
    assert shown_key(action_of("app.help"), {"app.help": key}) == shown


def test_what_can_be_undone() -> None:
    run = Run().plan(group("A1"), leaf("A1.1", "Make it", instructions="well"), leaf("A2"))
    assert inverse(run.state, Kill(task="A2")) == RetryTask(task="A2")
    assert inverse(run.state, Pause()) == Resume()
    assert inverse(run.state, Resume(task="A2")) == Pause(task="A2")
    assert inverse(run.state, RetryTask(task="A2")) is None
    assert inverse(run.state, DropTask(task="A1.1")) == Restore(task="A1.1")
    assert inverse(run.state, DropTask(task="A1")) == Restore(task="A1")


@pytest.mark.parametrize(
    ("percent", "shown"),
    [(0, "        "), (100, "████████"), (50, "████    "), (6.25, "▌       "), (1000, "████████"), (-5, "        ")],
)
def test_bars(percent: float, shown: str) -> None:
    assert bar(percent) == shown


def test_bars_in_ascii() -> None:
    assert bar(50, plain=True) == "####...."


def test_sizes() -> None:
    assert gigabytes(9 << 30, 24 << 30) == "9.0/24G"
    assert gigabytes(200 << 30) == "200G"
