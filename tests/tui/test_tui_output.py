"""A worker's output in its pane: following, holding, searching, and text that means harm."""

from __future__ import annotations

import time
from pathlib import Path

from tui_fakes import FakeLink, Run, leaf, story
from tui_pilot import board, lines, screen, select, shown, until

from aura_engine.control.link import Live
from aura_engine.core import events as ev
from aura_tui.screens.dialogs import Write
from aura_tui.widgets.tree import TaskTree


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
