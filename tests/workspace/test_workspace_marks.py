"""Looks at a folder: what has not changed is not listed again, and what has changed never passes for the same."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from aura_engine.workspace import marks as marks_module
from aura_engine.workspace.marks import Looker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A few folders, none of which has just changed by the clock that stamps files."""
    for place in ("a/one", "a/two", "b/three"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("x")
    marks_module.wait_for_the_clock([marks_module.file_mark((tmp_path / name).lstat()) for name in ("", "a", "b")])
    return tmp_path


@pytest.fixture
def listed(monkeypatch) -> list[str]:
    """The folders that are listed, by name."""
    found: list[str] = []
    list_folder = marks_module._names

    def spy(place: str) -> list[str]:
        found.append(Path(place).name)
        return list_folder(place)

    monkeypatch.setattr(marks_module, "_names", spy)
    return found


def test_only_folders_that_changed_are_listed_again(folder, listed):
    looker = Looker()
    before = looker.look(folder)
    assert sorted(listed) == sorted(["a", "b", folder.name])
    listed.clear()
    assert looker.look(folder) == before
    assert listed == []
    (folder / "a/new").write_text("y")
    assert looker.look(folder).keys() - before.keys() == {"a/new"}
    assert listed == ["a"]


def test_a_file_written_in_place_shows_without_a_listing(folder, listed):
    looker = Looker()
    before = looker.look(folder)
    listed.clear()
    (folder / "b/three").write_text("z")
    now = looker.look(folder)
    assert {path for path in now if now[path] != before[path]} == {"b/three"}
    assert listed == []


def test_what_comes_in_the_same_step_of_the_clock_as_the_look_shows(folder, monkeypatch):
    change = (folder / "a").stat().st_ctime_ns
    monkeypatch.setattr(marks_module.time, "clock_gettime_ns", lambda clock: change)
    looker = Looker()
    looker.look(folder)
    inner = (folder / "a").lstat()
    (folder / "a/late").write_text("y")
    real = os.lstat

    def same_step(path: str, **where: int) -> os.stat_result:
        """The folder as if its change had got the time that it had before."""
        found = real(path, **where)
        return inner if found.st_ino == inner.st_ino else found

    monkeypatch.setattr(marks_module.os, "lstat", same_step)
    assert "a/late" in looker.look(folder)


def test_another_folder_in_the_place_of_one_is_listed(folder, listed):
    looker = Looker()
    looker.look(folder)
    (folder / "b").rename(folder.parent / f"{folder.name}-away")
    (folder / "b").mkdir()
    assert "b/three" not in looker.look(folder)


def test_what_is_skipped_is_not_entered(folder):
    assert set(Looker({"a"}).look(folder)) == {"", "b", "b/three"}


def test_the_clock_is_the_one_that_stamps_files(folder):
    for _ in range(50):
        marks_module.prove_the_clock(folder)


@pytest.mark.parametrize("stamped", [lambda real: real // 10**9 * 10**9, lambda real: real - 10**9])
def test_a_file_system_that_stamps_in_whole_seconds_or_by_another_clock_is_not_trusted(folder, monkeypatch, stamped):
    real = Path.lstat

    def lstat(path: Path) -> SimpleNamespace:
        return SimpleNamespace(st_ctime_ns=stamped(real(path).st_ctime_ns))

    monkeypatch.setattr(Path, "lstat", lstat)
    with pytest.raises(marks_module.Unmendable):
        marks_module.prove_the_clock(folder)
