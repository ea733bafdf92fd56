"""The journal through migrations, backups and rivals that are killed, deleted folders and damage: rows 12 to 36."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from survival_ground import CHECKOUT, living

from aura_engine.cli.main import main
from aura_engine.demo.server import ScriptedModel
from aura_engine.errors import JournalError, UsageError
from aura_engine.journal.backup import back_up
from aura_engine.journal.fsck import examine

Python = Callable[..., subprocess.Popen[str]]

WRITE = """
import asyncio, os, sys
from pathlib import Path
from aura_engine.core.events import Notice, encode
from aura_engine.journal.store import Journal

async def main():
    journal = Journal.open(Path(sys.argv[1]))
    payload = encode(Notice(text="x" * 400))
    number, most = 0, int(sys.argv[2])
    while not most or number < most:
        for _ in range(50):
            last = journal.append("notice", 1.0, payload)
        number = await last
        os.write(1, b"%d\\n" % number)
    await journal.close()

asyncio.run(main())
"""

MIGRATE = """
import asyncio, sys
from pathlib import Path
from aura_engine.journal import schema
from aura_engine.journal.store import Journal

schema.MIGRATIONS += (
    "CREATE TABLE extra (a INTEGER); CREATE INDEX extra_a ON extra (a); INSERT INTO extra SELECT seq FROM events;",
    "ALTER TABLE extra ADD COLUMN b TEXT; UPDATE extra SET b = 'x'; CREATE TABLE more (c);",
)

async def main():
    journal = Journal.open(Path(sys.argv[1]))
    print(journal.last_seq)
    await journal.close()

