"""What a wall shows of a program is looked up again after a while, not at each start."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine.runtimes import containment as containment_module
from aura_engine.runtimes.containment import Ground, View


@pytest.fixture
def now(monkeypatch) -> list[float]:
    """The time by the monotonic clock, as its last entry."""
    times = [100.0]
    monkeypatch.setattr(containment_module, "steady", lambda: times[-1])
    return times


def program(tmp_path: Path, version: str) -> Path:
    """An installed program, and the link to the version that is in use."""
    folder = tmp_path / version / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / version / "lib").mkdir(exist_ok=True)
    (folder / "tool").write_text("#!/bin/sh\n")
    link = tmp_path / "tool"
    link.unlink(missing_ok=True)
    link.symlink_to(folder / "tool")
    return link


def test_an_update_shows_after_a_while(tmp_path, now):
    ground, view = Ground(), View(write=(tmp_path / "work/A1-1",))
    link = program(tmp_path, "one")
    assert tmp_path / "one" in ground.of([str(link)], view).shown
    program(tmp_path, "two")
    now.append(100.0 + containment_module.FRESH - 0.1)
    assert tmp_path / "two" not in ground.of([str(link)], view).shown
    now.append(100.0 + containment_module.FRESH)
    assert tmp_path / "two" in ground.of([str(link)], view).shown


def test_what_one_wall_adds_stays_its_own(tmp_path, now):
    ground, view = Ground(), View(write=(tmp_path / "work/A1-1",))
    link = program(tmp_path, "one")
    first = ground.of([str(link)], view)
    first.shown.add(tmp_path)
    first.links[tmp_path] = "elsewhere"
    second = ground.of([str(link)], view)
    assert tmp_path not in second.shown
    assert tmp_path not in second.links


def test_a_link_in_the_place_of_a_folder_is_seen_at_once(tmp_path, now):
    ground = Ground()
    folder = tmp_path / "work/A1-1"
    folder.mkdir(parents=True)
    view = View(write=(folder,))
    assert ground.of(["/bin/sh"], view).follow(folder) == folder
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert ground.of(["/bin/sh"], view).follow(folder) == tmp_path


def test_what_is_remembered_is_bounded(tmp_path, now, monkeypatch):
    monkeypatch.setattr(containment_module, "MAX_LATELY", 3)
    ground = Ground()
    for number in range(10):
        ground.of(["/bin/sh"], View(write=(tmp_path / f"{number}/work",)))
    assert len(ground._lately) <= 3
