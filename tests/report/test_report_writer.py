"""The writer of projections: coalesced, at a bounded rate, whole at the end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from aura_engine.core import events as ev
from aura_engine.core.plan import TaskSpec
from aura_engine.errors import JournalError
from aura_engine.report import writer
from aura_engine.report.writer import Projections


class StoppedClock:
    """Time goes on only when told to."""

    def __init__(self) -> None:
        self.time = 50.0

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(file name, bytes) of every write."""
    found: list[tuple[str, int]] = []
    real = writer.atomic_write

    def counting(path: Path, body: bytes, *, durable: bool = True) -> None:
        assert not durable
        found.append((path.name, len(body)))
        real(path, body, durable=durable)

    monkeypatch.setattr(writer, "atomic_write", counting)
    return found


async def settled() -> None:
    """Everything is on the disk at once."""


def note(projections: Projections, story: Any, *events: object) -> None:
    for event in events:
        story.tell(event)
        projections.note(event, story.now, story.state)


async def until_written(written: list[tuple[str, int]], count: int) -> None:
    """Wait until so many files were written."""
    async with asyncio.timeout(10):
        while len(written) < count:  # noqa: ASYNC110 (the writes happen in a thread)
            await asyncio.sleep(0.001)


async def test_the_last_state_is_on_disk_at_the_end(story: Any, tmp_path: Path) -> None:
    story.whole()
    projections = Projections(tmp_path, StoppedClock(), settled)
    events, story.events = story.events, []
    fresh = type(story)()
    note(projections, fresh, *(event for event, _ in events))
    await projections.aclose()
    assert "# task.md: achieved" in (tmp_path / "progress.md").read_text()
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "achieved"
    log = json.loads((tmp_path / "decision_log.json").read_text())
    assert log == list(projections.decisions.entries)
    assert log[-1]["new_status"] == "completed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decision_log.json", "progress.md", "status.json"]


async def test_a_further_start_goes_on_with_the_log(story: Any, tmp_path: Path) -> None:
    story.whole()
    projections = Projections(tmp_path, StoppedClock(), settled)
    projections.restore(story.events)
    before = projections.decisions.total
    spec = TaskSpec(id="B9", title="late")
    note(projections, story, ev.PlanChanged(reason="late", add=(spec,)), ev.PlanChanged(reason="no", archive=("B9",)))
    await projections.aclose()
    log = json.loads((tmp_path / "decision_log.json").read_text())
    assert len(log) == before + 1  # that it was added is no decision about its status
    assert (log[-1]["old_status"], log[-1]["new_status"]) == ("pending", "archived")


async def test_nothing_noted_writes_nothing(tmp_path: Path) -> None:
    projections = Projections(tmp_path, StoppedClock(), settled)
    await projections.aclose()
    assert list(tmp_path.iterdir()) == []


async def test_a_burst_is_one_write_and_the_next_waits(
    story: Any, tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    clock = StoppedClock()
    projections = Projections(tmp_path, clock, settled)
    note(projections, story, *(ev.Notice(text=str(i)) for i in range(1000)))
    await until_written(written, 2)
    assert sorted(name for name, _ in written) == ["progress.md", "status.json"], "no status changed: no new log"
    note(projections, story, *(ev.Notice(text=str(i)) for i in range(1000)))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(written) == 2, "too early for the second"
    clock.time += 0.5
    await until_written(written, 4)
    note(projections, story, ev.Notice(text="last"))
    await projections.aclose()
    assert len(written) == 7, "all three, once more, at the end"
    assert json.loads((tmp_path / "status.json").read_text())["seq"] == 2001


async def test_bytes_written_do_not_grow_with_the_tree(
    story: Any, tmp_path: Path, written: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_wait(delay: float) -> None:
        clock.time += min(delay, 0.5)
        note(projections, story, ev.Notice(text="again and again"))
        await real_sleep(0)

    real_sleep = asyncio.sleep
    clock = StoppedClock()
    projections = Projections(tmp_path, clock, settled)
    story.begin()
    monkeypatch.setattr(writer.asyncio, "sleep", no_wait)
    specs = tuple(TaskSpec(id=f"A{i}", title=f"Task {i}") for i in range(3, 1000))
    note(projections, story, ev.PlanChanged(reason="large", add=specs))
    begin = clock.time
    while clock.time < begin + 300:
        note(projections, story, ev.Notice(text="again and again"))
        await real_sleep(0.001)
    large = [size for name, size in written if name == "progress.md"]
    assert max(large) > 30_000
    assert sum(large) - large[-1] < 5000 * (clock.time - begin)
    status = [size for name, size in written if name == "status.json"]
    assert len(status) > 2 * len(large), "the small one is kept fresh all the same"
    monkeypatch.undo()
    await projections.aclose()


async def test_a_full_disk_is_no_end(
    story: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, body: bytes, *, durable: bool = True) -> None:
        raise OSError(28, "No space left on device")

    projections = Projections(tmp_path, StoppedClock(), settled)
    monkeypatch.setattr(writer, "atomic_write", full)
    note(projections, story, ev.Notice(text="x"))
    async with asyncio.timeout(10):
        while not caplog.records:  # noqa: ASYNC110 (logged after a thread's failure)
            await asyncio.sleep(0.001)
    assert "No space left" in caplog.text
    monkeypatch.undo()
    note(projections, story, ev.Notice(text="y"))
    await projections.aclose()
    assert json.loads((tmp_path / "status.json").read_text())["seq"] == 2


async def test_what_is_not_settled_is_not_told(story: Any, tmp_path: Path) -> None:
    on_disk = asyncio.Event()

    async def wait() -> None:
        await on_disk.wait()

    projections = Projections(tmp_path, StoppedClock(), wait)
    note(projections, story, ev.Notice(text="x"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert list(tmp_path.iterdir()) == []
    on_disk.set()
    await projections.aclose()
    assert json.loads((tmp_path / "status.json").read_text())["seq"] == 1


async def test_what_will_never_be_settled_is_never_told(story: Any, tmp_path: Path) -> None:
    async def lost() -> None:
        raise JournalError("the disk is gone")

    projections = Projections(tmp_path, StoppedClock(), lost)
    note(projections, story, ev.Notice(text="x"))
    await projections.aclose()
    assert list(tmp_path.iterdir()) == []
