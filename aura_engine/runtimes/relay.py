"""The relay: how workers in containers without a network reach their model, and nothing else.

Each attempt has a door: a unix socket in a folder that is mounted into its container, and a token that is worth nothing
anywhere else. The relay alone holds the real key. It forwards to the role's address only, and counts what replies say
that they used. A door outlives the engine: opened again under its name it has its token still.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aura_engine.core.model import Usage
from aura_engine.runtimes import relay_inside
from aura_engine.runtimes.docker_profile import Mount
from aura_engine.runtimes.relay_usage import UsageReader

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, web

log = logging.getLogger(__name__)

PORT = 61_999
"""On a container's loopback: above the ports that systems hand out by themselves."""
SOCKET = "relay.sock"
TOKEN = "token"
INSIDE = "/aura/relay"
"""Where a container finds its door."""
MAX_BODY = 64 << 20
"""Bytes of one request: a long session with pictures."""
MAX_REPLY = 64 << 20
AT_ONCE = 16
"""Calls of one attempt under way; programs with subagents make several."""
CALL_LIMIT = 1800.0
"""Seconds for one call from its first byte to its last."""
IDLE_LIMIT = 330.0
"""Seconds without a byte of a reply; worker programs themselves give up after 300."""
CONNECT_LIMIT = 30.0
_ANSWERS = ("messages", "messages/count_tokens", "chat/completions", "responses")
ALLOWED = {"models": "GET", **dict.fromkeys(_ANSWERS, "POST")}
"""What a worker may ask below its role's address, and how: to be answered, and nothing else that an account can do."""
_OURS = frozenset(
    {"host", "authorization", "x-api-key", "api-key", "cookie", "content-length", "accept-encoding", "expect"}
    | {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "forwarded", "x-forwarded-for", "x-forwarded-host"}
)
"""Headers of a request that end here."""
_THEIRS = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "set-cookie", "trailer"}
    | {"upgrade", "proxy-authenticate", "alt-svc", "location"}
)
"""Headers of a reply that end here."""


@dataclass(frozen=True)
class Upstream:
    """Where a role's model is, and the key that opens it."""

    base_url: str
    key: str = field(default="", repr=False)

    @property
    def here(self) -> bool:
        """It is on this machine's own loopback, which in a container is the container's."""
        host = urlsplit(self.base_url).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")

    @property
    def inside(self) -> str:
        """The address that a worker in a container is given for it."""
        return f"http://127.0.0.1:{PORT}{urlsplit(self.base_url).path.rstrip('/')}"