asyncio.run(main())
"""

BACK_UP = """
import sys
from pathlib import Path
from aura_engine.journal.backup import back_up
print(back_up(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture
def python() -> Iterator[Python]:
    """Start `python -c code arguments…`; what is left of it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object, fault: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "AURA_FAULT": fault},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def journal(tmp_path: Path, python: Python) -> Path:
    """A journal with some hundred events."""
    path = tmp_path / "journal.db"
    writer = python(WRITE, path, 300)
    writer.communicate(timeout=30)
    assert writer.returncode == 0
    return path


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM events").fetchone() == (300,)
        return db.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.slow
def test_row_12_killed_at_each_statement_of_a_migration(journal: Path, python: Python):
    seen: list[int] = []
    for statement in range(1, 40):
        migrating = python(MIGRATE, journal, fault=f"journal.migrate=kill9@{statement}")
        said, _ = migrating.communicate(timeout=30)
        seen.append(version_of(journal))
        assert journal.with_name("journal.db.v1.bak").exists()
        if migrating.returncode == 0:
            break
        assert migrating.returncode == -9
        # Each death is tried from where the whole migration begins: half of it is never there to go on from.
        if seen[-1] != 1:
            assert seen[-1] == 2, "a step is there whole or not at all"
            shutil.copy(journal.with_name("journal.db.v1.bak"), journal)
            for suffix in ("-wal", "-shm"):
                journal.with_name(f"journal.db{suffix}").unlink(missing_ok=True)
    assert (migrating.returncode, said) == (0, "300\n")
    assert seen[-1] == 3
    assert {1, 2} <= set(seen)
    assert len(seen) > 8


def test_row_13_a_backup_that_dies_never_bears_the_name(journal: Path, python: Python, tmp_path: Path):
    copy = tmp_path / "copy.db"
    dying = python(BACK_UP, journal, copy, fault="backup.copied=kill9")
    dying.communicate(timeout=30)
    assert dying.returncode == -9
    assert not copy.exists()
    assert back_up(journal, copy) == 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "journal.db"]


@pytest.mark.slow
def test_row_13_backups_under_full_load_and_a_writer_that_is_killed_in_it(python: Python, tmp_path: Path):
    path = tmp_path / "journal.db"
    dice = random.Random(13)
    known = 0
    for round_ in range(2):
        writer = python(WRITE, path, 0)
        assert writer.stdout is not None
        for _ in range(dice.randrange(20, 40)):  # past some checkpoints: they come every thousand pages
            known = int(writer.stdout.readline())
        copy = tmp_path / f"copy-{round_}.db"
        assert back_up(path, copy) >= known
        writer.kill()
        known = max([known, *map(int, filter(None, writer.communicate(timeout=10)[0].split("\n")))])
        assert examine(path).events >= known
        restored = examine(copy)
        assert restored.events
        assert not any(restored.troubles.values())


def test_a_backup_overwrites_nothing_and_a_copy_of_damage_is_none(journal: Path, tmp_path: Path):
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        back_up(journal, copy)
    assert copy.read_text() == "mine"
    with closing(sqlite3.connect(journal)) as db:
        db.execute("UPDATE events SET payload = '{}' WHERE seq = 7")
        db.commit()
    with pytest.raises(JournalError, match="event 7"):
        back_up(journal, tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()


def test_a_backup_brings_a_run_back(ended, capsys):
    assert main(["backup"]) == 0
    said = capsys.readouterr().out.splitlines()
    journal = ended.run / "journal.db"
    journal.write_bytes(journal.read_bytes()[:5000])
    with pytest.raises(JournalError, match=r"journal\.db is damaged") as damage:
        main(["fsck"])
    (copy,) = ended.run.glob("journal.db.*.bak")
    assert copy.name in damage.value.cure, "whoever finds the damage is told of the copy"
    subprocess.run(["sh", "-c", said[1].partition(": ")[2]], check=True)
    assert main(["fsck"]) == 0


@pytest.mark.slow
def test_row_16_two_engines_at_once(make_ground):
    ground = make_ground(tasks=3, workers=3, naps=(0.2,))
    argv = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"]
    with ScriptedModel(ground.brain) as model:
        env = ground.environment(model.url, "")
        rivals = [
            subprocess.Popen(
                argv, cwd=ground.project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        told = {rival.pid: (rival.communicate(timeout=50)[1], rival.returncode) for rival in rivals}
    winners = [pid for pid, (_, code) in told.items() if code == 0]
    assert len(winners) == 1, told
    for error, code in told.values():
        assert code == 0 or (code == 4 and f"process {winners[0]} on " in error)
    assert ground.after_kill() == []
    assert max(ground.starts().values()) == 1


@pytest.mark.slow
def test_row_35_the_folder_is_deleted_while_it_runs(make_ground):
    ground = make_ground(tasks=20, workers=2, naps=(0.2,))
    with living(ground) as engine:
        while ground.starts().total() < 2:
            assert engine.poll() is None
            engine.poll() or os.sched_yield()
        # Files come and go under it, which stops shutil's rmtree but not a person's.
        subprocess.run(["rm", "-rf", ground.project / ".aura"], check=False)
        engine.wait(40)
        said = (ground.root / "stderr").read_text()
    assert engine.returncode == 1
    assert "deleted or replaced" in said
    assert "Traceback" not in said
    assert not list(ground.project.glob(".aura/*/journal.db")), "no new, empty one takes its place"


@pytest.mark.parametrize("damage", ["truncated", "zeroed", "garbage", "empty"])
def test_row_36_a_damaged_journal_is_never_run_and_never_replaced(ended, capsys, damage: str):
    main(["backup"])
    journal = ended.run / "journal.db"
    data = bytearray(journal.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "zeroed":
        data[1024 : 1024 * 6] = bytes(1024 * 5)
    else:
        data = bytearray(b"garbage" * 999 if damage == "garbage" else b"")
    journal.write_bytes(data)
    argv = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui"]
    env = {**os.environ, "AURA_API_PROVIDER": "openai", "AURA_API_KEY": "k", "AURA_API_MODEL": "m"}
    env |= {"AURA_PRO_BACKEND": "command", "AURA_PRO_COMMAND": "true", "AURA_PRO_API_KEY": "k"}
    env |= {"AURA_WORKER_MODE": "pro-only", "AURA_CONTAINMENT": "none"}
    done = subprocess.run(argv, cwd=ended.project, env=env, capture_output=True, text=True, check=False, timeout=40)
    assert done.returncode == 1, done.stderr
    assert f"The journal {journal} is damaged" in done.stderr
    assert ".bak" in done.stderr
    assert journal.read_bytes() == bytes(data)
