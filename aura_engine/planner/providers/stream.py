"""What both providers share: the SDK's client with nothing leaking in, and a byte-bounded stream of events."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

from aura_engine.core.model import Usage
from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner.providers.base import ChatRequest, ToolCall
from aura_engine.planner.providers.failures import api_failure, failure, one_line

if TYPE_CHECKING:
    import httpx2

MAX_REPLY_BYTES = 4_000_000
MAX_WIRE_BYTES = 8 * MAX_REPLY_BYTES
"""A stream wraps every few characters in an event of a hundred bytes or more."""
MAX_CALLS = 200
CONNECT_SECONDS = 15.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Event:
    """One server-sent event; `data` is parsed JSON, or None for the final `[DONE]`."""

    name: str
    data: dict[str, Any] | None


def own_http_client(module: ModuleType, base_url: str, headers: dict[str, str]) -> Any:
    """An HTTP client that sends these headers and the technical ones, nothing else.

    The SDKs add headers from the person's environment (ANTHROPIC_CUSTOM_HEADERS, OPENAI_ORG_ID, …): not here.
    Redirects are not followed: they would carry the key elsewhere. A proxy of the environment is used, but not for this
    machine's own loopback, which it cannot reach.
    """
    allowed = {"host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent"}

    async def only_ours(request: httpx2.Request) -> None:
        for name in list(request.headers):
            if name.lower() not in allowed and not name.lower().startswith("x-stainless-"):  # the SDK reads those back
                del request.headers[name]
        request.headers.update(headers)

    return module.AsyncClient(
        trust_env=urlsplit(base_url).hostname not in LOOPBACK, event_hooks={"request": [only_ours]}
    )


_LOADED: dict[str, ModuleType] = {}
"""By name, whole."""


async def load(name: str) -> ModuleType:
    """Imports a module off the loop: `anthropic` costs 1.5 s of CPU."""
    if name not in _LOADED:  # being among `sys.modules` says nothing: it is there while it is being imported too
        _LOADED[name] = await asyncio.to_thread(importlib.import_module, name)
        # Its hundred thousand objects live as long as the process: each whole collection would walk them for 0.1 s.
        gc.freeze()
    return _LOADED[name]


@contextlib.asynccontextmanager
async def translated(where: str, secret: str, sdk: ModuleType, deadline: float) -> AsyncGenerator[None, None]:
    """Everything that goes wrong inside becomes a ProviderError; the whole may take `deadline` seconds."""
    http = await load("httpx2")
    try:
        async with asyncio.timeout(deadline):
            yield
    except TimeoutError:
        raise failure(ProviderFailure.TIMEOUT, f"{where} did not finish within {deadline:g} s.") from None
    except sdk.APIStatusError as error:
        response = error.response
        raise api_failure(where, error.status_code, response.headers, error.body, secret=secret) from None
    except (sdk.APIError, http.HTTPError, http.StreamError, http.InvalidURL) as error:
        _raise_transport(where, error, http)


def _raise_transport(where: str, error: Exception, http: ModuleType) -> NoReturn:
    """The SDKs wrap the HTTP library's error while they connect, and let it through while a stream is read."""
    cause = error if isinstance(error, http.RequestError) else error.__cause__ or error
    said = one_line(str(cause)) or type(cause).__name__
    if isinstance(cause, http.ConnectError | http.ConnectTimeout | http.ProxyError | http.UnsupportedProtocol):
        raise failure(ProviderFailure.UNREACHABLE, f"{where} cannot be reached: {said}.") from None
    if isinstance(cause, http.TimeoutException):
        raise failure(ProviderFailure.TIMEOUT, f"{where} stayed silent for too long.") from None
    if isinstance(cause, http.TransportError):
        raise failure(ProviderFailure.TRUNCATED, f"{where} broke off: {said}.") from None
    raise failure(ProviderFailure.MALFORMED, f"{where} answered something that is no reply: {said}.") from None