@dataclass
class Counted:
    """What has passed a door."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    unknown: int = 0
    """Answered calls whose reply told no usage: estimated."""


class Door:
    """One attempt's way to its model. `folder` is what its container gets, read-only."""

    def __init__(self, private: Path, upstream: Upstream, session: ClientSession) -> None:
        self.folder = private / "door"
        self.token = _token(private)
        self.counted = Counted()
        self.address = upstream.inside
        """What a worker is told that its model's is."""
        parts = urlsplit(upstream.base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        # Some programs take “/v1” off an address, or put it on, before they add their own.
        below = parts.path.rstrip("/").removesuffix("/v1")
        self._asked = {f"{below}{v1}/{end}": how for v1 in ("", "/v1") for end, how in ALLOWED.items()}
        self._key = upstream.key
        self._session = session
        self._room = asyncio.Semaphore(AT_ONCE)
        self._runner: web.AppRunner | None = None

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What its container is shown."""
        return Mount(str(self.folder), INSIDE), Mount(relay_inside.__file__, f"{INSIDE}_inside.py")

    @property
    def command(self) -> tuple[str, ...]:
        """What comes before its container's command."""
        return ("python3", "-I", "-S", f"{INSIDE}_inside.py", str(PORT), f"{INSIDE}/{SOCKET}")

    async def open(self) -> None:
        """Listens. OSError when the folder's path is too long for a socket, or cannot be written."""
        from aiohttp import web

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        place = self.folder / SOCKET
        place.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(place)).start()
        place.chmod(0o666)  # the container's user is another one; the folder above lets nobody else near

    async def close(self) -> None:
        """Lets go of what is under way; the token stays good for when it is opened again."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import ClientError

        if not self._admits(request):
            return _refusal(401, "authentication_error", "this token opens nothing here")
        path = request.raw_path
        if self._asked.get(path.partition("?")[0]) != request.method:
            return _refusal(403, "permission_error", "only the model of this task can be reached from here")
        if self._room.locked():
            return _refusal(429, "rate_limit_error", f"more than {AT_ONCE} calls at once")
        self.counted.calls += 1
        async with self._room:
            try:
                async with asyncio.timeout(CALL_LIMIT):
                    return await self._forward(request, path)
            except (ClientError, OSError, TimeoutError) as error:
                log.info("relay: %s", type(error).__name__)
                return _refusal(502, "api_error", f"the model cannot be reached ({type(error).__name__})")

    def _admits(self, request: web.Request) -> bool:
        told = request.headers.get("x-api-key") or request.headers.get("api-key") or ""
        told = told or request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        return hmac.compare_digest(told.encode(), self.token.encode())

    async def _forward(self, request: web.Request, path: str) -> web.StreamResponse:
        from aiohttp import ClientTimeout
        from yarl import URL

        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OURS}
        headers["Accept-Encoding"] = "identity"
        if self._key:
            names = [name for name in ("x-api-key", "api-key") if name in request.headers]
            headers |= dict.fromkeys(names, self._key)
            if "Authorization" in request.headers or not names:
                headers["Authorization"] = f"Bearer {self._key}"
        async with self._session.request(
            request.method,
            URL(self._origin + path, encoded=True),
            headers=headers,
            data=await request.read() if request.body_exists else None,
            allow_redirects=False,  # the key goes nowhere else
            timeout=ClientTimeout(total=None, sock_connect=CONNECT_LIMIT, sock_read=IDLE_LIMIT),
        ) as reply:
            return await self._pass_on(request, reply)

    async def _pass_on(self, request: web.Request, reply: ClientResponse) -> web.StreamResponse:
        from aiohttp import web

        if 300 <= reply.status < 400:
            return _refusal(502, "api_error", "the model's address leads elsewhere; that is not followed")
        reader = UsageReader(streamed=reply.content_type == "text/event-stream")
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in _THEIRS}
        answer = web.StreamResponse(status=reply.status, headers=kept)
        await answer.prepare(request)
        try:
            async for chunk in _bounded(reply):
                reader.feed(chunk)
                await answer.write(chunk)
            await answer.write_eof()
        except BaseException:
            if request.transport is not None:
                request.transport.abort()  # cut off, not ended: the program has to see that it is not whole
            raise
        finally:
            used = reader.close()
            asked = request.method == "POST" and not request.path.endswith("/count_tokens")
            if used is None and asked and reply.status == 200:
                self.counted.unknown += 1
                used = reader.estimate(len(await request.read()))
            self.counted.usage += used or Usage()
        return answer


class Relay:
    """The doors of a run, below `folder`, whose path has to be short: a socket's may have 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._doors: dict[str, Door] = {}
        self._session: ClientSession | None = None

    async def open(self, name: str, upstream: Upstream) -> Door:
        """The door of that name, listening. OSError."""
        if (door := self._doors.get(name)) is not None:
            return door
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            # Without a limit of its own: each door has one.
            self._session = ClientSession(connector=TCPConnector(limit=0), trust_env=True, cookie_jar=DummyCookieJar())
        private = self._folder / name
        await asyncio.to_thread(_make, private)
        door = Door(private, upstream, self._session)
        await door.open()
        self._doors[name] = door
        return door

    def door(self, name: str) -> Door | None:
        """The one of that name, if it is open."""
        return self._doors.get(name)

    def knows(self, name: str) -> bool:
        """Whether a door of that name was opened, be it by an earlier engine, and not forgotten since."""
        return (self._folder / name / TOKEN).exists()

    async def forget(self, name: str) -> Counted:
        """Closes a door for good: its token opens nothing any more. What had passed it."""
        door = self._doors.pop(name, None)
        if door is not None:
            await door.close()
        await asyncio.to_thread(_remove, self._folder / name)
        return door.counted if door else Counted()

    async def aclose(self) -> None:
        """Stops listening; doors can be opened again by the next engine."""
        for door in self._doors.values():
            await door.close()
        self._doors.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _bounded(reply: ClientResponse) -> AsyncIterator[bytes]:
    passed = 0
    async for chunk in reply.content.iter_any():
        passed += len(chunk)
        if passed > MAX_REPLY:
            raise OSError("the reply is too long")
        yield chunk


def _refusal(status: int, kind: str, text: str) -> web.Response:
    """In the form that Anthropic's and OpenAI's clients both read."""
    from aiohttp import web

    return web.json_response({"type": "error", "error": {"type": kind, "message": f"Aura: {text}"}}, status=status)


def _make(private: Path) -> None:
    (door := private / "door").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    door.mkdir(exist_ok=True)
    door.chmod(0o755)  # whatever the umask: the container's user has to get through it


def _token(private: Path) -> str:
    place = private / TOKEN
    with suppress(FileNotFoundError):
        if len(token := place.read_text("ascii").strip()) >= 32:
            return token
    token = f"aura-{secrets.token_hex(24)}"
    place.touch(mode=0o600)
    place.write_text(token, encoding="ascii")
    return token


def _remove(private: Path) -> None:
    (private / "door" / SOCKET).unlink(missing_ok=True)
    (private / TOKEN).unlink(missing_ok=True)
    for folder in (private / "door", private):
        with suppress(OSError):
            folder.rmdir()
