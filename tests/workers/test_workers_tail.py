"""Following an output file."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from aura_engine.core.model import Signal
from aura_engine.workers import tail as tail_module
from aura_engine.workers.builtin import BuiltinParser
from aura_engine.workers.tail import Tail


def line(text: str) -> bytes:
    return json.dumps({"event": "message", "text": text}).encode() + b"\n"


class Heard:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.news = asyncio.Event()

    def __call__(self, signals: list[Signal]) -> None:
        self.texts += [signal.text for signal in signals]
        self.news.set()

    async def next(self) -> None:
        async with asyncio.timeout(10):
            await self.news.wait()
        self.news.clear()


@pytest.fixture(params=["inotify", "timer"])
def way(request, monkeypatch):
    if request.param == "timer":
        monkeypatch.setattr(tail_module.notices, "watch", lambda path, call: None)
        monkeypatch.setattr(tail_module, "QUICKEST", 0.01)
    return request.param


async def following(tail: Tail):
    return asyncio.create_task(tail.follow())


async def test_what_is_written_is_heard_once_and_in_order(tmp_path, way):
    path = tmp_path / "output.jsonl"
    path.write_bytes(line("before"))
    heard = Heard()
    tail = Tail(path, BuiltinParser(), heard)
    task = asyncio.create_task(tail.follow())
    await heard.next()
    with path.open("ab", buffering=0) as file:
        for n in range(3):
            file.write(line(f"{n}")[:10])
            file.write(line(f"{n}")[10:])
            await heard.next()
        file.write(line("last")[:-1])
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await tail.drain()
    assert heard.texts == ["before", "0", "1", "2", "last"]
    assert tail.offset == path.stat().st_size


async def test_a_file_that_is_not_there_yet(tmp_path, way):
    tail = Tail(tmp_path / "none", BuiltinParser(), lambda signals: None)
    await tail.drain()
    assert tail.offset == 0


async def test_a_silent_file_wakes_nobody(tmp_path, monkeypatch):
    path = tmp_path / "output.jsonl"
    path.touch()
    tail = Tail(path, BuiltinParser(), lambda signals: None)
    looks = 0
    read_on = tail._read_on

    async def counted() -> int:
        nonlocal looks
        looks += 1
        return await read_on()

    monkeypatch.setattr(tail, "_read_on", counted)
    task = asyncio.create_task(tail.follow())
    await asyncio.sleep(0.5)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert looks == 1


async def test_the_loop_stays_free_under_a_flood(tmp_path):
    path = tmp_path / "output.jsonl"
    path.write_bytes(line("x" * 800) * 20_000)  # 16 MB
    count = 0

    def take(signals: list[Signal]) -> None:
        nonlocal count
        count += len(signals)

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await Tail(path, BuiltinParser(), take).drain()
    task.cancel()
    assert count == 20_000
    assert turns > 200


async def test_a_padded_file_is_not_read_through(tmp_path):
    path = tmp_path / "output.jsonl"
    with path.open("wb") as file:
        file.write(line("before"))
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b"\n" + line("after"))
    heard = Heard()
    async with asyncio.timeout(20):
        await Tail(path, BuiltinParser(), heard).drain()
    assert heard.texts[-1] == "after"


async def test_a_truncated_file_does_not_repeat(tmp_path):
    path = tmp_path / "output.jsonl"
    path.write_bytes(line("one") * 3)
    heard = Heard()
    tail = Tail(path, BuiltinParser(), heard)
    await tail.drain()
    path.write_bytes(b"")
    await tail.drain()
    with path.open("ab") as file:
        file.write(line("two"))
    await tail.drain()
    assert heard.texts == ["one", "one", "one", "two"]


async def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "other").write_bytes(line("secret"))
    (tmp_path / "output.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        await Tail(tmp_path / "output.jsonl", BuiltinParser(), lambda signals: None).drain()
