"""Folders for workers and checks, used again: which ones wait, and that prepared files follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine import checkouts as checkouts_module
from aura_engine.checkouts import Checkouts
from aura_engine.core.model import Prepare
from aura_engine.preparing import Preparation
from aura_engine.workspace.store import EMPTY_TREE, GitStore


@pytest.fixture
async def store(tmp_path: Path):
    made = GitStore(tmp_path / "store.git")
    await made.init()
    yield made
    await made.aclose()


def preparation(store: GitStore, tmp_path: Path, wanted: list[Prepare | None]) -> Preparation:
    return Preparation(
        store, tmp_path / "prepared", tmp_path / "project", {"PATH": "/usr/bin:/bin"}, lambda: wanted[-1]
    )


async def test_a_folder_given_back_serves_again_and_leaves_its_place_free(store, tmp_path):
    checkouts = Checkouts(store, preparation(store, tmp_path, [None]), kept=2)
    tree = await store.edit(EMPTY_TREE, {"a": b"1"})
    first = await checkouts.get(tree, tmp_path / "one")
    inode = (tmp_path / "one").stat().st_ino
    (tmp_path / "one/a").write_bytes(b"changed")
    await checkouts.give_back(first)
    assert not (tmp_path / "one").exists()
    second = await checkouts.get(tree, tmp_path / "two")
    assert (tmp_path / "two").stat().st_ino == inode
    assert (second.checkout.folder / "a").read_bytes() == b"1"


async def test_no_more_wait_than_may(store, tmp_path, monkeypatch):
    monkeypatch.setattr(checkouts_module, "IDLE_BYTES", 5_000)
    checkouts = Checkouts(store, preparation(store, tmp_path, [None]), kept=3)
    small, large = [await store.edit(EMPTY_TREE, {"a": b"x" * size}) for size in (10, 4_000)]
    for tree, left in ((small, 3), (large, 2)):
        taken = [await checkouts.get(tree, tmp_path / f"{left}-{number}") for number in range(5)]
        for each in taken:
            await checkouts.give_back(each)
        assert len(list(tmp_path.glob("idle-*"))) == left


async def test_other_prepared_files_mean_another_folder(store, tmp_path):
    wanted: list[Prepare | None] = [Prepare(run="mkdir env; cat need > env/made", from_=("need",), makes=("env",))]
    checkouts = Checkouts(store, preparation(store, tmp_path, wanted), kept=2)
    one, same, two = [
        await store.edit(EMPTY_TREE, {"need": need, "a": a}) for need, a in ((b"1", b"x"), (b"1", b"y"), (b"2", b"y"))
    ]
    used = await checkouts.get(one, tmp_path / "one")
    first = used.checkout
    for number, (tree, made, kept) in enumerate([(same, b"1", True), (two, b"2", False)]):
        await checkouts.give_back(used)
        used = await checkouts.get(tree, tmp_path / f"at-{number}")
        assert (used.checkout.folder / "env/made").read_bytes() == made
        assert (used.checkout is first) is kept


async def test_shared_data_that_the_person_changed_means_another_folder(store, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/data").write_bytes(b"1")
    checkouts = Checkouts(store, preparation(store, tmp_path, [Prepare(share=("data",))]), kept=2)
    tree = await store.edit(EMPTY_TREE, {"a": b"1"})
    used = await checkouts.get(tree, tmp_path / "one")
    await checkouts.give_back(used)
    (tmp_path / "project/data").write_bytes(b"2")
    used = await checkouts.get(tree, tmp_path / "two")
    assert (used.checkout.folder / "data").read_bytes() == b"2"


@pytest.mark.parametrize(("newest", "wanted"), [(False, "one"), (True, "two")])
async def test_the_one_that_waits_longest_serves_next_or_the_newest(store, tmp_path, newest, wanted):
    trees = [await store.edit(EMPTY_TREE, {"a": text}) for text in (b"1", b"2", b"3")]
    checkouts = Checkouts(store, preparation(store, tmp_path, [None]), kept=2, newest=newest)
    taken = [await checkouts.get(tree, tmp_path / name) for tree, name in zip(trees, ("one", "two"), strict=False)]
    inode = (tmp_path / wanted).stat().st_ino
    for each in taken:
        await checkouts.give_back(each)
    await checkouts.get(trees[2], tmp_path / "three")
    assert (tmp_path / "three").stat().st_ino == inode
