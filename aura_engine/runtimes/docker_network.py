"""The network of a run's containers: a bridge of its own, on which they reach the internet but not each other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from aura_engine.errors import RuntimeFault
from aura_engine.runtimes.docker_engine import MAKE, DockerEngine, EngineRefused
from aura_engine.runtimes.docker_profile import NO_NETWORK, Profile

log = logging.getLogger(__name__)

NO_NEIGHBOURS = "com.docker.network.bridge.enable_icc"


class Network:
    """The bridge named by the profile; nothing where that says `none`."""

    def __init__(self, engine: DockerEngine, profile: Profile) -> None:
        self._engine = engine
        self._profile = profile
        self._making = asyncio.Lock()
        self._made = False

    async def ensure(self, *, again: bool = False) -> None:
        """It is there; with `again` also where somebody has just removed it. EngineAway, EngineRefused."""
        if self._profile.network == NO_NETWORK:
            return
        async with self._making:
            if self._made and not again:
                return
            body = {
                "Name": self._profile.network,
                "Driver": "bridge",
                "CheckDuplicate": True,
                "Options": {NO_NEIGHBOURS: "false"},
                "Labels": {"aura.project": self._profile.project, "aura.run": self._profile.run},
            }
            await self._engine.sure(lambda: self._make(body))
            self._made = True

    async def _make(self, body: Mapping[str, object]) -> None:
        try:
            await self._engine.call("make a network", self._engine.docker.networks.create(body), MAKE)
        except EngineRefused as error:
            if error.status != 409:  # it is there already
                error.cure = "Too many networks? Try: docker network prune"
                raise
        # Asked twice at once, by an engine that was killed and the next one, it makes two; then nothing can start.
        await self._keep(1)

    async def remove(self) -> None:
        """Removes it, unless a container still uses it. Never raises."""
        if self._profile.network == NO_NETWORK:
            return
        try:
            await self._keep(0)
        except RuntimeFault as error:
            log.info("network %s stays: %s", self._profile.network, error)

    async def _keep(self, most: int) -> None:
        """Removes those of its name beyond `most`; one that a container uses stays."""
        from aiodocker.networks import DockerNetwork

        networks, labels = self._engine.docker.networks, [f"aura.project={self._profile.project}"]
        listed = await self._engine.call("list networks", networks.list(filters={"label": labels}))
        found = [str(each["Id"]) for each in listed if each["Name"] == self._profile.network]
        left = len(found)
        for each in found:
            if left <= most:
                return
            try:
                await self._engine.call("remove a network", DockerNetwork(self._engine.docker, each).delete(), MAKE)
                left -= 1
            except EngineRefused as error:
                log.info("network %s (%s) stays: %s", self._profile.network, each, error)
