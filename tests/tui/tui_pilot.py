"""The application under a Pilot, for tests: shown, waited for, read off the glass."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot
from tui_fakes import FakeLink

from aura_tui.app import AuraApp
from aura_tui.base import Options
from aura_tui.screens.dashboard import Dashboard


@asynccontextmanager
async def shown(link: FakeLink, size: tuple[int, int] = (120, 40), **options) -> AsyncIterator[tuple[AuraApp, Pilot]]:
    """The application, once its first facts are on the screen."""
    app = AuraApp(link, Options(**options))
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(lambda: app.model.seq >= len(link.run.told))
        await pilot.pause()
        yield app, pilot


async def until(holds: Callable[[], object], limit: float = 5.0) -> None:
    """Let the loop run until something holds; fail when it does not within the limit (seconds)."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"it did not come to hold within {limit} s")


async def taken(app: AuraApp, link: FakeLink, pilot: Pilot) -> None:
    """What was added to the run is on the screen."""
    link.tell()
    await until(lambda: app.model.seq >= len(link.run.told))
    await pilot.pause()


def screen(app: AuraApp) -> list[str]:
    """The lines on the glass, without what lies below a dialog."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def glass(app: AuraApp) -> str:
    """The same as one text."""
    return "\n".join(screen(app))


def told(app: AuraApp) -> str:
    """What the toasts say."""
    return " | ".join(str(toast.message) for toast in app._notifications)


def board(app: AuraApp) -> Dashboard:
    """The dashboard, which must be what is shown."""
    place = app.place
    assert isinstance(place, Dashboard)
    return place


def select(app: AuraApp, task: str) -> None:
    """Select a task in the tree."""
    board(app).task_tree.reveal(task)


def lines(path: Path, *texts: str) -> Path:
    """Add messages to a worker's output; its path."""
    with path.open("a") as file:
        file.writelines(json.dumps({"event": "message", "text": text}) + "\n" for text in texts)
    return path
