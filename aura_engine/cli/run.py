"""Sets a run up from the settings and plays it to its end; shared by `start` and `demo`."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from aura_engine.cli.background import Background
from aura_engine.cli.exits import exit_status
from aura_engine.cli.plain import PlainView
from aura_engine.clock import SystemClock
from aura_engine.config.load import load_settings
from aura_engine.core.events import decode
from aura_engine.core.model import RunStatus
from aura_engine.engine import Engine, Options
from aura_engine.errors import OwnedError
from aura_engine.goal.blocks import parse_goal
from aura_engine.goal.read import read_goal
from aura_engine.hands import hire, planner_of
from aura_engine.paths import RunPaths, data_dir
from aura_engine.recorder import Subscriber
from aura_engine.report.writer import Projections
from aura_engine.thread import EngineThread
from aura_engine.workspace.git import require_git


def run_goal(
    task_file: Path,
    project: Path,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    arguments: argparse.Namespace,
    out: TextIO,
    *,
    beside: Subscriber | None = None,
    detach: bool = False,
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
        return exit_status(_play(options, as_json=arguments.json, out=out, beside=beside, background=background))
    except OwnedError as error:
        raise OwnedError(str(error), cure="Watch it: aura attach. Stop it: aura stop.") from error


def _play(
    options: Options, *, as_json: bool, out: TextIO, beside: Subscriber | None, background: Background | None
) -> RunStatus:
    """The engine on its own thread, the plain view on this one: a terminal that takes nothing holds up no worker."""
    engine = Engine(options)
    view = PlainView(as_json=as_json, out=out)

    async def play(opened: Callable[[], None]) -> RunStatus:
        projections = Projections(options.paths.state, SystemClock())

        def on_open() -> None:
            state, journal = engine.recorder.state, engine.recorder.journal
            projections.restore((decode(entry.kind, entry.payload), entry.time) for entry in journal.read())
            engine.recorder.subscribe(lambda done: projections.note(done.event, done.time, state))
            if beside is not None:
                engine.recorder.subscribe(beside)
            opened()
            if background is not None:
                background.ready()

        engine.on_open = on_open
        try:
            return await engine.run()
        finally:
            await projections.aclose()

    thread = EngineThread(engine, play, exit_status=exit_status)
    return thread.run_beside(lambda link: view.show(link, skip=link.first), view.leave)
