"""The relay: what it lets through, what it keeps, what it counts; and its end inside a container."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from aura_engine.core.model import Usage
from aura_engine.runtimes import relay as relays
from aura_engine.runtimes import relay_inside
from aura_engine.runtimes.relay import MAX_BODY, SOCKET, Door, Relay, Upstream
from aura_engine.runtimes.relay_usage import LINE, MOST_ASKED, UsageReader

KEY = "sk-real-key-of-the-person"
ANTHROPIC = [
    {
        "type": "message_start",
        "message": {"usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1}},
    },
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": 'a word about "usage": {}'}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 42}},
]
CHAT = [
    {"choices": [{"delta": {"content": "x"}}], "usage": None},
    {
        "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
    },
]
RESPONSES = [
    {"type": "response.created", "response": {"usage": None}},
    {
        "type": "response.completed",
        "response": {
            "usage": {"input_tokens": 20, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 15}},
        },
    },
]


def sse(events: list[dict]) -> bytes:
    return b"".join(f"event: x\ndata: {json.dumps(event)}\n\n".encode() for event in events)


class Model:
    """A model's server on loopback; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.reply = sse(ANTHROPIC)
        self.hold = asyncio.Event()
        self.hold.set()
        self.cut = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        if request.path.startswith("/elsewhere/"):
            raise web.HTTPFound(f"{self.url}/stolen")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Set-Cookie": "a=b"})
        await answer.prepare(request)
        await answer.write(self.reply[:50])
        await self.hold.wait()
        if self.cut:
            request.transport.abort()
            return answer
        await answer.write(self.reply[50:])
        return answer


@pytest.fixture
async def model() -> AsyncGenerator[Model]:
    made = Model()
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield made
    made.hold.set()
    await runner.cleanup()


@pytest.fixture
def short() -> Generator[Path]:
    """A folder whose path is short enough for a socket, however long pytest's are."""
    folder = Path(tempfile.mkdtemp(prefix="aura-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def relay(short: Path) -> AsyncGenerator[Relay]:
    made = Relay(short)
    yield made
    await made.aclose()


@asynccontextmanager
async def through(door: Door) -> AsyncGenerator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(door.folder / SOCKET))
    async with aiohttp.ClientSession("http://inside", connector=connector) as session:
        yield session


def token(door: Door) -> dict[str, str]:
    return {"x-api-key": door.token}


async def test_the_key_is_the_relays_and_usage_is_counted(relay: Relay, model: Model) -> None:
    door = await relay.open("A1-1", Upstream(f"{model.url}/anthropic", KEY))
    async with through(door) as session:
        async with session.post(
            "/anthropic/v1/messages?beta=true", headers={**token(door), "Cookie": "c=1"}, data=b'{"model":"m"}'
        ) as reply:
            assert reply.status == 200
            assert await reply.read() == model.reply
            assert "Set-Cookie" not in reply.headers
        bearer = {"Authorization": f"Bearer {door.token}"}
        async with session.post("/anthropic/v1/messages", headers=bearer, data=b"{}") as reply:
            await reply.read()
    first, second = model.asked
    assert first[:2] == ("POST", "/anthropic/v1/messages?beta=true")
    assert first[3] == b'{"model":"m"}'
    assert first[2]["x-api-key"] == KEY
    assert "Authorization" not in first[2]
    assert "Cookie" not in first[2]
    assert second[2]["Authorization"] == f"Bearer {KEY}"
    assert door.token not in str(model.asked)
    assert door.counted.calls == 2
    assert door.counted.usage == Usage(input=14, cache_read=6, output=84)
    assert door.counted.unknown == 0


@pytest.mark.parametrize("header", [{}, {"x-api-key": "wrong"}, {"Authorization": f"Bearer {KEY}"}])
async def test_without_its_token_nothing_passes(relay: Relay, model: Model, header: dict[str, str]) -> None:
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    async with through(door) as session, session.post("/v1/messages", headers=header) as reply:
        assert reply.status == 401
    assert model.asked == []


async def test_a_token_opens_its_own_door_only(relay: Relay, model: Model) -> None:
    mine = await relay.open("A1-1", Upstream(model.url, KEY))
    other = await relay.open("A2-1", Upstream(model.url, KEY))
    async with through(other) as session, session.post("/v1/messages", headers=token(mine)) as reply:
        assert reply.status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/anthropic/v1",
        "/anthropic/v1/files",
        "/anthropic/v1/messages/batches",
        "/anthropic/v1/organizations/api_keys",
        "/anthropic/v1/models",
        "/anthropic/v1/messages/",
        "/anthropic/v1/files?x=/v1/messages",
        "/anthropicx/v1/messages",
        "/anthropic/../v1/messages",
        "/anthropic/../admin",
        "/anthropic/%2e%2e/admin",
        "/anthropic/%2E./admin",
        "/anthropic/v1%2f..%2f..%2fadmin",
        "/anthropic/..\\admin",
        "/anthropic//evil.example/x",
    ],
)
async def test_only_the_roles_address_is_reached(relay: Relay, model: Model, path: str) -> None:
    door = await relay.open("A1-1", Upstream(f"{model.url}/anthropic/v1", KEY))
    reader, writer = await asyncio.open_unix_connection(str(door.folder / SOCKET))
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {door.token}\r\nContent-Length: 0\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 403 " in status
    assert model.asked == []


