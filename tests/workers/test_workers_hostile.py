"""What a worker may say at its worst: numbers, ids and dates that no program could do anything with."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_engine.core import events
from aura_engine.core.model import ExitRecord, Signal, SignalKind, Usage
from aura_engine.workers.base import Job, RoleSettings, Seen
from aura_engine.workers.patterns import RETRY_CAP, retry_after
from aura_engine.workers.table import make_backend

DATA = Path(__file__).with_name("data")
CAPTURES = {
    "claude": "claude/*.jsonl",
    "codex": "codex_*.jsonl",
    "qwencode": "qwen_*.jsonl",
    "opencode": "opencode_*.jsonl",
    "acp": "acp_*.jsonl",
}
BUILTIN = [
    {"event": "start", "session": "s", "model": "m"},
    {"event": "usage", "input": 5, "output": 3, "turns": 1},
    {"event": "tool", "name": "sh", "input": {"command": "ls"}},
    {"event": "tool_result", "text": "x", "ok": True},
    {"event": "retry", "delay": 1.5, "status": 429, "message": "slow down"},
    {"event": "error", "kind": "rate_limit", "message": "resets in 5 minutes", "status": 429},
    {"event": "result", "status": "failed", "summary": "no"},
]
ODD: tuple[Any, ...] = (
    *(10**400, -(10**400), -1, 1e308, float("nan"), float("inf"), True, None, [], {}, [[[]]], {"a": 1}),
    *(
        "",
        "\ud800",
        "9" * 30,
        "x" * 5000,
        "--yes",
        "limit reached, resets at 0001-01-01 00:00",
        "resets 9999-12-31T23:59",
    ),
)
WAITS = (
    "resets at 2026-11-22 22:00:00 +05:45",
    "resets Nov 25th, 2026, 5am (Europe/Berlin)",
    "try again in 1 h 20 m and 8.4 s",
    "limit reached|1767279600",
    "retry-after: 30",
)
LETTERS = "0123456789:-+/. ,()TZapm\u0663\u00b2"
NOW = 1.7e9


def job_of(backend: str) -> Job:
    settings = RoleSettings(backend=backend, model="m", base_url="http://127.0.0.1:9", command="agent")
    nowhere = Path("/nowhere")
    return Job("x", nowhere, nowhere, nowhere, settings, session="s", max_turns=5, budget=60.0)


def lines_of(backend: str) -> list[dict[str, Any]]:
    if backend == "builtin":
        return BUILTIN
    text = "\n".join(path.read_text("utf-8") for path in sorted(DATA.glob(CAPTURES[backend])))
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def bent(value: Any, dice: random.Random) -> Any:
    """The same with some of its parts replaced by something odd."""
    if dice.random() < 0.06:
        return dice.choice(ODD)
    if isinstance(value, dict):
        return {key: bent(item, dice) for key, item in value.items()}
    return [bent(item, dice) for item in value] if isinstance(value, list) else value


def runs(backend: str, dice: random.Random) -> Iterator[tuple[Seen, str]]:
    """What is seen of bent streams, each with the journal's payload of its end."""
    lines, kind = lines_of(backend), make_backend(backend)
    for _ in range(30):
        parser, seen = kind.parser(job_of(backend)), Seen()
        for line in dice.choices(lines, k=25):
            seen.add_all(parser.feed(json.dumps(bent(line, dice)).encode() + b"\n"))
            parser.replies()
        seen.add_all(parser.close())
        exit = ExitRecord(code=dice.choice([0, 1, 143]), ended=NOW)
        yield seen, events.encode(events.WorkerEnded(task="A1", n=1, ending=kind.ending(exit, seen, "err"), exit=exit))


@pytest.mark.parametrize("backend", [*CAPTURES, "builtin"])
def test_whatever_a_stream_says_it_is_read_and_its_end_can_be_replayed(backend):
    known = 0
    for seen, payload in runs(backend, random.Random(11)):
        ended = events.decode("worker_ended", payload)
        assert isinstance(ended, events.WorkerEnded)
        assert ended.ending.usage == seen.usage
        assert 0 <= seen.usage.cost < 1e8
        assert 0 <= seen.turns < 1e12
        assert seen.status is None or 100 <= seen.status < 600
        assert len(seen.session) <= 128
        assert not seen.session.startswith("-")
        known += seen.usage.tokens > 0 or seen.tools > 0
    assert known > 10  # it did not only read junk


def test_whatever_is_said_of_a_wait_it_is_a_bounded_number_or_none():
    dice = random.Random(5)
    found = 0
    for _ in range(4000):
        text = list(dice.choice(WAITS))
        for _ in range(dice.randint(0, 4)):
            text[dice.randrange(len(text))] = dice.choice(LETTERS) * dice.choice([1, 1, 1, 40])
        wait = retry_after("".join(text), NOW)
        assert wait is None or 0 <= wait <= RETRY_CAP
        found += wait is not None
    assert found > 500


@pytest.mark.parametrize("cost", ["NaN", "1e999", "-1e999", "1" * 400, "-5e9", "1e6", '"7"', "null", "[]"])
def test_an_absurd_price_is_none(cost):
    for backend, line in (
        ("claude", '{"type":"result","subtype":"success","modelUsage":{"claude-x":{}},"total_cost_usd":%s}'),
        ("opencode", '{"type":"step_finish","sessionID":"s","part":{"reason":"stop","cost":%s}}'),
    ):
        seen = Seen()
        seen.add_all(make_backend(backend).parser(job_of(backend)).feed((line % cost).encode() + b"\n"))
        assert seen.finished is not None
        assert seen.usage == Usage()


def test_an_absurd_retry_delay_does_no_harm():
    line = b'{"type":"system","subtype":"api_retry","retry_delay_ms":%s,"error_status":%s}\n' % (b"1" * 400, b"9" * 400)
    (signal,) = make_backend("claude").parser(job_of("claude")).feed(line)
    assert (signal.kind, signal.status) == (SignalKind.RETRY, None)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-555555555555"),
        ("ses_0aB", "ses_0aB"),
        ("x" * 128, "x" * 128),
        ("x" * 129, ""),
        ("--dangerously-skip", ""),
        ("../../etc", ""),
        ("a b", ""),
        ("ses_1\n", ""),
        ("s\u00e9s", ""),
        ("", "ses_old"),
    ],
)
def test_only_what_can_be_an_id_of_a_session_is_kept(told, kept):
    seen = Seen(session="ses_old")
    seen.add(Signal(kind=SignalKind.SESSION, session=told))
    assert seen.session == kept
