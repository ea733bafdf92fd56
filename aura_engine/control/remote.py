"""The Link over the socket: facts on a connection of their own, each request on one more, which lives a moment."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from aura_engine.control import client
from aura_engine.control.client import Lost
from aura_engine.control.files import RunFiles
from aura_engine.control.host import Heard
from aura_engine.control.link import Batch, Gpu, Live, Machine
from aura_engine.control.protocol import CHUNK, Frames, Message, ProtocolError, line
from aura_engine.core.commands import Command
from aura_engine.core.events import decode
from aura_engine.errors import AuraError


class RemoteLink(RunFiles):
    """A Link to the engine of the run in a folder, from any process on its machine."""

    def __init__(self, run: Path, task_file: Path, *, control: bool = True) -> None:
        super().__init__(run, task_file)
        self.read_only = not control
        self._run = run
        self._live: Mapping[str, Live] = {}
        self._machine: Machine | None = None

    @classmethod
    def open(cls, run: Path, *, control: bool = True) -> tuple[RemoteLink, Message]:
        """The link to an engine that answers, and its hello. Blocks for a moment. NoEngine, ProtocolError."""
        with client.Connection(run, control=False) as connection:
            said = connection.hello
        return cls(run, Path(str(said["task_file"])), control=control), said

    async def events(self, since: int) -> AsyncIterator[Batch]:
        """See Link. Ends when the run has; OSError when engine or connection go away before."""
        # One frame at most is on its way: what this side does not take, the engine does not send.
        reader, writer = await self._connect(since)
        try:
            frames = Frames(pieces=True)
            while data := await reader.read(CHUNK):
                for message in frames.feed(data):
                    if message["type"] == "bye":
                        if message.get("ended"):
                            return
                        raise Lost(str(message.get("why") or "the engine let go"))
                    if message["type"] == "telemetry":
                        self._take(message)
                    elif message["type"] == "events":
                        yield await asyncio.to_thread(_decoded, message)
            raise Lost("the engine went away")
        except ProtocolError as error:
            raise Lost(str(error)) from error
        finally:
            self._live, self._machine = {}, None
            writer.transport.abort()

    async def _connect(self, since: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            path = client.socket_of(self._run)
            async with asyncio.timeout(client.LIMIT):
                reader, writer = await asyncio.open_unix_connection(os.fspath(path))
                writer.write(line(client.hello(control=False, since=since, telemetry=True)))
                return reader, writer
        except client.NoEngine as error:
            raise Lost(error.line()) from error

    def _take(self, message: Message) -> None:
        live: dict[str, Any] = message["live"]
        self._live = {name: Live(**_known(Live, each)) for name, each in live.items()}
        machine = message["machine"]
        if machine is not None:
            gpus = tuple(Gpu(**_known(Gpu, each)) for each in machine.pop("gpus", ()))
            self._machine = Machine(**_known(Machine, machine), gpus=gpus)

    def telemetry(self) -> Mapping[str, Live]:
        """See Link."""
        return self._live

    def machine(self) -> Machine | None:
        """See Link."""
        return self._machine

    async def command(self, command: Command) -> str:
        """See Link. OSError when the engine cannot be reached."""
        return str((await self._ask({"type": "command", "command": command.model_dump(mode="json")}))["why"])

    async def diff(self, task: str) -> str:
        """See Link. OSError when the engine cannot be reached."""
        answer = await self._ask({"type": "diff", "task": task})
        if answer["why"]:
            raise AuraError(str(answer["why"]))
        return str(answer["text"])

    async def _ask(self, message: Message) -> Message:
        try:
            return await asyncio.to_thread(client.ask, self._run, message)
        except AuraError as error:
            raise Lost(error.line()) from error


def _known(cls: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows."""
    return {name: value for name, value in found.items() if name in cls.__dataclass_fields__ and name != "gpus"}


def _decoded(message: Message) -> Batch:
    rows: list[dict[str, Any]] = message["events"]
    return [
        Heard(row["seq"], row["time"], decode(row["kind"], json.dumps(row["event"], ensure_ascii=False)))
        for row in rows
    ]
