"""The engine's thread: its end and its errors come back, and no view can hold it up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from aura_engine import thread as thread_module
from aura_engine.core.events import Notice
from aura_engine.core.model import RunStatus
from aura_engine.errors import JournalError
from aura_engine.thread import EngineThread


class StubEngine:
    """An engine that does what a story says between opening its journal and ending."""

    def __init__(self, folder: Path, make_host, story) -> None:
        self.on_open = lambda: None
        self.beside = []
        self.ready = False
        run = folder / "run"
        run.mkdir()
        self.options = SimpleNamespace(paths=SimpleNamespace(run=run), task_file=folder / "task.md")
        self._folder = run
        self._make_host = make_host
        self._story = story
        self._stop = None

    def interrupt(self) -> None:
        self._stop.set()

    async def stopped(self) -> None:
        async with asyncio.timeout(20):
            await self._stop.wait()

    async def run(self) -> RunStatus:
        self._stop = asyncio.Event()
        self.recorder = self._make_host(self._folder).recorder
        try:
            self.on_open()
            async with contextlib.AsyncExitStack() as stack:
                for one in self.beside:
                    await stack.enter_async_context(one())
                return await self._story(self)
        finally:
            await self.recorder.journal.close()


def seen_by(link) -> list[str]:
    """A view that notes what it hears, to the end."""

    async def follow() -> list[str]:
        return [told.event.text async for batch in link.events(0) for told in batch]

    return asyncio.run(follow())


def test_the_view_hears_all_and_the_status_comes_back(tmp_path, make_host):
    async def story(engine) -> RunStatus:
        for number in range(100):
            await engine.recorder.record(Notice(text=str(number)))
        return RunStatus.ACHIEVED

    thread = EngineThread(StubEngine(tmp_path, make_host, story))
    heard: list[str] = []
    assert thread.run_beside(lambda link: heard.extend(seen_by(link)), lambda: None) is RunStatus.ACHIEVED
    assert heard == [str(number) for number in range(100)]
    assert not (tmp_path / "run" / "socket").exists()


def test_an_error_of_the_run_comes_back_as_it_is(tmp_path, make_host):
    async def story(engine) -> RunStatus:
        raise JournalError("the disk is gone")

    thread = EngineThread(StubEngine(tmp_path, make_host, story))
    with pytest.raises(JournalError, match="the disk is gone"):
        thread.run_beside(seen_by, lambda: None)


def test_an_engine_that_never_opens_is_told(tmp_path, make_host):
    async def play(opened) -> RunStatus:
        raise JournalError("owned")

    thread = EngineThread(StubEngine(tmp_path, make_host, None), play)
    thread.start()
    assert not thread.wait_open()
    with pytest.raises(JournalError, match="owned"):
        thread.join()


def test_a_view_that_breaks_does_not_end_the_run(tmp_path, make_host, caplog):
    broken = threading.Event()

    async def story(engine) -> RunStatus:
        await asyncio.to_thread(broken.wait, 20)
        return RunStatus.ACHIEVED

    def view(link) -> None:
        broken.set()
        raise RuntimeError("a widget")

    thread = EngineThread(StubEngine(tmp_path, make_host, story))
    assert thread.run_beside(view, lambda: None) is RunStatus.ACHIEVED
    assert "the view broke" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_engine_and_then_sends_the_view_away(tmp_path, make_host, number):
    async def story(engine) -> RunStatus:
        await engine.stopped()
        return RunStatus.INTERRUPTED

    left = threading.Event()

    def view(link) -> None:
        os.kill(os.getpid(), number)
        assert left.wait(20)

    before = signal.getsignal(number)
    thread = EngineThread(StubEngine(tmp_path, make_host, story))
    assert thread.run_beside(view, left.set) is RunStatus.INTERRUPTED
    assert signal.getsignal(number) is before


def test_a_view_that_stays_hears_how_a_stopped_run_ended(tmp_path, make_host):
    async def story(engine) -> RunStatus:
        await engine.stopped()
        await engine.recorder.record(Notice(text="its end"))
        return RunStatus.INTERRUPTED

    heard: list[str] = []
    left = threading.Event()

    def view(link) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        heard.extend(seen_by(link))

    thread = EngineThread(StubEngine(tmp_path, make_host, story))
    assert thread.run_beside(view, left.set, stays=True) is RunStatus.INTERRUPTED
    assert heard == ["its end"]
    assert not left.is_set()


def test_hung_up_on_a_view_that_stays_leaves_too(tmp_path, make_host, monkeypatch):
    left, forgotten = threading.Event(), threading.Event()
    monkeypatch.setattr(thread_module, "_forget_terminal", forgotten.set)

    async def story(engine) -> RunStatus:
        await asyncio.to_thread(left.wait, 20)
        return RunStatus.ACHIEVED

    def view(link) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        assert left.wait(20)

    thread = EngineThread(StubEngine(tmp_path, make_host, story))
    assert thread.run_beside(view, left.set, stays=True) is RunStatus.ACHIEVED
    assert forgotten.wait(20)
