from __future__ import annotations

import os

import pytest

from aura_engine.errors import GitError
from aura_engine.workspace.checkout import checkout, discard
from aura_engine.workspace.large import LARGE
from aura_engine.workspace.snapshot import snapshot
from aura_engine.workspace.store import EMPTY_TREE, Entry

ODD = {
    "plain.txt": b"1\n",
    "crlf.txt": b"a\r\nb\r\n",
    "mixed.bin": b"\0\r\n\xff",
    ".gitattributes": b"* text=auto eol=crlf ident filter=evil working-tree-encoding=UTF-16\n",
    "ident.c": b"$Id$\n",
    "with space/ü ñ.txt": b"x",
    "new\nline": b"y",
    "git~1": b"harmless",
    "back\\slash": b"z",
    "bytes-\udcff\udcfe": b"not UTF-8",
}


async def _odd(store):
    tree = await store.edit(EMPTY_TREE, ODD)
    entries = await store.entries(tree)
    target = (await store.entries(await store.edit(EMPTY_TREE, {"t": b"/etc/passwd"})))["t"].oid
    return await store.edit(
        tree, {"run.sh": Entry("100755", entries["plain.txt"].oid), "links/out": Entry("120000", target)}
    )


async def test_exact_bytes_modes_and_links(store, tmp_path, h):
    dest = tmp_path / "ws"
    await checkout(store, await _odd(store), dest)
    assert h.read(dest) == {**ODD, "run.sh": b"1\n", "links/out": b"/etc/passwd"}
    assert os.access(dest / "run.sh", os.X_OK)
    assert not (dest / "plain.txt").stat().st_mode & 0o111
    assert not (dest / ".git").exists()


async def test_throwaway_git_is_clean_complete_and_its_own(store, tmp_path, git, h):
    dest = tmp_path / "ws"
    await h.workspace(store, await _odd(store), dest)
    for place in dest.glob("*.txt"):
        os.utime(place, ns=(1, 1))  # git must compare the bytes
    assert git(dest, "status", "--porcelain") == ""
    assert git(dest, "log", "--format=%s") == "The project as this task found it"
    git(dest, "fsck")
    (dest / "git~1").unlink()
    git(dest, "reset", "-q", "--hard")
    assert h.read(dest).items() >= ODD.items()
    assert not (dest / ".git/objects/info/alternates").exists()
    assert all(place.stat().st_nlink == 1 for place in dest.rglob("*") if place.is_file())
    (dest / "plain.txt").write_text("mine")
    git(dest, "add", "plain.txt")
    git(dest, "commit", "-q", "-m", "by the worker")
    assert git(dest, "rev-list", "--count", "HEAD") == "2"


async def test_two_workspaces_of_one_tree_share_nothing(store, tmp_path, git, h):
    tree = await h.tree(store, {"a": b"1"})
    for name in ("one", "two"):
        await h.workspace(store, tree, tmp_path / name)
    packs = [next((tmp_path / name / ".git/objects/pack").glob("*.pack")) for name in ("one", "two")]
    assert packs[0].stat().st_ino != packs[1].stat().st_ino
    packs[0].unlink()
    assert git(tmp_path / "two", "show", "HEAD:a") == "1"


async def test_what_is_withheld_is_not_in_the_folder_and_not_in_its_git(store, tmp_path, git, h):
    commit = await h.commit(store, {"a": b"1", "secret/test_x.py": b"2", "hidden.toml": b"3"})
    dest = tmp_path / "ws"
    hidden = {"secret", "hidden.toml", "not there"}
    given = await h.workspace(store, await store.tree_of(commit), dest, hidden)
    assert set(h.read(dest)) == {"a"}
    assert git(dest, "status", "--porcelain") == ""
    assert "hidden" not in git(dest, "log", "--stat", "-p")
    taken = await snapshot(store, dest, commit, message="m", skip=hidden, given=given)
    assert taken.changed == ()


async def test_large_files_are_put_back(store, tmp_path, git, h):
    h.put(tmp_path / "in", {"d/big *.bin": b"b" * (LARGE + 7), "small": b"s"})
    empty = await store.commit(EMPTY_TREE, (), "empty")
    first = await snapshot(store, tmp_path / "in", empty, message="m")
    dest = tmp_path / "ws"
    given = await h.workspace(store, first.tree, dest)
    assert (dest / "d/big *.bin").read_bytes() == b"b" * (LARGE + 7)
    assert (dest / "d/big *.bin").stat().st_nlink == 1
    assert git(dest, "status", "--porcelain") == ""
    assert (await snapshot(store, dest, first.commit, message="m", given=given)).changed == ()
    (dest / "d/big *.bin").write_bytes(b"c" * (LARGE + 7))
    changed = (await snapshot(store, dest, first.commit, message="m", given=given)).changed
    assert [(change.path, change.status) for change in changed] == [("d/big *.bin", "M")]


async def test_an_empty_tree_and_a_full_folder(store, tmp_path, git, h):
    await h.workspace(store, EMPTY_TREE, tmp_path / "empty")
    assert h.read(tmp_path / "empty") == {}
    assert git(tmp_path / "empty", "status", "--porcelain") == ""
    h.put(tmp_path / "full", {"mine": b"1"})
    with pytest.raises(GitError, match="is not empty"):
        await checkout(store, EMPTY_TREE, tmp_path / "full")


async def test_discard_removes_what_a_worker_locked(store, tmp_path, h):
    dest = tmp_path / "ws"
    outside = tmp_path / "outside"
    h.put(outside, {"precious": b"1"})
    await checkout(store, await h.tree(store, {"d/e/f": b"1"}), dest)
    (dest / "link").symlink_to(outside)
    (dest / "d/e").chmod(0)
    (dest / "d").chmod(0o500)
    await discard(store, dest)
    await discard(store, dest)
    assert not dest.exists()
    assert not list((store.path / "indexes").iterdir())
    assert (outside / "precious").exists()