async def events(where: str, response: Any, *, secret: str = "") -> AsyncIterator[Event]:
    """The events of a streamed answer. ProviderError for a body that is none, an error event, or too many bytes."""
    kind = response.headers.get("content-type", "")
    if "event-stream" not in kind:
        start = await _first_bytes(response)
        shown = one_line(start.decode("utf-8", "replace"), 120)
        message = f"{where} answered {kind or 'without a type'} instead of an event stream: {shown or 'nothing'}."
        raise failure(ProviderFailure.MALFORMED, message)
    async for name, data in _lines(where, response):
        if data.startswith("[DONE]"):
            yield Event(name, None)
            continue
        try:
            parsed: object = json.loads(data)
        except ValueError:
            raise failure(ProviderFailure.MALFORMED, f"{where} sent an event that is no JSON.") from None
        if not isinstance(parsed, dict):
            raise failure(ProviderFailure.MALFORMED, f"{where} sent an event that is no object.")
        body = cast("dict[str, Any]", parsed)
        if name == "error" or body.get("type") == "error" or body.get("error"):
            raise api_failure(where, 200, {}, body, secret=secret)
        yield Event(name, body)


async def _first_bytes(response: Any) -> bytes:
    async for chunk in response.iter_bytes():
        return cast("bytes", chunk[:1000])
    return b""


async def _lines(where: str, response: Any) -> AsyncIterator[tuple[str, str]]:
    """(event name, data) pairs; comments and pings without data are dropped."""
    name, total = "", 0
    data: list[str] = []
    half: list[bytes] = []
    async for chunk in response.iter_bytes():
        total += len(chunk)
        if total > MAX_WIRE_BYTES:
            raise too_much(where)
        half.append(chunk)
        if b"\n" not in chunk:
            continue
        *whole, rest = b"".join(half).split(b"\n")
        half = [rest]
        for raw in whole:
            line = raw.rstrip(b"\r").decode("utf-8", "replace")
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line == "" and data:
                yield name, "\n".join(data)
                name, data = "", []
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)


def obj(value: Any) -> dict[str, Any]:
    """A JSON object as it came; empty for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def rows(value: Any) -> list[dict[str, Any]]:
    """The objects in a JSON list; empty for anything else."""
    return [obj(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def word(value: Any) -> str:
    """A JSON string as it came; empty for anything else."""
    return value if isinstance(value, str) else ""


def too_much(where: str) -> ProviderError:
    """The refusal of a reply over the caps."""
    limit = f"{MAX_REPLY_BYTES // 1_000_000} MB or {MAX_CALLS} tool calls"
    return failure(ProviderFailure.MALFORMED, f"{where} sent a reply of more than {limit}; it was dropped.")


def finished_call(call_id: str, name: str, raw: str) -> ToolCall:
    """A call from the JSON text of its arguments, read strictly: what is not one JSON object is an error."""
    try:
        arguments: object = json.loads(raw or "{}", object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return ToolCall(call_id, name, error=f"the arguments are not valid JSON ({one_line(str(error), 120)})")
    if not isinstance(arguments, dict):
        return ToolCall(call_id, name, error="the arguments are not a JSON object")
    return ToolCall(call_id, name, cast("dict[str, Any]", arguments))


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def sane_usage(request: ChatRequest, sent: int, got: int, counts: tuple[Any, Any, Any, Any]) -> Usage:
    """Usage from (input, output, cache read, cache write) as told; what is missing or absurd is estimated from bytes.

    A token is at least about a byte, so more input tokens than bytes (and room for the provider's own prompt) are not
    believed, nor more output than was allowed. `sent` and `got` are bytes.
    """
    most_in = sent + 20_000
    told_in, told_out, read, write = (value if type(value) is int and value >= 0 else None for value in counts)
    read, write = (value if value is not None and value <= most_in else 0 for value in (read, write))
    if told_in is None or not 0 < told_in + read + write <= most_in:
        told_in, read, write = estimate(sent), 0, 0
    if told_out is None or not 0 < told_out <= max(request.max_tokens, got) + 20_000:
        told_out = estimate(got)
    return Usage(input=told_in, output=told_out, cache_read=read, cache_write=write)


def estimate(size: int) -> int:
    """Tokens in so many bytes, at least 1."""
    return max(1, size // 4)


def size_of(parts: Iterable[str]) -> int:
    """Bytes of these texts."""
    return sum(len(part.encode("utf-8", "replace")) for part in parts)
