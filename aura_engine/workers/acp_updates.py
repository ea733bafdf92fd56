"""What an Agent Client Protocol agent reports while it works (`session/update`), as signals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from acp import schema

from aura_engine.core.model import Signal, SignalKind
from aura_engine.workers.acp_usage import Meter
from aura_engine.workers.stream import TEXT_CAP, cost_of, count_of, table_of, text_of

CALLS_KEPT = 1000
"""Tool calls remembered; only those of one round matter."""
MARKS = {"completed": "x", "in_progress": ">"}
ENDED = ("completed", "failed")


@dataclass
class _Call:
    """A tool call as far as it is known."""

    tool: str = ""
    title: str = ""
    input: Any = None
    output: str = ""
    told: bool = False
    ended: bool = False


class Updates:
    """Follows one session's updates. Pieces of a message become one signal, once something else comes."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.said = ""
        """The last whole message."""
        self.makes_up_prices = False
        self._message = ""
        self._message_id: str | None = None
        self._calls: dict[str, _Call] = {}

    def take(self, params: object) -> Iterator[Signal]:
        """The signals of a notification's parameters; ValueError for a kind of update that is not known."""
        update = schema.SessionNotification.model_validate(params).update
        match update:
            case schema.AgentMessageChunk():
                yield from self._piece(update)
            case schema.AgentThoughtChunk():
                yield from self.flush()
                self.meter.speaks()
            case schema.ToolCallStart() | schema.ToolCallProgress():
                name = text_of(table_of(table_of(params).get("update")).get("name"))
                started = isinstance(update, schema.ToolCallStart)
                yield from self.tool(update, name, starting=started and update.status in (None, "pending"))
            case schema.AgentPlanUpdate():
                yield from self.flush()
                self.meter.speaks()
                entries = (f"[{MARKS.get(entry.status, ' ')}] {entry.content}" for entry in update.entries)
                # A tool call in all but name (other programs report it as one), and no last word of the agent's.
                yield Signal(kind=SignalKind.TOOL, tool="plan", text=text_of("\n".join(entries)))
                self.meter.tool_done()
            case schema.UsageUpdate():
                yield from self._usage(update)
            case _:
                return

    def flush(self) -> Iterator[Signal]:
        """The message that was coming in, whole."""
        text, self._message, self._message_id = self._message.strip(), "", None
        if text:
            self.said = text
            yield Signal(kind=SignalKind.MESSAGE, text=text_of(text))

    def tool(
        self, update: schema.ToolCallStart | schema.ToolCallUpdate, name: str = "", *, starting: bool = False
    ) -> Iterator[Signal]:
        """A tool call begins (`starting`: its input need not be known yet), goes on, ends, or needs a permission."""
        yield from self.flush()
        call = self._calls.get(update.tool_call_id)
        if call is None:
            self.meter.speaks()
            yield from self.meter.news()
            if len(self._calls) >= CALLS_KEPT:
                del self._calls[next(iter(self._calls))]
            call = self._calls[update.tool_call_id] = _Call()
        if call.ended:
            return
        meta = table_of(update.field_meta)
        kind = "" if update.kind == "other" else text_of(update.kind)
        call.tool = call.tool or name or _name_in(meta) or kind or text_of(update.title)
        call.title = update.title or call.title
        call.input = update.raw_input or call.input
        delta = text_of(table_of(meta.get("terminal_output_delta")).get("data"), tail=True)
        call.output = (call.output + delta)[-TEXT_CAP:]
        if not call.told and not starting:
            call.told = True
            yield Signal(kind=SignalKind.TOOL, tool=call.tool or "tool", text=text_of(call.input or call.title))
        if update.status in ENDED:
            call.ended = True
            self.meter.tool_done()
            text = _content(update) or text_of(update.raw_output, tail=True) or call.output
            yield Signal(kind=SignalKind.TOOL_RESULT, text=text, ok=update.status == "completed")

    def _piece(self, update: schema.AgentMessageChunk) -> Iterator[Signal]:
        usage = table_of(update.field_meta).get("usage")
        if usage is not None:
            self.meter.call(usage)
            yield from self.meter.news()
        text = update.content.text if isinstance(update.content, schema.TextContentBlock) else ""
        if not text:
            return
        if update.message_id != self._message_id:
            yield from self.flush()
        self.meter.speaks(update.message_id)
        yield from self.meter.news()
        self._message_id = update.message_id
        self._message += text[: max(0, TEXT_CAP - len(self._message))]

    def _usage(self, update: schema.UsageUpdate) -> Iterator[Signal]:
        cost = update.cost.amount if update.cost and update.cost.currency == "USD" else 0.0
        self.meter.context(count_of(update.used), 0.0 if self.makes_up_prices else cost_of(cost))
        yield from self.meter.news()


def _name_in(meta: dict[str, Any]) -> str:
    """The tool's own name, which agents put into the protocol's free field: at the top or one level below."""
    return text_of(
        next((found["toolName"] for found in (meta, *map(table_of, meta.values())) if "toolName" in found), "")
    )


def _content(update: schema.ToolCallStart | schema.ToolCallUpdate) -> str:
    parts: list[str] = []
    for item in update.content or []:
        match item:
            case schema.ContentToolCallContent(content=schema.TextContentBlock(text=text)):
                parts.append(text)
            case schema.FileEditToolCallContent():
                parts.append(f"edited {item.path}")
            case _:
                continue
    return text_of("\n".join(parts), tail=True)
