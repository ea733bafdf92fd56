"""A whole engine in this process, its workers a program that plays a story, its planner the scripted model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from aura_engine.config.live import Sources
from aura_engine.config.load import load_settings
from aura_engine.core.events import Event
from aura_engine.core.model import RunStatus
from aura_engine.core.state import RunState
from aura_engine.demo.brains import plan_brain, task
from aura_engine.demo.server import ScriptedModel
from aura_engine.engine import Engine
from aura_engine.hands import hire, planner_of
from aura_engine.paths import RunPaths
from aura_engine.wiring import Options

FAKE = Path(__file__).with_name("fake_cli.py")
LIMIT = 30.0
PLAN = {
    "tasks": [task("Greet", "grep -q hello greeting.txt")],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}


@dataclass
class Play:
    """A run under way, and what it journaled so far."""

    engine: Engine
    folder: Path
    events: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Task[RunStatus] | None = None

    @property
    def state(self) -> RunState:
        return self.engine.recorder.state

    async def until(self, what: Callable[[Event], Any]) -> Any:
        """The first event, past or to come, for which `what` is true."""
        async with asyncio.timeout(LIMIT):
            while True:
                self.news.clear()
                for event in self.events:
                    if what(event):
                        return event
                assert not (self.ended and self.ended.done()), self.events[-3:]
                await self.news.wait()

    async def end(self) -> RunStatus:
        assert self.ended is not None
        async with asyncio.timeout(LIMIT):
            return await self.ended

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.kind == kind]


class Stage:
    """Makes programs that play stories, and plays runs with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "task.md").write_text("# Greet\n\nSay hello.\n")

    def program(self, name: str, *stories: list[dict[str, Any]]) -> Path:
        """A worker program; each start plays the next story."""
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n{FAKE.read_text()}")
        path.chmod(0o755)
        path.with_suffix(".story").write_text(json.dumps(stories))
        return path

    @staticmethod
    async def eventually(true: Callable[[], Any]) -> None:
        """Waits for something outside of this process to become true."""
        async with asyncio.timeout(LIMIT):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def starts(self, name: str) -> list[dict[str, Any]]:
        """What each start of a program was given."""
        log = (self.folder / name).with_suffix(".log")
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @asynccontextmanager
    async def play(
        self,
        *,
        plan: Any = None,
        workers: Any = None,
        on: Any = None,
        answer: Any = None,
        written: Any = None,
        attended: bool = False,
        **settings: str,
    ) -> AsyncGenerator[Play]:
        """A run; it is interrupted at the end of the block unless it has ended."""
        with ScriptedModel(plan_brain(plan or PLAN, workers or {}, on=on, answer=answer)) as model:
            api = {"API_PROVIDER": "openai", "API_BASE_URL": f"{model.url}/v1", "API_KEY": "k", "API_MODEL": "m"}
            flash = {"FLASH_BACKEND": "claude", "WORKER_MODE": "flash-only", "FLASH_API_KEY": "k"}
            # The programs here keep their log beside them, which is outside of what a contained worker may touch.
            wanted = {**api, **flash, "CONTAINMENT": "none", **settings}
            flags = {name: value.replace("{model}", model.url) for name, value in wanted.items()}
            environ = {"HOME": str(self.folder)}
            loaded = load_settings(flags=flags, environ=environ, project=self.project)
            hired = hire(loaded.settings, os.environ)
            options = Options(
                project=self.project,
                task_file=self.project / "task.md",
                paths=RunPaths.of(self.project / ".aura", self.project / "task.md"),
                settings=loaded.settings,
                provider=planner_of(loaded.settings),
                hands=hired.first,
                fallbacks=hired.second,
                written=written,
                attended=attended,
                sources=Sources(flags, environ, self.project, None, loaded),
            )
            play = Play(Engine(options), self.project)

            def heard(done: Any) -> None:
                play.events.append(done.event)
                play.news.set()

            play.engine.on_open = lambda: play.engine.recorder.subscribe(heard)
            play.ended = asyncio.create_task(play.engine.run())
            play.ended.add_done_callback(lambda _: play.news.set())
            try:
                yield play
            finally:
                play.engine.interrupt()
                async with asyncio.timeout(LIMIT):
                    await asyncio.gather(play.ended, return_exceptions=True)
            assert list(model.failures) == []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """See Stage. Workers outlive the engine of a test, as they should: they end here."""
    yield Stage(tmp_path)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(tmp_path) in word for word in process.cmdline()):
                process.kill()
