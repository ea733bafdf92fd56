"""The way to the container engine: every call has a deadline, every failure is one of two things a person understands.

It is away (gone, restarting, hanging), and then nothing is known about any container; or it refused, and said why.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aura_engine.core.text import one_line
from aura_engine.errors import RuntimeFault

T = TypeVar("T")

UNIX = "unix://"
CALL = 30.0
"""Seconds for a call that only asks or signals; a loaded machine needs a few."""
MAKE = 120.0
"""Seconds to create, start or remove a container: some hundred ms alone, minutes on a machine that is overwhelmed."""
AWAY_FIRST, AWAY_MOST = 0.25, 10.0
"""Seconds between tries while the container engine is away, growing from the one to the other."""
AWAY_TRIES = 3_000
"""After about eight hours."""
TRIES = 3
"""Of a call whose answer was lost."""
FORMER = frozenset({"exited", "dead"})
"""States of a container that has ended; `removing` is on its way there."""


class EngineAway(RuntimeFault):
    """It cannot be reached, or does not answer: nobody knows how its containers are."""


class EngineRefused(RuntimeFault):
    """It answered, and will not. `status` is that of HTTP."""

    def __init__(self, message: str, status: int, *, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.status = status


@dataclass(frozen=True, slots=True)
class State:
    """How a container is."""

    status: str
    """`created`, `running`, `paused`, `exited`, `dead`, `removing`."""
    pid: int
    """Of its first process, as the engine's machine numbers it; 0 when none runs."""
    code: int
    oom: bool
    """Something in it was killed for want of memory; the code need not tell."""
    error: str
    """Why it did not start."""

    @property
    def over(self) -> bool:
        """It has ended for good: Aura never starts one twice."""
        return self.status in FORMER


