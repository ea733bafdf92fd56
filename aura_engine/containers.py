"""Before a run: whether its workers can have their containers, and what happens where they cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from aura_engine.config.machine_settings import DockerFallback, DockerNetwork
from aura_engine.config.settings import Settings
from aura_engine.core.events_docker import WorkersPlaced
from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError, NeedsPerson, RuntimeFault
from aura_engine.runtimes import docker_arguments, docker_host
from aura_engine.runtimes.docker_arguments import HostAdditions
from aura_engine.runtimes.docker_host import Greeted

if TYPE_CHECKING:  # it imports the container engine's client, which costs 0.2 s
    from aura_engine.runtimes.images import Image


@dataclass(frozen=True)
class Docked:
    """Where the workers of a run have their containers."""

    address: str
    """Of the engine, as in DOCKER_HOST."""
    engine: Greeted
    image: Image
    additions: HostAdditions
    """What the person's settings add to each container."""
    network: DockerNetwork


@dataclass(frozen=True)
class Place:
    """Where workers and checks run."""

    docked: Docked | None = None
    """None: on this machine."""
    fallback: str = ""
    """Why not in containers, where they were asked for."""

    def event(self) -> WorkersPlaced | None:
        """The fact; None where containers were not asked for."""
        if self.docked is None:
            return WorkersPlaced(docker=False, fallback=self.fallback) if self.fallback else None
        image = self.docked.image
        return WorkersPlaced(
            docker=True,
            engine=self.docked.engine.version,
            image=image.name,
            image_id=image.id,
            digest=image.digest,
            network=self.docked.network.value,
        )


Asked = Callable[[str], bool | None]
"""Whether workers may run on this machine after all; None where nobody can be asked."""


def place(
    settings: Settings, environ: Mapping[str, str], scratch: Path, say: Callable[[str], None], ask: Asked
) -> Place:
    """Settles it, pulling the image where it is not there; `say` hears how that goes on.

    `scratch`: the folder of all workspaces, which is made. ConfigError for settings that are wrong, whatever the
    fallback; NeedsPerson when nobody could be asked; RuntimeFault when the fallback is to stop, or the person said no.
    """
    if not settings.workers_in_docker:
        return Place()
    additions = additions_of(settings)
    address = docker_host.address_of(settings.docker_host, environ)
    try:
        return Place(asyncio.run(_dock(settings, address, additions, scratch, say)))
    except RuntimeFault as error:
        fault = error
    if settings.docker_fallback is DockerFallback.STOP:
        raise fault
    if settings.docker_fallback is DockerFallback.ASK:
        allowed = ask(f"Workers cannot run in Docker: {fault.line()}")
        if allowed is None:
            raise NeedsPerson(
                f"Workers cannot run in Docker: {fault.line()}",
                cure="Mend that, or give --no-docker to let them run on this machine.",
            )
        if not allowed:
            raise fault
    return Place(None, one_line(fault.line(), 600))


def additions_of(settings: Settings) -> HostAdditions:
    """AURA_DOCKER_GPUS and AURA_DOCKER_EXTRA_ARGS. ConfigError, also for a folder that a link leads out of bounds."""
    additions = docker_arguments.parse(settings.docker_gpus, settings.docker_extra_args)
    for source, _ in additions.mounts:
        real = Path(source).resolve()
        why = docker_arguments.forbidden(PurePosixPath(real)) or ("" if real.exists() else f"there is no {source}")
        if why:
            raise ConfigError(f"{docker_arguments.EXTRA}: --volume {one_line(source, 200)}: {why}.")
    return additions


async def _dock(
    settings: Settings, address: str, additions: HostAdditions, scratch: Path, say: Callable[[str], None]
) -> Docked:
    from aura_engine.runtimes.docker_engine import DockerEngine
    from aura_engine.runtimes.images import Images

    engine = DockerEngine(address)
    try:
        greeted = await docker_host.greet(engine)
        image = await Images(engine, settings.docker_image, say).ready()
        if not address.startswith(docker_host.UNIX):
            scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            await docker_host.must_see(engine, image.id, scratch)
        return Docked(address, greeted, image, additions, settings.docker_network)
    finally:
        await engine.aclose()
