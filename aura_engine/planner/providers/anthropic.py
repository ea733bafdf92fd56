"""Anthropic Messages through the `anthropic` SDK: also DeepSeek and whoever else speaks the protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aura_engine.errors import ProviderFailure
from aura_engine.planner.providers.base import ChatReply, ChatRequest, Reasoning, Text, ToolCall, ToolResult, Turn
from aura_engine.planner.providers.failures import failure
from aura_engine.planner.providers.stream import (
    CONNECT_SECONDS,
    MAX_CALLS,
    MAX_REPLY_BYTES,
    Event,
    events,
    finished_call,
    load,
    obj,
    own_http_client,
    sane_usage,
    too_much,
    translated,
    word,
)

URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
CACHED = {"cache_control": {"type": "ephemeral"}}
MAX_CACHED_BLOCKS = 3
"""The API takes four marks; the fourth is for the end of the conversation."""


class AnthropicProvider:
    """See Provider. The SDK appends `/v1/messages` to the base URL; a `/v1` at its end is dropped."""

    def __init__(self, *, api_key: str, base_url: str, model: str) -> None:
        self._key = api_key or "none"
        self._url = base_url.rstrip("/").removesuffix("/v1") or URL
        self._model = model
        self._where = f"{urlsplit(self._url).netloc} (model {model})"
        self._client: Any = None

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See Provider."""
        sdk = await load("anthropic")
        body = body_of(request, self._model)
        sent = await asyncio.to_thread(lambda: len(json.dumps(body)))
        async with translated(self._where, self._key, sdk, request.deadline):
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect, sdk, await load("httpx2"))
            timeout = sdk.Timeout(request.deadline, connect=CONNECT_SECONDS)
            create = self._client.messages.with_streaming_response.create
            async with create(**body, stream=True, timeout=timeout) as response:
                reply = _Reply(self._where, self._model)
                async for event in events(self._where, response, secret=self._key):
                    reply.take(event)
            return reply.finish(request, sent)

    async def aclose(self) -> None:
        """See Provider."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connect(self, sdk: Any, http: Any) -> Any:
        """Makes the client; in a thread, since certificates and the SDK's models take 100 ms and more to load."""
        headers = {"x-api-key": self._key, "anthropic-version": VERSION}
        client = sdk.AsyncAnthropic(
            api_key=self._key,
            base_url=self._url,
            max_retries=0,
            open_telemetry=False,
            http_client=own_http_client(http, self._url, headers),
        )
        _ = client.messages
        return client


def body_of(request: ChatRequest, model: str) -> dict[str, Any]:
    """The request in the API's words, with cache marks on the stable prefixes and on the end."""
    system: list[dict[str, Any]] = [{"type": "text", "text": block} for block in request.system if block.strip()]
    for block in system[:MAX_CACHED_BLOCKS]:
        block.update(CACHED)
    contents = [list(_blocks(turn)) for turn in request.messages]
    if contents and contents[-1]:
        contents[-1][-1].update(CACHED)
    messages = [
        {"role": turn.role, "content": blocks}
        for turn, blocks in zip(request.messages, contents, strict=True)
        if blocks
    ]
    body: dict[str, Any] = {"model": model, "max_tokens": request.max_tokens, "messages": messages}
    if system:
        body["system"] = system
    if request.tools:
        tools = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema)}
            for tool in request.tools
        ]
        body["tools"] = tools
        if request.force_tool:
            body["tool_choice"] = {"type": "any"}
    return body


