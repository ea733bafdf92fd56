"""Room on the disk: without it nothing new starts; with it the run goes on alone, and it is not waited for for ever."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import time

import pytest

from aura_engine import disk, engine, patience
from aura_engine.core.model import EndKind, RunStatus
from aura_engine.errors import DiskFull
from aura_engine.guard.room import Disk
from aura_engine.journal import schema
from aura_engine.journal.writer import Writer

GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}


async def test_nothing_new_starts_on_a_full_disk_and_it_resumes_alone(stage, monkeypatch):
    monkeypatch.setattr(disk, "OFTEN", 0.05)
    monkeypatch.setattr(disk, "AT_EASE", 0.05)
    free = [0]
    monkeypatch.setattr(disk, "disks", lambda places: (Disk(places[0], free[0], 100_000_000_000),))
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        held = await play.until(lambda event: event.kind == "disk_held")
        assert "0 kB are left on the disk" in held.text
        assert play.state.disk_full == held.text
        free[0] = 2_500_000_000  # room, but not enough to begin again at once
        await asyncio.sleep(0.2)
        assert [play.of(kind) for kind in ("planner_asked", "attempt_starting")] == [[], []]
        free[0] = 50_000_000_000
        assert await play.end() is RunStatus.ACHIEVED
    assert [event.text for event in play.of("disk_held")] == [held.text, ""]


async def test_a_journal_that_waits_for_room_holds_new_starts_back(stage, monkeypatch):
    monkeypatch.setattr(disk, "OFTEN", 0.05)
    monkeypatch.setattr(disk, "AT_EASE", 0.05)
    program = stage.program("cli", [GREET, END])
    full = schema.explain(OSError(errno.ENOSPC, "No space left on device"), stage.project / "journal.db")
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "engine_started")
        await stage.eventually(lambda: play.engine.ready)
        play.engine._trouble(full)  # as the journal's writer tells it
        held = await play.until(lambda event: event.kind == "disk_held")
        assert "full" in held.text
        await asyncio.sleep(0.3)
        assert play.of("attempt_starting") == []
        play.engine._trouble(None)
        assert await play.end() is RunStatus.ACHIEVED
    assert [bool(event.text) for event in play.of("disk_held")] == [True, False]


async def test_the_quota_is_an_alarm_and_then_a_limit(stage, monkeypatch):
    monkeypatch.setattr(disk, "OFTEN", 0.05)
    monkeypatch.setattr(disk, "AT_EASE", 0.05)
    used = [850_000_000]
    monkeypatch.setattr(disk, "taken", lambda places: used[0])
    program = stage.program("cli", [{"sh": "until test -e ../go; do sleep 0.05; done"}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program), DISK_QUOTA_GB="1") as play:
        alarm = await play.until(lambda event: event.kind == "notice" and "filling up" in event.text)
        assert "850.0 MB of the 1.0 GB" in alarm.text
        used[0] = 1_100_000_000
        play.engine.parts.disk._due = 0.0
        held = await play.until(lambda event: event.kind == "disk_held" and event.text)
        assert "its quota is 1.0 GB (AURA_DISK_QUOTA_GB)" in held.text
        used[0] = 10_000
        (play.engine.options.paths.work / "go").touch()
        play.engine.parts.disk._due = 0.0
        assert await play.end() is RunStatus.ACHIEVED


async def test_a_quota_that_nothing_will_free_ends_the_run_and_a_larger_one_lets_it_go_on(stage, monkeypatch):
    monkeypatch.setattr(disk, "OFTEN", 0.05)
    monkeypatch.setattr(disk, "AT_EASE", 0.05)
    monkeypatch.setattr(disk, "taken", lambda places: 1_100_000_000)
    program = stage.program("cli", [GREET, END])
    for _ in range(2):
        async with stage.play(CLAUDE_BIN=str(program), DISK_QUOTA_GB="1") as play:
            assert await play.end() is RunStatus.NEEDS_PERSON
        reason = play.of("run_ended")[0].reason
        assert reason.startswith("nothing can start: the run takes 1.1 GB, its quota is 1.0 GB (AURA_DISK_QUOTA_GB)")
        assert [bool(event.text) for event in play.of("disk_held")] == [True], "every start says it"
    async with stage.play(CLAUDE_BIN=str(program), DISK_QUOTA_GB="2") as play:
        assert await play.end() is RunStatus.ACHIEVED


async def test_a_full_disk_is_waited_for_but_not_without_end(stage, monkeypatch):
    monkeypatch.setattr(disk, "OFTEN", 0.05)
    monkeypatch.setattr(disk, "AT_EASE", 0.05)
    monkeypatch.setattr(patience, "LONGEST", 0.3)
    monkeypatch.setattr(disk, "disks", lambda places: (Disk(places[0], 0, 100_000_000_000),))
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.NEEDS_PERSON
    assert "0 kB are left on the disk" in play.of("run_ended")[0].reason


async def test_a_stop_is_not_held_up_by_a_disk_that_takes_nothing(stage, monkeypatch):
    monkeypatch.setattr(engine, "LAST_WORD", 0.2)
    full: list[str] = []
    real = Writer._transaction

    def transaction(self, rows):
        if full and rows:
            error = sqlite3.OperationalError(full[0])
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        real(self, rows)

    monkeypatch.setattr(Writer, "_transaction", transaction)
    program = stage.program("cli", [{"sh": "until test -e ../go; do sleep 0.05; done"}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        full.append("database or disk is full")
        play.engine.interrupt()
        with pytest.raises(DiskFull, match="is full"):
            await play.end()
    full.clear()
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "notice" and "adopted" in event.text)
        (play.engine.options.paths.work / "go").touch()  # not before: a start takes away what is nobody's there
        assert await play.end() is RunStatus.ACHIEVED
    assert len(stage.starts("cli")) == 1


async def test_a_slow_disk_still_tells_the_end(stage, monkeypatch):
    monkeypatch.setattr(engine, "LAST_WORD", 0.05)
    real = Writer._transaction

    def transaction(self, rows):
        if any("run_ended" in row for row in rows):
            time.sleep(0.4)
        real(self, rows)

    monkeypatch.setattr(Writer, "_transaction", transaction)
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
        assert [event.status for event in play.of("run_ended")] == [RunStatus.ACHIEVED]


async def test_a_worker_that_floods_its_output_is_stopped(stage, monkeypatch):
    monkeypatch.setattr(disk, "OFTEN", 0.05)
    monkeypatch.setattr(disk, "AT_EASE", 0.05)
    flood = {"sh": "head -c 3000000 /dev/zero >&2; sleep 60"}
    program = stage.program("cli", [flood], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program), WORKER_LOG_MB="1") as play:
        ended = await play.until(lambda event: event.kind == "worker_ended")
        assert ended.ending.kind is EndKind.LOOPING
        assert "of output; AURA_WORKER_LOG_MB allows 1.0 MB" in ended.ending.detail
        assert await play.end() is RunStatus.ACHIEVED
