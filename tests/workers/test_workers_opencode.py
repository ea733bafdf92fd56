"""Backend `opencode` against what the real program printed (tests/workers/data/opencode_*.jsonl)."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from worker_stage import job_for

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.workers.base import Seen
from aura_engine.workers.opencode import AUTH, BREAKS, KEY, OpenCode, OpenCodeParser

job = partial(job_for, "opencode", "opencode")
DATA = Path(__file__).with_name("data")
REJECTED = "\x1b[93m\x1b[1m! \x1b[0mpermission requested: bash (echo hello > hello.txt); auto-rejecting\n"
NO_SESSION = "\x1b[91m\x1b[1mError: \x1b[0mSession not found\n"
NO_FILE = "\x1b[91m\x1b[1mError: \x1b[0mFile not found: Complete the task\n"
NO_MODEL = (
    "timestamp=2026-11-22T15:54:47.420Z level=ERROR run=2637b406 message=failed ref=err_0c2a468e "
    'error="ProviderModelNotFoundError: Model not found: aura/nosuch." cause="ProviderModelNotFoundError: Model"\n'
)
SLOW = (
    'timestamp=2026-11-22T15:52:42.697Z level=ERROR run=04b7ee26 message="stream error" providerID=aura '
    'error.error="AI_APICallError: slow down"\n'
)


def signals_in(name: str, lines: int | None = None) -> list[Signal]:
    parser = OpenCodeParser()
    text = (DATA / f"opencode_{name}.jsonl").read_bytes().splitlines(keepends=True)[:lines] if name else []
    return [*parser.feed(b"".join(text)), *parser.close()]


def seen_in(name: str, lines: int | None = None) -> Seen:
    seen = Seen()
    seen.add_all(signals_in(name, lines))
    return seen


def ending(name: str, *, code: int | None = 0, signal: int | None = None, stderr: str = "", error: str = "") -> Ending:
    return OpenCode().ending(ExitRecord(code=code, signal=signal, error=error), seen_in(name), stderr)


@pytest.mark.parametrize(
    ("name", "code", "stderr", "kind"),
    [
        ("ok", 0, "", EndKind.FINISHED),
        ("write", 0, "", EndKind.FINISHED),
        ("text", 0, "", EndKind.FINISHED),
        ("failtool", 0, "", EndKind.FINISHED),
        ("res2", 0, "", EndKind.FINISHED),
        ("anthropic", 0, "", EndKind.FINISHED),
        ("compact", 0, "", EndKind.FINISHED),
        ("sigterm_tool", 0, "", EndKind.FINISHED),  # it did not hear the signal
        ("e400", 1, "", EndKind.BAD_REQUEST),
        ("e401", 1, "", EndKind.CREDENTIALS),
        ("e402", 1, "", EndKind.MONEY),
        ("e403", 1, "", EndKind.CREDENTIALS),
        ("e404", 1, "", EndKind.BAD_REQUEST),
        ("e429", 1, "", EndKind.RATE_LIMIT),
        ("e500", 1, "", EndKind.OVERLOADED),
        ("ctx", 1, "", EndKind.CONTEXT_OVERFLOW),
        ("rejected", 0, REJECTED, EndKind.PERMISSION),
        ("badmodel", 1, NO_MODEL, EndKind.BAD_REQUEST),
        ("badmodel", 1, "", EndKind.OVERLOADED),  # its own words, where its log does not say more
        ("ok", 1, "", EndKind.CRASHED),
    ],
)
def test_every_captured_ending(name, code, stderr, kind):
    found = ending(name, code=code, stderr=stderr)
    assert found.kind is kind, found
    assert found.session.startswith("ses_")
    assert seen_in(name).unknown == 0
    assert bool(found.detail) == (kind is not EndKind.FINISHED)


@pytest.mark.parametrize(
    ("name", "signal", "kind"),
    [
        ("", 15, EndKind.KILLED),  # SIGTERM, and SIGINT, while the model was asked
        ("", 2, EndKind.KILLED),
        ("", 9, EndKind.KILLED),  # after a minute of 429, 500, or nobody there
        ("sigterm_tool_group", 15, EndKind.KILLED),
        ("streamerr", 9, EndKind.KILLED),
        ("maxsteps", 9, EndKind.KILLED),
        ("cut", 9, EndKind.UNREACHABLE),
        ("ok", 9, EndKind.FINISHED),  # it hung after its last word
        ("ok", 11, EndKind.CRASHED),
        ("e401", 15, EndKind.CREDENTIALS),
    ],
)
def test_ended_by_a_signal(name, signal, kind):
    assert ending(name, code=None, signal=signal, stderr=SLOW).kind is kind


@pytest.mark.parametrize(
    ("code", "stderr", "kind"),
    [
        (1, NO_SESSION, EndKind.BAD_REQUEST),
        (1, NO_FILE, EndKind.CRASHED),
        (0, "", EndKind.CRASHED),
        (127, "opencode: not found\n", EndKind.MISSING_CLI),
        (132, "Illegal instruction\n", EndKind.CRASHED),
    ],
)
def test_an_end_without_any_event_is_told_by_status_and_stderr(code, stderr, kind):
    assert ending("", code=code, stderr=stderr).kind is kind


def test_what_could_not_be_run():
    assert ending("", code=None, error="opencode: No such file or directory").kind is EndKind.MISSING_CLI


def test_a_step_that_sums_the_session_up_is_no_last_word():
    lines = [json.loads(line) for line in (DATA / "opencode_compact.jsonl").read_text().splitlines()]
    at = next(n for n, line in enumerate(lines, 1) if line["part"].get("reason") == "stop")
    assert at < len(lines)
    assert seen_in("compact", at).finished == "SUMMARY of it all"
    after = seen_in("compact", at + 1)
    assert after.finished is None
    assert after.last_message == "SUMMARY of it all"  # what it then tells the model itself is no message of its
    assert ending("compact").claims == "done"


def test_answers_that_break_off_for_ever_are_the_services_fault():
    kinds = [signal.kind for signal in signals_in("cut")]
    assert kinds.count(SignalKind.FAILED) == 1
    assert seen_in("cut").failed  # its later tries take nothing back
    assert seen_in("cut").turns == 0
    assert seen_in("cut").retries == 7
    assert seen_in("cut", 3 * (BREAKS - 1)).failed is None


def test_an_answer_after_those_that_broke_off_takes_that_back():
    parser, seen = OpenCodeParser(), Seen()
    for name in ("cut", "ok"):
        text = (DATA / f"opencode_{name}.jsonl").read_text().replace(seen_in(name).session, "ses_1")
        seen.add_all(parser.feed(text.encode()))
        assert (seen.failed is None) == (name == "ok")
    assert (seen.finished, seen.turns) == ("done", 2)


def test_usage_is_the_sum_over_all_steps():
    assert seen_in("ok").usage == Usage(input=240, output=22, cache_read=60, cost=0.000284)
    totals = [signal.usage.tokens for signal in signals_in("maxsteps") if signal.usage]
    assert totals == sorted(totals)


@pytest.mark.parametrize(("name", "turns"), [("ok", 2), ("text", 1), ("compact", 5), ("maxsteps", 6), ("e401", 0)])
def test_turns_are_steps(name, turns):
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
    assert (signals[2].tool, "exit 3" in signals[2].text) == ("bash", True)
    assert (signals[3].ok, signals[3].text) == (False, "oops\n")
    assert signals[5].text == "done"


def events(*bodies: dict) -> Seen:
    seen = Seen()
    lines = [json.dumps({"sessionID": "ses_1", **body}).encode() + b"\n" for body in bodies]
    seen.add_all(OpenCodeParser().feed(b"".join(lines)))
    return seen


def finish(reason: str) -> dict:
    return {"type": "step_finish", "part": {"reason": reason, "tokens": {}, "cost": float("nan")}}


@pytest.mark.parametrize(
    ("reason", "finished", "failed"),
    [
        ("stop", True, False),
        ("length", True, False),  # cut at its longest answer: it stops there, and the checks decide
        ("tool-calls", False, False),
        ("unknown", False, False),
        ("content-filter", False, True),
        ("error", False, True),
    ],
)
def test_how_a_step_ends(reason, finished, failed):
    seen = events({"type": "step_start", "part": {}}, finish(reason))
    assert (seen.finished is not None, seen.failed is not None) == (finished, failed)
    assert seen.usage.cost == 0.0


def test_a_limit_says_when_it_resets():
    data = {"message": "slow down", "statusCode": 429, "responseHeaders": {"retry-after": "90"}}
    seen = events({"type": "error", "error": {"name": "APIError", "data": data}})
    found = OpenCode().ending(ExitRecord(code=1), seen, "")
    assert (found.kind, found.retry_after) == (EndKind.RATE_LIMIT, 90)
    data["responseHeaders"] = {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}
    seen = events({"type": "error", "error": {"name": "APIError", "data": data}})
    assert OpenCode().ending(ExitRecord(code=1), seen, "").kind is EndKind.RATE_LIMIT


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b'{"type":"text","sessionID":"ses_1"}',
        b'{"type":"tool_use","sessionID":"ses_1","part":{"tool":"bash"}}',
        b'{"type":"step_finish","sessionID":"ses_1","part":{"reason":"stop","tokens":7,"cost":"x"}}',
        b'{"type":"error","sessionID":"ses_1","error":{"name":"x","data":7}}',
        b'{"type":"error","sessionID":"ses_1","error":null}',
        b'{"type":"from the future","sessionID":"ses_1"}',
        b"\xff\xfe{",
    ],
)
def test_no_line_breaks_the_parser(line):
    parser = OpenCodeParser()
    signals = [*parser.feed(line + b"\n"), *parser.feed((DATA / "opencode_ok.jsonl").read_bytes())]
    assert signals[-1].kind is SignalKind.FINISHED


def settings_in(spec: LaunchSpec) -> dict:
    return json.loads(spec.env["OPENCODE_CONFIG_CONTENT"])


def test_launch():
    spec = OpenCode().launch(job(api_key="k", base_url="http://127.0.0.1:1/v1", model="m", env={"MORE": "1"}))
    assert spec.argv[:2] == ("/bin/opencode", "run")
    assert spec.cwd == "/w/space"
    assert not spec.stdin_open
    assert spec.stdin == "Do “it”.\nAll of it."
    wanted = {
        "HOME": "/w/home",
        "TMPDIR": "/w/home/tmp",
        "XDG_DATA_HOME": "/w/home/.local/share",
        KEY: "k",
        "npm_config_registry": "http://127.0.0.1:9/",
        "MORE": "1",
    }
    assert wanted.items() <= spec.env.items()
    assert "k" not in spec.argv  # a key never stands in the process list
    settings = settings_in(spec)
    assert settings["model"] == settings["small_model"] == "aura/m"
    assert settings["enabled_providers"] == ["aura"]
    assert settings["agent"]["build"]["steps"] == 7
    provider = settings["provider"]["aura"]
    assert provider["npm"] == "@ai-sdk/openai-compatible"
    assert provider["options"] == {"apiKey": f"{{env:{KEY}}}", "baseURL": "http://127.0.0.1:1/v1"}
    assert provider["models"]["m"]["limit"]["output"] == 25_000


@pytest.mark.parametrize(
    ("protocol", "base_url", "package", "address"),
    [
        ("openai", "http://h/v1/", "@ai-sdk/openai-compatible", "http://h/v1"),
        ("", "http://h/v1", "@ai-sdk/openai-compatible", "http://h/v1"),
        ("anthropic", "http://h/anthropic", "@ai-sdk/anthropic", "http://h/anthropic/v1"),
        ("anthropic", "http://h/v1/", "@ai-sdk/anthropic", "http://h/v1"),
    ],
)
def test_what_its_provider_speaks(protocol, base_url, package, address):
    spec = OpenCode().launch(job(api_key="k", base_url=base_url, model="m", protocol=protocol))
    provider = settings_in(spec)["provider"]["aura"]
    assert (provider["npm"], provider["options"]["baseURL"]) == (package, address)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("deepseek-v4-pro", "deepseek/deepseek-v4-pro"),
        ("claude-opus-4-6", "anthropic/claude-opus-4-6"),
        ("gpt-6", "openai/gpt-6"),
        ("openrouter/qwen/coder", "openrouter/qwen/coder"),
    ],
)
def test_without_an_address_the_model_tells_the_provider(model, name):
    settings = settings_in(OpenCode().launch(job(api_key="k", model=model)))
    provider = name.partition("/")[0]
    assert settings["model"] == name
    assert settings["enabled_providers"] == [provider]
    assert settings["provider"] == {
        provider: {"options": {"apiKey": f"{{env:{KEY}}}"}, "models": {name.partition("/")[2]: {}}}
    }


def test_the_shells_of_its_tools_see_neither_key_nor_settings(tmp_path):
    spec = OpenCode().launch(replace(job(api_key="sk-1", base_url="http://h/v1", model="m"), home=tmp_path))
    for name, text in spec.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {"PATH": os.environ["PATH"], **spec.env}
    assert "sk-1" in env.values()
    out = subprocess.run(["bash", "-c", "env"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "HOME=" in out.stdout
    for hidden in ("sk-1", *f"{KEY} OPENCODE_CONFIG_CONTENT npm_config_registry".split()):
        assert hidden not in out.stdout


def test_resume_names_the_old_session():
    argv = OpenCode().launch(replace(job(), resume=True, session="ses_1")).argv
    assert argv[argv.index("--session") + 1] == "ses_1"
    assert "--title" not in argv


def test_a_new_session_needs_no_request_for_its_title():
    argv = OpenCode().launch(job()).argv
    assert argv[argv.index("--title") + 1] == "0000-1111"


@pytest.fixture
def person(tmp_path: Path) -> Path:
    path = tmp_path / ".local" / "share" / "opencode" / "auth.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"anthropic": {"type": "oauth", "refresh": "secret", "access": "secret", "expires": 1}}))
    return tmp_path


@pytest.mark.parametrize(
    ("model", "named"), [("", None), ("deepseek-v4-pro", None), ("anthropic/claude-x", "anthropic/claude-x")]
)
def test_the_persons_own_login_is_shared_and_its_provider_kept(person, model, named):
    login = OpenCode().login({"HOME": str(person)})
    assert login is not None
    assert "auth.json" in login.words
    assert "secret" not in repr(login)
    spec = OpenCode().launch(job(login=login, model=model))
    assert spec.logins == {AUTH: str(person / AUTH)}
    assert KEY not in spec.env
    assert settings_in(spec).get("model") == named
    assert "enabled_providers" not in settings_in(spec)


def test_the_login_is_where_the_data_are(person, tmp_path):
    assert OpenCode().login({"HOME": "/nowhere", "XDG_DATA_HOME": str(person / ".local" / "share")}) is not None
    assert OpenCode().login({"HOME": str(person), "XDG_DATA_HOME": str(tmp_path / "empty")}) is None


@pytest.mark.parametrize("role", [{"api_key": "k"}, {"base_url": "http://elsewhere/v1"}])
def test_a_role_with_its_own_service_leaves_the_persons_login_alone(person, role):
    spec = OpenCode().launch(job(login=OpenCode().login({"HOME": str(person)}), model="m", **role))
    assert spec.logins == {}
    assert KEY in spec.env


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense"])
def test_no_login_of_the_persons(person, text):
    (person / AUTH).write_text(text)
    assert OpenCode().login({"HOME": str(person)}) is None
