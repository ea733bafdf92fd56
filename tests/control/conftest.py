"""A host as the control room sees one: a real journal and recorder, commands that are only written down."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aura_engine.clock import SystemClock
from aura_engine.control.link import Live, Machine
from aura_engine.control.protocol import PROTOCOL, Frames
from aura_engine.control.server import ControlServer, Limits
from aura_engine.core.commands import Kill
from aura_engine.core.events import Notice, Requested
from aura_engine.journal.store import Journal
from aura_engine.recorder import Recorder


class FakeHost:
    """See control.host.Host."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.task_file = run / "task.md"
        self.recorder = Recorder(Journal.open(run / "journal.db"), SystemClock())
        self.recorder.replay()
        self.commands: list[Any] = []
        self.live = {"A1#1": Live(step="ls", tokens=7)}

    @property
    def last_seq(self) -> int:
        return self.recorder.journal.last_seq

    def subscribe(self, subscriber: Callable[[Any], None]) -> None:
        self.recorder.subscribe(subscriber)

    def history(self, after: int) -> Iterator[Any]:
        return self.recorder.journal.read(after)

    async def on_disk(self) -> None:
        await self.recorder.journal.flush()

    def command(self, command: Any) -> str:
        if isinstance(command, Kill):
            return "there is nothing to stop"
        self.commands.append(command)
        self.recorder.record(Requested(command=command.kind))
        return ""

    def telemetry(self) -> dict[str, Live]:
        return dict(self.live)

    def machine(self) -> Machine | None:
        return Machine(cpu=1.0, memory_used=2, memory_total=3, disk_free=4)

    async def diff(self, task: str) -> str:
        return f"diff of {task}"

    def diff_left(self, task: str) -> str:
        return f"diff of what {task} left"

    async def say(self, *texts: str) -> None:
        """Make events happen, and wait until they are told."""
        if texts:
            await self.recorder.record(*(Notice(text=text) for text in texts))


class Raw:
    """A client that may misbehave."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames = Frames(pieces=True)
        self.inbox: list[dict[str, Any]] = []

    async def send(self, **message: Any) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()

    async def hello(self, **more: Any) -> dict[str, Any]:
        await self.send(**{"type": "hello", "aura": "0", "protocol": PROTOCOL, "role": "read", **more})
        return await self.next()

    async def next(self, *kinds: str) -> dict[str, Any]:
        """The next message (of these kinds); {} at the end."""
        async with asyncio.timeout(20):
            while True:
                while self.inbox:
                    message = self.inbox.pop(0)
                    if not kinds or message["type"] in kinds:
                        return message
                data = await self.reader.read(65536)
                if not data:
                    return {}
                self.inbox.extend(self.frames.feed(data))

    async def events(self, last: int) -> list[dict[str, Any]]:
        """Events up to number `last`."""
        rows: list[dict[str, Any]] = []
        while not rows or rows[-1]["seq"] < last:
            rows += (await self.next("events"))["events"]
        return rows

    def close(self) -> None:
        self.writer.transport.abort()


class Stage:
    """A host with a server, and clients."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.path = Path()
        self.server: ControlServer | None = None
        self._clients: list[Raw] = []

    @asynccontextmanager
    async def serving(self, **limits: float) -> AsyncGenerator[ControlServer]:
        server = self.server = ControlServer(self.host, Limits(**limits))
        self.path = await server.start()
        try:
            yield server
        finally:
            await server.aclose()
            for client in self._clients:
                client.close()
                await asyncio.gather(client.writer.wait_closed(), return_exceptions=True)

    async def client(self) -> Raw:
        client = Raw(*await asyncio.open_unix_connection(self.path))
        self._clients.append(client)
        return client

    async def until(self, what: Callable[[], Any]) -> None:
        """Wait for something that no event tells."""
        async with asyncio.timeout(20):
            while not what():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncGenerator[FakeHost]:
    run = tmp_path / "task-0"
    run.mkdir()
    made = FakeHost(run)
    yield made
    await made.recorder.journal.close()


@pytest.fixture
def stage(host: FakeHost) -> Stage:
    """See Stage."""
    return Stage(host)


@pytest.fixture
def make_host() -> Callable[[Path], FakeHost]:
    """For a loop of one's own."""
    return FakeHost


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket that takes connections and never answers."""
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        yield path


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """A socket that sends these bytes to whoever has said something, and closes."""
    path = tmp_path / "said.sock"
    served: list[threading.Thread] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(20)

        def serve(said: bytes) -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        def start(said: bytes) -> Path:
            served.append(threading.Thread(target=serve, args=(said,)))
            served[-1].start()
            return path

        yield start
        for each in served:
            each.join(20)
