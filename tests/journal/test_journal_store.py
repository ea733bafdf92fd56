from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from aura_engine.errors import JournalError, OwnedError
from aura_engine.journal import store, writer
from aura_engine.journal.store import Entry, Journal


async def fill(path: Path, number: int) -> None:
    journal = Journal.open(path)
    for index in range(number):
        journal.append("tick", float(index), f'{{"n":{index}}}')
    await journal.close()


async def test_append_read_and_reopen(path: Path) -> None:
    journal = Journal.open(path)
    assert journal.last_seq == 0
    assert list(journal.read()) == []
    first = journal.append("run_started", 12.5, '{"goal":"größer ✓"}')
    second = journal.append("task_added", 13, "{}", version=3)
    assert journal.last_seq == 2, "numbered before the disk has seen it"
    assert [await first, await second] == [1, 2]
    expected = [Entry(1, 12.5, "run_started", 1, '{"goal":"größer ✓"}'), Entry(2, 13.0, "task_added", 3, "{}")]
    assert list(journal.read()) == expected
    run = journal.run_id
    await journal.close()

    again = Journal.open(path)
    assert (again.last_seq, again.run_id, again.epoch) == (2, run, 2)
    assert await again.append("more", 14.0, "{}") == 3
    assert [entry.seq for entry in again.read(after=1)] == [2, 3]
    assert list(again.read(after=3)) == []
    await again.close()


async def test_file_is_private_and_whole_after_close(path: Path) -> None:
    await fill(path, 5)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["journal.db"], "neither log nor reserve is left"


async def test_unawaited_appends_keep_their_order(path: Path) -> None:
    journal = Journal.open(path)

    async def one(name: int) -> list[int]:
        return [await journal.append(f"from_{name}", index, "{}") for index in range(50)]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(name)) for name in range(20)]
    entries = list(journal.read())
    assert [entry.seq for entry in entries] == list(range(1, 1001))
    for name, task in enumerate(tasks):
        assert task.result() == [entry.seq for entry in entries if entry.kind == f"from_{name}"]
    await journal.close()


async def test_waiting_events_share_one_commit_and_one_wake_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    taken, gate = threading.Event(), threading.Event()
    transaction = store.Writer._transaction

    def counted(self: store.Writer, rows: list[object]) -> None:
        groups.append(len(rows))
        if len(groups) == 1:
            taken.set()
            assert gate.wait(10)
        transaction(self, rows)

    monkeypatch.setattr(store.Writer, "_transaction", counted)
    wake_ups: list[int] = []
    resolve = store.Writer._resolve
    monkeypatch.setattr(
        store.Writer, "_resolve", lambda self, batch, error: (wake_ups.append(len(batch)), resolve(self, batch, error))
    )
    journal = Journal.open(path)
    first = journal.append("first", 0, "{}")
    assert await asyncio.to_thread(taken.wait, 10), "the writer has taken the first one and stands at the gate"
    rest = [journal.append("next", 0, "{}") for _ in range(99)]
    gate.set()
    await asyncio.gather(first, *rest)
    assert groups == [1, 99]
    assert wake_ups == [1, 99]
    await journal.close()


async def test_what_nobody_waits_for_goes_with_what_somebody_does(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[list[str]] = []
    transaction = store.Writer._transaction

    def counted(self: store.Writer, rows: list[tuple[int, float, str, int, str, int]]) -> None:
        groups.append([row[2] for row in rows])
        transaction(self, rows)

    monkeypatch.setattr(store.Writer, "_transaction", counted)
    monkeypatch.setattr(writer, "LATER", 3600.0)
    journal = Journal.open(path)
    journal.append("later", 0, "{}", soon=False)
    journal.append("later", 0, "{}", soon=False)
    assert await journal.append("soon", 0, "{}") == 3
    assert groups == [["later", "later", "soon"]]
    journal.append("last", 0, "{}", soon=False)
    await journal.close()
    assert [entry.kind for entry in Journal.open(path, writer=False).read()] == ["later", "later", "soon", "last"]


async def test_what_nobody_waits_for_is_written_by_itself_in_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LATER", 0.001)
    journal = Journal.open(path)
    async with asyncio.timeout(10):
        assert await journal.append("later", 0, "{}", soon=False) == 1
        assert await journal.append("later", 0, "{}", soon=False) == 2, "the next one has a time of its own"
    await journal.close()


async def test_a_cancelled_wait_does_not_take_the_event_back(path: Path) -> None:
    journal = Journal.open(path)
    journal.append("kept", 0, "{}").cancel()
    await journal.flush()
    assert [entry.kind for entry in journal.read()] == ["kept"]
    await journal.close()


async def test_flush_means_on_the_disk(path: Path) -> None:
    journal = Journal.open(path)
    for _ in range(2500):
        journal.append("tick", 0, "{}")
    await journal.flush()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (2500,)
    await journal.close()


async def test_too_much_waiting_is_refused_and_not_numbered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "QUEUE", 3)
    journal = Journal.open(path)
    for _ in range(3):  # no await: the loop cannot settle any of them
        journal.append("tick", 0, "{}")
    with pytest.raises(JournalError, match="3 events wait"):
        journal.append("tick", 0, "{}")
    assert journal.last_seq == 3
    await journal.flush()
    assert await journal.append("tick", 0, "{}") == 4
    await journal.close()


