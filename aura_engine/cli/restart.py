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

    name = arguments.file or arguments.task_file
    if name:
        task_file = Path(name).expanduser()
        if not task_file.exists():
            raise UsageError(f"There is no task file {task_file}.", cure="Nothing was set aside.")
        data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
        place = set_aside(RunPaths.of(data, task_file), stop_workers=arguments.stop_workers)
        if place is not None and not arguments.json:
            print(f"The run before is kept: {place}", flush=True)
    return start.run(arguments)


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
