"""Lines of JSON out of a worker's raw bytes: half lines, endless lines, broken text and junk are all just data."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, cast

from aura_engine.core.model import Signal, SignalKind

LINE_CAP = 1 << 20
"""Bytes of one line that are read; a longer line counts as unknown and is skipped."""
TEXT_CAP = 2000
"""Characters of a signal's text."""
COST_CAP = 1e6
"""USD; no attempt costs that much."""

BROKEN = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


def text_of(value: object, *, tail: bool = False) -> str:
    """A bounded text of what ought to be one: the beginning, or with `tail` the end."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    text = text[-TEXT_CAP:] if tail else text[:TEXT_CAP]
    return text.encode("utf-8", "replace").decode()  # a lone surrogate could be written nowhere


def count_of(value: object) -> int:
    """A token count; 0 for anything absurd."""
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0


def cost_of(value: object) -> float:
    """USD; 0 for anything absurd."""
    return float(value) if isinstance(value, int | float) and 0 <= value < COST_CAP else 0.0


def status_of(value: object) -> int | None:
    """An HTTP status; None for anything else."""
    return value if isinstance(value, int) and 100 <= value < 600 else None


def table_of(value: object) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """A JSON array; an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


class LineParser(ABC):
    """A StreamParser whose lines are JSON objects; `read` says what one of them means."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipping = False

    @abstractmethod
    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """The signals of one event. May raise anything of `BROKEN`: the line then counts as unknown."""

    def feed(self, chunk: bytes) -> list[Signal]:
        """See StreamParser."""
        signals: list[Signal] = []
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            signals += self._line(line)
        if not self._skipping:
            self._rest += rest[: LINE_CAP + 1]
            if len(self._rest) > LINE_CAP:
                self._rest.clear()
                self._skipping = True
        return signals

    def close(self) -> list[Signal]:
        """See StreamParser."""
        return self._line(b"") if self._rest or self._skipping else []

    def replies(self) -> list[str]:
        """See StreamParser: none."""
        return []

    def message(self, text: str) -> str | None:
        """See StreamParser: it takes none."""
        return None

    def _line(self, end: bytes) -> list[Signal]:
        line = bytes(self._rest) + end
        self._rest.clear()
        if self._skipping or len(line) > LINE_CAP:
            self._skipping = False
            return [Signal(kind=SignalKind.UNKNOWN, text="a line too long to read")]
        if not line.strip():
            return []
        text = line.decode("utf-8", "replace")
        try:
            return list(self.read(json.loads(text)))
        except BROKEN:
            return [Signal(kind=SignalKind.UNKNOWN, text=text_of(text))]
