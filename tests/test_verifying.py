"""Checks run for the engine: what a receipt says of the files that decided it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine import verifying
from aura_engine.core.model import Check, Phase
from aura_engine.preparing import Preparation
from aura_engine.verifying import Verifier
from aura_engine.workspace.store import EMPTY_TREE, GitStore


@pytest.fixture
async def store(tmp_path: Path):
    made = GitStore(tmp_path / "store.git")
    await made.init()
    yield made
    await made.aclose()


@pytest.mark.parametrize("many", [0, 10_000], ids=["by a thread", "at once"])
async def test_the_receipt_tells_the_deciding_files_of_its_tree(store, tmp_path, monkeypatch, many):
    monkeypatch.setattr(verifying, "MANY", many)
    monkeypatch.setattr(verifying, "HASHED", 2)
    env = {"PATH": "/usr/bin:/bin"}
    preparation = Preparation(store, tmp_path / "prepared", tmp_path / "project", env, lambda: None)
    verifier = Verifier(store, tmp_path / "checks", preparation, env=env, judge=None)
    check = Check(name="c", run="true")

    async def told(files: dict[str, bytes]) -> str:
        tree = await store.edit(EMPTY_TREE, files)
        async with verifier.room(tree) as room:
            return (await verifier.run(check, tree, room, Phase.TASK, fresh=True)).frozen_hash

    test = {"test_a.py": b"1"}
    first = await told({**test, "calc.py": b"1"})
    assert await told({**test, "calc.py": b"2"}) == first
    assert await told({"test_a.py": b"2", "calc.py": b"1"}) != first
    assert await told({**test, "pyproject.toml": b""}) != first
    assert await told({**test, "calc.py": b"1"}) == first
