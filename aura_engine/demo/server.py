"""ScriptedModel: reads a request in its protocol, asks the Brain, writes the answer or injects its fault."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import inspect
import json
import threading
from collections import deque
from types import ModuleType
from typing import Any, Self, cast

from aura_engine.core.model import Usage
from aura_engine.demo import wire_anthropic, wire_chat, wire_responses
from aura_engine.demo.listener import Listener, Reply, Request
from aura_engine.demo.script import Ask, Brain, Say
from aura_engine.demo.wire import Wire, settle, sse, tokens

ROUTES: dict[str, ModuleType] = {
    "/messages": wire_anthropic,
    "/chat/completions": wire_chat,
    "/responses": wire_responses,
}
MAX_KEPT = 5000
GATE_SECONDS = 60.0
PING_SECONDS = 0.05
HTML = "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>"
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class ScriptedModel:
    """A model on loopback that says what its Brain says. A context manager, plain and async; safe from any thread."""

    def __init__(self, brain: Brain, *, models: tuple[str, ...] = ("demo-pro", "demo-flash", "demo-planner")) -> None:
        self.brain = brain
        """May be replaced while it runs."""
        self.models = models
        self._listener = Listener(self._serve)
        self._lock = threading.Lock()
        self._asks: deque[Ask] = deque(maxlen=MAX_KEPT)
        self._bill: dict[tuple[str, str], Usage] = {}
        self.count = 0
        """Requests to a model so far, those that got an error too."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.failures: deque[str] = deque(maxlen=100)
        """What went wrong in the Brain itself; a test should find this empty."""

    @property
    def url(self) -> str:
        """Base URL without `/v1`: for ANTHROPIC_BASE_URL as it is, for OpenAI clients with `/v1` behind it."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def requests(self) -> list[Ask]:
        """The last 5,000 requests, oldest first."""
        with self._lock:
            return list(self._asks)

    @property
    def bill(self) -> dict[tuple[str, str], Usage]:
        """What it would have billed so far, by (model, key); whatever was answered in part is billed in full."""
        with self._lock:
            return dict(self._bill)

    def start(self) -> Self:
        """Opens the port; returns once it answers."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Closes the port and drops whoever waits. Safe to call twice."""
        self._listener.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    async def _serve(self, request: Request, reply: Reply) -> None:
        route = next((wire for path, wire in ROUTES.items() if request.path.endswith(path)), None)
        if request.method == "POST" and route is not None:
            await self._converse(cast("Wire", route), request, reply)
        elif request.method == "POST" and request.path.endswith("/messages/count_tokens"):
            await _json(reply, 200, {"input_tokens": tokens(len(request.body))})
        elif request.method == "GET" and request.path.endswith("/models"):
            await _json(reply, 200, _model_list(self.models))
        elif request.method == "HEAD":
            await reply.send(200, b"", {})
        else:
            await _json(reply, 404, wire_anthropic.error("not_found_error", f"no {request.method} {request.path} here"))

    async def _converse(self, wire: Wire, request: Request, reply: Reply) -> None:
        try:
            ask = _read(wire, request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            await _json(reply, 400, wire.error("invalid_request_error", f"malformed request: {error!r}"))
            return
        with self._lock:
            self._asks.append(ask)
            self.count += 1
            self.bytes_in += ask.size
        try:
            answer = self.brain(ask)
            answer = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:  # a mistake in a script must be seen, not hang its client
            self.failures.append(repr(error))
            await _json(reply, 500, wire.error("api_error", f"the scripted brain failed: {error!r}"))
            return
        await _wait(answer)
        try:
            await self._answer(wire, ask, answer, reply)
        finally:
            with self._lock:
                self.bytes_out += reply.sent

    async def _answer(self, wire: Wire, ask: Ask, answer: Say, reply: Reply) -> None:
        if answer.html or answer.raw_body is not None:
            kind = "text/html; charset=utf-8" if answer.html else answer.content_type
            body = HTML if answer.raw_body is None else answer.raw_body
            await reply.send(answer.status, body.encode(), {"content-type": kind})
            return
        if answer.status != 200:
            await self._refuse(wire, answer, reply)
            return
        settled = settle(ask, answer)
        self._charge(ask, settled.input, settled.output)
        if not ask.stream and not (answer.hang or answer.cut or answer.reset):
            await _json(reply, 200, wire.whole(settled))
            return
        reply.stream({"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"})
        if answer.hang:
            while True:
                await asyncio.sleep(PING_SECONDS)
                if answer.pings:
                    await reply.chunk(sse({"type": "ping"}, "ping") if ask.api == "anthropic" else b": ping\n\n")
        events = list(wire.stream(settled))
        broken = answer.cut or answer.reset or bool(answer.stream_error)
        for event in events[: len(events) // 2] if broken else events:
            await reply.chunk(event)
        if answer.reset:
            await asyncio.sleep(PING_SECONDS)  # what was sent arrives first; a reset discards what is under way
            reply.reset()
            return
        if answer.stream_error:
            await reply.chunk(sse(wire.error(answer.stream_error, answer.error_text or "scripted error"), "error"))
        await reply.end()

    async def _refuse(self, wire: Wire, answer: Say, reply: Reply) -> None:
        kind = answer.error_type or ERRORS.get(answer.status, "api_error")
        headers = {} if answer.retry_after is None else {"retry-after": str(answer.retry_after)}
        await _json(reply, answer.status, wire.error(kind, answer.error_text or f"scripted {kind}"), headers)

    def _charge(self, ask: Ask, spent_in: Any, spent_out: Any) -> None:
        usage = Usage(input=_counted(spent_in), output=_counted(spent_out))
        with self._lock:
            who = (ask.model, ask.key)
            self._bill[who] = self._bill.get(who, Usage()) + usage


def _counted(value: Any) -> int:
    """A count as billed; scripted nonsense (missing, negative) bills nothing."""
    return value if isinstance(value, int) and value > 0 else 0


def _read(wire: Wire, request: Request) -> Ask:
    body = json.loads(request.body)
    token = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    return dataclasses.replace(
        wire.read(body),
        path=request.path,
        key=token,
        stream=bool(body.get("stream")),
        size=len(request.body),
        headers=request.headers,
        body=body,
    )


async def _wait(answer: Say) -> None:
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.gate is not None:
        async with asyncio.timeout(GATE_SECONDS):
            while not answer.gate.is_set():  # noqa: ASYNC110 (it is set from another thread)
                await asyncio.sleep(0.01)


async def _json(reply: Reply, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    request_id = f"req_{hashlib.sha256(data).hexdigest()[:16]}"
    await reply.send(status, data, {"content-type": "application/json", "request-id": request_id, **(headers or {})})


def _model_list(models: tuple[str, ...]) -> dict[str, Any]:
    """The list in a shape that both SDKs read."""
    entries = [
        {
            "id": name,
            "object": "model",
            "type": "model",
            "display_name": name,
            "created": 1_700_000_000,
            "created_at": "2023-11-14T22:13:20Z",
            "owned_by": "aura",
        }
        for name in models
    ]
    return {"object": "list", "data": entries, "has_more": False, "first_id": models[0], "last_id": models[-1]}
