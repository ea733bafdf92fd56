"""The Link in both of its forms: the same facts and answers, whoever is slow, gone or late."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_engine.control import client, place
from aura_engine.control.client import Connection, Lost, NoEngine
from aura_engine.control.local import GONE, LocalLink
from aura_engine.control.remote import RemoteLink
from aura_engine.core.commands import Kill, Wake
from aura_engine.core.events import Notice


async def take(link, since: int, last: int) -> list:
    """The events above `since` up to `last`."""
    found: list = []
    async with asyncio.timeout(20):
        async for batch in link.events(since):
            found += batch
            if found[-1].seq >= last:
                return found
    return found


class Engine:
    """A host on a thread and loop of its own, as the real engine has them."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main)
        self._ready = threading.Event()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.call_soon(self._ready.set)
        self.loop.run_forever()

    def __enter__(self):
        self._thread.start()
        self._ready.wait(10)
        self.host = self.call(self._made())
        self.link = self.call(self._linked())
        return self

    async def _made(self):
        return self._make()

    async def _linked(self):
        return LocalLink(self.host)

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    async def _closed(self) -> None:
        self.link.close()
        await self.host.recorder.journal.close()

    def __exit__(self, *_: object) -> None:
        self.call(self._closed())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@pytest.fixture
def engine(tmp_path: Path, make_host):
    with Engine(lambda: make_host(tmp_path)) as made:
        yield made


async def test_local_history_then_news_and_the_end(engine):
    engine.call(engine.host.say(*(f"{n}" for n in range(3000))))
    found = await take(engine.link, 0, 3000)
    engine.call(engine.host.say("new"))
    found += await take(engine.link, 3000, 3001)
    assert [told.seq for told in found] == list(range(1, 3002))
    assert found[-1].event == Notice(text="new")
    ended = asyncio.create_task(take(engine.link, 3001, 9999))
    engine.loop.call_soon_threadsafe(engine.link.close)
    assert await ended == []
    assert engine.link.read_only
    assert await engine.link.command(Wake()) == GONE
    assert await engine.link.diff("A1") == "diff of what A1 left"


async def test_local_what_was_missed_comes_from_the_journal(engine, monkeypatch):
    small = await asyncio.to_thread(engine.call, _link(engine.host, 5, monkeypatch))
    engine.call(engine.host.say(*(f"{n}" for n in range(500))))
    assert [told.seq for told in await take(small, 0, 500)] == list(range(1, 501))
    engine.loop.call_soon_threadsafe(small.close)


async def _link(host, kept: int, monkeypatch) -> LocalLink:
    monkeypatch.setattr("aura_engine.control.local.KEPT", kept)
    return LocalLink(host)


async def test_local_a_blocked_screen_costs_the_engine_nothing_and_misses_nothing(engine):
    found: list = []

    async def watch() -> None:
        found.extend(await take(engine.link, 0, 2001))

    watching = asyncio.create_task(watch())
    engine.call(engine.host.say("first"))
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    engine.call(engine.host.say(*(f"{n}" for n in range(2000))))  # blocks this loop meanwhile
    assert len(ready) < 20  # one nudge, however much has come
    await watching
    assert [told.seq for told in found] == list(range(1, 2002))


async def test_local_commands_cross_and_come_back(engine):
    assert await engine.link.command(Wake()) == ""
    assert engine.host.commands == [Wake()]
    assert await engine.link.command(Kill(task="A1")) == "there is nothing to stop"
    assert await engine.link.diff("A1") == "diff of A1"


async def test_local_a_busy_engine_does_not_block_the_screen(engine):
    busy, go = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go.wait(20)

    engine.loop.call_soon_threadsafe(block)
    await asyncio.to_thread(busy.wait, 20)
    asked = asyncio.create_task(engine.link.command(Wake()))
    for _ in range(10):
        await asyncio.sleep(0)  # this loop goes on
    assert not asked.done()
    assert list(engine.link.telemetry()) in ([], ["A1#1"])
    go.set()
    assert await asked == ""


async def test_local_telemetry_is_there_while_somebody_watches(engine):
    watching = asyncio.create_task(take(engine.link, 0, 1))
    async with asyncio.timeout(20):
        while not engine.link.telemetry():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert engine.link.telemetry()["A1#1"].tokens == 7
    assert engine.link.machine().disk_free == 4
    engine.call(engine.host.say("x"))
    await watching


async def test_local_figures_are_made_only_while_a_screen_looks_at_them(engine, monkeypatch):
    monkeypatch.setattr("aura_engine.control.local.WANTED", 0.1)
    monkeypatch.setattr("aura_engine.control.local.SAMPLE_EVERY", 0.01)
    asked: list[float] = []
    figures = engine.host.telemetry

    def telemetry():
        asked.append(engine.loop.time())
        return figures()

    engine.host.telemetry = telemetry
    watching = asyncio.create_task(take(engine.link, 0, 1))
    await asyncio.sleep(0.1)
    assert asked == []
    async with asyncio.timeout(20):
        while not engine.link.telemetry():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while not engine.link._asleep:  # noqa: ASYNC110 - nobody looks any more
            await asyncio.sleep(0.01)
    assert asked
    engine.call(engine.host.say("x"))
    await watching


