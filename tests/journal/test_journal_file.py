"""What is found on the disk: damage, other versions, other programs' files, network disks."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aura_engine.errors import JournalError
from aura_engine.journal import schema, store
from aura_engine.journal.filesystem import filesystem_type, refuse_network
from aura_engine.journal.store import Journal


async def fill(path: Path, number: int = 200) -> list[store.Entry]:
    journal = Journal.open(path)
    for index in range(number):
        journal.append("task_added", float(index), '{"title":"a task of some length, so that pages fill up"}')
    await journal.flush()
    entries = list(journal.read())
    await journal.close()
    return entries


@pytest.fixture
async def sound(path: Path) -> list[store.Entry]:
    return await fill(path)


async def reread(path: Path) -> list[store.Entry]:
    journal = Journal.open(path)
    try:
        return list(journal.read())
    finally:
        await journal.close()


@pytest.mark.parametrize("seed", range(60))
async def test_a_flipped_byte_is_noticed_or_harmless(path: Path, sound: list[store.Entry], seed: int) -> None:
    data = bytearray(path.read_bytes())
    place = random.Random(seed).randrange(len(data))
    data[place] ^= 1 << random.Random(seed).randrange(8)
    path.write_bytes(data)
    entries, refusal = sound, None
    try:
        entries = await reread(path)
    except JournalError as error:
        refusal = error
    assert entries == sound, f"byte {place} changed a fact unnoticed"
    assert refusal is None or (str(path) in str(refusal) and refusal.cure)


@pytest.mark.parametrize("kept", [0, 1, 99, 100, 1023, 1024, 4000, 0.3, 0.5, 0.9])
async def test_a_truncated_file_is_refused(path: Path, sound: list[store.Entry], kept: float) -> None:
    size = int(kept * path.stat().st_size) if isinstance(kept, float) else kept
    with path.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(JournalError, match="damaged") as caught:
        await reread(path)
    assert "Put a backup in its place" in caught.value.cure
    assert path.stat().st_size == size, "left as it was found"


@pytest.mark.parametrize("seed", range(10))
async def test_a_zeroed_page_is_refused(path: Path, sound: list[store.Entry], seed: int) -> None:
    pages = path.stat().st_size // schema.PAGE_SIZE
    with path.open("r+b") as file:
        file.seek(random.Random(seed).randrange(pages) * schema.PAGE_SIZE)
        file.write(bytes(schema.PAGE_SIZE))
    with pytest.raises(JournalError, match="damaged"):
        await reread(path)


@pytest.mark.parametrize("change", ["DELETE FROM events", "UPDATE events SET kind = 'x'", "UPDATE events SET time = 0"])
async def test_a_missing_or_changed_event_is_refused(path: Path, sound: list[store.Entry], change: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"{change} WHERE seq = 7")
        connection.commit()
    with pytest.raises(JournalError, match="event 7 is missing or changed"):
        await reread(path)


async def test_a_changed_table_definition_is_refused(path: Path, sound: list[store.Entry]) -> None:
    data = path.read_bytes()
    assert b"PRIMARY KEY, time" in data
    path.write_bytes(data.replace(b"PRIMARY KEY, time", b"PRIMCRY KEY, time"))
    with pytest.raises(JournalError, match="damaged"):
        await reread(path)


async def test_only_the_log_is_left(path: Path, sound: list[store.Entry]) -> None:
    path.with_name("journal.db-wal").write_bytes(b"x")
    path.unlink()
    with pytest.raises(JournalError, match="only its log is left"):
        Journal.open(path)
    assert not path.exists()


async def test_damage_names_the_copies_there_are(path: Path, sound: list[store.Entry]) -> None:
    shutil.copy(path, path.with_name("journal.db.v1.bak"))
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(JournalError) as caught:
        Journal.open(path)
    assert "journal.db.v1.bak" in caught.value.cure


async def test_another_programs_database_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY)")
    with pytest.raises(JournalError, match="not a journal of Aura's"):
        Journal.open(path)


async def test_a_newer_version_is_refused_untouched(path: Path, sound: list[store.Entry]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="newer Aura"):
        Journal.open(path)
    assert path.read_bytes() == before


async def test_migration_keeps_the_events_and_a_copy(
    path: Path, sound: list[store.Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (*schema.MIGRATIONS, "ALTER TABLE events ADD COLUMN actor TEXT;", "CREATE TABLE notes (text TEXT);")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    assert await reread(path) == sound
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("SELECT actor FROM events LIMIT 1").fetchone() == (None,)
    with closing(sqlite3.connect(path.with_name("journal.db.v1.bak"))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (len(sound),)


async def test_a_failed_migration_changes_nothing(
    path: Path, sound: list[store.Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE half (x); CREATE TABLE half (x);"))
        with pytest.raises(JournalError, match="from schema 1 to 2"):
            Journal.open(path)
    assert await reread(path) == sound
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []


async def test_creation_cut_off_is_begun_again(path: Path) -> None:
    path.with_name("journal.db.new").write_bytes(b"half")
    await fill(path, 1)
    assert len(await reread(path)) == 1


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be used"):
        Journal.open(tmp_path / "missing" / "journal.db")


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    table = tmp_path / "mounts"
    table.write_text(
        "/dev/vda / ext4 rw 0 0\n"
        "server:/home /home nfs4 rw 0 0\n"
        "me@host: /home/me/my\\040disk fuse.sshfs rw 0 0\n"
        "tmpfs /home/me/fast tmpfs rw 0 0\n"
        "broken\n",
        encoding="utf-8",
    )
    return table


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/project", "ext4"),
        ("/home/me/project", "nfs4"),
        ("/homeless", "ext4"),
        ("/home/me/my disk/project", "fuse.sshfs"),
        ("/home/me/fast", "tmpfs"),
    ],
)
def test_file_system_of_a_folder(mounts: Path, folder: str, kind: str) -> None:
    assert filesystem_type(Path(folder), mounts=mounts) == kind


def test_network_disks_are_refused_in_words(mounts: Path) -> None:
    refuse_network(Path("/srv/project"), mounts=mounts)
    with pytest.raises(JournalError, match=r"network file system \(nfs4\)") as caught:
        refuse_network(Path("/home/me"), mounts=mounts)
    assert "--data-dir" in caught.value.cure


async def test_opening_on_a_network_disk_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise JournalError(f"{folder} is far away")

    monkeypatch.setattr(store, "refuse_network", refuse)
    with pytest.raises(JournalError, match="far away"):
        await asyncio.to_thread(Journal.open, path)
    assert not path.exists()
