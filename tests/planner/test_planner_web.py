"""The planner's web tools against real servers on loopback: what is refused, what is cut, what is pinned."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from aura_engine.planner.page import text_of
from aura_engine.planner.web import MAX_BYTES, MAX_TEXT, Web, WebError, is_public

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncGenerator[tuple[int, list[str]]]:
    """Port and the requests it had, each whole as text."""
    had: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:")), 0)
        had.append(head + (await reader.readexactly(length)).decode())
        with suppress(ConnectionError):
            await answer(head, writer)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(task := asyncio.create_task(serve(reader, writer)))
        task.add_done_callback(serving.discard)

    serving: set[asyncio.Task[None]] = set()
    listening = await asyncio.start_server(served, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], had
        if serving:
            await asyncio.wait(serving, timeout=10)


def says(body: bytes, status: str = "200 OK", **headers: str) -> Answer:
    async def answer(head: str, writer: asyncio.StreamWriter) -> None:
        lines = {"content_type": "text/html", "content_length": str(len(body)), **headers}
        rows = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status}\r\n{rows}\r\n".encode() + body)

    return answer


async def here(host: str, port: int) -> Sequence[str]:
    """Every name is this machine, but for one that resolves to a private network."""
    return ["10.0.0.7"] if host == "inside.example" else ["127.0.0.1"]


def web(**more: object) -> Web:
    """Lets loopback in, and nothing else that is not public."""
    return Web(resolver=here, allowed=lambda address: address == "127.0.0.1" or is_public(address), **more)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


async def test_a_page_comes_as_text_from_the_pinned_address() -> None:
    page = b"<html><head><title>T</title><script>x()</script></head><body><p>One &amp; two<p>three</body></html>"
    async with server(says(page)) as (port, had):
        found = await web().fetch(f"http://docs.example:{port}/a?b=c")
    assert found.text == "T\nOne & two\nthree"
    assert not found.cut
    assert had[0].startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"host: docs.example:{port}" in had[0].lower()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/x",
        "gopher://example.org",
        "http://",
        "http:///path",
        "https://ada:secret@example.org/",
        "http://x:99999/",
        "http://[::1",
        "javascript:alert(1)",
        "http://example.org/" + "a" * 3000,
    ],
)
async def test_what_is_no_address_to_fetch_is_refused(url: str) -> None:
    with pytest.raises(WebError):
        await web().fetch(url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "169.254.169.254", "[::ffff:127.0.0.1]"]
)
async def test_this_machine_is_refused_however_it_is_written(host: str) -> None:
    async with server(says(b"secret")) as (port, had):
        with pytest.raises(WebError, match=r"public internet|no host"):
            await Web().fetch(f"http://{host}:{port}/")
    assert had == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["1.1.1.1", "192.168.0.1"]

    with pytest.raises(WebError, match="public internet"):
        await Web(resolver=both).fetch("http://two.example/")


async def test_a_redirect_is_checked_like_a_first_address() -> None:
    async with server(says(b"", "302 Found", location="http://inside.example/admin")) as (port, had):
        with pytest.raises(WebError, match=r"inside\.example is not on the public internet"):
            await web().fetch(f"http://docs.example:{port}/")
    assert len(had) == 1


async def test_a_redirect_to_a_file_is_refused() -> None:
    async with server(says(b"", "301 Moved", location="file:///etc/passwd")) as (port, _):
        with pytest.raises(WebError, match="http"):
            await web().fetch(f"http://docs.example:{port}/")


async def test_a_name_that_answers_differently_the_second_time_changes_nothing() -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.7"]

    async with server(says(b"fine")) as (port, _):
        found = await Web(resolver=rebinding, allowed=lambda a: a == "127.0.0.1").fetch(f"http://evil.example:{port}/")
    assert found.text == "fine"
    assert asked == ["evil.example"]


async def test_redirects_end() -> None:
    async with server(says(b"", "302 Found", location="/again")) as (port, had):
        with pytest.raises(WebError, match="redirects more than 5 times"):
            await web().fetch(f"http://docs.example:{port}/")
    assert len(had) == 6


async def test_a_relative_redirect_is_followed() -> None:
    async def answer(head: str, writer: asyncio.StreamWriter) -> None:
        first = head.startswith("GET /old")
        await (says(b"", "307 Temporary", location="new") if first else says(b"there"))(head, writer)

    async with server(answer) as (port, _):
        found = await web().fetch(f"http://docs.example:{port}/old")
    assert (found.text, found.url) == ("there", f"http://docs.example:{port}/new")


async def test_an_endless_page_is_cut() -> None:
    async def answer(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        while True:
            writer.write(b"word " * 10_000)
            await writer.drain()

    async with server(answer) as (port, _):
        found = await web().fetch(f"http://docs.example:{port}/")
    assert found.cut
    assert len(found.text) <= MAX_TEXT


async def test_a_gzip_bomb_is_cut() -> None:
    bomb = gzip.compress(b"A" * 200_000_000, 9)
    assert len(bomb) < MAX_BYTES
    async with server(says(bomb, content_encoding="gzip")) as (port, _):
        found = await web().fetch(f"http://docs.example:{port}/")
    assert found.cut
    assert len(found.text) <= MAX_TEXT


async def test_a_page_that_trickles_is_given_up() -> None:
    async def answer(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(answer) as (port, _):
        with pytest.raises(WebError, match=r"longer than 0\.5 s"):
            await web(limit=0.5).fetch(f"http://docs.example:{port}/")


async def test_what_is_no_text_is_refused() -> None:
    async with server(says(b"\x7fELF", content_type="application/octet-stream")) as (port, _):
        with pytest.raises(WebError, match="not text"):
            await web().fetch(f"http://docs.example:{port}/")


@pytest.mark.parametrize(("status", "word"), [("404 Not Found", "HTTP 404"), ("500 Oh", "HTTP 500")])
async def test_a_failure_is_told(status: str, word: str) -> None:
    async with server(says(b"", status)) as (port, _):
        with pytest.raises(WebError, match=word):
            await web().fetch(f"http://docs.example:{port}/")


async def test_nobody_there() -> None:
    async with server(says(b"")) as (port, _):
        pass
    with pytest.raises(WebError, match="cannot be reached"):
        await web().fetch(f"http://docs.example:{port}/")


async def test_an_unknown_charset_and_broken_bytes_are_read_all_the_same() -> None:
    async with server(says("größe \x1b[31m".encode() + b"\xff", content_type="text/plain; charset=klingon")) as (
        port,
        _,
    ):
        found = await web().fetch(f"http://docs.example:{port}/")
    assert found.text == "größe �"


async def test_a_search_gives_titles_addresses_and_extracts() -> None:
    body = json.dumps({"results": [{"title": "T", "url": "https://e.org", "content": "what it says"}]}).encode()
    async with server(says(body, content_type="application/json")) as (port, had):
        found = await web(search_key="tvly-1", search_url=f"http://search.example:{port}/search").search("how to")
    assert found == "T\nhttps://e.org\nwhat it says"
    assert "authorization: bearer tvly-1" in had[0].lower()
    assert '"query":"how to"' in had[0].replace(": ", ":")


async def test_a_search_that_answers_nonsense_is_told() -> None:
    async with server(says(b"<html>", content_type="application/json")) as (port, _):
        with pytest.raises(WebError, match="cannot be understood"):
            await web(search_key="k", search_url=f"http://search.example:{port}/").search("q")


def test_a_page_without_end_tags_is_read() -> None:
    assert text_of("<h1>A</h1><ul><li>b<li>c</ul><style>d</style>e") == "A\nb\nc\ne"
