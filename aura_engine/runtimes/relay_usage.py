"""What a model call used, read out of the reply as it passes: Anthropic messages, OpenAI chat and responses."""

from __future__ import annotations

import json
from typing import Any, cast

from aura_engine.core.model import Usage

LINE = 4 << 20
"""Bytes of one event, or of a whole reply that is not streamed, beyond which nothing is read out of it."""
MOST = 1 << 40
"""Tokens that no reply holds: a number beyond is no count."""
BYTES_PER_TOKEN = 4
"""Of English text and of code, about: what OpenAI's and Anthropic's help pages say."""
MOST_ASKED = 200_000
"""Tokens that a request is estimated at, at most: what most models read. One with pictures has far more bytes."""


class UsageReader:
    """Fed with the bytes of one reply; afterwards `usage` is what it told, None where it told nothing."""

    def __init__(self, *, streamed: bool) -> None:
        self._streamed = streamed
        self._rest = bytearray()
        self._skipping = False
        self._told: dict[str, int] = {}
        self._events = 0
        self._bytes = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes, in any pieces."""
        self._bytes += len(chunk)
        if not self._streamed:
            if len(self._rest) + len(chunk) > LINE:
                self._skipping = True
                self._rest.clear()
            elif not self._skipping:
                self._rest += chunk
            return
        *lines, rest = (bytes(self._rest) + chunk).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._line(line)
            self._skipping = False
        self._skipping = self._skipping or len(rest) > LINE
        self._rest = bytearray() if self._skipping else bytearray(rest)

    def close(self) -> Usage | None:
        """All has passed: what it used."""
        if not self._skipping:
            self._line(bytes(self._rest)) if self._streamed else self._event(bytes(self._rest))
        self._rest.clear()
        return Usage(**self._told) if self._told else None

    def estimate(self, asked: int) -> Usage:
        """What a call has used whose reply told nothing: `asked` bytes went; most servers stream an event per token."""
        output = self._events if self._streamed else self._bytes // BYTES_PER_TOKEN
        return Usage(input=min(asked // BYTES_PER_TOKEN, MOST_ASKED), output=output)

    def _line(self, line: bytes) -> None:
        name, _, data = line.partition(b":")
        if name == b"data":
            self._events += 1
            self._event(data)

    def _event(self, data: bytes) -> None:
        if b'"usage"' not in data:  # most events are a few words of text
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        for holder in (event, _of(event, "message"), _of(event, "response")):
            if isinstance(holder, dict) and isinstance(usage := _of(holder, "usage"), dict):
                self._take(cast("dict[str, Any]", usage))

    def _take(self, usage: dict[str, Any]) -> None:
        """Each event's numbers are totals so far: the last one of each kind stands."""
        if "prompt_tokens" in usage or "input_tokens_details" in usage:
            # OpenAI counts cached tokens within the input.
            details = _of(usage, "prompt_tokens_details") or _of(usage, "input_tokens_details")
            whole = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
            cached = min(_count(_of(details, "cached_tokens")), whole)
            output = _count(usage.get("completion_tokens", usage.get("output_tokens")))
            self._told |= {"input": whole - cached, "cache_read": cached, "output": output}
            return
        names = {
            "input": "input_tokens",
            "output": "output_tokens",
            "cache_read": "cache_read_input_tokens",
            "cache_write": "cache_creation_input_tokens",
        }
        self._told |= {mine: _count(usage[theirs]) for mine, theirs in names.items() if usage.get(theirs) is not None}


def _of(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < MOST else 0
