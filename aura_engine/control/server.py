"""The control socket of an engine: opened while it holds the run's lock, closed before it gives the lock up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from aura_engine.control import place
from aura_engine.control.feed import Feed
from aura_engine.control.host import Host
from aura_engine.control.protocol import line
from aura_engine.control.session import Session

log = logging.getLogger(__name__)

MAX_CLIENTS = 64
_BACKLOG = 128
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    hello: float = 5.0
    """For a client to say who it is."""
    patience: float = 30.0
    """That a client may leave what it was sent unread."""
    goodbye: float = 2.0
    """For everyone to take the last news in when the engine ends."""


class ControlServer:
    """Serves one host. Start and close it on the engine's loop, while the run's lock is held."""

    def __init__(self, host: Host, limits: Limits | None = None) -> None:
        self._host = host
        self._limits = limits or Limits()
        self._feed: Feed | None = None
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._path: Path | None = None
        self._ending = False

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    async def start(self, path: Path | None = None) -> Path:
        """Listen, and write down where; a socket that a dead engine left is replaced. AuraError, OSError."""
        self._feed = Feed(self._host)
        path = self._path = path or place.choose(self._host.run)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # The lock is ours, so nobody alive answers there.
            path.unlink(missing_ok=True)
            listening.bind(os.fspath(path))
            path.chmod(0o600)  # its folder lets nobody else in meanwhile
            listening.setblocking(False)
            self._server = await asyncio.start_unix_server(self._connected, sock=listening, backlog=_BACKLOG)
            place.announce(self._host.run, path)
        except BaseException:
            listening.close()
            raise
        return path

    async def aclose(self) -> None:
        """Tell everyone the rest, say good-bye and close. Takes at most `goodbye` seconds; never raises."""
        self._ending = True
        if self._server is None:
            return
        self._server.close()
        with contextlib.suppress(Exception):  # what is not on the disk by now is for the next start to tell
            async with asyncio.timeout(self._limits.goodbye):
                await self._host.on_disk()
        for session in self._sessions.values():
            session.end("the engine has ended", ended=True)
        if self._sessions:
            _, late = await asyncio.wait(self._sessions, timeout=self._limits.goodbye)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=self._limits.goodbye)
        if self._path is not None:
            place.withdraw(self._host.run, self._path)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused = self._refusal(writer)
        if refused:
            log.warning("a client was refused: %s", refused)
            writer.write(line({"type": "bye", "why": refused, "ended": False}))
            writer.close()
            return
        assert self._feed is not None
        session = Session(
            self._host, self._feed, reader, writer, hello=self._limits.hello, patience=self._limits.patience
        )
        task = asyncio.create_task(session.run(), name="control client")
        self._sessions[task] = session
        task.add_done_callback(self._gone)

    def _refusal(self, writer: asyncio.StreamWriter) -> str:
        if self._ending:
            return "the engine is ending"
        if len(self._sessions) >= MAX_CLIENTS:
            return f"{MAX_CLIENTS} clients are connected already"
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid is not None and uid not in (0, os.getuid()):
            return "this engine belongs to another user"
        return ""

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._sessions.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a client's connection broke down", exc_info=error)


def peer_uid(connection: socket.socket) -> int | None:
    """Whose process is at the other end; None where the system does not say (then the folder's mode decides)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    return _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))[1]
