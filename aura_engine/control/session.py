"""One client of the control socket: what it asks for is taken in turn, what it is told waits for it only so long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import deque
from dataclasses import asdict
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from aura_engine import __version__
from aura_engine.control.feed import Feed
from aura_engine.control.host import Host
from aura_engine.control.protocol import (
    CHUNK,
    PROTOCOL,
    Frames,
    Message,
    ProtocolError,
    events_frames,
    frames,
    hello_problem,
    line,
)
from aura_engine.core.commands import Command
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError

log = logging.getLogger(__name__)

EVENTS_EVERY = 0.05
"""Seconds between two batches of events at least."""
TELEMETRY_EVERY = 0.2
LINGER = 1.0
"""Seconds that one who is let go has to take in why."""
REPLIES = 64
"""Answers that may wait to be read."""

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class _Leave(Exception):
    """Ends a session; the reason is told."""


class Session:
    """From a client's connection to its end."""

    def __init__(
        self,
        host: Host,
        feed: Feed,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        hello: float,
        patience: float,
    ) -> None:
        self._host = host
        self._feed = feed
        self._reader = reader
        self._writer = writer
        self._hello_limit = hello
        self._patience = patience
        self._frames = Frames()
        self._inbox: deque[Message] = deque()
        self._news = asyncio.Event()
        self._outbox: deque[str] = deque()
        self._read_only = True
        self._cursor: int | None = None
        """The number of the last event it has; None: it wants none."""
        self._telemetry = False
        self._ending: tuple[str, bool] | None = None
        writer.transport.set_write_buffer_limits(0)  # what is written is on its way before the next is made

    def end(self, why: str, *, ended: bool = False) -> None:
        """Tell it the rest and close."""
        self._ending = (why, ended)
        self._news.set()

    async def run(self) -> None:
        """Serve it until it leaves, is let go, or does what it may not."""
        try:
            await self._greet()
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen())
                await self._tell()
                listening.cancel()
        except* (_Leave, ProtocolError, TimeoutError) as why:
            await self._dismiss(why)
        except* (OSError, AuraError) as error:
            log.info("a client is gone: %s", error.exceptions[0])
        finally:
            self._feed.wake(self._news, wanted=False)
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _dismiss(self, group: BaseExceptionGroup[BaseException]) -> None:
        """Say why, if it reads that."""
        error = _innermost(group)
        log.warning("a client was dropped: %s", error)
        with contextlib.suppress(OSError, TimeoutError, _Leave):
            await self._write(line({"type": "bye", "why": one_line(str(error), 300), "ended": False}), limit=LINGER)
            self._writer.write_eof()
            # Closing with something unread would take the reason away from it.
            async with asyncio.timeout(LINGER):
                while await self._reader.read(CHUNK):
                    continue

    # ---- what it says

    async def _greet(self) -> None:
        try:
            async with asyncio.timeout(self._hello_limit):
                hello = await self._next()
        except TimeoutError:
            raise _Leave(f"no hello came within {self._hello_limit:g} s") from None
        if hello is None:
            raise _Leave("it left without a hello")
        if problem := hello_problem(hello, theirs="the client"):
            raise _Leave(problem)
        since = hello.get("since")
        if isinstance(since, int) and not isinstance(since, bool):
            self._cursor = min(max(since, 0), self._feed.last)
        self._telemetry = hello.get("telemetry") is True
        self._read_only = hello.get("role") != "control"
        answer = {
            "type": "hello",
            "aura": __version__,
            "protocol": PROTOCOL,
            "run": self._host.run.name,
            "pid": os.getpid(),
            "seq": self._feed.last,
            "read_only": self._read_only,
            "folder": str(self._host.run),
            "task_file": str(self._host.task_file),
        }
        await self._write(line(answer))
        self._feed.wake(self._news, wanted=self._cursor is not None)

    async def _next(self) -> Message | None:
        """The next message; None when it has closed its side."""
        while not self._inbox:
            data = await self._reader.read(CHUNK)
            if not data:
                return None
            self._inbox.extend(self._frames.feed(data))
        return self._inbox.popleft()

    async def _listen(self) -> None:
        while (message := await self._next()) is not None:
            match message["type"]:
                case "command":
                    answer = await self._command(message)
                case "diff":
                    answer = json.dumps(await self._diff(message))
                case _:
                    continue
            if len(self._outbox) >= REPLIES:
                raise _Leave(f"{REPLIES} answers wait for it to read them")
            self._outbox.append(answer)
            self._news.set()
        self.end("")

    async def _command(self, message: Message) -> str:
        """What became of a request, as JSON text: the events that it made happen are in it."""
        first = self._host.last_seq + 1
        why = self._refused(message)
        rows: list[str] = []
        if not why and self._host.last_seq >= first:
            last = self._host.last_seq
            try:
                await self._host.on_disk()
                rows = self._feed.between(first, last)
            except AuraError as error:
                why = f"it was taken, but is not yet safe on the disk: {error.line()}"
        head = json.dumps({"type": "reply", "id": message.get("id"), "why": why})
        return f'{head[:-1]},"events":[{",".join(rows)}]}}'

    def _refused(self, message: Message) -> str:
        if self._read_only:
            return "this connection only looks on"
        try:
            command = _COMMAND.validate_python(message.get("command"))
        except ValidationError as error:
            return "; ".join(_words(found) for found in error.errors(include_url=False)[:5])
        return self._host.command(command)

    async def _diff(self, message: Message) -> Message:
        answer: Message = {"type": "reply", "id": message.get("id"), "why": "", "text": ""}
        try:
            answer["text"] = await self._host.diff(str(message.get("task", "")))
        except (AuraError, OSError) as error:
            answer["why"] = error.line() if isinstance(error, AuraError) else str(error)
        return answer

    # ---- what it is told

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        events_due = telemetry_due = loop.time()
        last_live = ""
        while True:
            now = loop.time()
            behind = self._cursor is not None and self._cursor < self._feed.last
            due = [at for at, wanted in ((events_due, behind), (telemetry_due, self._telemetry)) if wanted]
            if not self._outbox and self._ending is None and min(due, default=now + 1.0) > now:
                await self._wait(min(due) - now if due else None)
                continue
            while self._outbox:
                await self._send(self._outbox.popleft())
            if behind and (now >= events_due or self._ending):
                await self._send_events()
                events_due = loop.time() + EVENTS_EVERY
            if self._telemetry and now >= telemetry_due:
                telemetry_due = now + TELEMETRY_EVERY
                live = self._live()
                if live != last_live:
                    last_live = live
                    await self._send(live)
            if self._ending and not self._outbox and (self._cursor is None or self._cursor >= self._feed.last):
                why, ended = self._ending
                await self._write(line({"type": "bye", "why": why, "ended": ended}))
                return

    async def _wait(self, pause: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._news.wait()
        self._news.clear()

    async def _send_events(self) -> None:
        assert self._cursor is not None
        self._cursor, rows = await self._feed.after(self._cursor)
        if not rows:
            raise _Leave("the journal does not hold what it should")
        for frame in events_frames(rows):
            await self._write(frame)

    def _live(self) -> str:
        machine = self._host.machine()
        live = {name: asdict(each) for name, each in self._host.telemetry().items()}
        return json.dumps({"type": "telemetry", "live": live, "machine": asdict(machine) if machine else None})

    async def _send(self, text: str) -> None:
        for frame in frames(text):
            await self._write(frame)

    async def _write(self, frame: bytes, limit: float | None = None) -> None:
        self._writer.write(frame)
        patience = self._patience if limit is None else limit
        try:
            async with asyncio.timeout(patience):
                await self._writer.drain()
        except TimeoutError:
            raise _Leave(f"it read nothing for {patience:g} s") from None


def _words(found: Any) -> str:
    where = ".".join(str(part) for part in found["loc"] if part)
    return one_line(f"{where}: {found['msg']}" if where else found["msg"], 200)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
