"""Anthropic Messages, as its SDK and the claude CLI speak it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aura_engine.demo.script import Ask, Message, Part, Text, ToolResult, ToolUse
from aura_engine.demo.wire import Answer, arguments_of, pieces, rows, sse


def read(body: Mapping[str, Any]) -> Ask:
    """See Wire."""
    system = [flat(body.get("system"))]
    messages: list[Message] = []
    for item in rows(body["messages"]):
        if item["role"] == "system":  # the claude CLI puts some of its instructions there
            system.append(flat(item["content"]))
        else:
            messages.append(Message(item["role"], tuple(_parts(item["content"]))))
    tools = {tool["name"]: tool.get("input_schema", {}) for tool in rows(body.get("tools"))}
    return Ask("anthropic", "", body.get("model", ""), "\n".join(filter(None, system)), tuple(messages), tools)


def flat(content: Any) -> str:
    """The prose in a content field, which is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in rows(content) if "text" in block)


def whole(answer: Answer) -> dict[str, Any]:
    """See Wire."""
    blocks = [_block(part) for part in answer.parts]
    stop = None if answer.stop_reason == "none" else answer.stop_reason
    return _message(answer, blocks, stop, answer.output)


def stream(answer: Answer) -> Iterator[bytes]:
    """See Wire."""
    yield _event("message_start", message=_message(answer, [], None, 1))
    for index, part in enumerate(answer.parts):
        if isinstance(part, Text):
            yield _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(part.text)]
        else:
            yield _event("content_block_start", index=index, content_block={**_block(part), "input": {}})
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(arguments_of(part))]
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    stop = None if answer.stop_reason == "none" else answer.stop_reason
    usage = {"usage": {"output_tokens": answer.output}} if answer.usage_told else {}
    yield _event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, **usage)
    yield _event("message_stop")


def error(kind: str, message: str) -> dict[str, Any]:
    """See Wire."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"}


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _message(answer: Answer, blocks: list[dict[str, Any]], stop: str | None, output: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": None,
    }
    if answer.usage_told:
        counts = {"input_tokens": answer.input, "output_tokens": output}
        message["usage"] = {**counts, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return message


def _block(part: Text | ToolUse) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": dict(part.arguments)}


def _parts(content: Any) -> Iterator[Part]:
    if isinstance(content, str):
        yield Text(content)
        return
    for block in rows(content):
        match block.get("type"):
            case "text":
                yield Text(block["text"])
            case "tool_use":
                yield ToolUse(block["name"], block["input"], block["id"])
            case "tool_result":
                yield ToolResult(block["tool_use_id"], flat(block.get("content")), bool(block.get("is_error")))
            case "thinking" | "redacted_thinking":
                pass
            case other:
                yield Text(f"[{other}] {json.dumps(block)[:200]}")
