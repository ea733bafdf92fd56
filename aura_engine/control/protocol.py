"""What goes over the socket: one JSON object a line, at most 1 MiB each, in both directions.

client → engine
    hello      {aura, protocol, role: read|control, since: number or null, telemetry: bool}; must be the first
    command    {id, command: {kind, …}}: a request as in `core.commands`
    diff       {id, task}
engine → client
    hello      {aura, protocol, run, pid, seq, read_only, folder, task_file}
    events     {events: [{seq, time, kind, event}, …]}: numbered without gaps, history first
    telemetry  {live: {attempt: {…}}, machine: {…} or null}: at most ten times a second, only where asked for
    reply      {id, why, …}: `why` is "" when it was accepted; `events` holds what a command made happen
    notice     {text}
    bye        {why, ended}: the last one; `ended` says that the run itself is over
    piece      {text, last}: a part of a message whose line would be longer than a frame

Kinds that one side does not know it ignores. Nothing here needs more than the standard library's json: a command's
process is over before a validation library would have been loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast

from aura_engine.errors import AuraError

STARTING = "the engine is still starting; try again in a moment"
"""The answer to a command that came too early."""
PROTOCOL = 1
MAX_FRAME = 1 << 20
"""Bytes of one line, its newline included."""
MAX_MESSAGE = 64 << 20
"""Bytes of one message put together from pieces."""
CHUNK = 1 << 16
"""Bytes read at once."""
_PIECE = 80_000
"""Characters of a piece: each takes up to 12 bytes in a frame."""

Message = dict[str, Any]


class ProtocolError(AuraError):
    """What the other side sent cannot be understood; the connection is of no further use."""


def line(message: Message) -> bytes:
    """A message as one frame. ProtocolError when it is longer than a frame may be."""
    frame = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(frame) > MAX_FRAME:
        raise ProtocolError(f"a message of {len(frame)} bytes is longer than the {MAX_FRAME} that a frame may have")
    return frame


def frames(text: str) -> Iterator[bytes]:
    """A message, given as its JSON text on one line, as the frame that it is or the pieces that it makes."""
    raw = text.encode("utf-8", "replace")
    if len(raw) < MAX_FRAME:
        yield raw + b"\n"
        return
    for start in range(0, len(text), _PIECE):
        last = start + _PIECE >= len(text)
        yield line({"type": "piece", "text": text[start : start + _PIECE], "last": last})


def events_frames(rows: Iterable[str], *, limit: int = MAX_FRAME // 2) -> Iterator[bytes]:
    """Events, each given as its JSON text (see `event_text`), in as few frames as keep each below `limit` bytes."""
    held: list[str] = []
    size = 0
    for row in rows:
        if held and size + len(row) > limit:
            yield from frames(_events(held))
            held, size = [], 0
        held.append(row)
        size += len(row)
    if held:
        yield from frames(_events(held))


def event_text(seq: int, time: float, kind: str, payload: str) -> str:
    """One event as JSON text; `payload` is the journal's own JSON and stays as it is."""
    return f'{{"seq":{seq},"time":{time!r},"kind":{json.dumps(kind)},"event":{payload}}}'


def _events(rows: list[str]) -> str:
    return f'{{"type":"events","events":[{",".join(rows)}]}}'


class Frames:
    """Takes bytes as they come and gives the messages that they complete. Holds at most one frame and one message."""

    def __init__(self, *, pieces: bool = False) -> None:
        """`pieces`: whether the other side may send a message in parts; only the engine may."""
        self._rest = bytearray()
        self._searched = 0
        self._pieces = pieces
        self._parts: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that end in `data`. ProtocolError: a line too long, no JSON object, pieces without an end."""
        self._rest += data
        while (end := self._rest.find(b"\n", self._searched)) >= 0:
            if end >= MAX_FRAME:
                raise _too_long()
            raw = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._searched = 0
            message = _parsed(raw)
            if self._pieces and message.get("type") == "piece":
                message = self._joined(message)
            if message is not None:
                yield message
        self._searched = len(self._rest)
        if self._searched >= MAX_FRAME:
            raise _too_long()

    def _joined(self, piece: Message) -> Message | None:
        text = piece.get("text")
        if not isinstance(text, str):
            raise ProtocolError("a piece without text")
        self._size += len(text)
        if self._size > MAX_MESSAGE:
            raise ProtocolError(f"a message of more than {MAX_MESSAGE} bytes")
        self._parts.append(text)
        if not piece.get("last"):
            return None
        whole, self._parts, self._size = "".join(self._parts), [], 0
        return _parsed(whole.encode("utf-8", "replace"))


def _too_long() -> ProtocolError:
    return ProtocolError(f"a frame is longer than {MAX_FRAME} bytes")


def _parsed(raw: bytes) -> Message:
    try:
        found: Any = json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise ProtocolError("a frame is not JSON") from None
    if not isinstance(found, dict) or not isinstance(cast("Message", found).get("type"), str):
        raise ProtocolError("a frame is not a JSON object with a type")
    return cast("Message", found)


def hello_problem(hello: Message, *, theirs: str) -> str:
    """Why one cannot talk with whoever sent this hello, in a sentence; empty when one can. `theirs`: who it is."""
    if hello.get("type") != "hello":
        return f"{theirs} did not begin with a hello"
    version = hello.get("protocol")
    if version != PROTOCOL:
        aura = str(hello.get("aura", "?"))[:40]
        spoken = str(version)[:20]
        return f"{theirs} is Aura {aura} and speaks version {spoken} of the protocol, this one speaks {PROTOCOL}"
    return ""
