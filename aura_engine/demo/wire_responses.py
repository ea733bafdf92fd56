"""OpenAI Responses, as its SDK and codex speak it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aura_engine.demo.script import Ask, Message, Part, Text, ToolResult, ToolUse
from aura_engine.demo.wire import Answer, arguments_of, pieces, rows, sse
from aura_engine.demo.wire_anthropic import flat


def read(body: Mapping[str, Any]) -> Ask:
    """See Wire."""
    system = [body.get("instructions") or ""]
    messages: list[Message] = []
    given: Any = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else rows(given):
        if item.get("role") in ("system", "developer"):
            system.append(flat(item["content"]))
        elif part := _part(item):
            _append(
                messages, "assistant" if item.get("role") == "assistant" or isinstance(part, ToolUse) else "user", part
            )
    tools = {tool.get("name", tool["type"]): tool.get("parameters", {}) for tool in rows(body.get("tools"))}
    return Ask("responses", "", body.get("model", ""), "\n".join(filter(None, system)), tuple(messages), tools)


def whole(answer: Answer) -> dict[str, Any]:
    """See Wire."""
    return _response(answer, _items(answer), _status(answer))


def stream(answer: Answer) -> Iterator[bytes]:
    """See Wire."""
    numbers = iter(range(1_000_000_000))

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    yield event("response.created", response=_response(answer, [], "in_progress"))
    yield event("response.in_progress", response=_response(answer, [], "in_progress"))
    for index, (part, item) in enumerate(zip(answer.parts, _items(answer), strict=True)):
        where: dict[str, Any] = {"item_id": item["id"], "output_index": index}
        if isinstance(part, Text):
            where["content_index"] = 0
            yield event("response.output_item.added", output_index=index, item={**item, "content": []})
            yield event("response.content_part.added", **where, part={**item["content"][0], "text": ""})
            for piece in pieces(part.text):
                yield event("response.output_text.delta", **where, delta=piece, logprobs=[])
            yield event("response.output_text.done", **where, text=part.text, logprobs=[])
            yield event("response.content_part.done", **where, part=item["content"][0])
        else:
            yield event("response.output_item.added", output_index=index, item={**item, "arguments": ""})
            for piece in pieces(arguments_of(part)):
                yield event("response.function_call_arguments.delta", **where, delta=piece)
            named = {"name": part.name, "arguments": arguments_of(part)}
            yield event("response.function_call_arguments.done", **where, **named)
        yield event("response.output_item.done", output_index=index, item=item)
    status = _status(answer)
    yield event(f"response.{status}", response=_response(answer, _items(answer), status))


def error(kind: str, message: str) -> dict[str, Any]:
    """See Wire."""
    return {"type": "error", "error": {"message": message, "type": kind, "param": None, "code": kind}}


def _status(answer: Answer) -> str:
    return "completed" if answer.stop_reason in ("end_turn", "tool_use") else "incomplete"


def _response(answer: Answer, output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    usage = None
    if status != "in_progress" and answer.usage_told:
        total = sum(count for count in (answer.input, answer.output) if isinstance(count, int))
        usage = {"input_tokens": answer.input, "output_tokens": answer.output, "total_tokens": total}
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    reasons = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}
    why = {"reason": reasons.get(answer.stop_reason, answer.stop_reason)} if status == "incomplete" else None
    return {
        "id": answer.id,
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": why,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def _items(answer: Answer) -> list[dict[str, Any]]:
    return [_item(part, f"{answer.id}_{index}") for index, part in enumerate(answer.parts)]


def _item(part: Text | ToolUse, name: str) -> dict[str, Any]:
    if isinstance(part, Text):
        empty: list[Any] = []
        content = {"type": "output_text", "text": part.text, "annotations": empty, "logprobs": empty}
        return {
            "id": f"msg_{name}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [content],
        }
    call = {"call_id": part.id, "name": part.name, "arguments": arguments_of(part), "status": "completed"}
    return {"id": f"fc_{name}", "type": "function_call", **call}


def _part(item: Mapping[str, Any]) -> Part | None:
    match item.get("type", "message"):
        case "message":
            return Text(flat(item["content"]))
        case "function_call":
            return ToolUse(item["name"], json.loads(item["arguments"] or "{}"), item["call_id"], item["arguments"])
        case "custom_tool_call":
            return ToolUse(item["name"], {"input": item["input"]}, item["call_id"])
        case "function_call_output" | "custom_tool_call_output":
            return ToolResult(item["call_id"], flat(item["output"]))
        case _:
            return None  # reasoning and the like


def _append(messages: list[Message], role: str, part: Part) -> None:
    """Items of one turn come one by one: neighbours of one role make one message, but a prompt stays one of its own."""
    if messages and messages[-1].role == role and not (role == "user" and isinstance(part, Text)):
        messages[-1] = Message(role, (*messages[-1].parts, part))
    else:
        messages.append(Message(role, (part,)))
