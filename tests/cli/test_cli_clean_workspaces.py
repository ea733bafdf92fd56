"""`aura clean-workspaces`: what goes, what stays and why; nothing goes without a word."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aura_engine.journal.lock import OwnerLock
from aura_engine.report.models import Leftover

Say = Callable[..., str]


@pytest.fixture
def folders(ran: Any) -> dict[str, Path]:
    """Workspaces of the run: of landed and failed attempts 30 days old, one young, one that nobody knows."""
    found: dict[str, Path] = {}
    for name, days in {"A1-1": 30, "A1-2": 30, "A2-1": 1, "B9-1": 30}.items():
        folder = found[name] = ran.paths.work / name
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("x" * 1000)
        (folder / "deep").chmod(0o500)
        when = time.time() - days * 86_400
        os.utime(folder, (when, when))
    return found


def left(said: str) -> dict[str, Leftover]:
    rows = [Leftover.model_validate(row) for row in json.loads(said)]
    return {Path(row.path).name: row for row in rows}


def test_it_only_lists_unless_told(folders: dict[str, Path], say: Say) -> None:
    said = say("clean-workspaces")
    assert "2 folders" in said
    assert "nothing was removed" in said
    assert all(folder.is_dir() for folder in folders.values())


def test_what_is_old_and_needed_by_nobody_goes(folders: dict[str, Path], say: Say) -> None:
    rows = left(say("clean-workspaces", "--force", "--json"))
    assert {name: folder.exists() for name, folder in folders.items()} == {
        "A1-1": False,
        "A1-2": False,
        "A2-1": True,
        "B9-1": True,
    }
    assert rows["A1-1"].removed
    assert rows["A1-1"].bytes >= 1000
    assert "younger" in rows["A2-1"].kept
    assert "next start" in rows["B9-1"].kept


def test_age_and_all(folders: dict[str, Path], say: Say) -> None:
    assert left(say("clean-workspaces", "--age", "40", "--json"))["A1-1"].kept == "younger than asked for"
    assert left(say("clean-workspaces", "--all", "--json"))["A2-1"].kept == ""


def test_nothing_goes_while_an_engine_runs(ran: Any, folders: dict[str, Path], say: Say) -> None:
    with OwnerLock.acquire(ran.paths.lock):
        rows = left(say("clean-workspaces", "--all", "--force", "--json"))
    assert {row.kept for row in rows.values()} == {"an engine runs this goal"}
    assert all(folder.is_dir() for folder in folders.values())


@pytest.mark.usefixtures("live")
def test_where_a_worker_is_at_work_or_was_cut_off_nothing_goes(ran: Any, say: Say) -> None:
    for name in ("A2-1", "A2-2"):
        (ran.paths.work / name).mkdir()
    rows = left(say("clean-workspaces", "--all", "--force", "--json"))
    assert {name: row.removed for name, row in rows.items()} == {"A2-1": True, "A2-2": False}


def test_a_link_is_removed_and_not_what_it_points_to(ran: Any, say: Say, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "work").write_text("mine")
    (ran.paths.work / "A1-1").symlink_to(mine)
    say("clean-workspaces", "--all", "--force")
    assert not (ran.paths.work / "A1-1").is_symlink()
    assert (mine / "work").read_text() == "mine"
