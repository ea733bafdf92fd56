"""Backend `acp`: what is read out of the output of four real agents (data/acp_*.jsonl)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from acp_stage import CAPTURES, JOB, answered, ending, lines_of, parse, said, seen_in, started

from aura_engine.core.model import EndKind, SignalKind, Usage
from aura_engine.workers.acp_usage import usage_of


@pytest.mark.parametrize(
    ("name", "kind", "turns"),
    [
        ("claude", EndKind.FINISHED, 2),
        ("claude_cancel", EndKind.KILLED, 1),
        ("codex", EndKind.FINISHED, 2),
        ("codex_cancel", EndKind.KILLED, 1),
        ("codex_permission", EndKind.FINISHED, 2),
        ("codex_steer", EndKind.FINISHED, 3),
        ("opencode", EndKind.FINISHED, 2),
        ("opencode_401", EndKind.CRASHED, 0),
        ("opencode_context", EndKind.CONTEXT_OVERFLOW, 0),
        ("opencode_plan", EndKind.FINISHED, 2),
        ("opencode_refusal", EndKind.GAVE_UP, 1),
        ("opencode_reject", EndKind.FINISHED, 1),
        ("qwen", EndKind.FINISHED, 2),
        ("qwen_401", EndKind.CREDENTIALS, 0),
        ("qwen_blocked", EndKind.FINISHED, 2),
        ("qwen_cancel", EndKind.KILLED, 1),
        ("qwen_cut", EndKind.UNREACHABLE, 1),
        ("qwen_plan", EndKind.FINISHED, 2),
    ],
)
def test_every_captured_ending(name, kind, turns):
    seen, found = seen_in(name), ending(name)
    assert found.kind is kind, found
    assert found.session == seen.session != ""
    assert (seen.turns, seen.unknown) == (turns, 0)
    assert found.claims == ("done" if kind is EndKind.FINISHED and name != "opencode_reject" else found.claims)


@pytest.mark.parametrize("name", CAPTURES)
def test_the_pieces_in_which_output_comes_make_no_difference(name):
    whole = parse(lines_of(name))
    for step in (1, 7, 4096):
        assert parse(lines_of(name), step=step) == whole


@pytest.mark.parametrize("name", CAPTURES)
def test_a_parser_that_reads_from_the_start_sends_what_the_first_one_sent(name):
    lines = lines_of(name).splitlines(keepends=True)
    all_replies = parse(b"".join(lines))[1]
    for taken in range(len(lines)):
        replies = parse(b"".join(lines[:taken]))[1]
        assert replies == all_replies[: len(replies)]


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("claude", Usage(input=200, output=22, cache_read=60, cache_write=40, cost=0.0018300000000000002)),
        ("codex", Usage(input=240, output=22, cache_read=60)),
        ("qwen", Usage(input=240, output=22, cache_read=60)),
        # it tells its last step only: both are taken to be as long
        ("opencode", Usage(input=240, output=22, cache_read=60, cost=0.000284)),
        # a cancelled turn tells nothing: what its context held counts
        ("claude_cancel", Usage(input=161, cost=0.0027450000000000005)),
    ],
)
def test_usage_comes_from_four_places(name, usage):
    assert seen_in(name).usage == usage


def test_a_made_up_price_is_not_counted():
    job = replace(JOB, settings=replace(JOB.settings, model="deepseek-v4"))
    assert seen_in("claude", job=job).usage == Usage(input=200, output=22, cache_read=60, cache_write=40)
    job = replace(JOB, settings=replace(JOB.settings, model="claude-opus"))
    assert seen_in("claude", job=job).usage.cost > 0


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"inputTokens": 120, "outputTokens": 7, "thoughtTokens": 4, "cachedReadTokens": 30, "totalTokens": 161}, 161),
        ({"inputTokens": 150, "outputTokens": 11, "thoughtTokens": 4, "cachedReadTokens": 30, "totalTokens": 161}, 161),
        ({"inputTokens": 120, "outputTokens": 11, "thoughtTokens": 4, "cachedReadTokens": 30, "totalTokens": 161}, 161),
        ({"inputTokens": 120, "outputTokens": 11}, 131),
        ({"inputTokens": -5, "outputTokens": "x"}, 0),
        (None, 0),
    ],
)
def test_tokens_are_counted_once(told, usage):
    assert usage_of(told).tokens == usage
    assert usage_of(told).input == (120 if usage else 0)


@pytest.mark.parametrize(
    ("name", "tool", "text"),
    [
        ("claude", "Bash", "echo hello"),
        ("codex", "exec_command", "echo hello"),
        ("opencode", "execute", "echo hello"),
        ("qwen", "execute", "echo hello"),
        ("qwen_cancel", "run_shell_command", "sleep 47"),
        ("opencode_plan", "todowrite", "write hello"),
        ("qwen_plan", "plan", "[>] write hello\n[ ] check"),
    ],
)
def test_a_tool_call_is_told_once_with_its_input(name, tool, text):
    found = [signal for signal in parse(lines_of(name))[0] if signal.kind is SignalKind.TOOL]
    assert [signal.tool for signal in found] == [tool]
    assert text in found[0].text


def test_results_of_tools_say_whether_they_worked():
    def results(name: str) -> list[tuple[bool, str]]:
        return [(s.ok, s.text) for s in parse(lines_of(name))[0] if s.kind is SignalKind.TOOL_RESULT]

    assert results("codex") == [(True, "$WORKDIR\n")]
    assert results("opencode_reject") == [(False, "The user rejected permission to use this specific tool call.")]
    assert [ok for ok, _ in results("qwen_blocked")] == [False]


def test_a_message_is_one_signal_however_many_pieces():
    pieces = [{"content": {"type": "text", "text": word}, "messageId": "m1"} for word in ("Hel", "lo ", "there")]
    other = {"content": {"type": "text", "text": "Next"}, "messageId": "m2"}
    data = b"".join(said("agent_message_chunk", piece) for piece in [*pieces, other])
    texts = [signal.text for signal in parse(data)[0] if signal.kind is SignalKind.MESSAGE]
    assert texts == ["Hello there", "Next"]


def test_each_new_message_is_a_model_call():
    """An agent whose answers break off asks again and again, without any tool: the limit of turns has to see it."""
    pieces = [{"content": {"type": "text", "text": "half"}, "messageId": f"m{n}"} for n in range(60)]
    signals, _ = parse(b"".join(said("agent_message_chunk", piece) for piece in pieces))
    assert max(signal.turns or 0 for signal in signals) == 60


def test_what_nobody_can_read_is_unknown_and_harmless():
    junk = [
        b"npm warn deprecated\n",
        b"[1, 2]\n",
        b"{}\n",
        b'{"id": {}}\n',
        b'"x"\n',
        b"\xff\xfe\n",
        b"{" * 5000 + b"\n",
    ]
    junk += [said("telepathy", {"content": 1}), said("tool_call", {"title": 3}), answered(1)[:20] + b"\n"]
    signals, replies = parse(started() + b"".join(junk) + answered(2, {"sessionId": "s"}))
    assert [signal.kind for signal in signals] == [SignalKind.UNKNOWN] * len(junk) + [SignalKind.SESSION]
    assert len(replies) == 2


def test_unknown_fields_and_notifications_say_nothing():
    chunk = said("agent_message_chunk", {"content": {"type": "text", "text": "Hi", "new": 1}, "more": {}}, extra=1)
    other = b'{"jsonrpc":"2.0","method":"_auth/status_update","params":{}}\n'
    signals, _ = parse(chunk + other)
    assert [signal.text for signal in signals if signal.kind is not SignalKind.USAGE] == ["Hi"]