def _blocks(turn: Turn) -> Iterator[dict[str, Any]]:
    for part in turn.parts:
        match part:
            case Text():
                if part.text.strip():  # the API refuses empty ones
                    yield {"type": "text", "text": part.text}
            case ToolCall():
                yield {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
            case ToolResult():
                result = {"type": "tool_result", "tool_use_id": part.id, "content": part.text or "(empty)"}
                yield {**result, "is_error": True} if part.is_error else result
            case Reasoning():
                yield {"type": "thinking", "thinking": part.text, "signature": part.signature}


@dataclass
class _Block:
    kind: str
    id: str = ""
    name: str = ""
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    signature: str = ""
    pieces: list[str] = field(default_factory=list[str])
    closed: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class _Reply:
    """Collects a stream's events; gives out a reply only once the end event came."""

    def __init__(self, where: str, model: str) -> None:
        self._where = where
        self._model = model
        self._blocks: dict[int, _Block] = {}
        self._usage: dict[str, Any] = {}
        self._stop = ""
        self._ended = False
        self._size = 0

    def take(self, event: Event) -> None:
        data = event.data or {}
        index: int = data["index"] if isinstance(data.get("index"), int) else 0
        match data.get("type"):
            case "message_start":
                message = obj(data.get("message"))
                self._model = word(message.get("model")) or self._model
                # Its output count is a placeholder: at the start nothing has been written yet.
                self._count({**obj(message.get("usage")), "output_tokens": None})
            case "content_block_start":
                block = obj(data.get("content_block"))
                self._blocks[index] = _Block(
                    word(block.get("type")),
                    word(block.get("id")),
                    word(block.get("name")),
                    obj(block.get("input")),
                    pieces=[word(block.get("text")) or word(block.get("thinking"))],
                )
                if len(self._blocks) > MAX_CALLS:
                    raise too_much(self._where)
            case "content_block_delta":
                self._grow(index, obj(data.get("delta")))
            case "content_block_stop":
                if block_ := self._blocks.get(index):
                    block_.closed = True
            case "message_delta":
                self._stop = word(obj(data.get("delta")).get("stop_reason")) or self._stop
                self._count(obj(data.get("usage")))
            case "message_stop":
                self._ended = True
            case _:
                pass  # pings, and what later versions of the API add

    def _grow(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks.get(index)
        if block is None:
            raise failure(ProviderFailure.MALFORMED, f"{self._where} went on with a block it had not begun.")
        block.signature += word(delta.get("signature"))
        block.pieces.append("".join(word(delta.get(name)) for name in ("text", "partial_json", "thinking")))
        self._size += len(block.pieces[-1])
        if self._size > MAX_REPLY_BYTES:
            raise too_much(self._where)

    def _count(self, usage: dict[str, Any]) -> None:
        """Later counts replace earlier ones: they are running totals."""
        self._usage.update({key: value for key, value in usage.items() if value is not None})

    def finish(self, request: ChatRequest, sent: int) -> ChatReply:
        """The reply; ProviderError if it was cut or refused."""
        if not (self._ended and self._stop):
            missing = "a stop reason" if self._ended else "the end of the message"
            raise failure(ProviderFailure.TRUNCATED, f"{self._where} ended its stream without {missing}.")
        if self._stop == "refusal":
            raise failure(ProviderFailure.REFUSAL, f"{self._where} declined to answer.")
        if self._stop == "model_context_window_exceeded":
            raise failure(ProviderFailure.CONTEXT_OVERFLOW, f"{self._where} ran out of context.")
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        calls = tuple(_call(block) for block in blocks if block.kind == "tool_use")
        got = self._size + sum(len(json.dumps(block.given)) for block in blocks if block.given)
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        told = [self._usage.get(name) for name in names]
        return ChatReply(
            text="".join(block.text for block in blocks if block.kind == "text"),
            calls=calls,
            usage=sane_usage(request, sent, got, (told[0], told[1], told[2], told[3])),
            stop_reason=self._stop,
            model=self._model,
            reasoning=tuple(Reasoning(b.text, b.signature) for b in blocks if b.kind == "thinking"),
        )


def _call(block: _Block) -> ToolCall:
    if not block.closed:
        return ToolCall(block.id, block.name, error="the call was cut off")
    if not block.text and block.given:  # some servers send the arguments whole, at the start
        return ToolCall(block.id, block.name, block.given)
    return finished_call(block.id, block.name, block.text)
