"""After any death of the engine: compare what the journal says with what is really there, and go on.

Living workers are adopted, those that ended meanwhile are collected, those that never started are started again.
"""

from __future__ import annotations

import asyncio
import logging

from aura_engine.core.events import AttemptEnded, AttemptStarted
from aura_engine.core.model import ExitRecord, Outcome
from aura_engine.core.state import Attempt, Task
from aura_engine.faults import fault
from aura_engine.paths import RunPaths
from aura_engine.recorder import Recorder
from aura_engine.runtimes.base import Runtime
from aura_engine.supervisor import Supervisor

log = logging.getLogger(__name__)


async def recover(
    recorder: Recorder, paths: RunPaths, runtime: Runtime, supervisor: Supervisor, group: asyncio.TaskGroup
) -> dict[str, int]:
    """Take up every attempt that has no terminal event; how many were adopted, collected and lost."""
    fault("recovery.begin")
    found = {"adopted": 0, "collected": 0, "lost": 0}
    live = [(task, attempt) for task in recorder.state.leaves() if (attempt := task.live) is not None]
    for task, attempt in live:
        if attempt.ending is None:
            await supervisor.count(task.spec.id, attempt.n)
    for task, attempt in live:
        found[await _take_up(task, attempt, recorder, paths, runtime, supervisor, group)] += 1
    # What the journal still waits for has been taken up; the rest is left over from starts that were cut off.
    await runtime.tidy([paths.attempt(task.spec.id, attempt.n) for task, attempt in live if attempt.ending is None])
    fault("recovery.done")
    return found


async def _take_up(
    task: Task,
    attempt: Attempt,
    recorder: Recorder,
    paths: RunPaths,
    runtime: Runtime,
    supervisor: Supervisor,
    group: asyncio.TaskGroup,
) -> str:
    task_id, n = task.spec.id, attempt.n
    if attempt.ending is not None:
        group.create_task(supervisor.collect(task_id, n), name=f"collect {task_id}#{n}")
        return "collected"
    here = await runtime.adopt(paths.attempt(task_id, n))
    fault("recovery.found")
    if here is None:
        reason = "the engine died before its worker ran" if attempt.process is None else "its worker is gone"
        if attempt.process is not None and paths.workspace(task_id, attempt.place).exists():
            # It ran, and vanished together with its shim (a reboot): what it made is kept, its session goes on.
            record = ExitRecord(error=reason)
            group.create_task(supervisor.collect_exited(task_id, n, record, lost=reason), name=f"collect {task_id}#{n}")
            return "lost"
        if paths.workspace(task_id, attempt.place).exists():
            await supervisor.keep(task_id, n, reason)  # it may have run all the same, for a moment
        recorder.record(AttemptEnded(task=task_id, n=n, outcome=Outcome.INTERRUPTED, reason=reason))
        return "lost"
    if isinstance(here, ExitRecord):
        group.create_task(supervisor.collect_exited(task_id, n, here), name=f"collect {task_id}#{n}")
        return "collected"
    if attempt.process is None:
        fault("recovery.adopted")
        await recorder.record(AttemptStarted(task=task_id, n=n, process=here.record))
    group.create_task(supervisor.watch(task_id, n, here, adopted=True), name=f"attempt {task_id}#{n}")
    return "adopted"
