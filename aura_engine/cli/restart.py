"""`aura restart`: begin a goal afresh. What there was is moved into the vault, where `aura recover` finds it."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import project_of
from aura_engine.errors import UsageError

if TYPE_CHECKING:
    from aura_engine.core.state import RunState
    from aura_engine.paths import RunPaths


def parser() -> argparse.ArgumentParser:
    """Its options."""
    from aura_engine.cli import start

    made = start.parser("aura restart")
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.description = (
        "Begin the goal in a task file afresh: a new journal, a new plan. The data of the\n"
        "run before are kept in the vault (aura recover lists them); what was delivered\n"
        "stays where it is."
    )
    made.epilog = """\
examples:
  aura restart task.md                    a new journal and a new plan; the old ones are kept
  aura restart task.md --stop-workers     also when workers of the run before still go on
  aura recover                            names what was set aside"""
    made.add_argument(
        "--stop-workers",
        action="store_true",
        help="stop workers of the run before that still go on; their work is kept",
    )
    return made


def run(arguments: argparse.Namespace) -> int:
    """Set aside what there is, then start."""
    from aura_engine.cli import start
    from aura_engine.paths import RunPaths, data_dir

    data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
    if arguments.file and arguments.task_file:
        raise UsageError("Two task files were given.", cure="Name one. Nothing was set aside.")
    if not (arguments.file or arguments.task_file):
        arguments.file = _last_goal(data)
        if not arguments.json:
            print(f"The goal started last here: {arguments.file}", flush=True)
    task_file = Path(arguments.file or arguments.task_file).expanduser()
    if not task_file.exists():
        raise UsageError(f"There is no task file {task_file}.", cure="Nothing was set aside.")
    _refuse_what_cannot_start(arguments, task_file)
    place = set_aside(RunPaths.of(data, task_file), stop_workers=arguments.stop_workers)
    if place is not None and not arguments.json:
        print(f"The run before is kept: {place}", flush=True)
    return start.run(arguments)


def _refuse_what_cannot_start(arguments: argparse.Namespace, task_file: Path) -> None:
    """Before anything is set aside. GoalError, ConfigError."""
    from aura_engine.cli.start import flags_of
    from aura_engine.config.load import DEFAULT, load_settings
    from aura_engine.goal.blocks import parse_goal
    from aura_engine.goal.read import read_goal

    project = project_of()
    parse_goal(read_goal(task_file, project=project))
    config = Path(arguments.config).expanduser() if arguments.config else None
    loaded = load_settings(
        flags=flags_of(arguments), environ=dict(os.environ), project=project, config_file=config, keys=False
    )
    if loaded.settings.api_key or loaded.origin["AURA_API_KEY"] == DEFAULT:  # else it is fetched at the start, once
        loaded.settings.planner()


def _last_goal(data: Path) -> str:
    """The task file of the run started last. UsageError when there is none."""
    from aura_engine.paths import last_run, read_index

    folder = last_run(data)
    known: dict[str, object] = read_index(data)["runs"].get(folder.name, {}) if folder else {}
    cure = "Name its goal: aura restart TASK.md"
    if not known.get("task_file"):
        raise UsageError(f"There is no run in {data} to begin afresh.", cure=cure)
    if known.get("project") != str(project_of()):  # the data folder may serve several
        raise UsageError(f"The goal started last, {known['task_file']}, is of {known.get('project')}.", cure=cure)
    return str(known["task_file"])


def set_aside(paths: RunPaths, *, stop_workers: bool) -> Path | None:
    """Move a run's data into the vault; where to, or None when there are none.

    OwnedError while an engine has it; UsageError while workers of it run and may not be stopped.
    """
    from aura_engine.journal.lock import OwnerLock
    from aura_engine.vaulting import set_aside

    if not paths.journal.exists():
        return None
    with OwnerLock.acquire(paths.lock):
        asyncio.run(_end_workers(paths, stop=stop_workers))
        return set_aside(paths, time.time())


async def _end_workers(paths: RunPaths, *, stop: bool) -> None:
    """See to it that none runs any more. What they made is in the store then."""
    from aura_engine.clock import SystemClock
    from aura_engine.core.events import WorkspaceKept
    from aura_engine.journal.store import Journal
    from aura_engine.recorder import Recorder
    from aura_engine.runtimes.local import LocalRuntime, LocalWorker
    from aura_engine.workspace.snapshot import snapshot
    from aura_engine.workspace.store import GitStore

    recorder = Recorder(Journal.open(paths.journal), SystemClock())
    store = GitStore(paths.store)
    try:
        recorder.replay()
        running = _running(recorder.state)
        if running and not stop:
            raise UsageError(
                f"{len(running)} of its workers still run ({', '.join(running[:8])}).",
                cure="Go on with it (aura TASK.md), or stop them too: aura restart TASK.md --stop-workers",
            )
        runtime = LocalRuntime()
        await store.init()
        for task in recorder.state.leaves():
            attempt = task.live
            if attempt is None or attempt.ending is not None:
                continue
            worker = await runtime.adopt(paths.attempt(task.spec.id, attempt.n))
            workspace = paths.workspace(task.spec.id, attempt.place)
            if workspace.is_dir():
                name = f"{task.spec.id}#{attempt.n}"
                taken = await snapshot(store, workspace, attempt.base, message=f"{name} {task.spec.title}")
                event = WorkspaceKept(task=task.spec.id, n=attempt.n, snapshot=taken.commit, why="begun afresh")
                await recorder.record(event)
            if isinstance(worker, LocalWorker):
                await worker.stop()
    finally:
        await store.aclose()
        await recorder.journal.close()


def _running(state: RunState) -> list[str]:
    from aura_engine.runtimes.processes import alive

    found: list[str] = []
    for task in state.leaves():
        attempt = task.live
        if attempt is not None and attempt.ending is None and attempt.process and alive(attempt.process):
            found.append(f"{task.spec.id}#{attempt.n}")
    return found
