"""What a scripted model is asked (Ask) and what it says (Say), whichever wire protocol carried it."""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

SHELL_TOOLS = ("Bash", "run_shell_command", "exec_command", "run", "shell", "bash", "execute_command", "local_shell")
"""Names under which coding-agent CLIs offer their shell, most specific first."""

REMINDER = re.compile(r"<(system-reminder|environment_context)>.*?</\1>", re.DOTALL)
"""What CLIs add to a user's message on their own; not something that a person or Aura said."""


@dataclass(frozen=True)
class Text:
    """Prose."""

    text: str


@dataclass(frozen=True)
class ToolUse:
    """A call of a tool. `raw` replaces the JSON of the arguments on the wire (to send broken JSON)."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: str = ""
    raw: str | None = None


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave back."""

    id: str
    text: str
    is_error: bool = False


Part = Text | ToolUse | ToolResult


@dataclass(frozen=True)
class Message:
    """One turn: role `user` or `assistant`; tool results are in user turns, as in Anthropic Messages."""

    role: str
    parts: tuple[Part, ...]

    @cached_property
    def text(self) -> str:
        """Its prose without what a CLI added on its own."""
        prose = "\n".join(part.text for part in self.parts if isinstance(part, Text))
        return REMINDER.sub("", prose).strip()


@dataclass(frozen=True)
class Ask:
    """One request to the model, normalised."""

    api: str
    """`anthropic`, `chat` or `responses`."""
    path: str
    model: str
    system: str
    messages: tuple[Message, ...]
    tools: Mapping[str, Mapping[str, Any]]
    """Offered tools: name to JSON schema of the arguments (empty where a tool takes free text)."""
    key: str = ""
    """The key that came in `x-api-key` or `authorization`, without `Bearer`."""
    stream: bool = False
    size: int = 0
    """Bytes of the request's body."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """With lower-case names."""
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The request as it came."""

    def last_prompt(self, *markers: str) -> int:
        """Index of the last user message with prose in it (and with one of `markers`, if given); -1: there is none."""
        for index in range(len(self.messages) - 1, -1, -1):
            message = self.messages[index]
            wanted = not markers or any(marker in message.text for marker in markers)
            if message.role == "user" and message.text and wanted:
                return index
        return -1

    def prompt(self, *markers: str) -> str:
        """Prose of the user message that `last_prompt(*markers)` finds; empty if there is none."""
        index = self.last_prompt(*markers)
        return self.messages[index].text if index >= 0 else ""

    def rounds(self, *markers: str) -> int:
        """How often the model has answered since `last_prompt(*markers)`."""
        start = self.last_prompt(*markers)
        return sum(1 for message in self.messages[start + 1 :] if message.role == "assistant")

    def results(self, *markers: str) -> list[ToolResult]:
        """Tool results since `last_prompt(*markers)`, oldest first."""
        start = max(0, self.last_prompt(*markers))
        return [part for message in self.messages[start:] for part in message.parts if isinstance(part, ToolResult)]


@dataclass(frozen=True)
class Say:
    """One answer. The knobs after the parts are faults, injected as a real provider or network would show them."""

    parts: tuple[Text | ToolUse, ...] = ()
    stop_reason: str = ""
    """In Anthropic's words (`end_turn`, `max_tokens`, `refusal`, …); empty: as the parts imply; `none`: left out."""
    usage: Mapping[str, Any] | None = None
    """Replaces the measured usage: keys `input` and `output`, any values; an empty mapping leaves usage out."""
    delay: float = 0.0
    """Seconds before anything is answered."""
    gate: threading.Event | None = None
    """Answered only once this is set (at most 60 s later)."""
    status: int = 200
    error_type: str = ""
    error_text: str = ""
    retry_after: str | float | None = None
    raw_body: str | None = None
    """Sent instead of the answer, with `content_type`."""
    content_type: str = "application/json"
    html: bool = False
    """A proxy's HTML page with status 200 (or `status`)."""
    hang: bool = False
    """Accepts the request, answers the headers of a stream at most, then says nothing more."""
    pings: bool = False
    """With `hang`: keeps the stream warm with pings for ever."""
    cut: bool = False
    """The stream ends cleanly in the middle: no end event."""
    reset: bool = False
    """The connection is reset in the middle of the stream."""
    stream_error: str = ""
    """An error event of this type after half of the stream."""

    @property
    def retried(self) -> bool:
        """A client that knows its trade sends the same request again after this."""
        return bool(self.status != 200 or self.cut or self.reset or self.stream_error or self.html or self.raw_body)


Brain = Callable[[Ask], "Say | Awaitable[Say]"]
"""Decides the answer. Called on the server's own loop, one call at a time: it must not block (await instead)."""


def text(words: str) -> Text:
    """A part of prose."""
    return Text(words)


def call(name: str, /, **arguments: Any) -> ToolUse:
    """A part that calls a tool."""
    return ToolUse(name, arguments)


def say(*parts: str | Text | ToolUse, **knobs: Any) -> Say:
    """An answer of these parts; plain strings are prose. The knobs are those of Say."""
    return Say(tuple(Text(part) if isinstance(part, str) else part for part in parts), **knobs)


def shell(ask: Ask, command: str) -> ToolUse:
    """A call of the shell tool that the asking CLI offers, in the shape it wants; LookupError if it offers none."""
    name = next((tool for tool in SHELL_TOOLS if tool in ask.tools), None)
    if name is None:
        raise LookupError(f"no shell among the offered tools: {', '.join(ask.tools) or 'none'}")
    schema = ask.tools[name].get("properties", {})
    argument = next((key for key in ("command", "cmd", "script") if key in schema), "command")
    value: Any = command
    if schema.get(argument, {}).get("type") == "array":
        value = ["bash", "-lc", command]
    arguments: dict[str, Any] = {argument: value}
    required: list[str] = ask.tools[name].get("required", [])
    if "description" in required:
        arguments["description"] = "Runs a command"
    if "is_background" in required:
        arguments["is_background"] = False
    return ToolUse(name, arguments)


def done(ask: Ask, words: str) -> Say:
    """The end of a worker's turn: by the `finish` tool where one is offered, else in prose."""
    if "finish" not in ask.tools:
        return say(words)
    required: list[str] = ask.tools["finish"].get("required", [])
    return say(ToolUse("finish", {required[0] if required else "summary": words}))
