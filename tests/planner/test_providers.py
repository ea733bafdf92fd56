"""Both providers against the scripted server: the happy path, every failure, and what may never slip through."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

import aura_engine
from aura_engine.demo import script
from aura_engine.demo.script import Ask, Say, call, say
from aura_engine.demo.server import ScriptedModel
from aura_engine.errors import ConfigError, ProviderError, ProviderFailure
from aura_engine.planner.providers.base import (
    ChatRequest,
    Provider,
    ProviderSettings,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Turn,
    kind_of,
    make_provider,
)
from aura_engine.planner.providers.stream import load

KINDS = ("anthropic", "openai")
SCHEMA = {"type": "object", "properties": {"tasks": {"type": "array"}}}
TOOLS = (ToolSpec("add_tasks", "Add tasks.", SCHEMA), ToolSpec("set_brief", "Set the brief.", SCHEMA))
KEY = "sk-canary-1234567890"


def request(**fields) -> ChatRequest:
    given = {
        "system": ("stable", "less stable"),
        "messages": (Turn("user", (Text("plan this"),)),),
        "tools": TOOLS,
        "max_tokens": 500,
        "deadline": 20.0,
    }
    return ChatRequest(**{**given, **fields})


def provider(kind: str, server: ScriptedModel | str, **settings) -> Provider:
    base = server if isinstance(server, str) else server.url + ("/anthropic" if kind == "anthropic" else "/v1")
    return make_provider(ProviderSettings(kind, KEY, base, "demo-planner", **settings))


async def ask_once(kind: str, answer: Say | script.Brain, **fields):
    """One call against a server that says this; the provider is closed again."""
    brain = answer if callable(answer) else lambda _: answer
    async with ScriptedModel(brain) as server:
        made = provider(kind, server)
        try:
            return await made.complete(request(**fields)), server
        finally:
            await made.aclose()
            assert not server.failures


async def failing(kind: str, answer: Say | script.Brain, **fields) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask_once(kind, answer, **fields)
    assert KEY not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "demo-planner" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
async def test_conversation_with_tools(kind: str) -> None:
    def brain(ask: Ask) -> Say:
        if ask.rounds() == 0:
            return say("Let me see.", call("set_brief", goal="ü"), call("add_tasks", tasks=[{"key": "a"}]))
        return say("Fine: " + "; ".join(f"{result.text} {result.is_error}" for result in ask.results()))

    async with ScriptedModel(brain) as server:
        made = provider(kind, server)
        first = await made.complete(request())
        assert first.text == "Let me see."
        assert [(item.name, item.arguments, item.error) for item in first.calls] == [
            ("set_brief", {"goal": "ü"}, ""),
            ("add_tasks", {"tasks": [{"key": "a"}]}, ""),
        ]
        assert first.stop_reason == "tool_use"
        assert first.model == "demo-planner"
        results = (ToolResult(first.calls[0].id, "ok"), ToolResult(first.calls[1].id, "unknown need", is_error=True))
        second = await made.complete(request(messages=(*request().messages, first.turn, Turn("user", results))))
        await made.aclose()
        again = await made.complete(request())
        await made.aclose()
    shown = "ERROR: unknown need False" if kind == "openai" else "unknown need True"
    assert second.text == f"Fine: ok False; {shown}"
    assert (second.calls, second.stop_reason) == ((), "end_turn")
    assert again.text == "Let me see."
    asked = server.requests[0]
    assert asked.system.split() == ["stable", "less", "stable"]
    assert dict(asked.tools) == {"add_tasks": SCHEMA, "set_brief": SCHEMA}
    assert asked.stream
    assert server.bill["demo-planner", KEY].input == first.usage.input + second.usage.input + again.usage.input
    assert server.bill["demo-planner", KEY].output == first.usage.output + second.usage.output + again.usage.output


@pytest.mark.parametrize("kind", KINDS)
async def test_person_environment_does_not_leak(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:9"
    for name, value in {
        "ANTHROPIC_API_KEY": "person-key",
        "ANTHROPIC_AUTH_TOKEN": "person-token",
        "ANTHROPIC_BASE_URL": nowhere,
        "ANTHROPIC_CUSTOM_HEADERS": "x-person: secret\nx-api-key: person-key",
        "OPENAI_API_KEY": "person-key",
        "OPENAI_ORG_ID": "person-org",
        "OPENAI_PROJECT_ID": "person-project",
        "OPENAI_BASE_URL": nowhere,
        "OPENAI_CUSTOM_HEADERS": "x-person: secret\nauthorization: Bearer person-key",
        "HTTP_PROXY": nowhere,
        "http_proxy": nowhere,
        "ALL_PROXY": nowhere,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    _, server = await ask_once(kind, say("ok"))
    headers = server.requests[0].headers
    assert "person" not in " ".join(f"{name} {value}" for name, value in headers.items())
    assert server.requests[0].key == KEY
    assert ("authorization" in headers) != ("x-api-key" in headers)


async def test_anthropic_marks_what_may_be_cached() -> None:
    _, server = await ask_once("anthropic", say("ok"), system=("a", "", "b", "c", "d"), force_tool=True)
    body = server.requests[0].body
    assert [(block["text"], "cache_control" in block) for block in body["system"]] == [
        ("a", True),
        ("b", True),
        ("c", True),
        ("d", False),
    ]
    assert "cache_control" in body["messages"][-1]["content"][-1]
    assert body["tool_choice"] == {"type": "any"}
    assert body["max_tokens"] == 500


@pytest.mark.parametrize("path", ["", "/", "/v1", "/anthropic", "/anthropic/", "/anthropic/v1"])
async def test_anthropic_base_url_with_and_without_version(path: str) -> None:
    async with ScriptedModel(lambda _: say("ok")) as server:
        made = provider("anthropic", server.url + path)
        await made.complete(request())
        await made.aclose()
    prefix = "/anthropic" if "anthropic" in path else ""
    assert server.requests[0].path == f"{prefix}/v1/messages"


async def test_openai_body() -> None:
    _, server = await ask_once("openai", say("ok"), force_tool=True)
    body = server.requests[0].body
    assert body["tool_choice"] == "required"
    assert (body["max_tokens"], body.get("max_completion_tokens")) == (500, None)
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "failure", "wait"),
    [
        (say(status=400), ProviderFailure.BAD_REQUEST, None),
        (
            say(status=400, error_text="prompt is too long: 250000 tokens > 200000"),
            ProviderFailure.CONTEXT_OVERFLOW,
            None,
        ),
        (say(status=400, error_text="Your credit balance is too low"), ProviderFailure.MONEY, None),
        (say(status=401, error_text=f"bad key {KEY}"), ProviderFailure.CREDENTIALS, None),
        (say(status=402), ProviderFailure.MONEY, None),
        (say(status=403), ProviderFailure.CREDENTIALS, None),
        (say(status=404), ProviderFailure.BAD_REQUEST, None),
        (say(status=413), ProviderFailure.CONTEXT_OVERFLOW, None),
        (say(status=429, retry_after=3), ProviderFailure.RATE_LIMIT, 3.0),
        (say(status=429, retry_after=300), ProviderFailure.RATE_LIMIT, 300.0),
        (say(status=429, retry_after="soon"), ProviderFailure.RATE_LIMIT, None),
        (say(status=429, retry_after=315_360_000), ProviderFailure.RATE_LIMIT, 86_400.0),
        (say(status=429, retry_after=5, error_text="usage limit of this minute"), ProviderFailure.RATE_LIMIT, 5.0),
        (say(status=429, error_text="You have reached your specified API usage limits"), ProviderFailure.MONEY, None),
        (say(status=429, error_type="insufficient_quota", retry_after=5), ProviderFailure.MONEY, 5.0),
        (say(status=500), ProviderFailure.OVERLOADED, None),
        (say(status=502, html=True), ProviderFailure.OVERLOADED, None),
        (say(status=503, retry_after=2), ProviderFailure.OVERLOADED, 2.0),
        (say(status=529), ProviderFailure.OVERLOADED, None),
        (say(status=302), ProviderFailure.BAD_REQUEST, None),
        (say(html=True), ProviderFailure.MALFORMED, None),
        (say(raw_body="{}"), ProviderFailure.MALFORMED, None),
        (say(raw_body="null"), ProviderFailure.MALFORMED, None),
        (say(raw_body=""), ProviderFailure.MALFORMED, None),
        (say(raw_body="data: {oops\n\n", content_type="text/event-stream"), ProviderFailure.MALFORMED, None),
        (say(raw_body="data: [1]\n\n", content_type="text/event-stream"), ProviderFailure.MALFORMED, None),
        (say(raw_body="data: {}\n\n", content_type="text/event-stream"), ProviderFailure.TRUNCATED, None),
        (say("no end", stop_reason="none"), ProviderFailure.TRUNCATED, None),
        (say("half a plan", call("add_tasks", tasks=["a", "b"]), cut=True), ProviderFailure.TRUNCATED, None),
        (say("half a plan", call("add_tasks", tasks=["a", "b"]), reset=True), ProviderFailure.TRUNCATED, None),
        (say("no", stop_reason="refusal"), ProviderFailure.REFUSAL, None),
        (say("half", stream_error="overloaded_error"), ProviderFailure.OVERLOADED, None),
        (say("half", stream_error="rate_limit_error"), ProviderFailure.RATE_LIMIT, None),
        (say("half", stream_error="invalid_request_error"), ProviderFailure.BAD_REQUEST, None),
        (say("half", stream_error="insufficient_quota"), ProviderFailure.MONEY, None),
        (say("x" * 4_100_000), ProviderFailure.MALFORMED, None),
        (say(*(call("add_tasks") for _ in range(201))), ProviderFailure.MALFORMED, None),
    ],
)
async def test_every_failure_has_its_kind(kind: str, answer: Say, failure: ProviderFailure, wait: float | None) -> None:
    asked: list[Ask] = []
    error = await failing(kind, lambda ask: asked.append(ask) or answer)
    assert error.kind is failure
    assert error.retry_after == wait
    assert error.status == (answer.status if answer.status != 200 else 200 if answer.stream_error else None)
    assert len(asked) == 1, "the SDK retried"
    assert "\n" not in error.line()


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_after_as_a_date(kind: str) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    error = await failing(kind, say(status=429, retry_after=when))
    assert error.retry_after == pytest.approx(120, abs=15)
    past = format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)
    assert (await failing(kind, say(status=429, retry_after=past))).retry_after == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", ['{"tasks": ["a"', '{"a": 1, "a": 2}', '{"a": NaN}', "[1]", "{" * 50_000, "no"])
async def test_arguments_are_read_strictly(kind: str, raw: str) -> None:
    """A complete stream with cut JSON: the SDK's own reader gives out a call with an argument missing."""
    good = call("set_brief", goal="g")
    reply, _ = await ask_once(kind, Say((good, script.ToolUse("add_tasks", raw=raw))))
    assert reply.calls[0].arguments == {"goal": "g"}
    assert reply.calls[1].name == "add_tasks"
    assert reply.calls[1].arguments == {}
    assert reply.calls[1].error
    assert reply.turn.parts[-1] == reply.calls[1]


