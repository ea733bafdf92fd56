"""The set-up inside the application: from its key, and nothing of the run is touched by the keys pressed there."""

from __future__ import annotations

import os
from pathlib import Path

from tui_fakes import FakeLink, story
from tui_pilot import glass, shown, told, until

from aura_tui.screens.setup import Setup


async def test_it_opens_is_left_and_saves(tmp_path: Path) -> None:
    link = FakeLink(story())
    config = tmp_path / "aura.toml"
    async with shown(link, config=config) as (app, pilot):
        await pilot.press("S")
        await until(lambda: isinstance(app.screen, Setup) and "The planner" in glass(app), 20)
        await pilot.press("k", "q", "x", "escape")
        await until(lambda: not isinstance(app.screen, Setup))
        assert link.commands == [], "keys of the run do nothing there"
        await pilot.press("S")
        await until(lambda: isinstance(app.screen, Setup), 20)
        screen = app.screen
        assert isinstance(screen, Setup)
        while not screen._walk.last:
            await screen._go_on()
        screen._walk.draft.put({"AURA_API_MODEL": "mine"})
        await pilot.press("enter")
        await until(lambda: not isinstance(app.screen, Setup))
        await until(lambda: told(app))
        assert f"Saved in {config}; the next start takes it up." in told(app)
    assert 'api_model = "mine"' in config.read_text()


async def test_what_keeps_it_from_opening_is_said(monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "AURA_MAX_TURNS", "many")
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.press("S")
        await until(lambda: told(app), 20)
        assert "AURA_MAX_TURNS is “many” (from the environment): it must be a whole number" in told(app)
        assert not isinstance(app.screen, Setup)
