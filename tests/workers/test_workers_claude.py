"""Backend `claude` against what the real program printed (tests/workers/data/claude)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from worker_stage import job_for

from aura_engine.core.model import Ending, EndKind, ExitRecord, SignalKind, Usage
from aura_engine.workers.base import Seen
from aura_engine.workers.claude import Claude, ClaudeParser

job = partial(job_for, "claude", "claude")
DATA = Path(__file__).with_name("data") / "claude"
ROOT_REFUSED = "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons\n"


def seen_in(name: str) -> Seen:
    parser, seen = ClaudeParser(), Seen()
    if name:
        seen.add_all(parser.feed((DATA / f"{name}.jsonl").read_bytes()))
    seen.add_all(parser.close())
    return seen


def ending(name: str, *, code: int | None = 0, signal: int | None = None, stderr: str = "", error: str = "") -> Ending:
    return Claude().ending(ExitRecord(code=code, signal=signal, error=error), seen_in(name), stderr)


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("ok", 0, EndKind.FINISHED),
        ("write", 0, EndKind.FINISHED),
        ("failtool", 0, EndKind.FINISHED),
        ("partial", 0, EndKind.FINISHED),
        ("default_perm", 0, EndKind.FINISHED),
        ("streamin", 0, EndKind.FINISHED),
        ("e400", 1, EndKind.BAD_REQUEST),
        ("e401_r2", 1, EndKind.CREDENTIALS),
        ("e401_hdr", 1, EndKind.CREDENTIALS),
        ("e403", 1, EndKind.CREDENTIALS),
        ("e404", 1, EndKind.BAD_REQUEST),
        ("e529_r2", 1, EndKind.OVERLOADED),
        ("ctx", 1, EndKind.CONTEXT_OVERFLOW),
        ("api_timeout", 1, EndKind.UNREACHABLE),
        ("unreachable_r2", 1, EndKind.UNREACHABLE),
        ("streamerr", 1, EndKind.OVERLOADED),
        ("maxturns", 1, EndKind.OUT_OF_TURNS),
        ("budget", 1, EndKind.OUT_OF_TIME),
        ("noauth", 1, EndKind.CREDENTIALS),
        ("sigterm", 143, EndKind.KILLED),
        ("sigterm_tool", 143, EndKind.KILLED),
        ("sigint", 0, EndKind.CRASHED),
        ("unreachable", 137, EndKind.KILLED),
    ],
)
def test_every_captured_ending(name, code, kind):
    found = ending(name, code=code)
    assert found.kind is kind, found
    assert found.session == seen_in(name).session != ""
    assert seen_in(name).unknown == 0
    assert bool(found.detail) == (kind is not EndKind.FINISHED)


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        (ROOT_REFUSED, EndKind.PERMISSION),
        ("No conversation found with session ID: 1234\n", EndKind.BAD_REQUEST),
        ("error: unknown option '--frobnicate'\n", EndKind.BAD_REQUEST),
        ("Segmentation fault\n", EndKind.CRASHED),
        ("", EndKind.CRASHED),
    ],
)
def test_an_end_without_any_event_is_told_by_stderr(stderr, kind):
    found = ending("", code=1, stderr=stderr)
    assert found.kind is kind
    assert stderr.strip()[:20] in found.detail


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("claude: No such file or directory", EndKind.MISSING_CLI),
        ("claude: Permission denied", EndKind.MISSING_CLI),
        ("its shim ended without a record; what was left of it was killed", EndKind.CRASHED),
    ],
)
def test_what_could_not_be_run(error, kind):
    assert ending("", code=None, error=error).kind is kind


def test_exit_status_and_claim_must_agree():
    assert ending("ok", code=1).kind is EndKind.CRASHED
    assert ending("ok", code=1).claims == "done"
    # a hang after its last word is ended by the engine: the claim stands
    assert ending("ok", code=None, signal=9).kind is EndKind.FINISHED
    assert ending("ok", code=143).kind is EndKind.FINISHED
    # an exit status of 0 alone is nothing
    assert ending("e401_hdr", code=0).kind is EndKind.CREDENTIALS


def test_interrupted_in_a_tool_is_killed():
    lines = (DATA / "streamin.jsonl").read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if "error_during_execution" in line)
    parser, seen = ClaudeParser(), Seen()
    seen.add_all(parser.feed("\n".join(lines[: at + 1]).encode() + b"\n"))
    assert seen.reason == "aborted_tools"
    assert Claude().ending(ExitRecord(code=0), seen, "").kind is EndKind.KILLED


def test_usage_is_the_sum_over_all_turns():
    assert seen_in("ok").usage == Usage(input=200, output=22, cache_read=60, cache_write=40)
    # a cut run reports zeros: what its messages said counts
    assert seen_in("budget").usage.input == 100
    # four turns in one process, each with its own result
    assert seen_in("streamin").usage.input == 200 + 200 + 100 + 100


def test_usage_never_falls_while_it_runs():
    parser = ClaudeParser()
    totals = [
        signal.usage.tokens
        for line in (DATA / "streamin.jsonl").read_bytes().splitlines(keepends=True)
        for signal in parser.feed(line)
        if signal.usage is not None
    ]
    assert totals == sorted(totals)
    assert len(totals) > 5


def test_turns_are_model_calls():
    assert seen_in("ok").turns == 2
    assert seen_in("maxturns").turns == 3


def test_a_price_is_trusted_for_its_own_models_only():
    line = (DATA / "ok.jsonl").read_bytes().splitlines(keepends=True)[-1]
    assert seen_in("ok").usage.cost == 0.0
    real = line.replace(b"scripted-model", b"claude-opus-4-6")
    seen = Seen()
    seen.add_all(ClaudeParser().feed(real))
    assert seen.usage.cost == pytest.approx(0.00183)


def test_signals_tell_tools_messages_and_retries():
    signals = ClaudeParser().feed((DATA / "failtool.jsonl").read_bytes())
    assert [signal.kind for signal in signals if signal.kind is not SignalKind.USAGE] == [
        SignalKind.SESSION,
        SignalKind.MESSAGE,
        SignalKind.TOOL,
        SignalKind.TOOL_RESULT,
        SignalKind.MESSAGE,
        SignalKind.FINISHED,
    ]
    tool = next(signal for signal in signals if signal.kind is SignalKind.TOOL)
    assert tool.tool == "Bash"
    assert "command" in tool.text
    result = next(signal for signal in signals if signal.kind is SignalKind.TOOL_RESULT)
    assert not result.ok
    assert "Exit code 3" in result.text
    seen = seen_in("e529_r2")
    assert (seen.retries, seen.status) == (2, 529)


def test_a_new_turn_takes_the_last_claim_back():
    seen = seen_in("ok")
    assert seen.finished == "done"
    seen.add_all(ClaudeParser().feed((DATA / "sigterm.jsonl").read_bytes()))
    assert seen.finished is None


def test_a_limit_with_its_reset_time():
    result = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429}
    line = json.dumps({**result, "result": "You've hit your session limit · resets 3pm (UTC)"}).encode() + b"\n"
    seen = Seen()
    seen.add_all(ClaudeParser().feed(line))
    noon = 1_767_268_800.0
    found = Claude().ending(ExitRecord(code=1, ended=noon), seen, "")
    assert (found.kind, found.retry_after) == (EndKind.RATE_LIMIT, 3 * 3600)


def test_launch():
    spec = Claude().launch(
        job(api_key="k", base_url="http://127.0.0.1:1", model="m", env={"CLAUDE_CODE_OAUTH_TOKEN": "t"})
    )
    assert spec.argv[:3] == ("/bin/claude", "-p", "--verbose")
    assert spec.argv[-4:] == ("--session-id", "0000-1111", "--max-turns", "7")
    assert spec.cwd == "/w/space"
    assert spec.stdin_open
    assert json.loads(spec.stdin)["message"]["content"][0]["text"] == "Do “it”.\nAll of it."
    assert spec.stdin.count("\n") == 1
    wanted = {"HOME": "/w/home", "CLAUDE_CONFIG_DIR": "/w/home/.claude", "IS_SANDBOX": "1", "ANTHROPIC_API_KEY": "k"}
    assert wanted.items() <= spec.env.items()
    assert spec.env["CLAUDE_CODE_OAUTH_TOKEN"] == "t"
    assert not any(word == "k" for word in spec.argv)  # a key never stands in the process list


def test_launch_without_key_or_model_leaves_them_to_the_program():
    spec = Claude().launch(job())
    assert not {"ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "ANTHROPIC_BASE_URL"} & set(spec.env)


def test_resume_names_the_old_session():
    argv = Claude().launch(replace(job(), resume=True)).argv
    assert argv[argv.index("--resume") + 1] == "0000-1111"
    assert "--session-id" not in argv