@pytest.mark.parametrize("kind", KINDS)
async def test_max_tokens_is_a_reply(kind: str) -> None:
    cut = script.ToolUse("add_tasks", raw='{"tasks": [')
    reply, _ = await ask_once(kind, Say((script.Text("half"), cut), stop_reason="max_tokens"))
    assert reply.stop_reason == "max_tokens"
    assert reply.calls[0].error


@pytest.mark.parametrize("kind", KINDS)
async def test_call_without_arguments(kind: str) -> None:
    reply, _ = await ask_once(kind, Say((script.ToolUse("list_folder", raw=""),)))
    assert reply.calls == (ToolCall(reply.calls[0].id, "list_folder", {}),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pings", [False, True])
async def test_total_deadline_holds_whatever_is_sent(kind: str, pings: bool) -> None:
    begun = time.monotonic()
    error = await failing(kind, say(hang=True, pings=pings), deadline=0.6)
    assert error.kind is ProviderFailure.TIMEOUT
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("kind", KINDS)
async def test_silence_before_the_headers(kind: str) -> None:
    assert (await failing(kind, say("late", delay=30), deadline=0.5)).kind is ProviderFailure.TIMEOUT


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelling_is_not_a_failure(kind: str) -> None:
    async with ScriptedModel(lambda _: say(hang=True)) as server:
        made = provider(kind, server)
        asking = asyncio.create_task(made.complete(request()))
        while server.count == 0:  # noqa: ASYNC110 (another thread counts)
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await made.aclose()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_unreachable_names_the_host(kind: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def hermetic(name, *args, **kwargs):
        if name in ("no-such-host.invalid", b"no-such-host.invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hermetic)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = provider(kind, f"http://{host}:{port}/v1")
    with pytest.raises(ProviderError, match=host) as caught:
        await made.complete(request())
    assert caught.value.kind is ProviderFailure.UNREACHABLE
    assert caught.value.cure
    await made.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_tls_error_is_unreachable(kind: str) -> None:
    async with ScriptedModel(lambda _: say("plain")) as server:
        made = provider(kind, server.url.replace("http:", "https:") + "/v1")
        with pytest.raises(ProviderError) as caught:
            await made.complete(request())
        await made.aclose()
    assert caught.value.kind is ProviderFailure.UNREACHABLE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "usage", [{}, {"input": -5, "output": -1}, {"input": 10**9, "output": 10**9}, {"input": "x", "output": None}]
)
async def test_usage_that_cannot_be_is_estimated(kind: str, usage: dict) -> None:
    reply, server = await ask_once(kind, say("y" * 400, usage=usage))
    assert reply.usage.output == 100
    assert reply.usage.input == pytest.approx(server.requests[0].size / 4, rel=0.2)


async def test_cached_tokens_are_told_apart() -> None:
    counts = {"input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 5, "output_tokens": 1}
    stream = [
        {"type": "message_start", "message": {"model": "m", "usage": counts}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {item['type']}\ndata: {json.dumps(item)}\n\n" for item in stream)
    reply, _ = await ask_once("anthropic", say(raw_body=body, content_type="text/event-stream"))
    usage = reply.usage
    assert (usage.input, usage.cache_read, usage.cache_write, usage.output) == (10, 30, 5, 7)
    assert reply.turn.parts == (Reasoning("hm", "sig"),)


async def test_openai_servers_that_number_calls_badly() -> None:
    """Several calls with index 0 or without any, and thoughts beside them."""

    def chunk(delta: dict, finish: str | None = None) -> str:
        return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": finish}]}) + "\n\n"

    def made(name: str, index: dict, arguments: str) -> dict:
        return {"tool_calls": [{**index, "id": name, "function": {"name": name, "arguments": arguments}}]}

    body = chunk({"reasoning_content": "hm"})
    body += chunk(made("a", {"index": 0}, '{"x": 1}')) + chunk(made("b", {"index": 0}, '{"x": 2}'))
    body += chunk(made("c", {}, '{"x"')) + chunk({"tool_calls": [{"function": {"arguments": ": 3}"}}]})
    usage = {"prompt_tokens": 50, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 40}}
    body += chunk({}, "tool_calls") + "data: " + json.dumps({"choices": [], "usage": usage}) + "\n\ndata: [DONE]\n\n"
    reply, _ = await ask_once("openai", say(raw_body=body, content_type="text/event-stream"))
    assert [(item.name, item.arguments) for item in reply.calls] == [("a", {"x": 1}), ("b", {"x": 2}), ("c", {"x": 3})]
    assert (reply.usage.input, reply.usage.cache_read, reply.usage.output) == (10, 40, 9)
    assert reply.turn.parts[0] == Reasoning("hm")


@pytest.mark.parametrize("kind", KINDS)
async def test_reasoning_goes_back(kind: str) -> None:
    turns = (
        Turn("user", (Text("hi"),)),
        Turn("assistant", (Reasoning("hm", "sig"), Text("yes"))),
        Turn("user", (Text("go"),)),
    )
    _, server = await ask_once(kind, say("ok"), messages=turns)
    sent = server.requests[0].body["messages"]
    if kind == "anthropic":
        assert sent[1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    else:
        assert sent[2]["reasoning_content"] == "hm"


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (ProviderSettings("Anthropic"), "anthropic"),
        (ProviderSettings("deepseek"), "deepseek"),
        (ProviderSettings("openai", base_url="https://x/anthropic"), "openai"),
        (ProviderSettings(base_url="https://api.deepseek.com/anthropic/"), "anthropic"),
        (ProviderSettings(base_url="https://api.anthropic.com"), "anthropic"),
        (ProviderSettings(base_url="https://api.deepseek.com/v1", model="claude-x"), "openai"),
        (ProviderSettings(model="claude-opus"), "anthropic"),
        (ProviderSettings(model="deepseek-v4"), "deepseek"),
        (ProviderSettings(model="gpt-6"), "openai"),
    ],
)
def test_provider_is_told_by_name_then_url_then_model(settings: ProviderSettings, kind: str) -> None:
    assert kind_of(settings) == kind


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ProviderSettings("gemini", model="m"), "AURA_API_PROVIDER is “gemini”.*anthropic, deepseek, openai"),
        (ProviderSettings("openai", base_url="example.com/v1", model="m"), "AURA_API_BASE_URL is “example.com/v1”"),
        (ProviderSettings("openai"), "AURA_API_MODEL"),
        (ProviderSettings("openai", api_key="sk-…", model="m"), "AURA_API_KEY"),
    ],
)
def test_wrong_settings_name_the_setting(settings: ProviderSettings, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_provider(settings)
    assert re.search(words, caught.value.line())


def test_making_a_provider_imports_no_sdk_and_hides_the_key() -> None:
    code = (
        "import sys; from aura_engine.planner.providers.base import *;"
        "[make_provider(ProviderSettings(k, 'key', '', 'm')) for k in PROVIDERS];"
        "print([m for m in ('anthropic', 'openai', 'httpx2') if m in sys.modules])"
    )
    root = Path(aura_engine.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
    assert "key" not in repr(ProviderSettings("openai", "key")).replace("api_key", "")


async def test_what_an_sdk_brings_is_walked_by_no_collection_and_loaded_once(monkeypatch):
    frozen: list[None] = []
    monkeypatch.setattr("aura_engine.planner.providers.stream.gc.freeze", lambda: frozen.append(None))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    first = await load("colorsys")
    assert await load("colorsys") is first
    assert len(frozen) == 1


async def test_what_is_still_being_imported_is_waited_for(tmp_path, monkeypatch):
    entered, go = threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "slow_gate", SimpleNamespace(entered=entered, go=go))
    text = "import slow_gate\nslow_gate.entered.set()\nslow_gate.go.wait(20)\nwhole = 1\n"
    (tmp_path / "slow_sdk.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    first = asyncio.create_task(load("slow_sdk"))
    await asyncio.to_thread(entered.wait, 20)
    second = asyncio.create_task(load("slow_sdk"))
    await asyncio.sleep(0)
    assert not second.done()
    go.set()
    assert (await second).whole == 1
    assert await first is await second
    sys.modules.pop("slow_sdk")
