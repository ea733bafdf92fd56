"""Real workers under the real shim, as the guard sees them; and samples made up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aura_engine.core.model import LaunchSpec
from aura_engine.guard.activity import Limits, Place, Sample, Verdict, judge, take
from aura_engine.guard.processes import Process, Tree
from aura_engine.runtimes import shim
from aura_engine.runtimes.local import LocalRuntime, LocalWorker

LIMIT = 20.0


@dataclass
class Watched:
    """A worker and where to look at it."""

    worker: LocalWorker
    place: Place

    async def verdict(
        self, limits: Limits, wanted: Callable[[Verdict], object], *, apart: float = 0.3, before: Sample | None = None
    ) -> Verdict:
        """Looks every `apart` seconds until the verdict is as wanted (at most LIMIT s)."""
        until = time.monotonic() + LIMIT
        while True:
            earlier = before or take(self.place, time.monotonic())
            await asyncio.sleep(apart)  # what happens in between is what is judged
            verdict = judge(earlier, take(self.place, time.monotonic()), 1e6, limits)
            if wanted(verdict) or time.monotonic() > until:
                return verdict


Watch = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    """Starts a Python program as a worker; what still runs at the end is killed."""
    runtime = LocalRuntime()
    workers: list[LocalWorker] = []

    async def starter(program: str, *args: object) -> Watched:
        folder, workspace = tmp_path / f"attempt-{len(workers)}", tmp_path / f"workspace-{len(workers)}"
        workspace.mkdir()
        argv = (sys.executable, "-I", "-S", "-c", program, *map(str, args))
        launch = LaunchSpec(argv=argv, env={"HOME": str(tmp_path / "home")}, cwd=str(workspace))
        worker = await runtime.start(launch, folder, "A1-1")
        workers.append(worker)
        root = worker.shim.pid
        tree = Tree(lambda: [root, *shim.descendants(root)], worker.record, folder / "output.jsonl")
        return Watched(worker, Place(tree, workspace, folder / "error.log"))

    yield starter
    runtime.close()
    for worker in workers:
        shim.send([*shim.descendants(worker.shim.pid), worker.shim.pid], signal.SIGKILL)
        worker.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(worker.shim.pid, 0)  # noqa: ASYNC222 (it was just killed)


def a_process(pid: int, **changes: object) -> Process:
    values = {"start": 1.0, "state": "S", "cpu": 0.0, "reaped": 0.0, "rss": 1, "io": 0, "own": False} | changes
    return Process(pid=pid, **values)


def a_sample(at: float, *processes: Process, **changes: object) -> Sample:
    values = {"output": {"out": 10}, "files": 1, "received": {}, "moved": {}, "gpu": 0.0} | changes
    return Sample(at=at, processes=processes, **values)


async def until(what: Callable[[], object]) -> None:
    """Waits for something that other processes do."""
    async with asyncio.timeout(LIMIT):
        while not what():  # noqa: ASYNC110 (other processes do not set events)
            await asyncio.sleep(0.005)


@pytest.fixture
def eventually():
    return until


@pytest.fixture
def make_process():
    return a_process


@pytest.fixture
def make_sample():
    return a_sample