async def test_remote_tells_the_same(stage, host):
    await host.say(*(f"{n}" for n in range(700)))
    async with stage.serving():
        link, said = await asyncio.to_thread(RemoteLink.open, host.run)
        assert said["seq"] == 700
        found = await take(link, 0, 700)
        await host.say("new")
        found += await take(link, 700, 701)
        assert [told.seq for told in found] == list(range(1, 702))
        assert found[-1].event == Notice(text="new")
        assert found[-1].time == next(entry.time for entry in host.history(700))
        assert await link.command(Wake()) == ""
        assert host.commands == [Wake()]
        assert await link.command(Kill(task="A1")) == "there is nothing to stop"
        assert await link.diff("A1") == "diff of A1"


async def test_remote_telemetry(stage, host):
    async with stage.serving():
        link, _ = await asyncio.to_thread(RemoteLink.open, host.run)
        watching = asyncio.create_task(take(link, 0, 1))
        await stage.until(lambda: link.machine())
        assert link.telemetry()["A1#1"].step == "ls"
        assert link.machine().memory_total == 3
        await host.say("x")
        await watching
        await stage.until(lambda: link.telemetry() == {})


async def test_remote_the_end_of_the_run_ends_it_and_a_lost_engine_is_an_error(stage, host):
    async with stage.serving() as server:
        link, _ = await asyncio.to_thread(RemoteLink.open, host.run)
        batches = link.events(0)
        await host.say("x")
        assert len(await anext(batches)) == 1
        await server.aclose()
        assert [batch async for batch in batches] == []
    with pytest.raises(OSError, match="No engine runs"):
        await take(link, 0, 1)
    with pytest.raises(OSError, match="No engine runs"):
        await link.command(Wake())


async def test_remote_who_only_looks_on_is_refused_by_the_engine_too(stage, host):
    async with stage.serving():
        with await asyncio.to_thread(Connection, host.run, control=False) as looking:
            answer = await asyncio.to_thread(looking.ask, {"type": "command", "command": {"kind": "wake"}})
        assert "only looks on" in answer["why"]
        assert (await asyncio.to_thread(RemoteLink.open, host.run, control=False))[0].read_only


async def test_files_of_a_run(stage, host):
    link = RemoteLink(host.run, host.task_file)
    assert link.output("A1", 1) is None
    assert link.output("../../etc", 1) is None
    out = host.run / "attempts" / "A1" / "1" / "output.jsonl"
    out.parent.mkdir(parents=True)
    out.write_text("{}\n")
    assert link.output("A1", 1) == out
    real = host.run / "real.md"
    real.write_bytes(b"# Goal\r\n")
    real.chmod(0o640)
    host.task_file.symlink_to(real)
    assert await link.goal() == "# Goal\r\n"
    assert "somebody else" in await link.save_goal("new", "# other\n")
    assert await link.save_goal("# Näw\n", "# Goal\r\n") == ""
    assert real.read_text("utf-8") == "# Näw\n"
    assert host.task_file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert await link.prompt(3) == ""
    (host.run / "state" / "prompts").mkdir(parents=True, exist_ok=True)
    (host.run / "state" / "prompts" / "3.md").write_text("You plan.\n")
    assert await link.prompt(3) == "You plan.\n"
    real.unlink()
    assert "cannot be written" in await link.save_goal("x", "y")
    assert not list(host.run.glob(".real*"))


async def test_an_edit_that_is_not_saved_is_kept_with_the_run(stage, host):
    link = RemoteLink(host.run, host.task_file)
    assert await link.draft() is None
    await link.keep_draft(("# Goal\n", "# Göal\r\n"))
    assert await RemoteLink(host.run, host.task_file).draft() == ("# Goal\n", "# Göal\r\n")
    kept = host.run / "draft.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_text("[3]")
    assert await link.draft() is None, "a broken one is none"
    await link.keep_draft(None)
    assert not kept.exists()
    await link.keep_draft(None)


def test_nobody_there_is_said_with_what_to_do(tmp_path):
    run = tmp_path / "task-1"
    run.mkdir()
    with pytest.raises(NoEngine, match="No engine runs for task-1"):
        client.ask(run, {"type": "command"})
    (tmp_path / "task_index.json").write_text(
        '{"version": 1, "last": "task-1", "runs": {"task-1": {"task_file": "/home/a/goal.md"}}}'
    )
    place.announce(run, tmp_path / "nothing.sock")
    with pytest.raises(NoEngine, match=r"No engine runs for goal\.md") as error:
        client.ask(run, {"type": "command"})
    assert "aura goal.md" in error.value.line()


def test_an_engine_that_never_answers_is_given_up(tmp_path, listening):
    run = tmp_path / "task-1"
    run.mkdir()
    place.announce(run, listening)
    began = time.monotonic()
    with pytest.raises(NoEngine, match="cannot be reached"):
        client.ask(run, {"type": "command"}, limit=0.2)
    assert time.monotonic() - began < 5


def test_another_version_of_the_engine_is_told(tmp_path, answering):
    run = tmp_path / "task-1"
    run.mkdir()
    place.announce(run, answering(b'{"type":"hello","protocol":99,"aura":"9.9"}\n'))
    with pytest.raises(NoEngine, match="speaks version 99"):
        client.ask(run, {"type": "command"})


def test_an_engine_that_goes_away_in_the_middle_is_an_error(tmp_path, answering):
    run = tmp_path / "task-1"
    run.mkdir()
    place.announce(run, answering(b'{"type":"hello","protocol":1,"aura":"0"}\n{"type":"repl'))
    with pytest.raises(Lost):
        client.ask(run, {"type": "command"})
