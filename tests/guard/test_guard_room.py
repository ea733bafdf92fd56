"""How much room a run has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aura_engine.guard.room import Disk, Room, amount, disks, taken

GB = 1_000_000_000


def room(free=100 * GB, total=500 * GB, used=0, quota=0):
    return Room((Disk(Path("/here"), free, total),), used, quota)


def test_a_reserve_is_left_on_every_disk():
    assert Disk(Path("/"), 0, 500 * GB).reserve == 2 * GB
    assert Disk(Path("/"), 0, 10 * GB).reserve == 200_000_000
    assert Disk(Path("/"), 0, 1 * GB).reserve == 32_000_000
    assert Disk(Path("/"), 0, 524_288).reserve == 65_536  # a small tmpfs
    assert room(free=2 * GB).full(held=False) == ""
    assert room(free=2 * GB - 1).full(held=False) == "2.0 GB are left on the disk of /here"
    assert room(free=int(2.9 * GB)).full(held=True)  # not on and off with every file
    assert room(free=3 * GB).full(held=True) == ""


def test_the_quota_has_an_alarm_and_an_end():
    assert room(used=79, quota=100).alarm() == ""
    assert room(used=81 * GB, quota=100 * GB).alarm() == "the run takes 81.0 GB of the 100.0 GB that it may"
    assert room(used=100, quota=100).full(held=False) == ""
    assert "its quota is 100.0 GB" in room(used=101 * GB, quota=100 * GB).full(held=False)
    assert room(used=96, quota=100).full(held=True)
    assert room(used=95, quota=100).full(held=True) == ""
    assert "4.0 GB of 500.0 GB are left" in room(free=4 * GB - 1).alarm()
    assert room(free=4 * GB, used=10**18).alarm() == ""


def test_what_is_left_is_what_the_fullest_place_takes():
    near, far = Disk(Path("/a"), 5 * GB, 100 * GB), Disk(Path("/b"), 50 * GB, 100 * GB)
    assert Room((near, far), 0, 0).left == 3 * GB
    assert Room((far,), 7 * GB, 9 * GB).left == 2 * GB
    assert Room((Disk(Path("/c"), 0, GB),), 0, 0).left == 0


def test_each_disk_is_looked_at_once(tmp_path):
    (found,) = disks([tmp_path, tmp_path])
    assert 0 < found.free < found.total
    with pytest.raises(FileNotFoundError):
        disks([tmp_path / "gone"])


def test_what_the_folders_take_is_added_up(tmp_path):
    assert taken([tmp_path / "gone"]) == 0
    one, two = tmp_path / "one", tmp_path / "-two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "file").write_bytes(os.urandom(1_000_000))
    assert 2_000_000 <= taken([one, two, tmp_path / "gone"]) <= 2_200_000


def test_amounts_are_for_reading():
    assert [amount(size) for size in (0, 1_500, 2_500_000, 3 * GB)] == ["0 kB", "2 kB", "2.5 MB", "3.0 GB"]
