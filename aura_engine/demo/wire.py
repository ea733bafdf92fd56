"""What the three wire protocols share: an SSE event's bytes, token counts measured from bytes, ids, errors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aura_engine.demo.script import Ask, Say, Text, ToolUse

PIECE = 4000
"""Characters of text or arguments in one stream event."""

_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """An id that no other answer of this process has."""
    return f"{prefix}{next(_numbers):08d}"


def sse(data: Mapping[str, Any] | str, event: str = "") -> bytes:
    """One server-sent event."""
    body = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {event}\n" if event else "").encode() + f"data: {body}\n\n".encode()


def pieces(words: str) -> Iterator[str]:
    """The text in stream-sized pieces; at least two where it can be cut, so that clients have to join them."""
    size = min(PIECE, max(1, len(words) // 2))
    for start in range(0, len(words), size):
        yield words[start : start + size]


def arguments_of(part: ToolUse) -> str:
    """The JSON of a call's arguments as it goes over the wire."""
    return part.raw if part.raw is not None else json.dumps(dict(part.arguments), ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """A Say made ready for the wire: calls have ids, the stop reason and the usage are settled."""

    model: str
    parts: tuple[Text | ToolUse, ...]
    stop_reason: str
    input: Any
    output: Any
    usage_told: bool = True
    id: str = field(default_factory=lambda: fresh("aura_"))

    @property
    def texts(self) -> str:
        """All prose of it."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def calls(self) -> list[ToolUse]:
        """Its tool calls in order."""
        return [part for part in self.parts if isinstance(part, ToolUse)]


def settle(ask: Ask, answer: Say) -> Answer:
    """Gives calls their ids, and measures usage: a token is 4 bytes of what really went over the wire."""
    parts = tuple(
        part if isinstance(part, Text) or part.id else ToolUse(part.name, part.arguments, fresh("toolu_"), part.raw)
        for part in answer.parts
    )
    size = sum(len((part.text if isinstance(part, Text) else arguments_of(part)).encode()) for part in parts)
    usage: Mapping[str, Any] = {"input": tokens(ask.size), "output": tokens(size)}
    if answer.usage is not None:
        usage = answer.usage
    implied = "tool_use" if any(isinstance(part, ToolUse) for part in parts) else "end_turn"
    stop = answer.stop_reason or implied
    return Answer(ask.model, parts, stop, usage.get("input"), usage.get("output"), bool(usage))


def rows(value: Any) -> list[dict[str, Any]]:
    """A field that holds a list of objects; missing or null means none."""
    return list(value or ())


def tokens(size: int) -> int:
    """Tokens for so many bytes; never 0 for something."""
    return -(-size // 4)


class Wire(Protocol):
    """One wire protocol: how a request reads and how an answer is written."""

    def read(self, body: Mapping[str, Any]) -> Ask:
        """The request's model, system text, messages and tools; ValueError where it is malformed."""
        ...

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The answer as one JSON object."""
        ...

    def stream(self, answer: Answer) -> Iterator[bytes]:
        """The answer as server-sent events, the end event last."""
        ...

    def error(self, kind: str, message: str) -> dict[str, Any]:
        """The body of an error answer, also the data of an error event."""
        ...
