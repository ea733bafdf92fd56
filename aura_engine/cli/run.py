"""Sets a run up from the settings and plays it to its end; shared by `start` and `demo`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from pathlib import Path

from aura_engine.cli.background import Background
from aura_engine.cli.engine_log import open_log
from aura_engine.cli.exits import exit_status
from aura_engine.cli.options import events_of
from aura_engine.cli.plain import PlainView
from aura_engine.cli.screen import Stage
from aura_engine.cli.view import View
from aura_engine.clock import SystemClock
from aura_engine.config.live import Sources
from aura_engine.config.load import Loaded, load_settings
from aura_engine.config.prices import prices_of
from aura_engine.config.survival_settings import OnTerm
from aura_engine.containers import place
from aura_engine.core.events import decode
from aura_engine.core.model import RunStatus
from aura_engine.engine import Engine, state_of
from aura_engine.errors import OwnedError
from aura_engine.goal.blocks import parse_goal
from aura_engine.goal.read import read_goal
from aura_engine.hands import hire, planner_of, refuse_own_codex
from aura_engine.paths import RunPaths, data_dir
from aura_engine.planner.written import read_plan
from aura_engine.recorder import Committed, Subscriber
from aura_engine.report.writer import Projections
from aura_engine.thread import EngineThread
from aura_engine.wiring import RULES, Options
from aura_engine.workspace.git import require_git

SETTLE = 3.0
"""Seconds that what is told beside the journal waits for the journal, which may wait for its disk."""


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
    goal = parse_goal(read_goal(task_file, project=project))
    plan = getattr(arguments, "plan", None)
    written = read_plan(Path(plan).expanduser()) if plan else None
    if written is not None:
        written.drawn(state_of(goal), RULES)
    config = Path(arguments.config).expanduser() if arguments.config else None
    loaded = load_settings(flags=flags, environ=environ, project=project, config_file=config)
    settings = loaded.settings
    settings.planner()  # whatever is missing is said before anything is looked for
    asyncio.run(require_git())
    refuse_own_codex(settings, own_codex=arguments.workerpro_codex)
    paths = RunPaths.of(data_dir(project, settings.data_dir or None), task_file)
    where = place(settings, environ, paths.work, _say, _ask)
    if where.fallback:
        settings = settings.model_copy(update={"workers_in_docker": False})
    hired = hire(settings, environ, own_codex=arguments.workerpro_codex)
    paths.ensure(project)
    options = Options(
        sources=Sources(flags, environ, project, config, loaded),
        project=project,
        task_file=task_file.resolve(),
        paths=paths,
        settings=settings,
        provider=planner_of(settings),
        hands=hired.first,
        fallbacks=hired.second,
        place=where,
        notes=(*loaded.notes, *hired.notes),
        prices=prices_of(settings, loaded.prices),
        attended=stage is not None,
        written=written,
    )
    open_log(paths.log, options.redactor)
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


def _say(text: str) -> None:
    """How it goes with what a start waits for: beside the lines, or the JSON, of the run."""
    print(text, file=sys.stderr, flush=True)


def _ask(trouble: str) -> bool | None:
    """The person at the terminal; None where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    _say(trouble)
    _say("Let workers run on this machine instead, for this run? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Play:
    """The engine on its own thread, a view on this one: a terminal that takes nothing holds up no worker."""

    def __init__(self, options: Options, *, beside: Subscriber | None, background: Background | None) -> None:
        self._engine = Engine(options)
        self._options = options
        self._beside = beside
        self._background = background
        self._last: list[Committed] = []
        self._report: Path | None = None
        """The page that the run's end has left."""

    def plainly(self, view: PlainView) -> RunStatus:
        """With lines of text, or of JSON."""
        status = self._thread().run_beside(lambda link: view.show(link, skip=link.first), view.leave, stays=True)
        if not view.as_json:
            self._name_report()
        return status

    def on_screen(self, stage: Stage, loaded: Loaded) -> RunStatus:
        """With the full screen; once it is left, the last lines of the run stand on the terminal."""
        log = self._options.paths.log
        status = self._thread().run_beside(lambda link: stage.show(link, loaded, log), stage.leave)
        tell = View(self._engine.recorder.state, as_json=False, out=sys.stdout)
        for committed in self._last:
            tell(committed)
        self._name_report()
        return status

    def _name_report(self) -> None:
        """As one more of the run's last lines."""
        if self._report is None:
            return
        here = Path.cwd()
        path = self._report.relative_to(here) if self._report.is_relative_to(here) else self._report
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more
            print(f"{' ' * 11}report: {path}", flush=True)

    def _thread(self) -> EngineThread:
        drains = self._options.settings.on_term is OnTerm.DRAIN
        return EngineThread(self._engine, self._run, exit_status=exit_status, drains=drains)

    async def _run(self, opened: Callable[[], None]) -> RunStatus:
        engine = self._engine

        def on_open() -> None:
            engine.beside.append(self._papers)
            if self._beside is not None:
                engine.recorder.subscribe(self._beside)
            opened()
            if self._background is not None:
                self._background.ready()

        engine.on_open = on_open
        return await engine.run()

    @contextlib.asynccontextmanager
    async def _papers(self) -> AsyncGenerator[None]:
        """Everything that can be read of the run beside its journal is there, and whole, before its lock goes."""
        recorder = self._engine.recorder
        projections = Projections(self._options.paths.state, SystemClock(), partial(recorder.journal.flush, SETTLE))

        def heard(done: Committed) -> None:
            projections.note(done.event, done.time, recorder.state)
            if done.event.kind == "run_ended":
                self._last = [done]

        projections.restore((decode(entry.kind, entry.payload), entry.time) for entry in recorder.journal.read())
        recorder.subscribe(heard)
        try:
            yield
        finally:
            await projections.aclose()
            if self._last:
                self._report = await asyncio.to_thread(self._leave_pages)

    def _leave_pages(self) -> Path | None:
        from aura_engine.cli.accounts import leave_pages

        paths, state = self._options.paths, self._engine.recorder.state
        return leave_pages(paths, state, list(events_of(paths.run)), self._options.redactor)
