"""inotify for many files on one descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from aura_engine.workers import notices

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Told:
    def __init__(self) -> None:
        self.news = asyncio.Event()

    async def next(self) -> None:
        async with asyncio.timeout(10):
            await self.news.wait()
        self.news.clear()


def made(folder: Path, name: str) -> Path:
    path = folder / name
    path.touch()
    return path


def descriptors() -> int:
    found = 0
    for entry in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # the folder's own
            found += str(entry.readlink()) == "anon_inode:inotify"
    return found


def written(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(b"x")


async def test_each_hears_of_its_own_file_through_one_descriptor(tmp_path: Path) -> None:
    before = descriptors()
    one, other = made(tmp_path, "one"), made(tmp_path, "other")
    first, second = Told(), Told()
    watched = [notices.watch(one, first.news.set), notices.watch(other, second.news.set)]
    assert descriptors() == before + 1
    written(other)
    await second.next()
    assert not first.news.is_set()
    written(one)
    await first.next()
    for notice in watched:
        assert notice is not None
        notice.close()
        notice.close()  # once more does no harm
    await asyncio.get_running_loop().shutdown_default_executor()
    assert descriptors() == before


async def test_who_stops_listening_takes_nothing_from_another(tmp_path: Path) -> None:
    path = made(tmp_path, "both")
    first, second = Told(), Told()
    gone, stays = notices.watch(path, first.news.set), notices.watch(path, second.news.set)
    assert gone is not None
    assert stays is not None
    gone.close()
    written(path)
    await second.next()
    assert not first.news.is_set()
    stays.close()


async def test_a_file_that_goes_away_ends_its_watch_alone(tmp_path: Path) -> None:
    one, other = made(tmp_path, "one"), made(tmp_path, "other")
    told = Told()
    gone, stays = notices.watch(one, lambda: None), notices.watch(other, told.news.set)
    assert gone is not None
    assert stays is not None
    one.unlink()
    gone.close()
    written(other)
    await told.next()
    stays.close()


async def test_a_file_that_is_not_there_is_not_watched(tmp_path: Path) -> None:
    before = descriptors()
    assert notices.watch(tmp_path / "none", lambda: None) is None
    await asyncio.get_running_loop().shutdown_default_executor()
    assert descriptors() == before
