"""The application as a whole: help, keys, themes, toasts, and what breaks."""

from __future__ import annotations

import gc
import re
import time
from pathlib import Path

import pytest
from tui_fakes import FakeLink, Run, leaf, story
from tui_pilot import glass, screen, shown, taken, told, until

from aura_engine.core import events as ev
from aura_engine.core.commands import Pause
from aura_engine.errors import AuraError
from aura_tui.app import AuraApp
from aura_tui.base import Options
from aura_tui.screens.dialogs import Choose
from aura_tui.screens.help import Help
from aura_tui.widgets.header import Header
from aura_tui.widgets.prompt_line import PromptLine


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


async def test_moving_and_the_editor_s_keys_can_be_changed_too() -> None:
    link = FakeLink(story())
    async with shown(link, keys={"move.down": "j", "goal.find": "f7"}) as (app, pilot):
        assert "Unknown actions" not in told(app)
        await pilot.press("j")
        assert app.model.outline.selected == "A1.1"
        await pilot.press("down")
        assert app.model.outline.selected == "A1.1"
        await pilot.press("g")
        await until(lambda: app.place.place_name == "goal" and app.place.edit.loaded)
        await pilot.pause()
        assert " F7 find" in glass(app)
        await pilot.press("f7")
        await until(lambda: app.place.query_one(PromptLine).display)


async def test_a_cap_that_is_reached_and_an_answer_are_toasts() -> None:
    link = FakeLink(story(ago=-60))
    async with shown(link) as (app, pilot):
        link.run.add(ev.CapReached(scope="run", measure="cost", used=20.1, cap=20.0))
        await taken(app, link, pilot)
        assert "$20" in screen(app)[1]
        assert "needs you" in screen(app)[0]
        assert "20" in told(app)
        link.run.add(ev.Inquired(id="i1", question="why?"), ev.InquiryAnswered(id="i1", answer="because [b]so"))
        await taken(app, link, pilot)
        assert "because [b]so" in told(app)


async def test_long_work_tells_how_far_it_is_and_how_long_it_takes() -> None:
    run = Run(start=time.time() - 100).plan(leaf("A1")).start("A1").finish("A1")
    run.now = time.time() - 40
    run.add(ev.DeliveryStarted(tree="t"))
    async with shown(FakeLink(run), (180, 40)) as (app, _):
        assert "checking A1 0/1 1m" in screen(app)[0]
        assert re.search(r"delivering \d\d?[sm]", screen(app)[0])


async def test_garbage_is_looked_for_once_the_first_picture_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aura_tui.app.START_UP", 0.01)
    gc.disable()
    try:
        async with shown(FakeLink(story())):
            await until(gc.isenabled)
    finally:
        gc.enable()
        gc.unfreeze()
