"""What a headless run prints as JSON."""

from __future__ import annotations

import io
import json

import pytest

from aura_engine.cli.view import View
from aura_engine.clock import iso
from aura_engine.core.events import AttemptStarting, Notice, encode
from aura_engine.core.model import Role
from aura_engine.core.state import RunState
from aura_engine.recorder import Committed


@pytest.mark.parametrize(
    "event",
    [
        Notice(text="plain"),
        Notice(text="größer ✓ 🙂 \n\u2028", level="warning"),
        Notice(text=""),
        AttemptStarting(task="A1", n=1, role=Role.FLASH, backend="fake", base="c0"),
    ],
)
def test_an_event_is_one_ascii_line_with_all_that_the_journal_has(event: Notice | AttemptStarting) -> None:
    out = io.StringIO()
    View(RunState(), as_json=True, out=out)(Committed(7, 12.5, event))
    (line,) = out.getvalue().splitlines()
    assert line.isascii()
    head = {"seq": 7, "time": iso(12.5), "kind": event.kind}
    assert json.loads(line) == {**head, **json.loads(encode(event))}
    assert list(json.loads(line))[:3] == list(head), "whoever reads on sees first which it is"