class DockerEngine:
    """One container engine. Calls raise EngineAway or EngineRefused."""

    def __init__(self, url: str) -> None:
        """`url` as in DOCKER_HOST. Has to be made in a running loop; nothing is connected yet."""
        import aiodocker  # here and below: the two cost 0.2 s, which a run without containers need not pay
        import aiohttp

        self.url = url
        self.patience = CALL
        # More than the default 100 connections: each container that is waited for holds one.
        local = url.startswith(UNIX)
        self._connector = aiohttp.UnixConnector(url.removeprefix(UNIX), limit=0) if local else None
        # Any: the library tells only half of its types
        self.docker: Any = aiodocker.Docker(
            url=f"{UNIX}localhost" if local else url,
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CALL),
        )

    async def aclose(self) -> None:
        """Lets go of the connections. Never raises: a stream that broke is told again here."""
        with suppress(Exception):
            await self.docker.close()
        if self._connector is not None:
            await self._connector.close()

    async def call(self, what: str, asked: Awaitable[T], limit: float | None = None) -> T:
        """The answer, within `limit` seconds; `what` goes on from “The container engine would not …”."""
        from aiodocker import DockerError
        from aiohttp import ClientError

        limit = limit or self.patience
        try:
            async with asyncio.timeout(limit):
                return await asked
        except DockerError as error:
            if error.status == 900:
                raise self.away("cannot be reached") from error
            said = one_line(error.message, 300)
            raise EngineRefused(f"The container engine would not {what}: {said}", error.status) from error
        except TimeoutError as error:
            raise self.away(f"did not answer within {limit:.0f} s") from error
        except (ClientError, OSError, EOFError) as error:
            raise self.away("broke off") from error

    async def sure(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, asked again where the answer was lost: for what does no harm when it is done twice."""
        for _, pause in zip(range(TRIES - 1), pauses(), strict=False):
            try:
                return await ask()
            except EngineAway:
                await asyncio.sleep(pause)
        return await ask()

    def away(self, how: str) -> EngineAway:
        """The fault that says so."""
        return EngineAway(f"The container engine at {self.url} {how}.", cure="Is it running? Try: docker info")

    async def state(self, name: str) -> State | None:
        """How a container is; None where there is none of that name or id."""
        try:
            found = await self.call("show a container", self.docker.containers.container(name).show())
        except EngineRefused as error:
            if error.status == 404:
                return None
            raise
        told: Mapping[str, Any] = found.get("State") or {}
        return State(
            status=str(told.get("Status", "")),
            pid=int(told.get("Pid") or 0),
            code=int(told.get("ExitCode") or 0),
            oom=bool(told.get("OOMKilled")),
            error=str(told.get("Error") or ""),
        )

    async def label(self, name: str, label: str) -> str:
        """What a container's label says; empty where it, or the container, is not there."""
        try:
            found = await self.call("show a container", self.docker.containers.container(name).show())
        except EngineRefused as error:
            if error.status == 404:
                return ""
            raise
        return str(found["Config"]["Labels"].get(label, ""))

    async def last_words(self, name: str) -> str:
        """The end of what a container's first process said itself, in one line; empty where that cannot be had."""
        try:
            told = self.docker.containers.container(name).log(stdout=True, stderr=True, tail=5)
            return one_line(" ".join(await self.call("show what a container said", told)), 300)
        except RuntimeFault:
            return ""

    async def create(self, name: str, body: Mapping[str, Any]) -> bool:
        """Creates a container; False where one of that name is there already."""
        try:
            await self.call("create a container", self.docker.containers.create(dict(body), name=name), MAKE)
        except EngineRefused as error:
            if error.status == 409:
                return False
            raise
        return True

    async def start(self, name: str) -> None:
        """Starts a created container; one that runs is left alone."""
        await self.call("start a container", self.docker.containers.container(name).start(), MAKE)

    async def signal(self, name: str, signum: str) -> None:
        """Signals the first process of a container; one that is not there or does not run is passed over."""
        await self._unless_over("signal a container", self.docker.containers.container(name).kill(signal=signum))

    async def pause(self, name: str) -> None:
        """Freezes all of a container; one that is frozen, or has ended, is passed over."""
        await self._unless_over("freeze a container", self.docker.containers.container(name).pause())

    async def unpause(self, name: str) -> None:
        """Lets a frozen container go on; one that is not frozen is passed over."""
        await self._unless_over("thaw a container", self.docker.containers.container(name).unpause())

    async def _unless_over(self, what: str, asked: Awaitable[Any]) -> None:
        try:
            await self.call(what, asked)
        except EngineRefused as error:
            # Some versions call it an error of their own (500) that a container is not frozen, or not running.
            if error.status not in (404, 409) and "is not" not in str(error):
                raise

    async def remove(self, name: str) -> None:
        """Removes a container with all that is its, killing what runs in it; one that is not there is passed over."""
        try:
            gone = self.docker.containers.container(name).delete(force=True, v=True)
            await self.call("remove a container", gone, MAKE)
        except EngineRefused as error:
            if error.status not in (404, 409):  # 409: somebody is removing it already
                raise

    async def wait(self, name: str, limit: float) -> None:
        """Returns when the container has ended. TimeoutError after `limit` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit
        try:
            await self.call("wait for a container", self.docker.containers.container(name).wait(), limit)
        except EngineAway:
            if loop.time() >= until:
                raise TimeoutError from None
            raise

    async def named(self, labels: Mapping[str, str], told: str) -> dict[str, str]:
        """All containers that carry these labels, ended ones too: name → what the label `told` says."""
        listed = await self.call(
            "list containers", self.docker.containers.list(all=True, filters=json.dumps({"label": _filter(labels)}))
        )
        return {str(each["Names"][0]).lstrip("/"): str(each["Labels"].get(told, "")) for each in listed}

    async def events(self, labels: Mapping[str, str]) -> AsyncGenerator[str]:
        """Names of containers with these labels to which something happens, until the stream ends or breaks."""
        from aiodocker.events import DockerEvents

        stream: Any = DockerEvents(self.docker)
        filters = json.dumps({"type": ["container"], "label": _filter(labels)})
        heard = stream.subscribe(filters=filters)
        try:
            while (event := await heard.get()) is not None:
                yield str(event["Actor"]["Attributes"].get("name", ""))
        finally:
            with suppress(Exception):  # what broke the stream is told again here
                await stream.stop()


def _filter(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in labels.items()]


def pauses() -> Generator[float]:
    """Seconds to wait between tries: growing, never quite the same, and at last no more."""
    pause = AWAY_FIRST
    for _ in range(AWAY_TRIES):
        yield pause * random.uniform(0.7, 1.3)
        pause = min(AWAY_MOST, pause * 1.6)
