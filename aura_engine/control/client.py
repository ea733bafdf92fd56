"""The plain way to an engine, for a command that asks one thing and ends: blocking, and imports next to nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aura_engine import __version__
from aura_engine.control import place
from aura_engine.control.protocol import (
    CHUNK,
    PROTOCOL,
    Frames,
    Message,
    ProtocolError,
    hello_problem,
    line,
)
from aura_engine.errors import UsageError
from aura_engine.paths import read_index

LIMIT = 10.0
"""Seconds that an engine may take to answer."""


class NoEngine(UsageError):
    """No engine runs for the goal, or none that can be reached."""


class Lost(ConnectionError):
    """The engine, or the connection to it, went away before the run had ended."""


def hello(*, control: bool, since: int | None = None, telemetry: bool = False) -> Message:
    """What a client says first."""
    role = "control" if control else "read"
    return {
        "type": "hello",
        "aura": __version__,
        "protocol": PROTOCOL,
        "role": role,
        "since": since,
        "telemetry": telemetry,
    }


def socket_of(run: Path) -> Path:
    """The socket of the run in this folder. NoEngine."""
    path = place.find(run)
    if path is None:
        raise no_engine(run)
    return path


def no_engine(run: Path) -> NoEngine:
    """Says so in the person's own words."""
    known = read_index(run.parent)["runs"].get(run.name, {})
    name = Path(str(known.get("task_file") or "TASK.md")).name
    return NoEngine(f"No engine runs for {name if known else run.name}.", cure=f"Start it with: aura {name}")


def checked(answer: Message | None) -> Message:
    """The engine's hello. NoEngine when it refuses or speaks another version of the protocol."""
    if answer is None:
        raise NoEngine("The engine did not answer.", cure="Try again; aura status says whether it runs.")
    if answer["type"] == "bye":
        raise NoEngine(f"The engine does not let this one in: {answer.get('why')}.")
    if problem := hello_problem(answer, theirs="the engine"):
        raise NoEngine(f"{problem}.", cure="Use the same version of Aura as the engine, or start the engine anew.")
    return answer


class Connection:
    """A connection to the engine of one run; a context manager."""

    def __init__(self, run: Path, *, control: bool, since: int | None = None, limit: float = LIMIT) -> None:
        """Connect and say hello. NoEngine, ProtocolError."""
        path = socket_of(run)
        self._frames = Frames(pieces=True)
        self._inbox: deque[Message] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(limit)
            self._socket.connect(os.fspath(path))
            self._send(hello(control=control, since=since))
            self.hello = checked(self.receive(limit))
        except OSError as error:
            self._socket.close()
            if isinstance(error, FileNotFoundError | ConnectionError):
                raise no_engine(run) from error
            raise NoEngine(f"The engine of {run.name} cannot be reached: {error.strerror or error}.") from error
        except BaseException:
            self._socket.close()
            raise

    def ask(self, message: Message, limit: float = LIMIT) -> Message:
        """The reply to a message, which is given an id; others that come before it are dropped. Lost, TimeoutError."""
        asked = f"{os.getpid()}-{time.monotonic_ns()}"
        self._send({**message, "id": asked})
        deadline = time.monotonic() + limit
        while (answer := self.receive(deadline - time.monotonic())) is not None:
            if answer["type"] == "bye":
                raise Lost(str(answer.get("why") or "the engine let go"))
            if answer["type"] == "reply" and answer.get("id") == asked:
                return answer
        raise Lost("the engine went away")

    def receive(self, limit: float | None) -> Message | None:
        """The next message; None when the engine has closed. TimeoutError, OSError, ProtocolError."""
        while not self._inbox:
            if limit is not None and limit <= 0:
                raise TimeoutError("the engine did not answer in time")
            self._socket.settimeout(limit)
            try:
                data = self._socket.recv(CHUNK)
            except ConnectionResetError:  # it closed without having read all that was asked
                data = b""
            if not data:
                return None
            self._inbox.extend(self._frames.feed(data))
        return self._inbox.popleft()

    def events(self) -> Iterator[dict[str, Any]]:
        """The events asked for with `since`, for as long as they come: {seq, time, kind, event}. Lost."""
        while (message := self.receive(None)) is not None:
            if message["type"] == "events":
                yield from message["events"]
            elif message["type"] == "bye":
                if message.get("ended"):
                    return
                raise Lost(str(message.get("why") or "the engine let go"))
        raise Lost("the engine went away")

    def _send(self, message: Message) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has let go; why is there to be read
            self._socket.sendall(line(message))

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ask(run: Path, message: Message, *, limit: float = LIMIT) -> Message:
    """Ask the engine of the run in this folder for one thing. NoEngine, ProtocolError, Lost, TimeoutError."""
    with Connection(run, control=True, limit=limit) as connection:
        return connection.ask(message, limit)


__all__ = ["LIMIT", "Connection", "Lost", "NoEngine", "ProtocolError", "ask", "checked", "hello", "socket_of"]
