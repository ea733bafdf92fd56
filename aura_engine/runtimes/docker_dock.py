"""What all containers of a run share: their engine, image, network, and how each is made, started and taken away."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path

from aura_engine.errors import RuntimeFault
from aura_engine.faults import fault
from aura_engine.runtimes import docker_place
from aura_engine.runtimes.docker_engine import DockerEngine, EngineAway, EngineRefused, State, pauses
from aura_engine.runtimes.docker_network import Network
from aura_engine.runtimes.docker_place import Owner
from aura_engine.runtimes.docker_profile import Mount, Profile, Use, body
from aura_engine.runtimes.relay import Relay

log = logging.getLogger(__name__)

STARTS = 2 * (os.cpu_count() or 1)
"""Containers made and started at a time: more would only make each wait for the other."""
REMOVAL = 30.0
"""Seconds that the end of a run waits for containers to be taken away."""


class Dock:
    """One engine's way to its containers. `shown`: what each of them may read."""

    def __init__(
        self,
        engine: DockerEngine,
        profile: Profile,
        image: str,
        who: Owner,
        secrets: Path,
        shown: Callable[[], Sequence[Path]] = tuple,
        relay: Relay | None = None,
    ) -> None:
        """`relay`: the way to the model for workers without a network; without one each has to have its own."""
        self.engine = engine
        self.profile = profile
        self.image = image
        self.who = who
        self.secrets = secrets
        self.starts = asyncio.Semaphore(STARTS)
        self.network = Network(engine, profile)
        self.relay = relay
        self._shown = shown
        self._accounts = docker_place.accounts(secrets, who)
        self._closed = False
        self._background: set[asyncio.Task[object]] = set()

    def mounts(self) -> tuple[Mount, ...]:
        """What every container sees."""
        return (*self._accounts, *(Mount(str(path), str(path)) for path in self._shown()))

    async def create(self, name: str, use: Use) -> None:
        """There is one container of that name and it is this one, however often an answer is lost."""
        spec = hashlib.sha256(json.dumps(body(self.profile, use), sort_keys=True).encode()).hexdigest()[:16]
        wanted = body(self.profile, replace(use, labels={**use.labels, "aura.spec": spec}))

        async def one() -> None:
            while not await self.engine.create(name, wanted) and await self.engine.label(name, "aura.spec") != spec:
                await self.engine.remove(name)  # of a run that has begun anew since

        await self.engine.sure(one)
        fault("container.made")

    async def begin(self, name: str) -> None:
        """Starts a container that was made, again where its network was taken away. Never one that has run."""
        await self.network.ensure()
        try:
            await self.engine.sure(lambda: self._begin(name))
        except EngineRefused as error:
            if "network" not in str(error):
                raise
            await self.network.ensure(again=True)
            await self.engine.sure(lambda: self._begin(name))

    async def _begin(self, name: str) -> None:
        try:
            await self.engine.start(name)
        except EngineAway:
            state = await self.state(name)
            if state is None or state.status == "created":
                raise
        fault("container.started")

    async def state(self, name: str) -> State | None:
        """How a container is; None where there is none. EngineAway when that cannot be had in some seconds."""
        return await self.engine.sure(lambda: self.engine.state(name))

    def remove(self, name: str) -> None:
        """Takes a container away, as soon as that can be done."""
        self.do(self._remove(name))

    async def _remove(self, name: str) -> None:
        for pause in pauses():
            try:
                await self.engine.remove(name)
                fault("container.removed")
                return
            except RuntimeFault as error:
                log.info("%s: %s", name, error)
                await asyncio.sleep(pause)

    async def _none_left(self) -> bool:
        try:
            return not await self.engine.named({"aura.project": self.profile.project}, "aura.epoch")
        except RuntimeFault as error:
            log.info("what containers may need stays: %s", error)
            return False

    def do(self, work: Coroutine[None, None, object]) -> None:
        """In the background, until the end."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def aclose(self, *, empty: bool) -> None:
        """Waits for what is being taken away; `empty`: no container is known, so the network and secrets can go too.

        They stay where the engine has containers of this project all the same, or cannot be asked.
        """
        if self._closed:
            return
        self._closed = True
        if self._background:
            await asyncio.wait(self._background, timeout=REMOVAL)
        for task in self._background:
            task.cancel()
        if self.relay is not None:
            await self.relay.aclose()
        if empty and await self._none_left():
            await self.network.remove()
            docker_place.remove_folder(self.secrets)
        await self.engine.aclose()
