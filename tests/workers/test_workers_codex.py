"""Backend `codex` against what the real program printed (tests/workers/data/codex_*), and the person's own Codex."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from worker_stage import job_for

from aura_engine.core.model import Ending, EndKind, ExitRecord, SignalKind, Usage
from aura_engine.errors import ConfigError
from aura_engine.workers.base import Job, Login, Seen
from aura_engine.workers.codex import RUNNING, Codex, CodexParser
from aura_engine.workers.codex_config import own_model, to_toml

job = partial(job_for, "codex", "codex")
DATA = Path(__file__).with_name("data")
ALWAYS = "Reading prompt from stdin...\n"


def signals_in(name: str):
    parser = CodexParser("m")
    return parser.feed((DATA / f"codex_{name}.jsonl").read_bytes()) + parser.close()


def seen_in(name: str) -> Seen:
    seen = Seen()
    seen.add_all(signals_in(name) if name else [])
    return seen


def seen_of(*events: dict) -> Seen:
    parser, seen = CodexParser(), Seen()
    for event in events:
        seen.add_all(parser.feed(json.dumps(event).encode() + b"\n"))
    seen.add_all(parser.close())
    return seen


def ending(name: str, *, code: int | None = 1, signal: int | None = None, stderr: str = ALWAYS) -> Ending:
    return Codex().ending(ExitRecord(code=code, signal=signal), seen_in(name), stderr)


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("ok", 0, EndKind.FINISHED),
        ("write", 0, EndKind.FINISHED),
        ("text", 0, EndKind.FINISHED),
        ("failtool", 0, EndKind.FINISHED),
        ("items", 0, EndKind.FINISHED),
        ("res2", 0, EndKind.FINISHED),
        ("e400", 1, EndKind.BAD_REQUEST),
        ("e401", 1, EndKind.CREDENTIALS),
        ("e402", 1, EndKind.MONEY),
        ("e403", 1, EndKind.CREDENTIALS),
        ("e404", 1, EndKind.BAD_REQUEST),
        ("e429", 1, EndKind.RATE_LIMIT),
        ("e429ra", 1, EndKind.RATE_LIMIT),
        ("quota", 1, EndKind.MONEY),
        ("e500", 1, EndKind.OVERLOADED),
        ("e500_noretry", 1, EndKind.OVERLOADED),
        ("ctx", 1, EndKind.CONTEXT_OVERFLOW),
        ("maxtok", 1, EndKind.CONTEXT_OVERFLOW),
        ("refusal", 1, EndKind.GAVE_UP),
        ("streamerr", 1, EndKind.UNREACHABLE),
        ("cut", 1, EndKind.UNREACHABLE),
        ("refused", 1, EndKind.UNREACHABLE),
        ("noauth", 1, EndKind.CREDENTIALS),
        ("sigint", 1, EndKind.CRASHED),
    ],
)
def test_every_captured_ending(name, code, kind):
    found = ending(name, code=code)
    assert found.kind is kind, found
    assert found.session == seen_in(name).session != ""
    assert seen_in(name).unknown == 0
    assert bool(found.detail) == (kind is not EndKind.FINISHED)
    assert "stdin" not in found.detail


@pytest.mark.parametrize(("name", "signal"), [("sigterm", 15), ("sigterm_tool", 15), ("unreachable", 9)])
def test_what_a_signal_ended_was_killed(name, signal):
    assert ending(name, code=None, signal=signal).kind is EndKind.KILLED


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("Error: thread/resume failed: no rollout found for thread id 01a2 (code -32600)\n", EndKind.BAD_REQUEST),
        ("error: unexpected argument '--frobnicate' found\n", EndKind.CRASHED),
        ("", EndKind.CRASHED),
    ],
)
def test_an_end_without_any_event_is_told_by_stderr(stderr, kind):
    found = ending("", stderr=ALWAYS + stderr)
    assert found.kind is kind
    assert stderr.strip()[:20] in found.detail


def test_exit_status_and_claim_must_agree():
    assert ending("ok", code=1).kind is EndKind.CRASHED
    assert ending("e401", code=0).kind is EndKind.CREDENTIALS
    assert ending("sigint", code=0).kind is EndKind.CRASHED
    # a hang after its last word is ended by the engine: the claim stands
    assert ending("ok", code=None, signal=9).kind is EndKind.FINISHED


def test_usage_counts_no_token_twice():
    assert seen_in("ok").usage == Usage(input=240, cache_read=60, output=22)
    assert seen_in("res2").usage == Usage(input=480, cache_read=120, output=44)
    assert seen_in("e401").usage == Usage()


@pytest.mark.parametrize(
    ("resumed", "counted", "usage"),
    [
        (True, Usage(input=240, cache_read=60, output=22), Usage(input=240, cache_read=60, output=22)),
        (True, Usage(input=9000, cache_read=60), Usage(cache_read=60, output=44)),
        (True, None, Usage()),
        (False, None, Usage(input=480, cache_read=120, output=44)),
    ],
)
def test_of_a_resumed_session_only_what_is_new_counts(resumed, counted, usage):
    parser, seen = Codex().parser(replace(job(), resume=resumed, counted=counted)), Seen()
    seen.add_all(parser.feed((DATA / "codex_res2.jsonl").read_bytes()))
    assert seen.usage == usage
    assert seen.turns == 2
    assert seen.finished is not None


def test_turns_are_model_calls_as_far_as_they_show():
    assert seen_in("ok").turns == 2
    assert seen_in("text").turns == 1
    # four calls; two tools in one of them, whose results came one after the other
    assert seen_in("items").turns == 5
    running = [signal.turns for signal in signals_in("ok") if signal.kind is SignalKind.USAGE]
    assert running == [1, 2, 2]  # told while it runs, so that a limit can be kept


def test_signals_tell_tools_messages_and_retries():
    signals = signals_in("failtool")
    assert [signal.kind for signal in signals if signal.kind is not SignalKind.USAGE] == [
        SignalKind.SESSION,
        SignalKind.MESSAGE,
        SignalKind.TOOL,
        SignalKind.TOOL_RESULT,
        SignalKind.MESSAGE,
        SignalKind.FINISHED,
    ]
    tool = next(signal for signal in signals if signal.kind is SignalKind.TOOL)
    assert tool.tool == "command_execution"
    assert "exit 3" in tool.text
    result = next(signal for signal in signals if signal.kind is SignalKind.TOOL_RESULT)
    assert (result.text, result.ok) == ("oops\n", False)
    assert signals[0].text == "m"
    assert (seen_in("e401").retries, seen_in("e401").status) == (5, 401)
    assert [s.status for s in signals_in("e429ra") if s.kind is SignalKind.RETRY] == [429] * 5
    waiting = [signal for signal in signals_in("unreachable") if signal.kind is SignalKind.RETRY]
    assert len(waiting) == 4
    assert "waiting for network" in waiting[0].text


def test_a_change_of_files_is_a_tool():
    (change,) = [s for s in signals_in("items") if s.kind is SignalKind.TOOL and s.tool == "file_change"]
    assert "p.txt" in change.text


def test_a_refusal_shown_as_it_came_is_said_in_its_own_words():
    assert ending("e400").detail == "bad request (scripted) (HTTP status 400)"
    assert seen_in("e400").status == 400
    for answer, words in (
        ({"detail": "no"}, "no"),
        ({"error": {"message": "x" * 9000}}, "x" * 2000),
        ({"e": 1}, '{"e": 1}'),
    ):
        seen = seen_of({"type": "turn.failed", "error": {"message": json.dumps(answer)}})
        assert (seen.failed, seen.status) == (words, 400)
    deep = seen_of({"type": "turn.failed", "error": {"message": "[" * 100_000}})
    assert deep.failed is not None


def test_tools_of_a_server_carry_its_name_and_need_no_beginning():
    call = {"id": "i", "type": "mcp_tool_call", "server": "docs", "tool": "find", "arguments": {"q": 1}}
    done = {**call, "status": "failed", "error": {"message": "no"}}
    parser = CodexParser()
    _, tool, result = parser.feed(json.dumps({"type": "item.completed", "item": done}).encode() + b"\n")
    assert (tool.kind, tool.tool, tool.text) == (SignalKind.TOOL, "docs.find", '{"q": 1}')
    assert (result.kind, result.ok, result.text) == (SignalKind.TOOL_RESULT, False, '{"message": "no"}')


def test_what_nobody_knows_is_harmless():
    finished = [
        {"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": "done"}},
        {"type": "turn.completed", "usage": None},
    ]
    odd = [{"type": "item.completed", "item": {"type": "dream"}}, {"type": "mood"}, {"type": "item.started"}, {}]
    seen = seen_of(*odd, *finished)
    assert (seen.unknown, seen.finished, seen.usage) == (4, "done", Usage())


def test_tools_that_never_end_are_forgotten():
    begun = [{"type": "item.started", "item": {"id": str(n), "type": "web_search"}} for n in range(3 * RUNNING)]
    over = [{"type": "item.completed", "item": {**each["item"], "status": "completed"}} for each in begun[-2:]]
    seen = seen_of(*begun, *over)
    assert (seen.tools, seen.unknown) == (3 * RUNNING, 0)


def test_an_error_is_the_last_word_only_when_nothing_follows():
    trouble = {"type": "error", "message": "unexpected status 401 Unauthorized: no"}
    assert seen_of(trouble).status == 401
    assert seen_of(trouble).failed == trouble["message"]
    assert seen_of(trouble, {"type": "turn.started"}).failed is None


@pytest.mark.parametrize(
    ("text", "kind", "wait"),
    [
        ("You've hit your usage limit. Upgrade to Plus to continue or try again at 3:00 PM.", EndKind.RATE_LIMIT, True),
        (
            "You've hit your usage limit. To get more access now, send a request to your admin"
            " or try again at Jan 3rd, 2026 9:00 AM.",
            EndKind.RATE_LIMIT,
            True,
        ),
        ("Your workspace is out of credits. Add credits to continue.", EndKind.MONEY, False),
        ("You've reached your workspace credit limit", EndKind.MONEY, False),
        ("Your access token could not be refreshed. Please log out and sign in again.", EndKind.CREDENTIALS, False),
        ("Selected model is at capacity. Please try a different model.", EndKind.OVERLOADED, False),
        ("stream disconnected before completion: Rate limit reached for m", EndKind.RATE_LIMIT, False),
        ("the dog ate it", EndKind.CRASHED, False),
    ],
)
def test_what_the_vendors_service_says(text, kind, wait):
    seen = seen_of({"type": "turn.failed", "error": {"message": text}})
    found = Codex().ending(ExitRecord(code=1, ended=1_767_268_800.0), seen, "")  # 2026-01-01, noon UTC
    assert found.kind is kind
    assert (found.retry_after is not None) == wait


def test_a_limit_of_days_says_its_date():
    text = "You've hit your usage limit. Try again at Jan 3rd, 2026 9:00 AM (UTC)."
    seen = seen_of({"type": "turn.failed", "error": {"message": text}})
    assert Codex().ending(ExitRecord(code=1, ended=1_767_268_800.0), seen, "").retry_after == 45 * 3600


# ---- starting it


def config_of(wanted: Job) -> dict:
    return tomllib.loads(Codex().launch(wanted).files[".codex/config.toml"])


def test_launch_with_a_key_and_an_address():
    wanted = job(api_key="k-1", base_url="http://127.0.0.1:1", model='m "x"\n\x7f', env={"MORE": "1"})
    spec = Codex().launch(wanted)
    assert spec.argv[:3] == ("/bin/codex", "exec", "--json")
    assert spec.argv[-3:] == ("-C", "/w/space", "-")
    assert (spec.cwd, spec.stdin, spec.stdin_open) == ("/w/space", "Do “it”.\nAll of it.", False)
    assert spec.env["CODEX_HOME"] == "/w/home/.codex"
    assert (spec.env["AURA_LLM_KEY"], spec.env["MORE"]) == ("k-1", "1")
    assert spec.stop_signals[0] == ("SIGINT", 3.0)
    assert spec.logins == {}
    config = config_of(wanted)
    provider = config["model_providers"][config["model_provider"]]
    assert (provider["base_url"], provider["env_key"]) == ("http://127.0.0.1:1/v1", "AURA_LLM_KEY")
    assert config["model"] == 'm "x"\n\x7f'
    assert config["features"]["plugins"] is False
    assert config["features"]["unbounded_connection_retries"] is False
    assert config["analytics"]["enabled"] is False
    assert "AURA_LLM_KEY" in config["shell_environment_policy"]["exclude"]
    assert not any("k-1" in text for text in (*spec.argv, *spec.files.values()))


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.example/openai/v1/", "https://api.example/openai/v1"),
        ("https://api.example/", "https://api.example/v1"),
        ("", "https://api.openai.com/v1"),
    ],
)
def test_addresses(given, used):
    config = config_of(job(api_key="k", base_url=given))
    assert config["model_providers"]["aura"]["base_url"] == used
    assert (config.get("web_search") == "disabled") == bool(given)


def test_resume_names_the_old_session():
    argv = Codex().launch(replace(job(), resume=True)).argv
    assert argv[1:2] == ("exec",)
    assert argv[-3:] == ("resume", "0000-1111", "-")
    assert "-C" not in argv


# ---- the person's own Codex

OWN = """
model = "own-model"
model_reasoning_effort = "high"
notify = ["tell-me"]
sandbox_mode = "read-only"
[mcp_servers.notes]
command = "notes"
[model_providers.spare]
name = "spare"
"""
MINE = 'model_provider = "mine"\n[model_providers.mine]\nbase_url = "http://h/v1"\nenv_key = "MY_KEY"\n'


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".codex").mkdir()
    return {"HOME": str(tmp_path)}


def configure(person: dict[str, str], text: str, *, auth: bool = False) -> Path:
    folder = Path(person["HOME"]) / ".codex"
    (folder / "config.toml").write_text(text)
    if auth:
        (folder / "auth.json").write_text("{}")
    return folder


def test_nobody_is_logged_in(person):
    assert Codex().login(person) is None
    configure(person, OWN)
    assert Codex().login(person) is None
    assert Codex().launch(job()).logins == {}


def test_the_persons_login_is_shared_never_copied(person):
    folder = configure(person, OWN, auth=True)
    login = Codex().login(person)
    assert login is not None
    assert login.words == "the login in ~/.codex/auth.json"
    spec = Codex().launch(job(login=login))
    assert spec.logins == {".codex/auth.json": str(folder / "auth.json")}
    config = tomllib.loads(spec.files[".codex/config.toml"])
    assert (config["model"], config["model_reasoning_effort"]) == ("own-model", "high")
    assert config["features"]["plugins"] is False
    assert not {"notify", "mcp_servers", "sandbox_mode", "model_providers", "web_search"} & set(config)
    assert "AURA_LLM_KEY" not in spec.env
    seen = Seen()
    seen.add_all(Codex().parser(job(login=login)).feed(b'{"type": "thread.started", "thread_id": "t"}\n'))
    assert seen.model == "own-model"


def test_a_role_may_choose_another_model_of_the_persons(person):
    configure(person, OWN, auth=True)
    assert config_of(job(login=Codex().login(person), model="small"))["model"] == "small"


def test_a_login_goes_to_no_other_address(person):
    configure(person, OWN, auth=True)
    login = Codex().login(person)
    for other in ({"base_url": "http://127.0.0.1:1"}, {"api_key": "k"}):
        spec = Codex().launch(job(login=login, **other))
        assert spec.logins == {}
        assert "own-model" not in spec.files[".codex/config.toml"]


def test_the_persons_provider_brings_its_key(person):
    configure(person, MINE, auth=True)
    assert Codex().login(person) is None  # its key is not there
    login = Codex().login({**person, "MY_KEY": "secret-1"})
    assert login is not None
    assert login.words == "the provider “mine” of ~/.codex/config.toml"
    spec = Codex().launch(job(login=login))
    assert (spec.env["MY_KEY"], spec.logins) == ("secret-1", {})  # the login file is not for that provider
    config = tomllib.loads(spec.files[".codex/config.toml"])
    assert config["model_provider"] == "mine"
    assert config["model_providers"]["mine"]["base_url"] == "http://h/v1"
    assert "MY_KEY" in config["shell_environment_policy"]["exclude"]
    assert "secret-1" not in spec.files[".codex/config.toml"]
    assert "secret-1" not in repr(login)


def test_a_provider_with_the_vendors_login_needs_it(person):
    text = MINE.replace('env_key = "MY_KEY"', "requires_openai_auth = true")
    configure(person, text)
    assert Codex().login(person) is None
    configure(person, text, auth=True)
    login = Codex().login(person)
    assert login is not None
    assert list(login.files) == [".codex/auth.json"]


def test_a_provider_whose_key_comes_from_a_program_is_not_for_workers(person):
    configure(person, MINE + '[model_providers.mine.auth]\ncommand = "get-token"\n')
    assert Codex().login({**person, "MY_KEY": "k"}) is None


def test_another_folder_of_codex_counts(person, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "auth.json").write_text("{}")
    login = Codex().login({**person, "CODEX_HOME": str(tmp_path / "elsewhere")})
    assert login is not None
    assert login.words == "the login in ~/elsewhere/auth.json"


def test_a_login_of_another_program_is_none_of_its():
    assert Codex().launch(job(login=Login("x", env={"T": "t"}))).env.keys().isdisjoint({"T"})


def test_the_own_model(person):
    configure(person, OWN)
    assert own_model(person) == "own-model"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no ~/.codex/config.toml"),
        ("model = ", "not valid TOML"),
        ("[features]\nx = true\n", "does not say which model"),
        ("model = 3\n", "does not say which model"),
        ('model = " "\n', "does not say which model"),
    ],
)
def test_the_own_model_cannot_be_told(person, text, words):
    if text is not None:
        configure(person, text)
    with pytest.raises(ConfigError) as raised:
        own_model(person)
    assert words in str(raised.value)
    assert "~/.codex/config.toml" in str(raised.value)
    assert raised.value.cure


def test_settings_that_cannot_be_read_are_said(person):
    (Path(person["HOME"]) / ".codex" / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        own_model(person)


def test_settings_survive_the_way_through_toml():
    odd = {
        'a "b".c': '\\ " \n \t \x01 \x7f “ü” \U0001f600',
        "n": [1, -2.5, True, False, "x"],
        "t": {"u": {"v w": {}}, "e": []},
    }
    assert tomllib.loads(to_toml(odd)) == odd
    assert tomllib.loads(to_toml({"x": "\ud800"})) == {"x": "?"}
