"""Backend `qwencode` against what the real program printed (tests/workers/data/qwen_*.jsonl)."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from worker_stage import job_for

from aura_engine.core.model import Ending, EndKind, ExitRecord, SignalKind, Usage
from aura_engine.workers.base import Login, Seen
from aura_engine.workers.qwencode import SETTINGS, QwenCode, QwenCodeParser

job = partial(job_for, "qwencode", "qwen")
DATA = Path(__file__).with_name("data")
NO_SESSION = "No saved session found with ID 9999. Run `qwen --resume` without an ID to choose one.\n"
TURNS = "Reached max session turns for this session. Increase the number of turns by specifying maxSessionTurns.\n"
CANCELLED = "Operation cancelled.\n"


def signals_in(name: str, *, resumed: bool = False) -> list:
    parser = QwenCodeParser(resumed=resumed)
    return [*(parser.feed((DATA / f"qwen_{name}.jsonl").read_bytes()) if name else ()), *parser.close()]


def seen_in(name: str, *, resumed: bool = False) -> Seen:
    seen = Seen()
    seen.add_all(signals_in(name, resumed=resumed))
    return seen


def ending(name: str, *, code: int | None = 0, signal: int | None = None, stderr: str = "", error: str = "") -> Ending:
    return QwenCode().ending(ExitRecord(code=code, signal=signal, error=error), seen_in(name), stderr)


@pytest.mark.parametrize(
    ("name", "code", "stderr", "kind"),
    [
        ("ok", 0, "", EndKind.FINISHED),
        ("write", 0, "", EndKind.FINISHED),
        ("text", 0, "", EndKind.FINISHED),
        ("failtool", 0, "", EndKind.FINISHED),
        ("partial", 0, "", EndKind.FINISHED),
        ("res2", 0, "", EndKind.FINISHED),
        ("default_perm", 0, "", EndKind.FINISHED),  # its tools were kept from it; only the checks can tell
        ("anthropic", 0, "", EndKind.FINISHED),
        ("subagent", 0, "", EndKind.FINISHED),
        ("subagent_failed", 0, "", EndKind.FINISHED),
        ("e400", 0, "", EndKind.BAD_REQUEST),
        ("e401", 0, "", EndKind.CREDENTIALS),
        ("anthropic_401", 0, "", EndKind.CREDENTIALS),
        ("e402", 0, "", EndKind.MONEY),
        ("e403", 0, "", EndKind.CREDENTIALS),
        ("e404", 0, "", EndKind.BAD_REQUEST),
        ("e429", 0, "", EndKind.RATE_LIMIT),
        ("e500", 0, "", EndKind.OVERLOADED),
        ("ctx", 0, "", EndKind.CONTEXT_OVERFLOW),
        ("timeout", 0, "", EndKind.UNREACHABLE),
        ("unreachable", 0, "", EndKind.UNREACHABLE),
        ("cut", 0, "", EndKind.UNREACHABLE),
        ("streamerr", 0, "", EndKind.CRASHED),  # its words are known to nobody
        ("maxturns", 53, TURNS, EndKind.OUT_OF_TURNS),
        ("maxturns", 53, "", EndKind.OUT_OF_TURNS),
        ("noauth", 1, "", EndKind.CREDENTIALS),
        ("sigterm", 130, CANCELLED, EndKind.KILLED),
        ("sigterm_tool", 130, CANCELLED, EndKind.KILLED),
        ("sigint_tool", 130, CANCELLED, EndKind.KILLED),
    ],
)
def test_every_captured_ending(name, code, stderr, kind):
    found = ending(name, code=code, stderr=stderr)
    assert found.kind is kind, found
    assert seen_in(name).unknown == 0
    assert bool(found.detail) == (kind is not EndKind.FINISHED)
    assert found.session != "" or name == "noauth"


@pytest.mark.parametrize(
    ("name", "signal", "kind"),
    [
        ("e429_killed", 9, EndKind.KILLED),
        ("relaunched_sigterm", 15, EndKind.KILLED),
        ("ok", 9, EndKind.FINISHED),  # it hung after its last word
        ("ok", 11, EndKind.CRASHED),
        ("e401", 9, EndKind.CREDENTIALS),
    ],
)
def test_ended_by_a_signal(name, signal, kind):
    assert ending(name, code=None, signal=signal).kind is kind


@pytest.mark.parametrize(
    ("code", "stderr", "kind"),
    [
        (1, NO_SESSION, EndKind.BAD_REQUEST),
        (1, "Unknown argument: frobnicate\n", EndKind.BAD_REQUEST),
        (41, "the key was not taken\n", EndKind.CREDENTIALS),
        (1, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", EndKind.CRASHED),
        (0, "", EndKind.CRASHED),
        (127, "qwen: not found\n", EndKind.MISSING_CLI),
    ],
)
def test_an_end_without_any_event_is_told_by_status_and_stderr(code, stderr, kind):
    found = ending("", code=code, stderr=stderr)
    assert found.kind is kind
    assert stderr.strip()[:20] in found.detail


def test_exit_status_and_claim_must_agree():
    assert ending("ok", code=1).kind is EndKind.CRASHED
    assert ending("ok", code=None, error="qwen: No such file or directory").kind is EndKind.MISSING_CLI


def result(text: str) -> Seen:
    line = {"type": "result", "subtype": "success", "is_error": False, "duration_ms": 5, "result": text, "usage": {}}
    seen = Seen()
    seen.add_all(QwenCodeParser().feed(json.dumps(line).encode() + b"\n"))
    return seen


def test_an_error_after_half_an_answer_is_no_success():
    seen = result("half an ans" * 400 + "[API Error: 503 Service Unavailable]")
    assert (seen.finished, seen.status, seen.failed) == (None, 503, "503 Service Unavailable")


def test_an_error_that_it_only_speaks_of_is_none():
    said = "The log printed “[API Error: 500]” twice; I mended the retry."
    assert result(said).finished == said


def test_a_limit_says_when_it_resets():
    seen = result("[API Error: 429 quota exceeded, try again in 20 minutes]\nPossible quota limitations in place.")
    found = QwenCode().ending(ExitRecord(code=0), seen, "")
    assert (found.kind, found.retry_after) == (EndKind.RATE_LIMIT, 1200)


def test_an_error_is_no_claim_of_its():
    assert ending("e401").claims == ""
    assert ending("ok").claims == "done"


def test_a_sub_agents_error_ends_nothing():
    kinds = [signal.kind for signal in signals_in("subagent_failed")]
    assert SignalKind.FAILED not in kinds
    assert kinds.count(SignalKind.FINISHED) == 1
    failed = next(signal for signal in signals_in("subagent_failed") if not signal.ok)
    assert (failed.kind, failed.text) == (SignalKind.TOOL_RESULT, "400 sub bad request")


def test_usage_counts_what_came_from_the_cache_apart():
    assert seen_in("ok").usage == Usage(input=240, output=22, cache_read=60)


def test_usage_holds_what_sub_agents_spent():
    assert seen_in("subagent").usage == Usage(input=52854, output=37)


def test_usage_of_a_resumed_session_leaves_its_past_out():
    assert seen_in("res2", resumed=True).usage == Usage(input=240, output=22, cache_read=60)
    assert seen_in("res2").usage.input == 480  # what the program itself says


def test_usage_never_falls_while_it_runs():
    for name in ("ok", "subagent", "maxturns"):
        totals = [signal.usage.tokens for signal in signals_in(name) if signal.usage]
        assert totals == sorted(totals)
        assert totals[-1] > 0


@pytest.mark.parametrize(
    ("name", "turns"), [("ok", 2), ("text", 1), ("maxturns", 3), ("subagent", 2), ("partial", 2), ("e401", 1)]
)
def test_turns_are_the_models_calls_of_the_worker_itself(name, turns):
    assert seen_in(name).turns == turns


def test_signals_tell_tools_and_messages():
    signals = [signal for signal in signals_in("failtool") if signal.kind is not SignalKind.USAGE]
    assert [signal.kind for signal in signals] == [
        SignalKind.SESSION,
        SignalKind.MESSAGE,
        SignalKind.TOOL,
        SignalKind.TOOL_RESULT,
        SignalKind.MESSAGE,
        SignalKind.FINISHED,
    ]
    assert signals[0].text == "scripted-model"
    assert (signals[2].tool, "exit 3" in signals[2].text) == ("run_shell_command", True)
    assert signals[3].text == "oops"


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b'{"type":"assistant"}',
        b'{"type":"assistant","message":{"content":[{"type":"text"}]}}',
        b'{"type":"system","subtype":"init"}',
        b'{"type":"user","message":null,"parent_tool_use_id":[]}',
        b'{"type":"result"}',
        b'{"type":"result","is_error":true,"error":7,"usage":"x"}',
        b'{"type":"from the future"}',
        b"\xff\xfe{",
    ],
)
def test_no_line_breaks_the_parser(line):
    parser = QwenCodeParser()
    signals = [*parser.feed(line + b"\n"), *parser.feed((DATA / "qwen_ok.jsonl").read_bytes())]
    assert signals[-1].kind is SignalKind.FINISHED


def test_launch():
    spec = QwenCode().launch(job(api_key="k", base_url="http://127.0.0.1:1/v1", model="m", env={"MORE": "1"}))
    assert spec.argv[0] == "/bin/qwen"
    assert spec.argv[-4:] == ("--session-id", "0000-1111", "--max-session-turns", "7")
    assert spec.cwd == "/w/space"
    assert not spec.stdin_open
    assert spec.stdin == "Do “it”.\nAll of it."
    wanted = {
        "HOME": "/w/home",
        "TMPDIR": "/w/home/tmp",
        "QWEN_CODE_NO_RELAUNCH": "1",
        "QWEN_CODE_MAX_OUTPUT_TOKENS": "25000",
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_MODEL": "m",
        "MORE": "1",
    }
    assert wanted.items() <= spec.env.items()
    assert "k" not in spec.argv  # a key never stands in the process list
    assert spec.env["QWEN_CODE_SYSTEM_SETTINGS_PATH"] == f"/w/home/{SETTINGS}"
    settings = json.loads(spec.files[SETTINGS])
    assert settings["security"]["auth"]["selectedType"] == "openai"
    assert settings["model"]["generationConfig"]["maxRetries"] == 1


def test_launch_with_anthropics_protocol():
    role = {"api_key": "k", "base_url": "http://127.0.0.1:1", "model": "m", "protocol": "anthropic"}
    spec = QwenCode().launch(job(**role))
    wanted = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "ANTHROPIC_MODEL": "m"}
    assert wanted.items() <= spec.env.items()
    assert not [name for name in spec.env if name.startswith("OPENAI")]
    assert json.loads(spec.files[SETTINGS])["security"]["auth"]["selectedType"] == "anthropic"


def test_the_longest_answer_is_the_persons_choice():
    assert QwenCode().launch(job(max_output_tokens=4096)).env["QWEN_CODE_MAX_OUTPUT_TOKENS"] == "4096"


def test_an_address_is_always_named():
    # a `.env` in the workspace could else send the role's key elsewhere
    assert QwenCode().launch(job(api_key="k")).env["OPENAI_BASE_URL"] == "https://api.openai.com/v1"


def test_the_shells_of_its_tools_see_neither_key_nor_settings(tmp_path):
    spec = QwenCode().launch(replace(job(api_key="sk-1", base_url="http://h/v1", model="m"), home=tmp_path))
    for name, text in spec.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {"PATH": os.environ["PATH"], **spec.env}
    assert "sk-1" in env.values()
    out = subprocess.run(["bash", "-c", "env"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "HOME=" in out.stdout
    for hidden in ("sk-1", *["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"]):
        assert hidden not in out.stdout


def test_resume_names_the_old_session():
    argv = QwenCode().launch(replace(job(), resume=True)).argv
    assert argv[argv.index("--resume") + 1] == "0000-1111"
    assert "--session-id" not in argv


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("nothing here", "nothing here"),
        ("mail me@here.org", "mail me\\@here.org"),
        ("@dataclass\nclass A:", "\\@dataclass\nclass A:"),
        ("already \\@home", "already \\@home"),
    ],
)
def test_at_signs_are_kept_from_being_taken_for_files(prompt, sent):
    stdin = QwenCode().launch(replace(job(), prompt=prompt)).stdin
    assert stdin.startswith(sent)
    assert ("without the backslash" in stdin) == (prompt != sent)


@pytest.fixture
def person(tmp_path: Path) -> Path:
    (tmp_path / ".qwen").mkdir()
    settings = {
        "env": {"PLAN_KEY": "sk-plan"},
        "modelProviders": {
            "openai": [{"id": "other"}, {"id": "coder", "envKey": "PLAN_KEY", "baseUrl": "http://p/v1"}]
        },
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": "coder"},
    }
    (tmp_path / ".qwen" / "settings.json").write_text(json.dumps(settings))
    return tmp_path


def test_the_persons_own_key_goes_with_its_own_address_and_model(person):
    login = QwenCode().login({"HOME": str(person)})
    assert login is not None
    assert "~/.qwen/settings.json" in login.words
    assert login.env == {"OPENAI_API_KEY": "sk-plan", "OPENAI_BASE_URL": "http://p/v1", "OPENAI_MODEL": "coder"}
    assert "sk-plan" not in repr(login)
    env = QwenCode().launch(job(login=login)).env
    assert login.env.items() <= env.items()
    assert QwenCode().launch(job(login=login, model="mine")).env["OPENAI_MODEL"] == "mine"


@pytest.mark.parametrize("role", [{"api_key": "k"}, {"base_url": "http://elsewhere/v1"}])
def test_the_persons_own_key_is_never_sent_where_the_role_points(person, role):
    login = QwenCode().login({"HOME": str(person)})
    assert isinstance(login, Login)
    assert "sk-plan" not in QwenCode().launch(job(login=login, **role)).env.values()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{ // a comment\n}",
        '{"security": {"auth": {"selectedType": "qwen-oauth"}}}',
        '{"security": {"auth": {"selectedType": "openai"}}}',
        '{"security": {"auth": {"selectedType": "openai", "apiKey": 7}}, "modelProviders": {"openai": [3]}}',
    ],
)
def test_no_login_of_the_persons(tmp_path, text):
    if text is not None:
        (tmp_path / ".qwen").mkdir()
        (tmp_path / ".qwen" / "settings.json").write_text(text)
    assert QwenCode().login({"HOME": str(tmp_path)}) is None
