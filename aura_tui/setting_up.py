"""The set-up by itself, before there is a run: the first start without a configuration, and `aura setup --ui full`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.app import App

from aura_engine import garbage
from aura_engine.setup.draft import Draft, Place
from aura_engine.setup.machine import Machine
from aura_engine.setup.walk import Walk
from aura_tui import theming
from aura_tui.base import START_UP
from aura_tui.screens.setup import Setup


class SetupApp(App[list[str]]):
    """Returns what saving said; None where nothing was saved."""

    TITLE = "aura setup"
    CSS_PATH = "aura.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, walk: Walk, *, ascii_only: bool) -> None:
        super().__init__()
        self._walk = walk
        self._ascii = ascii_only
        for theme in theming.load([theming.OURS]).themes.values():
            self.register_theme(theme)
        few = self.console.color_system in (None, "standard", "windows")
        self.theme = theming.PLAINEST if few or self.no_color else theming.DEFAULT
        self.set_class(ascii_only, "-ascii")

    def on_mount(self) -> None:
        """See App."""
        self.push_screen(Setup(self._walk, ascii_only=self._ascii), self.exit)
        self.set_timer(START_UP, garbage.begin)


async def here(file: Path | None) -> Walk:
    """The walk for this process's folder and environment; `file` as for Place.of. ConfigError."""
    environ = dict(os.environ)
    project = Path(environ.get("AURA_PROJECT_ROOT") or Path.cwd()).expanduser()
    return await prepared(Place.of(environ, project, file))


async def prepared(place: Place) -> Walk:
    """The walk for a place. ConfigError when the configuration that is there cannot be used."""
    draft = await asyncio.to_thread(Draft, place)
    return Walk(draft, await asyncio.to_thread(Machine.look, draft))
