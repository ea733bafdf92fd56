"""The engine may die at any instant, and the disk may be full: what was acknowledged is there, in order."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from aura_engine.journal.store import Journal

Start = Callable[..., subprocess.Popen[str]]

WRITE_UNTIL_KILLED = """
import asyncio, sys, os
from pathlib import Path
from aura_engine.journal.store import Journal

async def one(journal):
    while True:
        seq = await journal.append("tick", 1.5, '{"text":"' + "x" * 300 + '"}')
        os.write(1, b"%d\\n" % seq)

async def main():
    journal = Journal.open(Path(sys.argv[1]))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(one(journal))

asyncio.run(main())
"""


async def test_killed_in_mid_write_again_and_again(path: Path, python: Start) -> None:
    acknowledged = 0
    dice = random.Random(4)
    for _ in range(20):
        engine = python(WRITE_UNTIL_KILLED, path)
        assert engine.stdout is not None
        for _ in range(dice.randrange(1, 120)):
            acknowledged = max(acknowledged, int(engine.stdout.readline()))
        engine.kill()
        for line in engine.stdout:
            if line.endswith("\n"):
                acknowledged = max(acknowledged, int(line))
        engine.wait(10)
    journal = Journal.open(path)
    assert journal.epoch == 21
    seqs = [entry.seq for entry in journal.read()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) >= acknowledged > 20
    await journal.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_reader_recovers_the_log_of_a_dead_engine(path: Path, python: Start) -> None:
    engine = python(WRITE_UNTIL_KILLED, path)
    assert engine.stdout is not None
    for _ in range(9):
        engine.stdout.readline()
    engine.kill()
    engine.wait(10)
    reader = Journal.open(path, writer=False)
    assert len(list(reader.read())) >= 9


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from aura_engine.errors import JournalError
from aura_engine.journal.store import Journal

# No file may grow beyond the limit: like a full disk, and one that can be freed again.
def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    path = Path(sys.argv[1])
    troubles = asyncio.Queue()
    journal = Journal.open(path, on_trouble=troubles.put_nowait)
    await journal.append("before", 1.0, "{}")
    room(path.with_name(path.name + "-wal").stat().st_size)
    waiting = [journal.append("during", 2.0, "x" * 500) for _ in range(50)]
    trouble = await asyncio.wait_for(troubles.get(), 20)
    assert isinstance(trouble, JournalError), trouble
    try:
        await journal.flush(0.2)
        raise SystemExit("flush returned although nothing can be written")
    except JournalError as error:
        assert "could not be written" in str(error)
    assert not any(future.done() for future in waiting)
    assert journal.failure is None
    assert [entry.kind for entry in journal.read()] == ["before"]

    room(resource.RLIM_INFINITY)
    assert [await future for future in waiting] == list(range(2, 52))
    assert await asyncio.wait_for(troubles.get(), 20) is None
    assert await journal.append("after", 3.0, "{}") == 52

    room(path.with_name(path.name + "-wal").stat().st_size)
    lost = journal.append("lost", 4.0, "x" * 5000)
    assert isinstance(await asyncio.wait_for(troubles.get(), 20), JournalError)
    try:
        await journal.close(20)
        raise SystemExit("close kept silent about an event that could not be written")
    except JournalError:
        pass
    assert lost.exception() is journal.failure or lost.exception() is not None
    room(resource.RLIM_INFINITY)
    again = Journal.open(path)
    assert again.last_seq == 52
    assert [entry.seq for entry in again.read()] == list(range(1, 53))
    await again.close()
    print("sound")

asyncio.run(main())
"""


def test_a_full_disk_holds_events_back_and_loses_none(path: Path, python: Start) -> None:
    output, _ = python(FULL_DISK, path).communicate(timeout=40)
    assert output == "sound\n"
