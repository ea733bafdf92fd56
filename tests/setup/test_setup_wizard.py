"""The wizard by keys alone: on a terminal of 80 by 24, as the first start opens it, and inside the application."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.events import Paste

from aura_engine.setup import walk
from aura_engine.setup.draft import Place
from aura_engine.setup.walk import PAGES
from aura_tui.setting_up import SetupApp, prepared

KEY = "sk-right-0123456789abcdef"
SIZE = (80, 24)


def painted(app) -> str:
    """The screen's text, a line per row."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def settled(pilot) -> str:
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    return painted(pilot.app)


async def paste(pilot, text: str) -> None:
    """As from the clipboard: a key for each letter takes its time."""
    pilot.app.post_message(Paste(text))
    await pilot.pause()


async def opened(stage, **environ) -> SetupApp:
    place = Place.of({**stage.environ, **environ}, stage.project)
    return SetupApp(await prepared(place), ascii_only=False)


async def test_to_the_end_by_keys_alone(stage):
    app = await opened(stage)
    async with app.run_test(size=SIZE) as pilot:
        assert "Set up Aura  1/8  The planner" in await settled(pilot)
        await pilot.press("end", "enter")
        assert "The planner's address, key and model" in await settled(pilot)
        for text in (f"{stage.url}/v1", KEY, "right-model", "openai"):
            await paste(pilot, text)
            assert KEY not in painted(app), "a key is not shown while it is typed"
            await pilot.press("enter")
        seen = await settled(pilot)
        assert "3/8  The workers" in seen
        assert "✓ planner: right-model answers" in seen
        for title in ("Which role gets a task", "Pro: address, key and model"):
            await pilot.press("enter")
            assert title in await settled(pilot)
        await pilot.press("enter", "enter", "enter")
        assert "✓ pro: right-model answers" in await settled(pilot)
        await pilot.press("tab", "tab", "enter")
        assert "7/8  Docker" in await settled(pilot)
        await pilot.press("enter")
        seen = await settled(pilot)
        assert "AURA_API_KEY = …cdef" in seen
        assert KEY not in seen
        assert not stage.config.exists(), "nothing is written before the end"
        await pilot.press("enter")
        await pilot.pause()
    assert app.return_value == []
    assert f'api_key = "{KEY}"' in stage.config.read_text()


async def test_what_fails_is_said_and_ctrl_g_goes_on(stage, dead_url):
    stage.config.parent.mkdir(parents=True)
    extra = 'docker_host = "unix:///none.sock"\npro_backend = "claude"\nworker_mode = "pro-only"\n'
    answers = stage.answers.replace(f"{stage.url}/v1", dead_url).replace('pro_backend = "builtin"\n', "")
    stage.config.write_text(answers + extra)
    stage.config.chmod(0o600)
    before = stage.config.read_text()
    app = await opened(stage)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter")
        seen = await settled(pilot)
        assert "…cdef is kept, - takes it out" in seen
        await pilot.press("ctrl+g", "enter", "enter", "enter")
        seen = await settled(pilot)
        assert "cannot be reached" in seen
        assert "ctrl+g anyway" in seen
        await pilot.press("shift+tab")
        await paste(pilot, "sk-wrong-0123456789")
        await pilot.press("shift+tab", "home", "ctrl+k")
        await paste(pilot, f"{stage.url}/v1")
        await pilot.press("enter", "enter", "enter")
        seen = await settled(pilot)
        assert "refused with 401" in seen
        assert "Check AURA_API_KEY" in seen
        await pilot.press("ctrl+g")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("enter")
        assert "Pro: address" in await settled(pilot)
        await pilot.press("enter", "enter", "enter")
        seen = " ".join((await settled(pilot)).split())
        assert "✗ claude: The worker program “claude” of the backend “claude” is not on PATH" in seen
        assert "npm install -g" in seen
        await pilot.press("ctrl+g")
        await settled(pilot)
        await pilot.press("down", "enter")
        seen = " ".join((await settled(pilot)).split())
        assert "✗ docker: No Docker engine runs here: there is no /none.sock" in seen
        await pilot.press("ctrl+g")
        assert "AURA_WORKERS_IN_DOCKER = 1" in await settled(pilot)
        await pilot.press("escape")
        assert "Docker" in await settled(pilot)
        await pilot.press("ctrl+x")
        await pilot.pause()
    assert app.return_value is None
    assert stage.config.read_text() == before


async def test_a_trial_that_hangs_can_be_left(stage, monkeypatch):
    app = await opened(stage, AURA_API_KEY=KEY, AURA_API_BASE_URL=f"{stage.url}/v1", AURA_API_MODEL="right-model")
    begun = asyncio.Event()

    async def hang(draft):
        begun.set()
        await asyncio.Event().wait()

    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        pages = [replace(page, trial=hang) if page.id == "planner" else page for page in PAGES]
        monkeypatch.setattr(walk, "PAGES", tuple(pages))
        await pilot.press("enter", "enter", "enter")
        await begun.wait()
        await pilot.pause()
        assert "Trying it …" in painted(app)
        await pilot.press("escape")
        assert "1/8  The planner" in await settled(pilot)


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
async def test_every_page_fits_or_scrolls(stage, size):
    app = await opened(stage)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for _ in range(10):
            if app._walk.last:
                break
            await app.screen._go_on()
            await settled(pilot)
            lines = painted(app).split("\n")
            assert lines[0].startswith(" Set up Aura")
            assert lines[-1].startswith(" enter goes on")
            assert app.focused is not None
            assert app.focused.region.height > 0


def test_the_first_start_opens_it_and_leaving_starts_nothing(terminal, stage):
    (stage.project / "task.md").write_text("Say hi.\n")
    at = terminal("task.md", "--ui", "full")
    at.wait("Set up Aura", "The planner", "Anthropic")
    at.press("\x18")
    at.wait("Left: nothing was changed.", "Aura does not know yet who plans and who works. aura setup asks for it.")
    assert at.left() == 2
    assert not (stage.project / ".aura").exists()
    assert not stage.config.exists()


def test_a_start_with_a_configuration_does_not_ask(terminal, stage, dead_url):
    (stage.project / "task.md").write_text("Say hi.\n")
    (stage.project / ".env").write_text(f"AURA_API_KEY={KEY}\nAURA_API_BASE_URL={dead_url}\nAURA_PRO_BACKEND=claude\n")
    at = terminal("task.md")
    at.wait("The planner has no model for", "Set AURA_API_MODEL")
    assert at.left() == 2
    assert "Set up Aura" not in at.all


def test_as_a_command(terminal, stage):
    at = terminal("setup", "--ui", "full")
    at.wait("Set up Aura", "enter goes on", "Another service")
    at.press("\x1b[F\r")
    at.wait("address, key and model", "Model")
    at.press("\x18")
    at.wait("Left: nothing was changed.")
    assert at.left() == 1
