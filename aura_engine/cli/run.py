"""Sets a run up from the settings and plays it to its end; shared by `start` and `demo`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from aura_engine.cli.view import View
from aura_engine.clock import SystemClock
from aura_engine.config.load import load_settings
from aura_engine.core.events import decode
from aura_engine.core.model import RunStatus
from aura_engine.engine import Engine, Options
from aura_engine.goal.blocks import parse_goal
from aura_engine.goal.read import read_goal
from aura_engine.hands import hire, planner_of
from aura_engine.paths import RunPaths, data_dir
from aura_engine.recorder import Subscriber
from aura_engine.report.writer import Projections
from aura_engine.workspace.git import require_git

EXIT = {
    RunStatus.ACHIEVED: 0,
    RunStatus.FAILED: 1,
    RunStatus.BUDGET: 3,
    RunStatus.NEEDS_PERSON: 5,
    RunStatus.INTERRUPTED: 130,
}


def run_goal(
    task_file: Path,
    project: Path,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    arguments: argparse.Namespace,
    out: TextIO,
    *,
    beside: Subscriber | None = None,
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
    status = asyncio.run(_play(options, as_json=arguments.json, out=out, beside=beside))
    return EXIT.get(status, 1)


async def _play(options: Options, *, as_json: bool, out: TextIO, beside: Subscriber | None) -> RunStatus:
    engine = Engine(options)
    projections = Projections(options.paths.state, SystemClock())

    def opened() -> None:
        state = engine.recorder.state
        projections.restore((decode(entry.kind, entry.payload), entry.time) for entry in engine.recorder.journal.read())
        engine.recorder.subscribe(View(state, as_json=as_json, out=out))
        engine.recorder.subscribe(lambda done: projections.note(done.event, done.time, state))
        if beside is not None:
            engine.recorder.subscribe(beside)

    engine.on_open = opened
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM"):
        loop.add_signal_handler(getattr(signal, name), engine.interrupt)
    # A dropped connection takes the reader away, not the run.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        return await engine.run()
    finally:
        await projections.aclose()
