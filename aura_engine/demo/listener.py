"""A small HTTP/1.1 server on loopback with an event loop and a thread of its own; the wire below the scripted model."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.client import responses

MAX_BODY = 64 * 1024 * 1024
MAX_HEADERS = 200
IDLE_SECONDS = 300.0


@dataclass(frozen=True)
class Request:
    """One HTTP request, body and all; header names in lower case, `path` without the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class BadRequest(Exception):
    """What came is not the HTTP that this server speaks; the connection is closed."""


class Reply:
    """The answer to one request: either `send` once, or `stream` and then any number of `chunk`s."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._chunked = False
        self.sent = 0
        """Bytes of body so far."""
        self.keep = True
        """Whether the connection may serve another request afterwards."""

    async def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """A whole answer."""
        self._head(status, {**headers, "content-length": str(len(body))})
        await self.write(body)

    def stream(self, headers: Mapping[str, str]) -> None:
        """Begins an answer of unknown length."""
        self._chunked = True
        self._head(200, {**headers, "transfer-encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        """A piece of a stream."""
        if data:
            await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def write(self, data: bytes) -> None:
        """Raw bytes; waits while the client does not read."""
        self.sent += len(data)
        self._writer.write(data)
        await self._writer.drain()

    async def end(self) -> None:
        """Ends a stream cleanly."""
        if self._chunked:
            await self.write(b"0\r\n\r\n")

    def reset(self) -> None:
        """Cuts the connection as a broken network does (RST, not FIN)."""
        self.keep = False
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._writer.transport.abort()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        phrase = responses.get(status, "Unknown")
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())


Handler = Callable[[Request, Reply], Awaitable[None]]


class Listener:
    """Serves `handler` on 127.0.0.1 at a free port. `start` and `stop` may be called from any thread."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0

    def start(self) -> None:
        """Returns once the port is open. RuntimeError if that takes longer than 10 s."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="scripted-model", daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scripted model did not start within 10 s")

    def stop(self) -> None:
        """Closes the port and every connection, waiting requests too; calling it again does nothing."""
        if self._thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._thread = None

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            keep = True
            while keep:
                request = await asyncio.wait_for(_read(reader, writer), IDLE_SECONDS)
                if request is None:
                    break
                reply = Reply(writer)
                await self._watched(reader, self._handler(request, reply))
                keep = reply.keep and request.headers.get("connection", "").lower() != "close"
        except (BadRequest, ValueError, ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client is gone or speaks something else; the next connection is a new start
        except asyncio.CancelledError:
            pass  # the server stops; swallowed because asyncio's stream server reports a cancelled handler as an error
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _watched(self, reader: asyncio.StreamReader, answer: Awaitable[None]) -> None:
        """Runs the answer, and drops it when the client hangs up first: a hanging one would stay for ever."""
        answering = asyncio.ensure_future(answer)
        answering.add_done_callback(lambda future: future.cancelled() or future.exception())  # seen
        try:
            while not answering.done() and not reader.at_eof():
                await asyncio.wait({answering}, timeout=0.1)
        finally:
            if not answering.done():
                answering.cancel()
        try:
            await answering
        except asyncio.CancelledError:
            raise ConnectionAbortedError("the client hung up") from None


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request, or None when the client has closed. BadRequest if it is none."""
    line = await reader.readline()
    if not line:
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3:
        raise BadRequest(line)
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = await reader.readline()
        if line in (b"\r\n", b"\n", b""):
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(words[0], words[1].partition("?")[0], headers, await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        size = int(headers.get("content-length", "0"))
        if size > MAX_BODY:
            raise BadRequest("the body is too large")
        return await reader.readexactly(size)
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        if len(body) + size > MAX_BODY:
            raise BadRequest("the body is too large")
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return bytes(body)