async def test_unwritable_text_is_refused_before_it_gets_a_number(path: Path) -> None:
    journal = Journal.open(path)
    with pytest.raises(UnicodeEncodeError):
        journal.append("tick", 0, "\ud800")
    assert await journal.append("tick", 0, "{}") == 1
    await journal.close()


async def test_an_older_writer_is_fenced_off(path: Path) -> None:
    troubles: list[object] = []
    stale = Journal.open(path, on_trouble=troubles.append)
    await stale.append("mine", 0, "{}")
    fresh = Journal.open(path)
    await fresh.append("theirs", 0, "{}")
    with pytest.raises(OwnedError, match="taken this goal over"):
        await stale.append("late", 0, "{}")
    with pytest.raises(OwnedError):
        stale.append("later", 0, "{}")
    assert troubles == [stale.failure]
    with pytest.raises(OwnedError):
        await stale.close()
    assert [entry.kind for entry in fresh.read()] == ["mine", "theirs"]
    await fresh.close()


async def test_a_reader_sees_what_is_committed_and_cannot_write(path: Path) -> None:
    journal = Journal.open(path)
    await journal.append("one", 0, "{}")
    reader = Journal.open(path, writer=False)
    assert (reader.last_seq, reader.epoch, reader.run_id) == (1, 1, journal.run_id)
    await journal.append("two", 0, "{}")
    assert [entry.kind for entry in reader.read()] == ["one", "two"]
    with pytest.raises(JournalError, match="not open for writing"):
        reader.append("three", 0, "{}")
    await reader.close()
    await journal.append("three", 0, "{}")
    await journal.close()


def test_a_reader_makes_no_journal(path: Path) -> None:
    with pytest.raises(JournalError, match="no journal at"):
        Journal.open(path, writer=False)
    assert list(path.parent.iterdir()) == []


async def test_deleted_under_a_living_engine(path: Path) -> None:
    journal = Journal.open(path)
    await journal.append("one", 0, "{}")
    for file in path.parent.iterdir():
        file.unlink()
    with pytest.raises(JournalError, match="was deleted or replaced"):
        await journal.append("two", 0, "{}")
    assert journal.failure is not None
    assert not path.exists(), "no new empty journal in its place"
    with pytest.raises(JournalError):
        await journal.close()


async def test_backup_of_a_journal_in_use(path: Path, tmp_path: Path) -> None:
    journal = Journal.open(path)
    for index in range(500):
        journal.append("tick", index, "{}")
    await journal.flush()
    copy = tmp_path / "copies"
    copy.mkdir()
    async with asyncio.TaskGroup() as group:
        group.create_task(journal.backup(copy / "backup.db"))
        for index in range(200):
            journal.append("tock", index, "{}")
    await journal.close()
    assert [file.name for file in copy.iterdir()] == ["backup.db"]
    restored = Journal.open(copy / "backup.db")
    assert [entry.seq for entry in restored.read()] == list(range(1, restored.last_seq + 1))
    assert restored.last_seq >= 500
    await restored.append("goes_on", 0, "{}")
    await restored.close()


async def test_failed_backup_leaves_nothing(path: Path, tmp_path: Path) -> None:
    journal = Journal.open(path)
    with pytest.raises(JournalError):
        await journal.backup(tmp_path / "missing" / "backup.db")
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(JournalError):
        await journal.backup(target)
    assert not list(tmp_path.glob("*.part"))
    await journal.close()
