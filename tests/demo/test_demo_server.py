from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import anthropic
import openai
import pytest

from aura_engine.demo.script import Ask, Say, ToolUse, call, say
from aura_engine.demo.server import ScriptedModel

SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
WORDS = "Grüße, 🗼 " * 40


def two_turns(ask: Ask) -> Say:
    if ask.rounds() == 0:
        return say(WORDS, call("run", command="echo ü > a.txt"), call("run", command="ls"))
    return say(f"saw {' '.join(result.text for result in ask.results())}")


@pytest.fixture
def model():
    with ScriptedModel(two_turns) as server:
        yield server
    assert not server.failures


def post(url: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, dict]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
def test_anthropic_sdk(model: ScriptedModel, prefix: str, streamed: bool) -> None:
    tools = [{"name": "run", "description": "d", "input_schema": SCHEMA}]
    messages: list = [{"role": "user", "content": "hello"}]
    with anthropic.Anthropic(api_key="k", base_url=model.url + prefix, max_retries=0) as client:

        def turn():
            body = {"model": "demo-pro", "max_tokens": 100, "system": "be good", "messages": messages, "tools": tools}
            if not streamed:
                return client.messages.create(**body)
            with client.messages.stream(**body) as stream:
                return stream.get_final_message()

        first = turn()
        assert [block.type for block in first.content] == ["text", "tool_use", "tool_use"]
        assert first.content[0].text == WORDS
        assert first.content[1].input == {"command": "echo ü > a.txt"}
        assert first.stop_reason == "tool_use"
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"r{index}"}
            for index, block in enumerate(first.content[1:])
        ]
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = turn()
    assert second.content[0].text == "saw r0 r1"
    assert second.stop_reason == "end_turn"
    first_ask, second_ask = model.requests
    assert first_ask.system == "be good"
    assert first_ask.path == f"{prefix}/v1/messages"
    assert first_ask.tools == {"run": SCHEMA}
    assert len(second_ask.results()) == 2
    assert first.usage.input_tokens == -(-first_ask.size // 4)


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("streamed", [False, True])
def test_openai_chat_sdk(model: ScriptedModel, prefix: str, streamed: bool) -> None:
    tools = [{"type": "function", "function": {"name": "run", "description": "d", "parameters": SCHEMA}}]
    messages: list = [{"role": "system", "content": "be good"}, {"role": "user", "content": "hello"}]
    with openai.OpenAI(api_key="k", base_url=model.url + prefix, max_retries=0) as client:

        def turn():
            body = {"model": "demo-pro", "messages": messages, "tools": tools}
            if not streamed:
                return client.chat.completions.create(**body)
            with client.chat.completions.stream(**body, stream_options={"include_usage": True}) as stream:
                stream.until_done()
                return stream.get_final_completion()

        first = turn()
        message = first.choices[0].message
        assert message.content == WORDS
        assert [json.loads(made.function.arguments)["command"] for made in message.tool_calls] == [
            "echo ü > a.txt",
            "ls",
        ]
        assert first.choices[0].finish_reason == "tool_calls"
        messages.append({"role": "assistant", "tool_calls": [made.model_dump() for made in message.tool_calls]})
        messages += [
            {"role": "tool", "tool_call_id": made.id, "content": f"r{index}"}
            for index, made in enumerate(message.tool_calls)
        ]
        second = turn()
    assert second.choices[0].message.content == "saw r0 r1"
    assert second.choices[0].finish_reason == "stop"
    assert first.usage.prompt_tokens == -(-model.requests[0].size // 4)
    assert model.requests[0].system == "be good"
    assert model.requests[0].key == "k"


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_responses_sdk(model: ScriptedModel, streamed: bool) -> None:
    tools = [{"type": "function", "name": "run", "description": "d", "parameters": SCHEMA, "strict": False}]
    given: list = [{"role": "developer", "content": "be quick"}, {"role": "user", "content": "hello"}]
    with openai.OpenAI(api_key="k", base_url=model.url + "/v1", max_retries=0) as client:

        def turn():
            body = {"model": "demo-pro", "instructions": "be good", "input": given, "tools": tools}
            if not streamed:
                return client.responses.create(**body)
            with client.responses.stream(**body) as stream:
                return stream.get_final_response()

        first = turn()
        assert first.status == "completed"
        assert first.output_text == WORDS
        calls = [item for item in first.output if item.type == "function_call"]
        assert [json.loads(item.arguments)["command"] for item in calls] == ["echo ü > a.txt", "ls"]
        given += [
            {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            for item in calls
        ]
        given += [
            {"type": "function_call_output", "call_id": item.call_id, "output": f"r{index}"}
            for index, item in enumerate(calls)
        ]
        second = turn()
    assert second.output_text == "saw r0 r1"
    assert second.usage.input_tokens == -(-model.requests[1].size // 4)
    assert model.requests[0].system == "be good\nbe quick"
    assert model.requests[1].rounds() == 1


@pytest.mark.parametrize(("stop", "status"), [("max_tokens", "incomplete"), ("end_turn", "completed")])
def test_responses_status(stop: str, status: str) -> None:
    with ScriptedModel(lambda _: say("half", stop_reason=stop)) as server:
        _, body = post(server.url + "/v1/responses", {"model": "m", "input": "hi"})
    assert body["status"] == status
    assert (body["incomplete_details"] or {}).get("reason") == ("max_output_tokens" if status == "incomplete" else None)


def test_small_routes(model: ScriptedModel) -> None:
    with urllib.request.urlopen(urllib.request.Request(model.url + "/", method="HEAD"), timeout=5) as answer:
        assert answer.status == 200
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 400}]}
    status, counted = post(model.url + "/anthropic/v1/messages/count_tokens?beta=true", body)
    assert status == 200
    assert counted["input_tokens"] == pytest.approx(len(json.dumps(body)) / 4, abs=1)
    with openai.OpenAI(api_key="k", base_url=model.url + "/v1") as client:
        assert "demo-flash" in [entry.id for entry in client.models.list()]
    with anthropic.Anthropic(api_key="k", base_url=model.url) as other:
        assert "demo-pro" in [entry.id for entry in other.models.list()]
    assert post(model.url + "/v1/embeddings", {})[0] == 404
    assert model.count == 0


def test_malformed_request_is_refused_and_the_server_lives(model: ScriptedModel) -> None:
    for path in ("/v1/messages", "/v1/chat/completions", "/v1/responses"):
        for body in ({}, [], {"messages": 3, "input": 3}, {"messages": [{}], "input": [{"type": "message"}]}):
            assert post(model.url + path, body)[0] == 400
    with socket.create_connection(("127.0.0.1", int(model.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert raw.recv(10) == b""
    assert post(model.url + "/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "hi"}]})[0] == 200


def test_a_failing_brain_is_told_not_hidden() -> None:
    with ScriptedModel(lambda ask: {}["nothing"]) as server:
        status, body = post(server.url + "/v1/messages", {"model": "m", "messages": []})
    assert status == 500
    assert "KeyError" in body["error"]["message"]
    assert len(server.failures) == 1


def test_a_chunked_request_body_is_read(model: ScriptedModel) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(model.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(head + b"5\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert model.requests[0].prompt() == "hi"


def test_bill_is_by_model_and_key_and_counts_what_was_measured() -> None:
    with ScriptedModel(lambda _: say("x" * 400)) as server:
        for key in ("a", "b", "b"):
            body = {"model": "demo-pro", "messages": [{"role": "user", "content": "hi"}]}
            post(server.url + "/v1/messages", body, {"x-api-key": key})
        bill = server.bill
    assert bill["demo-pro", "a"].output == 100
    assert bill["demo-pro", "b"].output == 200
    assert bill["demo-pro", "a"].input == -(-server.requests[0].size // 4)
    assert server.count == 3
    assert server.bytes_in == sum(ask.size for ask in server.requests)
    assert server.bytes_out > 1200


def test_refusals_are_not_billed() -> None:
    with ScriptedModel(lambda _: say(status=429, retry_after=7)) as server:
        request = urllib.request.Request(server.url + "/v1/chat/completions", b'{"messages": []}')
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        with caught.value as error:
            assert (error.code, error.headers["retry-after"]) == (429, "7")
            assert json.load(error)["error"]["type"] == "rate_limit_error"
    assert server.bill == {}


def test_thirty_two_at_once_do_not_wait_for_each_other() -> None:
    """Each answer comes only when all 32 have asked."""
    everyone = threading.Event()
    seen: list[Ask] = []

    def brain(ask: Ask) -> Say:
        seen.append(ask)
        if len(seen) == 32:
            everyone.set()
        return say("ok", gate=everyone)

    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    with ScriptedModel(brain) as server:
        threads = [threading.Thread(target=post, args=(server.url + "/v1/messages", body)) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert server.count == 32


def test_an_async_brain_and_a_delay() -> None:
    async def brain(_: Ask) -> Say:
        await asyncio.sleep(0)
        return say("ok", delay=0.05)

    with ScriptedModel(brain) as server:
        begun = time.monotonic()
        assert post(server.url + "/v1/messages", {"model": "m", "messages": []})[0] == 200
        assert time.monotonic() - begun >= 0.05


def test_stop_frees_a_client_that_waits_and_can_be_repeated() -> None:
    server = ScriptedModel(lambda _: say(hang=True)).start()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            post(server.url + "/v1/messages", {"model": "m", "messages": [], "stream": True})
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 10
    while server.count == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
    server.stop()
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert errors


async def test_async_context_manager_leaves_the_loop_free() -> None:
    brain = lambda _: Say((ToolUse("run", {"command": "ls"}),))  # noqa: E731
    async with (
        ScriptedModel(brain) as server,
        anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as client,
    ):
        message = await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert message.content[0].type == "tool_use"
