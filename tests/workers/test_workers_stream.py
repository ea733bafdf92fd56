"""Lines out of raw bytes, whatever the bytes."""

from __future__ import annotations

import json
import random
import tracemalloc

import pytest

from aura_engine.core.model import Signal, SignalKind
from aura_engine.workers.builtin import BuiltinParser
from aura_engine.workers.claude import ClaudeParser
from aura_engine.workers.stream import LINE_CAP, TEXT_CAP, LineParser

PARSERS = (ClaudeParser, BuiltinParser)


class Echo(LineParser):
    def read(self, event):
        yield Signal(kind=SignalKind.MESSAGE, text=event["say"])


def said(signals: list[Signal]) -> list[str]:
    return [f"{signal.kind}:{signal.text}" for signal in signals]


def test_lines_in_any_pieces_say_the_same():
    data = b"".join(json.dumps({"say": f"é{n}"}, ensure_ascii=False).encode() + b"\n" for n in range(50))
    whole = Echo().feed(data)
    assert said(whole) == [f"message:é{n}" for n in range(50)]
    dice = random.Random(7)
    for _ in range(20):
        parser, pieces, at = Echo(), [], 0
        while at < len(data):
            step = dice.randint(1, 40)
            pieces += parser.feed(data[at : at + step])
            at += step
        assert pieces + parser.close() == whole


def test_a_last_line_without_its_newline_counts():
    parser = Echo()
    assert parser.feed(b'{"say":"a"}\n{"say":"b"}') == [Signal(kind=SignalKind.MESSAGE, text="a")]
    assert said(parser.close()) == ["message:b"]
    assert parser.close() == []


def test_an_endless_line_is_skipped_in_bounded_memory():
    parser = Echo()
    chunk = b"x" * 65_536
    tracemalloc.start()
    for _ in range(1600):  # 100 MB
        assert parser.feed(chunk) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LINE_CAP
    assert said(parser.feed(b'x\n{"say":"after"}\n')) == ["unknown:a line too long to read", "message:after"]


def test_a_long_line_in_one_chunk_is_skipped_too():
    assert said(Echo().feed(b"y" * (LINE_CAP + 1) + b'\n{"say":"after"}\n'))[1] == "message:after"


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "line",
    [
        b"plain text",
        b"{",
        b"[]",
        b"null",
        b"17",
        b'"text"',
        b"\xff\xfe\x00\xff",
        b'{"type": 5, "event": 5}',
        b'{"type": "assistant", "event": "tool"}',
        b'{"type": "assistant", "message": {"id": "x", "content": 5}, "event": "usage", "input": "many"}',
        b'{"type": "result", "event": "result"}',
        b'{"type":"brand_new","event":"brand_new"}',
        b"[" * 100_000,
        b'{"type": "system", "subtype": "init", "event": "retry", "delay": "soon"}',
    ],
)
def test_junk_never_raises_and_is_counted_or_dropped(parser, line):
    parser = parser()
    for signal in parser.feed(line + b"\n"):
        assert signal.kind in (SignalKind.UNKNOWN, SignalKind.MESSAGE, SignalKind.USAGE)
    assert parser.close() == []


def test_a_line_that_is_no_event_is_unknown():
    assert [signal.kind for signal in ClaudeParser().feed(b"Traceback\n")] == [SignalKind.UNKNOWN]
    assert [signal.kind for signal in BuiltinParser().feed(b'{"event":"new"}\n')] == [SignalKind.UNKNOWN]


def test_texts_are_bounded_and_writable():
    event = {"event": "message", "text": "\ud800" + "z" * 5000}
    (signal,) = BuiltinParser().feed(json.dumps(event).encode() + b"\n")
    assert len(signal.text) == TEXT_CAP
    assert signal.text.encode().startswith(b"?z")


@pytest.mark.parametrize("parser", PARSERS)
def test_random_bytes(parser):
    dice = random.Random(1)
    parser = parser()
    for _ in range(200):
        parser.feed(dice.randbytes(500))
    parser.close()


@pytest.mark.parametrize("count", [-5, 1e30, "7", None, [], True, float("nan")])
def test_absurd_counts_do_no_harm(count):
    line = json.dumps({"event": "usage", "input": count, "output": 3, "turns": 1}).encode() + b"\n"
    (signal,) = BuiltinParser().feed(line)
    assert signal.usage is not None
    assert 0 <= signal.usage.input <= 1
    assert signal.usage.output == 3
