"""After many short workers the engine holds what it held before: the short version of `leaks.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from leaks import clean
from survival_ground import CHECKOUT

from aura_engine.workspace import objects
from aura_engine.workspace.objects import FILE, Entry, New, Objects, make_tree


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_is_left_of_sixty_workers():
    command = [sys.executable, str(Path(__file__).with_name("leaks.py")), "--workers-in-all", "60"]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=200)
    told = json.loads(done.stdout)
    assert clean(told), told
    assert done.returncode == 0
    assert told["workers"] == 60


def test_cached_trees_are_bounded_by_the_names_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path)], check=True)
    monkeypatch.setattr(objects, "_NAMES_CACHED", 10)
    store = Objects(tmp_path)
    made: dict[str, dict[str, Entry]] = {}
    for number in range(8):
        new: New = {}
        entries = {f"{number}-{name}": Entry(FILE, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391") for name in range(4)}
        made[make_tree(new, entries)] = entries
        store.add(new)
    assert {oid: store.tree(oid) for oid in made} == made
    assert sum(map(len, store._trees.values())) == store._names <= 10
    store.close()
