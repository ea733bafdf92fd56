"""Prints of a workspace: what changes them, what does not, and what cannot trip them."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from aura_engine.guard import files
from aura_engine.guard.files import contents, touched


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    for name in ("a.py", "src/b.py", "src/deep/c.py", ".git/index", ".hidden/d"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    os.link(root / "a.py", root / "hard link")
    return root


def append(root: Path) -> None:
    with (root / "src/b.py").open("a") as file:
        file.write("more")


def same_size(root: Path) -> None:
    (root / "src/deep/c.py").write_text("src/deep/X.py")


CHANGES = {
    "append": append,
    "same size": same_size,
    "new file": lambda root: (root / "src/new").touch(),
    "deleted at the top": lambda root: (root / "hard link").unlink(),
    "deleted below": lambda root: (root / "src/b.py").unlink(),
    "renamed": lambda root: (root / "src/b.py").rename(root / "src/z.py"),
    "new folder": lambda root: (root / "empty").mkdir(),
    "rights": lambda root: (root / "a.py").chmod(0o700),
    "link": lambda root: (root / "link").symlink_to("a.py"),
    "fifo": lambda root: os.mkfifo(root / "fifo"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_every_change_shows(workspace, change):
    before = touched(workspace), contents(workspace)
    assert (touched(workspace), contents(workspace)) == before
    change(workspace)
    after = touched(workspace), contents(workspace)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_the_same_text_again_is_a_touch_but_no_change(workspace):
    before = touched(workspace), contents(workspace)
    temporary = workspace / "a.py.new"
    temporary.write_text("a.py")
    temporary.replace(workspace / "a.py")
    assert touched(workspace) != before[0]
    (workspace / ".git/index").write_text("refreshed")
    assert contents(workspace) == before[1]


def test_long_files_count_by_size_and_time(workspace, monkeypatch):
    monkeypatch.setattr(files, "READ_WHOLE", 10)
    (workspace / "long").write_text("0123456789abc")
    before = contents(workspace)
    (workspace / "long").write_text("0123456789abcd")
    assert contents(workspace) != before


def test_links_are_not_followed_and_fifos_not_waited_for(workspace, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace / "away").symlink_to(outside)
    (workspace / "round").symlink_to(workspace)
    os.mkfifo(workspace / "fifo")
    before = touched(workspace), contents(workspace)
    (outside / "secret").write_text("x")
    assert (touched(workspace), contents(workspace)) == before


def test_the_walk_is_bounded(workspace, monkeypatch):
    monkeypatch.setattr(files, "MOST", 3)
    assert len(list(files._walk(workspace))) == 4  # the root, and three
    assert touched(workspace) == touched(workspace)


def test_folders_may_vanish_meanwhile(tmp_path):
    root = tmp_path / "busy"
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for at in range(5):
                (root / f"d{at}/e").mkdir(parents=True, exist_ok=True)
                (root / f"d{at}/e/f").write_text("x")
            shutil.rmtree(root, ignore_errors=True)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for _ in range(200):
            touched(root)
            contents(root)
    finally:
        stop.set()
        churning.join()
