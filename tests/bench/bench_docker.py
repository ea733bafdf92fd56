"""Measures starts of workers in containers, of the engine that AURA_TEST_DOCKER_HOST names; `--quick` for fewer rounds.

JSON on standard output: the time from the request to the first line of output, through Aura's runtime and through the
bare Engine API with the same profile, taken in turns; and 50 containers asked for at once. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from aura_engine.core.model import LaunchSpec
from aura_engine.runtimes.docker import DockerRuntime
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_engine import DockerEngine
from aura_engine.runtimes.docker_place import owner, secret_folder
from aura_engine.runtimes.docker_profile import NO_NETWORK, Mount, Profile, Use, body

URL = os.environ.get("AURA_TEST_DOCKER_HOST", "")
IMAGE = os.environ.get("AURA_TEST_DOCKER_IMAGE", "aura-test-base:latest")
SAYS = "echo hi"


def spread(values: list[float]) -> dict[str, float]:
    """Milliseconds: median and extremes."""
    return {
        "p50": round(statistics.median(values), 1),
        "min": round(min(values), 1),
        "max": round(max(values), 1),
    }


class Ground:
    """One project."""

    def __init__(self, root: Path, network: str) -> None:
        self.root = root
        project = secrets.token_hex(4)
        who = owner(rootless=False)
        name = NO_NETWORK if network == NO_NETWORK else f"aura-{project}"
        self.profile = Profile(
            project=project, run="bench", user=who.user, network=name, memory=512 << 20, cpus=1.0, epoch=1
        )
        self.engine = DockerEngine(URL)
        self.dock = Dock(self.engine, self.profile, IMAGE, who, secret_folder(project, root))
        self.runtime = DockerRuntime(self.dock)
        self._count = 0

    def _launch(self) -> tuple[LaunchSpec, Path, str]:
        self._count += 1
        n = self._count
        workspace, folder = self.root / "work" / f"A1-{n}", self.root / "attempts" / "A1" / str(n)
        for path in (workspace, folder):
            path.mkdir(parents=True)
        env = {"HOME": str(self.root / "homes" / f"A1-{n}")}
        return LaunchSpec(argv=("sh", "-c", SAYS), env=env, cwd=str(workspace)), folder, f"A1-{n}"

    async def through_aura(self) -> float:
        """Milliseconds to the first line."""
        launch, folder, name = self._launch()
        output = folder / "output.jsonl"
        started = time.perf_counter()
        starting = asyncio.create_task(self.runtime.start(launch, folder, name))
        while not output.exists() or not output.stat().st_size:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.001)
        taken = (time.perf_counter() - started) * 1000
        worker = await starting
        await worker.swept()
        await self.runtime.clear(folder)
        return taken

    async def bare(self) -> float:
        """The same by the Engine API alone: create, attach, start."""
        launch, _, name = self._launch()
        mounts = (Mount(launch.cwd, launch.cwd, writable=True),)
        use = Use(image=IMAGE, command=launch.argv, cwd=launch.cwd, home=launch.cwd, kind="check", mounts=mounts)
        wanted = body(replace(self.profile, epoch=0), use)
        started = time.perf_counter()
        container = await self.engine.docker.containers.create(wanted, name=f"bare-{self.profile.project}-{name}")
        async with container.attach(stdout=True, stderr=True, logs=True) as stream:
            await container.start()
            await stream.read_out()
            taken = (time.perf_counter() - started) * 1000
        await container.wait()
        await container.delete(force=True)
        return taken

    async def aclose(self) -> None:
        """Leaves nothing."""
        await self.runtime.aclose()


async def starts(root: Path, network: str, rounds: int) -> dict[str, Any]:
    """Both ways in turns."""
    ground = Ground(root, network)
    await ground.dock.network.ensure()
    await ground.bare()
    await ground.through_aura()
    aura: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        bare.append(await ground.bare())
        aura.append(await ground.through_aura())
    await ground.aclose()
    ratio = statistics.median(aura) / statistics.median(bare)
    return {"aura_ms": spread(aura), "bare_ms": spread(bare), "ratio": round(ratio, 3)}


async def at_once(root: Path, count: int) -> dict[str, Any]:
    """All asked for in the same instant, until the last is gone."""
    ground = Ground(root, NO_NETWORK)
    started = time.perf_counter()
    taken = await asyncio.gather(*(ground.through_aura() for _ in range(count)))
    wall = time.perf_counter() - started
    await ground.aclose()
    return {"containers": count, "first_line_ms": spread(list(taken)), "wall_s": round(wall, 1)}


async def measure(*, quick: bool) -> dict[str, Any]:
    """Everything."""
    root = Path(tempfile.mkdtemp(prefix="aura-bench-docker-"))
    rounds = 5 if quick else 20
    try:
        return {
            "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
            "no network": await starts(root / "none", NO_NETWORK, rounds),
            "bridge": await starts(root / "bridge", "bridge", rounds),
            "at once": await at_once(root / "many", 10 if quick else 50),
        }
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    if not URL:
        sys.exit("Name a container engine in AURA_TEST_DOCKER_HOST.")
    json.dump(asyncio.run(measure(quick=chosen.quick)), sys.stdout, indent=2)
    print()
