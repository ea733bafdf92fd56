"""Real workers: small shell and Python programs under the real shim."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from aura_engine.core.model import LaunchSpec
from aura_engine.runtimes import shim
from aura_engine.runtimes.local import LocalRuntime, LocalWorker

Start = Callable[..., Awaitable[LocalWorker]]


@pytest.fixture
async def start_with(tmp_path: Path) -> AsyncIterator[Callable[[LocalRuntime], Start]]:
    """Starts workers by a runtime, each in a folder of its own; what still runs at the end is killed."""
    workers: list[LocalWorker] = []
    runtimes: list[LocalRuntime] = []

    def of(runtime: LocalRuntime) -> Start:
        runtimes.append(runtime)

        async def starter(*argv: str, folder: str = "", **more: object) -> LocalWorker:
            where = tmp_path / (folder or f"attempt-{len(workers)}")
            env = {"HOME": str(tmp_path / "home"), **more.pop("env", {})}
            launch = LaunchSpec(argv=argv, env=env, cwd=str(more.pop("cwd", tmp_path)), **more)
            worker = await runtime.start(launch, where, "A1-1")
            workers.append(worker)
            return worker

        return starter

    yield of
    for runtime in runtimes:
        runtime.close()
    for worker in workers:
        shim.send([*shim.descendants(worker.shim.pid), worker.shim.pid], signal.SIGKILL)
        worker.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(worker.shim.pid, 0)  # noqa: ASYNC222 (it was just killed)


@pytest.fixture
def runtime() -> Iterator[LocalRuntime]:
    """One without a wall."""
    found = LocalRuntime()
    yield found
    found.close()


@pytest.fixture
def start(start_with: Callable[[LocalRuntime], Start], runtime: LocalRuntime) -> Start:
    """Starts a worker without a wall."""
    return start_with(runtime)


@pytest.fixture
def py(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """The command line of a small Python program."""

    def program(text: str) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", "-c", text)

    return program


async def until(what: Callable[[], object], limit: float = 10.0) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(limit):
        while not what():  # noqa: ASYNC110 (other processes do not set events)
            await asyncio.sleep(0.005)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """See until."""
    return until
