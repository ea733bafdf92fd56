"""Folders as a worker may leave them: deeper than Python can recurse, or without the right to look into them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_engine.removal import below, remove_few, remove_tree

DEEP = 1200


def deep(top: Path, levels: int = DEEP) -> Path:
    subprocess.run(["mkdir", "-p", "/".join(["d"] * levels)], cwd=top, check=True)
    return top


@pytest.mark.parametrize("remove", [remove_tree, remove_few])
def test_as_deep_as_it_is(tmp_path: Path, remove: Callable[[Path], None]) -> None:
    (tmp_path / "left").mkdir()
    folder = deep(tmp_path / "left")
    assert sum(1 for _ in below(folder)) == DEEP
    remove(folder)
    assert not folder.exists()


@pytest.mark.parametrize("remove", [remove_tree, remove_few])
def test_what_nobody_may_look_into(tmp_path: Path, remove: Callable[[Path], None]) -> None:
    (tmp_path / "left/shut/inner").mkdir(parents=True)
    (tmp_path / "left/shut/inner/file").write_text("x")
    (tmp_path / "left/link").symlink_to(tmp_path)
    (tmp_path / "left/shut/inner").chmod(0o500)
    (tmp_path / "left/shut").chmod(0)
    remove(tmp_path / "left")
    assert not (tmp_path / "left").exists()
    remove(tmp_path / "left")  # nothing there is no error


def test_all_that_is_below_once_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("x")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert sorted(entry.path.removeprefix(f"{tmp_path}/") for entry in below(tmp_path)) == [
        "a",
        "a/b",
        "a/b/c",
        "a/loop",
    ]
    assert list(below(tmp_path / "missing")) == []
