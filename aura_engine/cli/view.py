"""What a headless run prints: a story in lines, or one JSON object per journal event."""

from __future__ import annotations

import json
import sys
from typing import TextIO

from aura_engine.clock import iso
from aura_engine.control.link import Told
from aura_engine.core.events import encode
from aura_engine.core.state import RunState
from aura_engine.report.plain import lines


class View:
    """Prints committed events. A reader that has gone (a closed pipe, a dropped connection) never stops the run."""

    def __init__(self, state: RunState, *, as_json: bool, out: TextIO | None = None) -> None:
        self._state = state
        self._json = as_json
        self._out = out or sys.stdout
        encoding = (getattr(self._out, "encoding", "") or "").lower().replace("-", "")
        self._ascii = encoding not in ("utf8", "utf16", "utf32")
        self._gone = False

    @property
    def gone(self) -> bool:
        """Nobody reads any more."""
        return self._gone

    def __call__(self, committed: Told) -> None:
        """See Recorder.subscribe."""
        if self._gone:
            return
        if self._json:
            text = [self._object(committed)]
        else:
            text = lines(committed.event, self._state, committed.time, ascii_only=self._ascii)
        try:
            for line in text:
                self._out.write(line + "\n")
            if text:
                self._out.flush()
        except (OSError, ValueError):
            self._gone = True

    @staticmethod
    def _object(committed: Told) -> str:
        payload = encode(committed.event)
        if not payload.isascii():
            payload = json.dumps(json.loads(payload), separators=(",", ":"))
        more = f", {payload[1:]}" if payload != "{}" else "}"
        return f'{{"seq": {committed.seq}, "time": "{iso(committed.time)}", "kind": "{committed.event.kind}"{more}'
