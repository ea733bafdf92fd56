"""A real container engine where one is named; every test has a project name of its own and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aura_engine.core.model import LaunchSpec
from aura_engine.runtimes.docker import DockerRuntime
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_engine import DockerEngine
from aura_engine.runtimes.docker_place import owner, secret_folder
from aura_engine.runtimes.docker_profile import Profile
from aura_engine.runtimes.docker_worker import DockerWorker

sys.path.insert(0, str(Path(__file__).parent))

HOST = os.environ.get("AURA_TEST_DOCKER_HOST", "")
"""Read before the tests' own environment is swept clean."""
IMAGE = os.environ.get("AURA_TEST_DOCKER_IMAGE", "aura-test-base:latest")
"""Any image with `python3` and `git`."""


@pytest.fixture(scope="session")
def docker_url() -> str:
    """The address of the engine that tests may use as they like."""
    return HOST


@pytest.fixture(scope="session")
def image() -> str:
    """What containers are made from."""
    return IMAGE


@pytest.fixture
async def engine(docker_url: str) -> AsyncIterator[DockerEngine]:
    """The way to it."""
    made = DockerEngine(docker_url)
    yield made
    await made.aclose()


@dataclass
class Harbour:
    """One project's runtimes, as one engine after the other would make them."""

    root: Path
    url: str
    image: str
    project: str = field(default_factory=lambda: secrets.token_hex(4))
    network: str = "none"
    memory: int = 512 << 20
    runtimes: list[DockerRuntime] = field(default_factory=list)
    epoch: int = 0

    def profile(self) -> Profile:
        """What its containers have in common."""
        return Profile(
            project=self.project,
            run="run",
            user=owner(rootless=False).user,
            network=self.network,
            memory=self.memory,
            cpus=1.0,
            epoch=self.epoch,
        )

    def dock(self, url: str = "") -> Dock:
        """See Dock."""
        self.epoch += 1
        who, folder = owner(rootless=False), secret_folder(self.project, self.root)
        return Dock(DockerEngine(url or self.url), self.profile(), self.image, who, folder)

    def runtime(self, url: str = "") -> DockerRuntime:
        """Another engine's runtime."""
        made = DockerRuntime(self.dock(url))
        self.runtimes.append(made)
        return made

    def folder(self, n: int = 1) -> Path:
        """Where attempt `n` keeps its traces."""
        place = self.root / "attempts" / "A1" / str(n)
        place.mkdir(parents=True, exist_ok=True)
        return place

    def launch(self, script: str, n: int = 1, **more: object) -> LaunchSpec:
        """A worker that is a shell script, in a workspace of its own."""
        workspace, home = self.root / "work" / f"A1-{n}", self.root / "homes" / f"A1-{n}"
        workspace.mkdir(parents=True, exist_ok=True)
        env = {"HOME": str(home), **more.pop("env", {})}
        return LaunchSpec(argv=("sh", "-c", script), env=env, cwd=str(workspace), **more)

    async def start(self, script: str, n: int = 1, *, runtime: DockerRuntime | None = None, **more: object):
        """A worker under way: its runtime and itself."""
        runtime = runtime or self.runtime()
        worker = await runtime.start(self.launch(script, n, **more), self.folder(n), f"A1-{n}")
        assert isinstance(worker, DockerWorker)
        return runtime, worker

    def output(self, n: int = 1) -> str:
        """What attempt `n` has printed."""
        return (self.folder(n) / "output.jsonl").read_text()

    def docker(self, *words: str) -> str:
        """The `docker` command, as a person would give it."""
        command = ["docker", "-H", self.url, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def containers(self) -> list[str]:
        """Names of all that are there of this project, ended ones too."""
        return self.docker("ps", "-a", "--filter", f"label=aura.project={self.project}", "--format={{.Names}}").split()


@pytest.fixture
async def harbour(tmp_path: Path, docker_url: str, image: str) -> AsyncIterator[Harbour]:
    """See Harbour."""
    made = Harbour(tmp_path, docker_url, image)
    yield made
    for runtime in made.runtimes:
        await runtime.aclose()
    if made.url:
        left = made.containers()
        if left:
            made.docker("rm", "-f", *left)
        networks = made.docker("network", "ls", "-q", "--filter", f"label=aura.project={made.project}").split()
        if networks:
            made.docker("network", "rm", *networks)
    for place in Path("/dev/shm").glob(f"aura-*-{made.project}"):
        for path in sorted(place.rglob("*"), reverse=True):
            path.unlink() if not path.is_dir() else path.rmdir()
        place.rmdir()


@pytest.fixture
def eventually() -> Callable:
    """Waits, at most 20 s, until something holds; what it is then."""

    async def wait(holds: Callable[[], object], limit: float = 20.0):
        async with asyncio.timeout(limit):
            while not (found := holds()):  # noqa: ASYNC110 - what is waited for is another process's
                await asyncio.sleep(0.05)
        return found

    return wait