@pytest.mark.parametrize("base", ["", "/v1", "/v1/", "/api/v3"])
async def test_of_an_account_only_what_answers_is_open(relay: Relay, model: Model, base: str) -> None:
    door = await relay.open("A1-1", Upstream(f"{model.url}{base}", KEY))
    below = base.rstrip("/").removesuffix("/v1")
    asked = [("POST", end) for end in ("messages", "messages/count_tokens?beta=true", "chat/completions", "responses")]
    opened = [(how, f"{below}{v1}/{end}") for how, end in [*asked, ("GET", "models")] for v1 in ("", "/v1")]
    shut = [("POST", "models"), ("GET", "messages"), ("HEAD", "models"), ("DELETE", "responses"), ("GET", "files")]
    async with through(door) as session:
        for how, path in opened:
            async with session.request(how, path, headers=token(door)) as reply:
                assert reply.status == 200, path
                await reply.read()
        for how, end in [*shut, ("POST", "files"), ("POST", "messages/batches"), ("POST", "fine_tuning/jobs")]:
            async with session.request(how, f"{below}/v1/{end}", headers=token(door)) as reply:
                assert reply.status == 403, (how, end)
    assert [(how, path) for how, path, _, _ in model.asked] == opened


async def test_a_reply_that_tells_nothing_is_estimated_and_the_others_stand(relay: Relay, model: Model) -> None:
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    async with through(door) as session:
        for reply_of_model in (sse(ANTHROPIC), sse([{"delta": {"text": "word"}}] * 30)):
            model.reply = reply_of_model
            async with session.post("/v1/messages", headers=token(door), data=b"x" * 400) as reply:
                await reply.read()
    assert door.counted.unknown == 1
    assert door.counted.usage == Usage(input=7 + 100, cache_read=3, output=42 + 30)


@pytest.mark.parametrize(
    ("streamed", "data", "asked", "usage"),
    [
        (True, sse(RESPONSES[:1]) * 9, 4000, Usage(input=1000, output=9)),
        (False, b"x" * 80, 40, Usage(input=10, output=20)),
        (False, b"", MAX_BODY, Usage(input=MOST_ASKED)),
    ],
    ids=["an event is about a token", "four bytes are", "pictures are not"],
)
def test_an_estimate(streamed: bool, data: bytes, asked: int, usage: Usage) -> None:
    reader = UsageReader(streamed=streamed)
    reader.feed(data)
    assert reader.close() is None
    assert reader.estimate(asked) == usage


