"""Where the workers and commands of a run are: on this machine, or in containers; and workers of the other kind."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from aura_engine.config.settings import Settings
from aura_engine.containers import Docked
from aura_engine.core.model import ExitRecord, LaunchSpec, Usage
from aura_engine.paths import RunPaths, tail_of
from aura_engine.runtimes.base import Runtime, Worker
from aura_engine.runtimes.docker import DockerRuntime, engine_of
from aura_engine.runtimes.docker_arguments import HostAdditions
from aura_engine.runtimes.docker_checks import DockerChecks
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_engine import DockerEngine
from aura_engine.runtimes.docker_place import owner, secret_folder
from aura_engine.runtimes.docker_profile import GIB, NO_NETWORK, Profile, project_of
from aura_engine.runtimes.relay import Relay
from aura_engine.verify.process import Ran
from aura_engine.verify.runner import Command, Runner

TAIL = 2_000
"""Characters of a command's output that its receipt may hold; see verify/process.py."""
CHUNK = 1 << 20


class Mixed:
    """See Runtime: starts workers with `own`, and takes up those of earlier starts wherever they are.

    `docked` makes the runtime for containers of the engine at an address.
    """

    def __init__(self, own: Runtime, here: Runtime, docked: Callable[[str], Runtime]) -> None:
        self._own = own
        self._here = here
        self._make = docked
        self._docked = None if own is here else own

    @property
    def contained(self) -> bool:
        """See Runtime."""
        return self._own.contained

    async def way(self, folder: Path, base_url: str, key: str) -> tuple[str, str]:
        """See Runtime."""
        return await self._of(folder).way(folder, base_url, key)

    def counted(self, folder: Path) -> Usage | None:
        """See Runtime."""
        return self._of(folder).counted(folder)

    def _of(self, folder: Path) -> Runtime:
        """Whose the worker of a folder is, or is going to be."""
        return self._docked if self._docked is not None and engine_of(folder) is not None else self._own

    async def start(self, launch: LaunchSpec, folder: Path, name: str) -> Worker:
        """See Runtime."""
        return await self._own.start(launch, folder, name)

    async def adopt(self, folder: Path) -> Worker | ExitRecord | None:
        """See Runtime."""
        if (address := engine_of(folder)) is None:
            return await self._here.adopt(folder)
        if self._docked is None:
            self._docked = self._make(address)
        return await self._docked.adopt(folder)

    async def clear(self, folder: Path) -> None:
        """See Runtime."""
        if self._docked is not None and engine_of(folder) is not None:
            await self._docked.clear(folder)

    async def tidy(self, live: Collection[Path]) -> None:
        """See Runtime."""
        if self._docked is not None:
            await self._docked.tidy(live)

    def close(self) -> None:
        """See Runtime."""
        self._own.close()

    async def aclose(self) -> None:
        """See Runtime."""
        if self._docked is not None:
            await self._docked.aclose()
        await self._here.aclose()


@dataclass(frozen=True)
class Berth:
    """What a run works with."""

    runtime: Mixed
    runner: Runner | None
    """Runs commands in containers; None: they run on this machine."""


def berth(
    docked: Docked | None,
    here: Runtime,
    settings: Settings,
    paths: RunPaths,
    epoch: int,
    shown: Callable[[], Sequence[Path]],
) -> Berth:
    """Where a run's workers and commands are. `shown`: see Dock."""

    def another(address: str) -> DockerRuntime:
        return DockerRuntime(_dock(address, None, settings, paths, epoch, shown))

    if docked is None:
        return Berth(Mixed(here, here, another), None)
    dock = _dock(docked.address, docked, settings, paths, epoch, shown)
    return Berth(Mixed(DockerRuntime(dock), here, another), in_containers(dock, paths.checks))


def _dock(
    address: str,
    docked: Docked | None,
    settings: Settings,
    paths: RunPaths,
    epoch: int,
    shown: Callable[[], Sequence[Path]],
) -> Dock:
    project = project_of(paths.scratch)
    who = owner(rootless=docked is not None and docked.engine.rootless)
    memory, cpus = limits(settings)
    offline = docked is not None and docked.network.value == NO_NETWORK
    profile = Profile(
        project=project,
        run=paths.run.name,
        user=who.user,
        memory=memory,
        cpus=cpus,
        network=NO_NETWORK if offline else f"aura-{project}",
        epoch=epoch,
        additions=docked.additions if docked else HostAdditions(),
    )
    image = docked.image.id if docked else ""
    private = secret_folder(project, paths.scratch)
    return Dock(DockerEngine(address), profile, image, who, private, shown, Relay(private / "relay"))


def limits(settings: Settings) -> tuple[int, float]:
    """What one container may use: bytes of memory, and cores."""
    total = psutil.virtual_memory().total
    share = settings.worker_max_system_memory_percent or 100.0
    most = settings.worker_max_system_memory_gb * GIB or total
    cores = (psutil.cpu_count() or 1) * (settings.worker_max_cpu_percent or 100.0) / 100.0
    return int(min(most, total * share / 100.0)), round(max(cores, 0.1), 2)


def in_containers(dock: Dock, folder: Path) -> Runner:
    """Runs each command in a fresh container; what they print lies in `folder` meanwhile."""
    checks = DockerChecks(dock)

    async def run(command: Command, *, limit: float, max_output: int) -> Ran:
        output = folder / f"output-{secrets.token_hex(8)}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            ended = await checks.run(
                command.argv,
                cwd=command.cwd,
                env=command.env,
                write=command.write,
                network=command.network,
                limit=limit,
                output=output,
                max_output=max_output,
            )
            digest, tail = await asyncio.to_thread(_read, output)
        finally:
            output.unlink(missing_ok=True)
        return Ran(
            code=None if ended.timed_out or ended.overflowed else ended.code,
            signal=None,
            timed_out=ended.timed_out,
            overflowed=ended.overflowed,
            duration=ended.duration,
            output_hash=digest,
            tail=f"{tail}\n(Its container ran out of memory.)" if ended.oom else tail,
        )

    return run


def _read(output: Path) -> tuple[str, str]:
    """SHA-256 of all of it, in hex, and its end."""
    digest = hashlib.sha256()
    with output.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest(), tail_of(output)[-TAIL:]
