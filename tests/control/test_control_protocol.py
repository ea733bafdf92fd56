"""Frames: whole messages in, whole messages out, nothing else comes through."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.control.protocol import (
    MAX_FRAME,
    PROTOCOL,
    Frames,
    ProtocolError,
    event_text,
    events_frames,
    frames,
    hello_problem,
    line,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.builds(lambda kind, body: {**body, "type": kind}, st.text(), st.dictionaries(st.text(), JSON, max_size=3))


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 50))
def test_messages_come_through_however_the_bytes_are_cut(messages, size):
    data = b"".join(line(message) for message in messages)
    reader = Frames()
    got = [found for at in range(0, len(data), size) for found in reader.feed(data[at : at + size])]
    assert got == messages


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_bytes_come_only_a_protocol_error_comes_of_it(chunks):
    reader = Frames(pieces=True)
    try:
        for chunk in chunks:
            for message in reader.feed(chunk):
                assert isinstance(message["type"], str)
    except ProtocolError:
        pass


@given(st.binary(min_size=1, max_size=200), st.integers(0, 200), MESSAGES)
def test_a_flipped_byte_never_raises_anything_else(noise, at, message):
    data = bytearray(line(message))
    at = min(at, len(data))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(ProtocolError):
        list(Frames().feed(bytes(data) + b"\n"))


@pytest.mark.parametrize(
    "bad", [b"[1]\n", b"{}\n", b'{"type": 3}\n', b"\xff\n", b"\n", b"[" * 100_000 + b"\n", b"nul\n"]
)
def test_what_is_no_message_is_refused(bad):
    with pytest.raises(ProtocolError):
        list(Frames().feed(bad))


def test_a_line_that_does_not_end_is_refused_before_it_fills_the_memory():
    reader = Frames()
    for _ in range(MAX_FRAME // 65536 - 1):
        assert list(reader.feed(b"x" * 65536)) == []
    with pytest.raises(ProtocolError, match="longer than"):
        list(reader.feed(b"x" * 65536))


def test_a_message_longer_than_a_frame_comes_in_pieces_and_only_from_the_engine():
    text = json.dumps({"type": "reply", "text": 'ö😀\\"' * 700_000}, ensure_ascii=False)
    cut = list(frames(text))
    assert len(cut) > 2
    assert max(len(each) for each in cut) <= MAX_FRAME
    reader = Frames(pieces=True)
    got = [message for each in cut for message in reader.feed(each)]
    assert got == [json.loads(text)]
    assert {message["type"] for each in cut for message in Frames().feed(each)} == {"piece"}


def test_pieces_without_an_end_are_refused(monkeypatch):
    monkeypatch.setattr("aura_engine.control.protocol.MAX_MESSAGE", 1000)
    reader = Frames(pieces=True)
    piece = line({"type": "piece", "text": "x" * 400, "last": False})
    assert list(reader.feed(piece * 2)) == []
    with pytest.raises(ProtocolError, match="more than 1000"):
        list(reader.feed(piece))
    with pytest.raises(ProtocolError, match="without text"):
        list(Frames(pieces=True).feed(line({"type": "piece", "text": 1})))


def test_events_are_put_together_and_keep_their_order():
    rows = [event_text(seq, 0.5, "notice", json.dumps({"text": "x" * 100})) for seq in range(1, 101)]
    cut = list(events_frames(rows, limit=2000))
    reader = Frames()
    got = [row for each in cut for message in reader.feed(each) for row in message["events"]]
    assert [row["seq"] for row in got] == list(range(1, 101))
    assert 5 < len(cut) < 20
    assert got[0] == {"seq": 1, "time": 0.5, "kind": "notice", "event": {"text": "x" * 100}}


def test_a_frame_that_is_too_long_is_not_sent():
    with pytest.raises(ProtocolError):
        line({"type": "x", "text": "y" * MAX_FRAME})


def test_who_speaks_another_version_is_told_which():
    assert hello_problem({"type": "hello", "protocol": PROTOCOL}, theirs="it") == ""
    assert "did not begin" in hello_problem({"type": "events"}, theirs="it")
    told = hello_problem({"type": "hello", "protocol": 99, "aura": "9.9"}, theirs="the client")
    assert "9.9" in told
    assert "99" in told