@pytest.mark.parametrize("line", ["CONNECT evil.example:443", "DELETE /v1/x", "GET http://evil.example/v1/x"])
async def test_it_is_no_proxy(relay: Relay, model: Model, line: str) -> None:
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    reader, writer = await asyncio.open_unix_connection(str(door.folder / SOCKET))
    writer.write(f"{line} HTTP/1.1\r\nHost: evil.example\r\nx-api-key: {door.token}\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert status.startswith(b"HTTP/1.1 40")
    assert model.asked == []


async def test_a_redirect_is_not_followed(relay: Relay, model: Model) -> None:
    door = await relay.open("A1-1", Upstream(f"{model.url}/elsewhere", KEY))
    async with through(door) as session, session.post("/elsewhere/v1/messages", headers=token(door)) as reply:
        assert reply.status == 502
        assert "Location" not in reply.headers
    assert [path for _, path, _, _ in model.asked] == ["/elsewhere/v1/messages"]


async def test_an_unreachable_model_is_said_without_its_address(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    door = await relay.open("A1-1", Upstream(f"http://127.0.0.1:{port}", KEY))
    async with through(door) as session, session.post("/v1/messages", headers=token(door), data=b"{}") as reply:
        assert reply.status == 502
        text = await reply.text()
    assert KEY not in text
    assert str(port) not in text


async def test_a_reply_arrives_while_it_is_made_and_a_cut_one_is_seen(relay: Relay, model: Model) -> None:
    model.hold.clear()
    model.cut = True
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    async with through(door) as session, session.post("/v1/messages", headers=token(door), data=b"{}") as reply:
        assert await reply.content.readexactly(50) == model.reply[:50]
        model.hold.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    assert door.counted.unknown == 1


async def test_a_body_has_a_bound(relay: Relay, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "MAX_BODY", 1 << 20)
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    async with through(door) as session:
        with suppress(aiohttp.ClientConnectionError):  # it hangs up while we still talk
            async with session.post(
                "/v1/messages", headers=token(door), data=io.BytesIO(bytes((1 << 20) + 1))
            ) as reply:
                assert reply.status == 413
    assert model.asked == []


async def test_a_door_outlives_the_engine_and_not_its_attempt(short: Path, model: Model) -> None:
    first = Relay(short)
    before = await first.open("A1-1", Upstream(model.url, KEY))
    await first.aclose()
    second = Relay(short)
    after = await second.open("A1-1", Upstream(model.url, KEY))
    assert (after.token, after.folder) == (before.token, before.folder)
    async with through(after) as session, session.post("/v1/messages", headers=token(before), data=b"{}") as reply:
        assert reply.status == 200
        await reply.read()
    assert (await second.forget("A1-1")).usage.output == 42
    assert list(short.iterdir()) == []
    await second.aclose()


async def test_who_may_come_near(relay: Relay, model: Model, short: Path) -> None:
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    assert (short / "A1-1").stat().st_mode & 0o777 == 0o700
    assert (short / "A1-1" / "token").stat().st_mode & 0o777 == 0o600
    assert door.folder.stat().st_mode & 0o777 == 0o755
    assert (door.folder / SOCKET).stat().st_mode & 0o777 == 0o666
    assert [path.name for path in door.folder.iterdir()] == [SOCKET]


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://api.example.com", "http://127.0.0.1:61999"),
        ("https://api.example.com/v1/", "http://127.0.0.1:61999/v1"),
        ("https://api.example.com/anthropic", "http://127.0.0.1:61999/anthropic"),
    ],
)
def test_the_address_inside(url: str, inside: str) -> None:
    assert Upstream(url).inside == inside


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        (ANTHROPIC, Usage(input=7, cache_read=3, output=42)),
        (CHAT, Usage(input=6, cache_read=4, output=5)),
        (RESPONSES, Usage(input=5, cache_read=15, output=6)),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_usage_in_any_pieces(events: list[dict], usage: Usage, piece: int) -> None:
    reader = UsageReader(streamed=True)
    data = sse(events)
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
    assert reader.close() == usage


