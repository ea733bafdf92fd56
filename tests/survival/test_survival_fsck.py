"""`aura fsck`: clean after a run, and each of its nine points sees what it is there for."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from survival_ground import living

from aura_engine.cli.fsck import NAMES, examine_run
from aura_engine.cli.main import main
from aura_engine.journal.lock import OwnerLock
from aura_engine.journal.schema import checksum
from aura_engine.runtimes import processes, shim

Rows = list[list[Any]]


def rewrite(run: Path, change: Callable[[Rows], Rows]) -> None:
    """Write the journal's events anew, each with its number and checksum: only what they say is changed."""
    with closing(sqlite3.connect(run / "journal.db")) as db:
        rows = [list(row) for row in db.execute("SELECT time, kind, version, payload FROM events ORDER BY seq")]
        rows = change(rows)
        db.execute("DELETE FROM events")
        for seq, (time, kind, version, payload) in enumerate(rows, start=1):
            crc = checksum(seq, time, kind, version, payload)
            db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (seq, time, kind, version, payload, crc))
        db.commit()
    (run / "state" / "status.json").unlink(missing_ok=True)


def twice(kind: str) -> Callable[[Rows], Rows]:
    """The event of that kind (A1's, where it is a task's) is there once more, just before the end."""

    def change(rows: Rows) -> Rows:
        again = next(row for row in rows if row[1] == kind and json.loads(row[3]).get("task", "A1") == "A1")
        return [*rows[:-1], again, rows[-1]]

    return change


def wrong(run: Path) -> dict[int, tuple[str, ...]]:
    return {point.number: point.troubles for point in examine_run(run) if point.troubles}


def test_a_run_that_has_ended_is_clean(ended, capsys):
    assert wrong(ended.run) == {}
    assert main(["fsck"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(NAMES) + 1
    assert said[-1].endswith("all is well.")


def test_as_json_for_a_script(ended, capsys):
    (ended.run / "socket").touch()
    assert main(["fsck", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["clean"] is False
    assert [point["number"] for point in told["points"] if point["troubles"]] == [9]


def test_it_says_what_is_wrong_and_exits_with_1(ended, capsys):
    rewrite(ended.run, twice("landed"))
    assert main(["fsck"]) == 1
    said = capsys.readouterr().out
    assert "✗ 4" in said
    assert "A1 has landed twice" in said
    assert "aura backup" in said


def test_1_a_damaged_file(ended):
    with closing(sqlite3.connect(ended.run / "journal.db")) as db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'meta'")
        db.commit()
    assert main_fails(ended.run)


def main_fails(run: Path) -> bool:
    """The command as a person types it: one line, never a traceback."""
    argv = [sys.executable, "-m", "aura_engine.cli", "fsck"]
    done = subprocess.run(argv, cwd=run.parent.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return str(run / "journal.db") in done.stderr


def test_2_a_missing_event(ended):
    with closing(sqlite3.connect(ended.run / "journal.db")) as db:
        db.execute("DELETE FROM events WHERE seq = 5")
        db.commit()
    assert "event 5 is missing or changed" in wrong(ended.run)[2][0]


def test_3_a_status_that_tells_another_story(ended):
    path = ended.run / "state" / "status.json"
    status = json.loads(path.read_text())
    path.write_text(json.dumps({**status, "tasks": {**status["tasks"], "completed": 2, "failed": 1}}))
    assert "state/status.json counts" in wrong(ended.run)[3][0]
    path.write_text(json.dumps({**status, "seq": status["seq"] + 1}))
    assert "the journal ends with" in wrong(ended.run)[3][0]
    path.unlink()
    assert wrong(ended.run) == {}, "a projection may be deleted at any time"


def test_3_events_that_cannot_be_folded(ended):
    rewrite(ended.run, lambda rows: [row for row in rows if row[1] != "attempt_starting"])
    assert "cannot be folded" in wrong(ended.run)[3][0]


def test_4_a_second_end(ended):
    rewrite(ended.run, twice("landed"))
    assert {"A1#1 has ended twice", "A1 has landed twice"} <= set(wrong(ended.run)[4])


def test_5_a_worker_that_runs_on_after_its_end(ended, monkeypatch):
    monkeypatch.setattr("aura_engine.cli.fsck.SWEEP", 0.2)
    stray = subprocess.Popen(["sleep", "60"])
    try:
        record = {"pid": stray.pid, "start_time": shim.start_time(stray.pid), "boot_id": processes.boot_id()}
        place = ended.run / "attempts" / "A1" / "1" / "process.json"
        place.write_text(json.dumps({"shim": record, "worker": record}))
        assert f"process {stray.pid} of A1#1 runs, but it has ended" in wrong(ended.run)[5]
        stranger = ended.run / "attempts" / "A9" / "1"
        stranger.mkdir(parents=True)
        place.rename(stranger / "process.json")
        assert "the journal does not know it" in wrong(ended.run)[5][0]
    finally:
        stray.kill()
        stray.wait(10)
    assert wrong(ended.run) == {}


def test_6_a_worker_that_was_started_twice(ended):
    rewrite(ended.run, twice("attempt_started"))
    assert "A1#1 has “attempt_started” twice" in wrong(ended.run)[6]


def test_7_a_call_that_is_counted_twice(ended):
    rewrite(ended.run, twice("planner_replied"))
    assert wrong(ended.run)[7]


def test_8_what_landed_without_its_receipt(ended):
    rewrite(ended.run, lambda rows: [row for row in rows if not (row[1] == "check_ran" and '"A2"' in row[3])])
    assert "A2#1 landed, but its check" in wrong(ended.run)[8][0]


def test_8_a_receipt_of_another_tree(ended):
    def change(rows: Rows) -> Rows:
        landed = json.loads(next(row[3] for row in rows if row[1] == "landed"))
        return [[t, k, v, p.replace(landed["tree"], "4b825dc642cb6eb9a060e54bf8d69288fbee4904")] for t, k, v, p in rows]

    rewrite(ended.run, change)
    assert any("holds another tree" in trouble for trouble in wrong(ended.run)[8])


def test_8_work_that_the_store_has_lost(ended):
    packs = ended.run / "store.git" / "objects" / "pack"
    shutil.rmtree(packs)
    packs.mkdir()
    (ended.run / "store.git" / "recent-objects").write_bytes(b"")
    assert any("is missing from" in trouble for trouble in wrong(ended.run)[8])


def test_9_what_is_left_over(ended):
    (scratch,) = ended.state_home.glob("task-*")
    left = scratch / "work" / "A1-1"
    left.mkdir(parents=True)
    half = ended.run / "state" / f".status.json.{os.getpid()}-0123abcd"
    half.touch()
    try:
        assert set(wrong(ended.run)[9]) == {f"{left} is left over", f"{half} is left over"}
        with OwnerLock.acquire(ended.run / "lock"):
            assert wrong(ended.run) == {}, "a living engine has every right to it"
        (ended.run / "lock").write_text('{"pid": 1}')
        assert wrong(ended.run) == {}, "a killed engine's is cleared away by the next start"
    finally:
        left.rmdir()


@pytest.mark.slow
def test_beside_a_living_engine(make_ground):
    ground = make_ground(tasks=6, workers=3, naps=(0.05,))
    seen = 0
    with living(ground) as engine:
        while engine.poll() is None:
            if ground.run is not None:
                assert ground.after_kill() == []
                seen += 1
    assert engine.returncode == 0, (ground.root / "stderr").read_text()
    assert seen
