"""OpenAI chat completions through the `openai` SDK: also any server that calls itself compatible."""

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
    rows,
    sane_usage,
    size_of,
    too_much,
    translated,
    word,
)

URL = "https://api.openai.com/v1"
STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "function_call": "tool_use", "length": "max_tokens"}


class OpenAIProvider:
    """See Provider. The base URL is taken as given; the SDK appends `/chat/completions`."""

    def __init__(self, *, api_key: str, base_url: str, model: str) -> None:
        self._key = api_key or "none"
        self._url = base_url or URL
        self._model = model
        self._where = f"{urlsplit(self._url).netloc} (model {model})"
        self._client: Any = None

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See Provider."""
        sdk = await load("openai")
        body = body_of(request, self._model, urlsplit(self._url).hostname or "")
        sent = await asyncio.to_thread(lambda: len(json.dumps(body)))
        async with translated(self._where, self._key, sdk, request.deadline):
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect, sdk, await load("httpx2"))
            timeout = sdk.Timeout(request.deadline, connect=CONNECT_SECONDS)
            create = self._client.chat.completions.with_streaming_response.create
            async with create(**body, timeout=timeout) as response:
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
        client = sdk.AsyncOpenAI(
            api_key=self._key,
            base_url=self._url,
            max_retries=0,
            http_client=own_http_client(http, self._url, {"authorization": f"Bearer {self._key}"}),
        )
        _ = client.chat.completions
        return client


def body_of(request: ChatRequest, model: str, host: str) -> dict[str, Any]:
    """The request in the API's words. OpenAI's own models want `max_completion_tokens`, other servers the older."""
    system = "\n\n".join(block for block in request.system if block.strip())
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for turn in request.messages:
        messages.extend(_assistant(turn) if turn.role == "assistant" else _user(turn))
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    newer = host == "openai.com" or host.endswith((".openai.com", ".openai.azure.com"))
    body["max_completion_tokens" if newer else "max_tokens"] = request.max_tokens
    if request.tools:
        functions = [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
            for tool in request.tools
        ]
        body["tools"] = [{"type": "function", "function": function} for function in functions]
        if request.force_tool:
            body["tool_choice"] = "required"
    return body


def _user(turn: Turn) -> Iterator[dict[str, Any]]:
    """Tool results first, each a message of its own, then the prose: the API wants answers right after the calls."""
    for part in turn.parts:
        if isinstance(part, ToolResult):
            text = f"ERROR: {part.text}" if part.is_error else part.text
            yield {"role": "tool", "tool_call_id": part.id, "content": text}
    prose = "\n\n".join(part.text for part in turn.parts if isinstance(part, Text) and part.text)
    if prose:
        yield {"role": "user", "content": prose}


def _assistant(turn: Turn) -> Iterator[dict[str, Any]]:
    prose = "".join(part.text for part in turn.parts if isinstance(part, Text))
    message: dict[str, Any] = {"role": "assistant", "content": prose or None}
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    if calls:
        functions = [{"name": call.name, "arguments": json.dumps(call.arguments)} for call in calls]
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": function}
            for call, function in zip(calls, functions, strict=True)
        ]
    if thoughts := "".join(part.text for part in turn.parts if isinstance(part, Reasoning)):
        message["reasoning_content"] = thoughts
    yield message


@dataclass
class _Call:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list[str])


class _Reply:
    """Collects a stream's chunks; gives out a reply only once a finish reason came."""

    def __init__(self, where: str, model: str) -> None:
        self._where = where
        self._model = model
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._usage: dict[str, Any] = {}
        self._stop = ""
        self._size = 0

    def take(self, event: Event) -> None:
        data = event.data or {}
        self._model = word(data.get("model")) or self._model
        self._usage = obj(data.get("usage")) or self._usage
        for choice in rows(data.get("choices")):
            delta = obj(choice.get("delta"))
            self._add(self._text, delta.get("content"))
            self._add(self._thoughts, delta.get("reasoning_content"))
            self._add(self._refusal, delta.get("refusal"))
            for piece in rows(delta.get("tool_calls")):
                function = obj(piece.get("function"))
                call = self._call(piece.get("index"), word(piece.get("id")), word(function.get("name")))
                self._add(call.pieces, function.get("arguments"))
            self._stop = word(choice.get("finish_reason")) or self._stop

    def _call(self, index: Any, call_id: str, name: str) -> _Call:
        """The call that a piece belongs to: by index; some servers send every call with index 0 or with none."""
        number = index if isinstance(index, int) else len(self._calls) - (0 if call_id else 1)
        known = self._by_index.get(number)
        if known is None or (call_id and name and call_id != known.id):
            known = _Call(call_id or f"call_{len(self._calls)}", name)
            self._calls.append(known)
            self._by_index[number] = known
        known.name = known.name or name
        if len(self._calls) > MAX_CALLS:
            raise too_much(self._where)
        return known

    def _add(self, to: list[str], piece: Any) -> None:
        if isinstance(piece, str):
            to.append(piece)
            self._size += len(piece)
        if self._size > MAX_REPLY_BYTES:
            raise too_much(self._where)

    def finish(self, request: ChatRequest, sent: int) -> ChatReply:
        """The reply; ProviderError if it was cut or refused."""
        if not self._stop:
            raise failure(ProviderFailure.TRUNCATED, f"{self._where} ended its stream without a finish reason.")
        if self._refusal or self._stop == "content_filter":
            raise failure(ProviderFailure.REFUSAL, f"{self._where} declined to answer.")
        read: Any = obj(self._usage.get("prompt_tokens_details")).get("cached_tokens")
        told: Any = self._usage.get("prompt_tokens")
        if isinstance(read, int) and isinstance(told, int):
            told -= read  # the API counts cached tokens among the prompt's
        sizes = [size_of(call.pieces) for call in self._calls]
        got = size_of(self._text) + size_of(self._thoughts) + sum(sizes)
        return ChatReply(
            text="".join(self._text),
            calls=tuple(finished_call(call.id, call.name, "".join(call.pieces)) for call in self._calls),
            usage=sane_usage(request, sent, got, (told, self._usage.get("completion_tokens"), read, None)),
            stop_reason=STOP_REASONS.get(self._stop, self._stop),
            model=self._model,
            reasoning=(Reasoning("".join(self._thoughts)),) if self._thoughts else (),
        )