def test_usage_of_a_whole_reply() -> None:
    reader = UsageReader(streamed=False)
    reader.feed(b'{"content": [], "usage": {"input_tokens": 3, ')
    reader.feed(b'"output_tokens": 4}}')
    assert reader.close() == Usage(input=3, output=4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: [DONE]\n\n",
        b'data: {"usage": "many"}\n\n',
        b'data: {"usage": ' + b"[" * 5000,
        b'data: ["usage"]\n\n',
        b"\xff\xfe\n",
    ],
)
def test_usage_that_is_none(data: bytes) -> None:
    reader = UsageReader(streamed=True)
    reader.feed(data)
    assert reader.close() is None


def test_absurd_numbers_count_nothing() -> None:
    reader = UsageReader(streamed=True)
    reader.feed(b'data: {"usage": {"input_tokens": -5, "output_tokens": 1e300, "cache_read_input_tokens": true}}\n')
    assert reader.close() == Usage()


def test_an_endless_line_is_passed_over_and_what_follows_is_not() -> None:
    reader = UsageReader(streamed=True)
    for _ in range(LINE // 65_536 + 2):
        reader.feed(b"x" * 65_536)
    assert len(reader._rest) <= LINE
    reader.feed(b"\n" + sse(CHAT))
    assert reader.close() == Usage(input=6, cache_read=4, output=5)


async def test_its_end_inside_leads_to_the_door_and_becomes_the_command(relay: Relay, model: Model) -> None:
    door = await relay.open("A1-1", Upstream(f"{model.url}/v1", KEY))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ask = f"""
import os, urllib.request
request = urllib.request.Request("http://127.0.0.1:{port}/v1/messages", b"{{}}", {{"x-api-key": "{door.token}"}})
print(os.getpid(), len(urllib.request.urlopen(request, timeout=20).read()))
children = open(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read().split()
print("children", len(children))
"""
    command = (relay_inside.__file__, str(port), str(door.folder / SOCKET), sys.executable, "-c", ask)
    inside = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(inside.communicate(), 30)
    first, second = out.decode().splitlines()
    serving = [each for each in psutil.process_iter() if [relay_inside.__file__, str(port)] == _words(each)[3:5]]
    for each in serving:
        each.kill()
    assert first.split() == [str(inside.pid), str(len(model.reply))]
    assert second == "children 0"  # the shim that comes next must not take it for something of the worker's
    assert len(serving) == 1


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_inside_it_waits_for_an_engine_that_is_away(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def slept(seconds: float) -> None:
        tried.append(seconds)
        if len(tried) == 3:
            listener.bind(str(short / "s"))
            listener.listen()

    monkeypatch.setattr(relay_inside.time, "sleep", slept)
    with socket.socket(socket.AF_UNIX) as listener:
        there = relay_inside.knock(str(short / "s"))
        assert there is not None
        there.close()
    assert len(tried) == 3


def test_inside_it_says_that_nobody_came(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_inside, "PATIENCE", -1.0)
    here, outside = socket.socketpair()
    with outside:
        relay_inside.carry(here, str(short / "nobody"))
        said = outside.recv(4096)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"overloaded_error" in said


async def test_counting_tokens_is_no_call_of_unknown_use(relay: Relay, model: Model) -> None:
    model.reply = b'data: {"input_tokens": 5}\n\n' + b" " * 50
    door = await relay.open("A1-1", Upstream(model.url, KEY))
    async with through(door) as session:
        for path in ("/v1/messages/count_tokens?beta=true", "/v1/messages"):
            async with session.post(path, headers=token(door), data=b"{}") as reply:
                await reply.read()
    assert (door.counted.calls, door.counted.unknown) == (2, 1)
