"""OpenAI chat completions, as its SDK, qwen and opencode speak it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aura_engine.demo.script import Ask, Message, Part, Text, ToolResult, ToolUse
from aura_engine.demo.wire import Answer, arguments_of, pieces, rows, sse
from aura_engine.demo.wire_anthropic import flat

FINISH = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}


def read(body: Mapping[str, Any]) -> Ask:
    """See Wire."""
    system: list[str] = []
    messages: list[Message] = []
    for item in rows(body["messages"]):
        if item["role"] in ("system", "developer"):
            system.append(flat(item.get("content")))
        elif item["role"] == "tool":
            messages.append(Message("user", (ToolResult(item["tool_call_id"], flat(item.get("content"))),)))
        else:
            messages.append(Message(item["role"], tuple(_parts(item))))
    functions: list[dict[str, Any]] = [tool["function"] for tool in rows(body.get("tools"))]
    tools = {function["name"]: function.get("parameters", {}) for function in functions}
    return Ask("chat", "", body.get("model", ""), "\n".join(system), tuple(messages), tools)


def whole(answer: Answer) -> dict[str, Any]:
    """See Wire."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.texts or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_call(part, arguments_of(part)) for part in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
    return {**_head(answer, "chat.completion"), "choices": [choice], **_usage(answer)}


def stream(answer: Answer) -> Iterator[bytes]:
    """See Wire."""
    yield _chunk(answer, {"role": "assistant", "content": ""})
    if answer.texts:
        for piece in pieces(answer.texts):
            yield _chunk(answer, {"content": piece})
    for index, part in enumerate(answer.calls):
        yield _chunk(answer, {"tool_calls": [{"index": index, **_call(part, "")}]})
        for piece in pieces(arguments_of(part)):
            yield _chunk(answer, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    if answer.stop_reason != "none":
        yield _chunk(answer, {}, _finish(answer))
    if answer.usage_told:
        yield sse({**_head(answer, "chat.completion.chunk"), "choices": [], **_usage(answer)})
    yield sse("[DONE]")


def error(kind: str, message: str) -> dict[str, Any]:
    """See Wire."""
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


def _finish(answer: Answer) -> str | None:
    return None if answer.stop_reason == "none" else FINISH.get(answer.stop_reason, answer.stop_reason)


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": answer.id, "object": kind, "created": 1_700_000_000, "model": answer.model}


def _chunk(answer: Answer, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return sse({**_head(answer, "chat.completion.chunk"), "choices": [choice]})


def _usage(answer: Answer) -> dict[str, Any]:
    if not answer.usage_told:
        return {}
    counts: tuple[Any, Any] = (answer.input, answer.output)
    total = sum(count for count in counts if isinstance(count, int))
    return {"usage": {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": total}}


def _call(part: ToolUse, arguments: str) -> dict[str, Any]:
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": arguments}}


def _parts(item: Mapping[str, Any]) -> Iterator[Part]:
    if words := flat(item.get("content")):
        yield Text(words)
    for call in rows(item.get("tool_calls")):
        function: dict[str, str] = call["function"]
        arguments: dict[str, Any] = {}
        with contextlib.suppress(ValueError):  # a client may send back the broken JSON it was sent
            arguments = json.loads(function["arguments"] or "{}")
        yield ToolUse(function["name"], arguments, call["id"], function["arguments"])
