"""Stands between Aura and a container engine: acts at a chosen request, before it arrives or after its answer."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

Act = Callable[[], bool]
"""Called once; False: the connection is cut there."""


@dataclass
class Proxy:
    """A unix socket that leads to another one."""

    place: Path
    upstream: str
    wanted: str = ""
    """Regular expression on `METHOD /path`."""
    when: str = "before"
    act: Act | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """As in DOCKER_HOST."""
        return f"unix://{self.place}"

    def at(self, wanted: str, when: str, act: Act) -> None:
        """Call `act` at the next request that fits."""
        self.wanted, self.when, self.act = wanted, when, act

    def _due(self, line: str, when: str) -> Act | None:
        if self.act is None or when != self.when or not re.search(self.wanted, line):
            return None
        act, self.act = self.act, None
        return act

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        self.tasks.discard(task)
        await _closed(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b" HTTP/", 1)[0].decode()
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        act = self._due(line, "before")
        if act is None or act():
            await self._forward(line, head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body, writer)

    async def _forward(self, line: str, request: bytes, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(self.upstream.removeprefix("unix://"))
        try:
            forth.write(request)
            first = await back.read(65_536)
            act = self._due(line, "after")
            if act is not None and not act():
                return
            while first:
                writer.write(first)
                await writer.drain()
                first = await back.read(65_536)
        finally:
            await _closed(forth)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def proxy(place: Path, upstream: str) -> AsyncIterator[Proxy]:
    """A proxy that listens at `place`."""
    made = Proxy(place, upstream)
    server = await asyncio.start_unix_server(made.serve, path=place)
    try:
        yield made
    finally:
        server.close()
        for _ in range(5):  # what was just accepted becomes a task
            await asyncio.sleep(0)
        for task in (tasks := list(made.tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
