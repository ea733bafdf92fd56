"""Containers, where they are asked for: whether the engine answers, whether the image is here, what a run would do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from aura_engine.config.machine_settings import DockerFallback
from aura_engine.config.settings import Settings
from aura_engine.containers import additions_of
from aura_engine.doctor.findings import Finding, Level, Section, found
from aura_engine.errors import ConfigError, RuntimeFault
from aura_engine.runtimes import docker_host

finding = partial(found, Section.CONTAINMENT)
INSTEAD = {
    DockerFallback.LOCAL: "a run would put its workers on this machine instead",
    DockerFallback.ASK: "a run would ask you whether to put its workers on this machine",
    DockerFallback.STOP: "no run would start",
}


async def docker(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What is to be known; nothing where containers are not asked for. Pulls no image."""
    if not settings.workers_in_docker:
        return []
    try:
        await asyncio.to_thread(additions_of, settings)
        address = docker_host.address_of(settings.docker_host, environ)
    except ConfigError as error:
        return [finding(Level.PROBLEM, "docker", str(error), error.cure)]
    try:
        return await _engine(settings, address)
    except RuntimeFault as error:
        stops = settings.docker_fallback is DockerFallback.STOP
        level = Level.PROBLEM if stops else Level.WARNING
        text = f"{str(error).rstrip('.')}; {INSTEAD[settings.docker_fallback]}"
        return [finding(level, "docker", text, error.cure, {"address": address})]


async def _engine(settings: Settings, address: str) -> list[Finding]:
    from aura_engine.runtimes.docker_engine import DockerEngine
    from aura_engine.runtimes.images import Images

    engine = DockerEngine(address)
    try:
        greeted = await docker_host.greet(engine)
        image = await Images(engine, settings.docker_image, lambda _: None).local()
    finally:
        await engine.aclose()
    net = "no network but their model" if settings.docker_network.value == "none" else "the internet"
    text = f"{greeted.version} at {address}: workers and checks run in containers, workers with {net}"
    told = [finding(Level.GOOD, "docker", text, facts={"version": greeted.version, "address": address})]
    if image is None:
        text = f"{settings.docker_image} is not here: the first start pulls it, which can take long"
        cure = "Pull it now (docker pull --platform linux/amd64), or build it (docker_scripts/rebuild.sh)."
        return [*told, finding(Level.WARNING, "image", text, cure)]
    where = image.digest or f"{image.id[:19]}, built or loaded here"
    facts = {"image": image.name, "id": image.id}
    text = f"{image.name} is here ({where}); the worker programs are the image's"
    return [*told, finding(Level.GOOD, "image", text, facts=facts)]
