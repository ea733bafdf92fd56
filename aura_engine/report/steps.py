"""A worker's stream as steps that a person reads: what it says, what it does, what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from aura_engine.core.model import Signal, SignalKind
from aura_engine.core.text import clean, one_line
from aura_engine.report.words import clock_time

LABEL = 8
"""Characters of a step's label."""
RESULT_LINES = 6
"""Lines of a failed call's result that are shown; of a good one its last says enough."""
MESSAGE_LINES = 60
SALIENT = ("command", "file_path", "path", "filePath", "pattern", "query", "url", "summary", "description", "prompt")
_FIELD = re.compile(r'"(' + "|".join(SALIENT) + r')"\s*:\s*"((?:[^"\\]|\\.)*)')
_TIME = re.compile(rb'"timestamp"\s*:\s*(?:"(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))"|(\d{10,13}))')
VERBS = {
    "bash": "run",
    "shell": "run",
    "run_shell_command": "run",
    "exec": "run",
    "command_execution": "run",
    "read_file": "read",
    "write_file": "write",
    "edit_file": "edit",
    "multiedit": "edit",
    "replace": "edit",
    "apply_patch": "edit",
    "grep": "search",
    "glob": "search",
    "search_file_content": "search",
    "todowrite": "plan",
    "todo_write": "plan",
    "webfetch": "fetch",
    "task": "agent",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a short label, its text (cleaned, may hold newlines) and the tone it is shown in."""

    label: str
    text: str
    tone: str
    """`say`, `do`, `good`, `bad`, `ask` or `dim`."""


def steps_of(signals: Iterable[Signal]) -> list[Step]:
    """The steps that signals stand for; usage and sessions without a word say nothing."""
    return [step for signal in signals if (step := _step(signal)) is not None]


def doing(said: str) -> str:
    """What a running worker does (see control.link.Live), in a line: a tool's call by what it is about."""
    tool, _, call = said.partition(" ")
    return f"{_verb(tool)} {_tool(call)}" if call.startswith("{") else one_line(said, 160)


def raw_step(data: bytes, size: int) -> Step:
    """A line as it is; of a long one the beginning."""
    text = clean(data[:16_384].decode("utf-8", "replace")).replace("\n", " ")
    more = f" … ({size:,} bytes)" if size > 16_384 else ""
    return Step("", text + more, "say")


def said_time(data: bytes) -> str:
    """The time that an event says of itself, as ISO text or epoch digits; "" when it says none."""
    found = _TIME.search(data, 0, 4096) or _TIME.search(data, max(0, len(data) - 400))
    return (found.group(1) or found.group(2)).decode() if found else ""


def said_clock(data: bytes) -> str:
    """The same as local clock time; "" when it says none, or none that exists."""
    said = said_time(data)
    try:
        if said.isdigit():
            return clock_time(int(said[:10]))
        return clock_time(datetime.fromisoformat(said).timestamp()) if said else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _step(signal: Signal) -> Step | None:
    match signal.kind:
        case SignalKind.MESSAGE:
            text = _lines(signal.text, MESSAGE_LINES)
            return Step("says", text, "say" if signal.ok else "bad") if text else None
        case SignalKind.TOOL:
            return Step(_verb(signal.tool), _tool(signal.text), "do")
        case SignalKind.TOOL_RESULT:
            return _result(signal)
        case SignalKind.RETRY:
            status = f"{signal.status} " if signal.status else ""
            return Step("retry", f"{status}{one_line(signal.text, 500)}", "ask")
        case SignalKind.FINISHED:
            # Most programs repeat their last message here.
            return Step("done", one_line(signal.text, 160), "good")
        case SignalKind.FAILED:
            return Step("failed", _lines(signal.text or signal.reason, MESSAGE_LINES), "bad")
        case SignalKind.SESSION:
            return Step("start", one_line(signal.text), "dim") if signal.text else None
        case SignalKind.UNKNOWN:
            return Step("", one_line(signal.text, 500), "dim") if signal.text.strip() else None
        case SignalKind.USAGE:
            return None


def _verb(tool: str) -> str:
    name = one_line(tool, 60).rsplit("__", 1)[-1].lower() or "tool"
    return VERBS.get(name, name)[:LABEL]


def _tool(text: str) -> str:
    """What a call is about: its salient argument; how many lines an edit takes and gives."""
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = None  # cut, or no JSON at all
    table = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    salient = next((table[name] for name in SALIENT if isinstance(table.get(name), str)), None)
    if salient is None:
        found = None if table else _FIELD.search(text)
        salient = found.group(2).replace("\\n", " ").replace('\\"', '"') if found else text
    old, new = table.get("old_string"), table.get("new_string", table.get("content"))
    size = f"  +{_count(new)}" if isinstance(new, str) else ""
    size += f" −{_count(old)}" if isinstance(old, str) else ""
    return one_line(str(salient), 160) + size


def _result(signal: Signal) -> Step | None:
    shown = [line for line in clean(signal.text).split("\n") if line.strip()]
    if not shown:
        return None if signal.ok else Step("", "✗ failed", "bad")
    if signal.ok:
        more = f"  ({len(shown)} lines)" if len(shown) > 1 else ""
        return Step("", f"✓ {one_line(shown[-1], 160)}{more}", "dim")
    return Step("", "✗ " + "\n  ".join(line.rstrip() for line in shown[-RESULT_LINES:]), "bad")


def _lines(text: str, limit: int) -> str:
    shown = clean(text).strip().split("\n")
    cut = [line.rstrip() for line in shown[:limit]]
    return "\n".join(cut) + (f"\n… {len(shown) - limit} lines more" if len(shown) > limit else "")


def _count(text: str) -> int:
    return len(text.splitlines())
