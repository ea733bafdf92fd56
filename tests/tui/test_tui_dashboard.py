"""The dashboard under a Pilot: what it tells, its tree, its panes, its sizes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tui_fakes import FakeLink, Run, group, leaf, many, story
from tui_pilot import board, glass, lines, screen, select, shown, taken, until

from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.tree import TaskTree


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


async def test_a_group_shows_what_was_begun_last_below_it(tmp_path: Path) -> None:
    path = lines(tmp_path / "out", "hello there")
    async with shown(FakeLink(story(), {("A3.1", 1): path}), (80, 24)) as (app, pilot):
        select(app, "A3")
        await pilot.press("l")
        await until(lambda: any("hello there" in line for line in screen(app)))


async def test_ten_thousand_tasks() -> None:
    async with shown(FakeLink(many(10_000))) as (app, pilot):
        await pilot.press("end")
        assert app.model.outline.selected == "A500.20"
        assert any("A500.20" in line for line in screen(app))


async def test_hints_can_be_clicked() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.click("#hints", offset=(2, 0))
        await until(lambda: app.place.place_name == "detail")


async def test_where_nothing_runs_the_last_output_is_shown(tmp_path: Path) -> None:
    run = Run(start=time.time() - 60).plan(leaf("A1"), leaf("A2")).start("A1").land("A1").start("A2").land("A2")
    link = FakeLink(run, {("A2", 1): lines(tmp_path / "out", "the last words")})
    async with shown(link) as (app, pilot):
        await until(lambda: "the last words" in glass(app))
        run.plan(leaf("A3"), reason="more").start("A3")
        await taken(app, link, pilot)
        assert [pane.source.task for pane in board(app).panes if pane.source] == ["A3"]
