from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import watchfiles

from aura_engine.errors import GoalError
from aura_engine.goal import watch
from aura_engine.goal.read import GoalText, read_goal
from aura_engine.goal.watch import watch_goal

LIMIT = 20.0


@dataclass
class Told:
    """A running watch: what it tells, and each look at the settled file."""

    changes: AsyncIterator[GoalText | GoalError]
    looks: asyncio.Queue[GoalText | GoalError]

    async def next(self) -> GoalText | GoalError:
        return await asyncio.wait_for(anext(self.changes), LIMIT)

    async def text(self) -> str:
        seen = await self.next()
        assert isinstance(seen, GoalText), seen
        return seen.text

    async def looked_at(self, text: str | None) -> None:
        """Until a settled look saw `text` (None: an error)."""
        while True:
            seen = await asyncio.wait_for(self.looks.get(), LIMIT)
            if (seen.text if isinstance(seen, GoalText) else None) == text:
                return


@pytest.fixture
def start(monkeypatch):
    """Opens a watch whose looks can be awaited, so that no test has to sleep."""

    @contextlib.asynccontextmanager
    async def start_watch(path: Path, **options):
        looks: asyncio.Queue[GoalText | GoalError] = asyncio.Queue()
        settled = watch._settled

        async def spied(*args):
            stamp, seen = await settled(*args)
            looks.put_nowait(seen)
            return stamp, seen

        monkeypatch.setattr(watch, "_settled", spied)
        out: asyncio.Queue[GoalText | GoalError] = asyncio.Queue()

        async def pump() -> None:
            async with contextlib.aclosing(watch_goal(path, **{"settle": 0.02, "grace": 0.1, **options})) as changes:
                async for change in changes:
                    out.put_nowait(change)

        async def drain():
            while True:
                yield await out.get()

        pumping = asyncio.create_task(pump())
        try:
            yield Told(drain(), looks)
            assert not pumping.done()
        finally:
            pumping.cancel()
            await asyncio.wait([pumping])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    return start_watch


async def test_an_edit_is_told(task, start):
    task.write_text("one\n")
    async with start(task) as told:
        await told.looked_at("one\n")
        task.write_text("two\n")
        seen = await told.next()
        assert seen == read_goal(task)
        assert seen.text == "two\n"


@pytest.mark.parametrize("style", ["replace", "backup", "append", "unlink"])
async def test_the_ways_editors_save(task, start, style):
    task.write_text("one\n")
    other = task.with_name(".task.md.swp")
    async with start(task, grace=LIMIT) as told:
        await told.looked_at("one\n")
        for turn in range(3):
            text = f"{task.read_text()}turn {turn}\n"
            match style:
                case "replace":
                    other.write_text(text)
                    other.replace(task)
                case "backup":
                    task.replace(other)
                    task.write_text(text)
                case "append":
                    with task.open("a") as file:
                        file.write(f"turn {turn}\n")
                case _:
                    task.unlink()
                    task.write_text(text)
            assert await told.text() == text


async def test_many_quick_edits_are_told_once_as_the_last(task, start):
    task.write_text("start\n")
    async with start(task) as told:
        await told.looked_at("start\n")
        for n in range(100):
            task.write_text(f"edit {n}\n")
        assert await told.text() == "edit 99\n"
        task.write_text("end\n")
        assert await told.text() == "end\n"


async def test_an_edit_taken_back_is_none(task, start):
    task.write_text("one\n")
    async with start(task) as told:
        await told.looked_at("one\n")
        task.write_text("two\n")
        task.write_text("one\n")
        await told.looked_at("one\n")
        task.write_text("three\n")
        assert await told.text() == "three\n"


async def test_the_revision_in_force_decides_what_is_new(task, start):
    task.write_text("old\n")
    revision = read_goal(task).revision
    task.write_text("edited before the watch\n")
    async with start(task, revision=revision) as told:
        assert await told.text() == "edited before the watch\n"
    async with start(task, revision=read_goal(task).revision) as told:
        await told.looked_at("edited before the watch\n")
        task.write_text("next\n")
        assert await told.text() == "next\n"


async def test_a_deleted_file_is_told_once_and_so_is_its_return(task, start):
    task.write_text("one\n")
    async with start(task) as told:
        await told.looked_at("one\n")
        task.unlink()
        gone = await told.next()
        assert isinstance(gone, GoalError)
        assert "There is no task file" in str(gone)
        task.with_name("other.md").write_text("not watched")
        task.write_text("one\n")
        assert await told.text() == "one\n"


async def test_a_file_empty_for_a_moment_is_never_told(task, start):
    task.write_text("one\n")
    async with start(task, grace=LIMIT) as told:
        await told.looked_at("one\n")
        task.write_text("")
        await told.looked_at(None)
        task.write_text("two\n")
        assert await told.text() == "two\n"


async def test_an_unusable_file_is_told_once_and_another_fault_again(task, start):
    task.write_text("one\n")
    async with start(task, grace=0.0) as told:
        await told.looked_at("one\n")
        task.write_bytes(b"\0")
        assert "binary" in str(await told.next())
        task.write_bytes(b"\0\0")
        await told.looked_at(None)
        await told.looked_at(None)
        task.write_bytes(b"")
        assert "is empty" in str(await told.next())
        task.write_text("two\n")
        assert await told.text() == "two\n"


async def test_half_written_content_never_gets_out(task, monkeypatch):
    task.write_text("half")
    reads: list[str] = []
    read = watch._read

    def read_while_the_writer_goes_on(path, project):
        seen = read(path, project)
        reads.append(seen.text)
        if len(reads) < 3:
            path.write_text("half and half\n" * len(reads))
        return seen

    monkeypatch.setattr(watch, "_read", read_while_the_writer_goes_on)
    _, seen = await watch._settled(task, None, 0.0)
    assert seen.text == "half and half\n" * 2
    assert reads[0] == "half\n"


async def test_without_inotify_the_timer_finds_the_edit(task, start, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(28, "inotify limit reached")

    monkeypatch.setattr(watchfiles, "awatch", refuse)
    task.write_text("one\n")
    async with start(task, rehash_every=0.05) as told:
        await told.looked_at("one\n")
        task.write_text("two\n")
        assert await told.text() == "two\n"
    assert "looked at on a timer" in caplog.text


async def test_events_that_never_come_are_made_up_for_by_the_timer(task, start, monkeypatch):
    async def deaf(*_, **__):
        await asyncio.Event().wait()
        yield set()

    monkeypatch.setattr(watchfiles, "awatch", deaf)
    task.write_text("one\n")
    async with start(task, rehash_every=0.01) as told:
        await told.looked_at("one\n")
        task.write_text("two\n")
        assert await told.text() == "two\n"


async def test_a_folder_that_is_not_there_yet(task, start):
    later = task.parent / "later" / "task.md"
    async with start(later, rehash_every=0.05) as told:
        assert isinstance(await told.next(), GoalError)
        later.parent.mkdir()
        later.write_text("here\n")
        assert await told.text() == "here\n"
