"""Sets a run up from the settings and plays it to its end; shared by `start` and `demo`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aura_engine.cli.background import Background
from aura_engine.cli.exits import exit_status
from aura_engine.cli.plain import PlainView
from aura_engine.cli.screen import Stage
from aura_engine.cli.view import View
from aura_engine.clock import SystemClock
from aura_engine.config.load import Loaded, load_settings
from aura_engine.core.events import decode
from aura_engine.core.model import RunStatus
from aura_engine.engine import Engine
from aura_engine.errors import OwnedError
from aura_engine.goal.blocks import parse_goal
from aura_engine.goal.read import read_goal
from aura_engine.hands import hire, planner_of
from aura_engine.paths import RunPaths, data_dir
from aura_engine.recorder import Committed, Subscriber
from aura_engine.report.writer import Projections
from aura_engine.thread import EngineThread
from aura_engine.wiring import Options
from aura_engine.workspace.git import require_git


def run_goal(
    task_file: Path,
    project: Path,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    arguments: argparse.Namespace,
    *,
    beside: Subscriber | None = None,
    detach: bool = False,
    stage: Stage | None = None,
) -> int:
    """Everything that can be wrong is found before anything is started or written (exit status 2)."""
    # The goal first: whoever mistyped its name should not be asked for keys.
    parse_goal(read_goal(task_file, project=project))
    config = Path(arguments.config).expanduser() if arguments.config else None
    loaded = load_settings(flags=flags, environ=environ, project=project, config_file=config)
    settings = loaded.settings
    settings.planner()  # whatever is missing is said before anything is looked for
    asyncio.run(require_git())
    hired = hire(settings, environ, own_codex=arguments.workerpro_codex)
    paths = RunPaths.of(data_dir(project, settings.data_dir or None), task_file)
    paths.ensure(project)
    logging.basicConfig(
        filename=paths.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    options = Options(
        project=project,
        task_file=task_file.resolve(),
        paths=paths,
        settings=settings,
        provider=planner_of(settings),
        hands=hired.first,
        fallbacks=hired.second,
        notes=(*loaded.notes, *hired.notes),
    )
    background = Background(paths) if detach else None
    if background is not None and (told := background.part()) is not None:
        return told
    try:
        play = Play(options, beside=beside, background=background)
        if stage is not None:
            return exit_status(play.on_screen(stage, loaded))
        return exit_status(play.plainly(PlainView(as_json=arguments.json, out=sys.stdout)))
    except OwnedError as error:
        raise OwnedError(str(error), cure="Watch it: aura attach. Stop it: aura stop.") from error


class Play:
    """The engine on its own thread, a view on this one: a terminal that takes nothing holds up no worker."""

    def __init__(self, options: Options, *, beside: Subscriber | None, background: Background | None) -> None:
        self._engine = Engine(options)
        self._options = options
        self._beside = beside
        self._background = background
        self._last: list[Committed] = []

    def plainly(self, view: PlainView) -> RunStatus:
        """With lines of text, or of JSON."""
        return self._thread().run_beside(lambda link: view.show(link, skip=link.first), view.leave)

    def on_screen(self, stage: Stage, loaded: Loaded) -> RunStatus:
        """With the full screen; once it is left, the last lines of the run stand on the terminal."""
        log = self._options.paths.log
        status = self._thread().run_beside(lambda link: stage.show(link, loaded, log), stage.leave)
        tell = View(self._engine.recorder.state, as_json=False, out=sys.stdout)
        for committed in self._last:
            tell(committed)
        return status

    def _thread(self) -> EngineThread:
        return EngineThread(self._engine, self._run, exit_status=exit_status)

    async def _run(self, opened: Callable[[], None]) -> RunStatus:
        engine = self._engine
        projections = Projections(self._options.paths.state, SystemClock())

        def heard(done: Committed) -> None:
            projections.note(done.event, done.time, engine.recorder.state)
            if done.event.kind == "run_ended":
                self._last = [done]

        def on_open() -> None:
            journal = engine.recorder.journal
            projections.restore((decode(entry.kind, entry.payload), entry.time) for entry in journal.read())
            engine.recorder.subscribe(heard)
            if self._beside is not None:
                engine.recorder.subscribe(self._beside)
            opened()
            if self._background is not None:
                self._background.ready()

        engine.on_open = on_open
        try:
            return await engine.run()
        finally:
            await projections.aclose()
