from __future__ import annotations

import os

import pytest

from aura_engine.errors import GitError
from aura_engine.workspace.base import take_base
from aura_engine.workspace.branch import BranchDelivery
from aura_engine.workspace.large import LARGE
from aura_engine.workspace.repository import find_repository
from aura_engine.workspace.snapshot import snapshot


@pytest.fixture
async def deliver(store):
    """Makes the delivery of a folder that lies in a repository."""
    made = []

    async def make(folder, goal="the goal"):
        base = await take_base(store, folder)
        delivery = BranchDelivery(store, find_repository(folder), goal, base)
        made.append(delivery)
        return delivery, base.tree

    yield make
    for delivery in made:
        await delivery.aclose()


async def test_the_branch_moves_and_merges_and_nothing_else_does(store, repo, git, deliver):
    before = (git(repo, "status", "--porcelain"), (repo / ".git/index").read_bytes(), git(repo, "rev-parse", "HEAD"))
    delivery, tree = await deliver(repo)
    one = await store.edit(tree, {"app.py": b"print(2)\n", "new é/x": b"n"})
    head = await store.commit(one, [await store.commit(tree, [], "base")], "A1 Say two")
    done = await delivery.apply(tree, one, head=head)
    assert done.place == f"branch aura/the-goal in {repo}"
    assert done.command == f"git -C '{repo}' merge aura/the-goal"
    assert (done.kept, done.note) == ((), "")
    two = await store.edit(one, {"lib/one.py": None})
    await delivery.apply(one, two, head=await store.commit(two, [head], "A2 Drop one"))
    log = git(repo, "log", "--format=%s", "aura/the-goal").splitlines()
    assert log == ["A2 Drop one", "A1 Say two", "first"]
    assert (
        git(repo, "status", "--porcelain"),
        (repo / ".git/index").read_bytes(),
        git(repo, "rev-parse", "HEAD"),
    ) == before
    git(repo, "fsck", "--strict")
    git(repo, "merge", "-q", "aura/the-goal")
    assert (repo / "app.py").read_text() == "print(2)\n"
    assert not (repo / "lib/one.py").exists()


async def test_a_commit_names_the_tasks_that_landed_since_the_last_one(store, repo, git, deliver):
    delivery, tree = await deliver(repo)
    trees = [tree, *[await store.edit(tree, {"n": b"%d" % n}) for n in (1, 2, 3)]]
    line = [await store.commit(tree, [], "base")]
    for landed, message in zip(trees[1:], ["A1.2 The moon", "A1.1 The sun\nA2 The tides", "A3 The wind"], strict=True):
        line.append(await store.commit(landed, [line[-1]], message))
    # The line has moved on since this delivery began; what it brings is what it names.
    await delivery.apply(tree, trees[2], head=line[3])
    body = git(repo, "log", "-1", "--format=%B", "aura/the-goal").splitlines()
    assert body[:5] == [
        "A1.2, A1.1, A2: The moon, The sun, The tides",
        "",
        "A1.2 The moon",
        "A1.1 The sun",
        "A2 The tides",
    ]
    await delivery.apply(trees[2], trees[3], head=line[3])
    assert git(repo, "log", "-1", "--format=%s", "aura/the-goal") == "A3 The wind"
    tip = git(repo, "rev-parse", "aura/the-goal")
    again, _ = await deliver(repo)
    await again.apply(trees[2], trees[3], head=line[3])  # a crash came before it was written down
    assert git(repo, "rev-parse", "aura/the-goal") == tip


async def test_running_it_again_changes_nothing(store, repo, git, deliver):
    delivery, tree = await deliver(repo)
    new = await store.edit(tree, {"a": b"1"})
    first = await delivery.apply(tree, new)
    tip = git(repo, "rev-parse", "aura/the-goal")
    again, _ = await deliver(repo)
    assert await again.apply(tree, new) == first
    assert git(repo, "rev-parse", "aura/the-goal") == tip


async def test_a_checked_out_branch_stays_and_another_goes_on(store, repo, git, deliver, tmp_path):
    delivery, tree = await deliver(repo)
    one, two, three = [await store.edit(tree, {"n": b"%d" % n}) for n in (1, 2, 3)]
    await delivery.apply(tree, one)
    tip = git(repo, "rev-parse", "aura/the-goal")
    git(repo, "worktree", "add", "-q", str(tmp_path / "elsewhere"), "aura/the-goal")
    done = await delivery.apply(one, two)
    assert "aura/the-goal-2" in done.place
    assert "checked out" in done.note
    assert git(repo, "rev-parse", "aura/the-goal", "aura/the-goal-2~1").split() == [tip, tip]
    git(repo, "worktree", "remove", str(tmp_path / "elsewhere"))
    assert "aura/the-goal-2" in (await delivery.apply(two, three)).place
    assert git(repo, "rev-parse", "aura/the-goal-2~2") == tip


async def test_the_persons_commit_on_the_branch_is_kept(store, repo, git, deliver):
    git(repo, "checkout", "-q", "-b", "aura/the-goal")
    (repo / "app.py").write_text("theirs\n")
    git(repo, "commit", "-q", "-am", "by the person")
    theirs = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "main")
    delivery, tree = await deliver(repo)
    done = await delivery.apply(tree, await store.edit(tree, {"a": b"1"}))
    assert "aura/the-goal-2" in done.place
    assert git(repo, "rev-parse", "aura/the-goal") == theirs


async def test_the_next_run_takes_the_name_of_a_merged_branch(store, repo, git, deliver):
    delivery, tree = await deliver(repo)
    await delivery.apply(tree, await store.edit(tree, {"a": b"1"}))
    git(repo, "merge", "-q", "aura/the-goal")
    delivery, tree = await deliver(repo)
    done = await delivery.apply(tree, await store.edit(tree, {"a": b"2"}))
    assert "branch aura/the-goal in" in done.place
    assert git(repo, "rev-parse", "aura/the-goal~1") == git(repo, "rev-parse", "main")


async def test_a_branch_called_aura_leaves_another_name(store, repo, git, deliver):
    git(repo, "branch", "aura")
    delivery, tree = await deliver(repo)
    assert "branch aura-the-goal in" in (await delivery.apply(tree, await store.edit(tree, {"a": b"1"}))).place


async def test_uncommitted_work_is_a_commit_of_its_own(store, repo, git, deliver, h):
    h.put(repo, {"app.py": b"dirty\n", "untracked": b"u"})
    (repo / "lib/one.py").unlink()
    delivery, tree = await deliver(repo)
    done = await delivery.apply(tree, await store.edit(tree, {"made": b"m"}))
    assert "Commit your own changes" in done.note
    assert git(repo, "log", "--format=%s", "aura/the-goal").splitlines() == [
        "Work landed by Aura", "Uncommitted work when Aura started", "first",
    ]  # fmt: skip
    assert git(repo, "diff", "--name-status", "main", "aura/the-goal~1").split() == [
        "M", "app.py", "D", "lib/one.py", "A", "untracked",
    ]  # fmt: skip
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "mine")
    git(repo, "merge", "-q", "aura/the-goal")
    assert (repo / "made").exists()


async def test_secrets_and_submodules_of_the_repository_stay(store, repo, git, deliver, tmp_path, h):
    h.put(tmp_path / "other", {"in.py": b"i", "also.py": b"a"})
    git(tmp_path / "other", "init", "-q")
    git(tmp_path / "other", "add", "-A")
    git(tmp_path / "other", "commit", "-q", "-m", "o")
    for name in ("same", "changed"):
        git(repo, "submodule", "--quiet", "add", str(tmp_path / "other"), name)
    h.put(repo, {".env": b"KEY=1\n"})
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "second")
    delivery, tree = await deliver(repo)
    done = await delivery.apply(tree, await store.edit(tree, {"changed/in.py": b"worked on", ".env": b"KEY=worker"}))
    assert done.kept == (".env",)
    assert git(repo, "show", "aura/the-goal:.env") == "KEY=1"
    listed = git(repo, "ls-tree", "-r", "--format=%(objectmode) %(path)", "aura/the-goal").splitlines()
    assert "160000 same" in listed
    assert {"100644 changed/in.py", "100644 changed/also.py"} <= set(listed)


async def test_files_stored_through_a_filter_stay_as_they_are(store, repo, git, deliver, h):
    h.put(repo, {".gitattributes": b"*.txt text eol=crlf\n", "dos.txt": b"a\r\nb\r\n"})
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "crlf")
    delivery, tree = await deliver(repo)
    assert await store.read(tree, "dos.txt") == b"a\r\nb\r\n"
    await delivery.apply(tree, await store.edit(tree, {"a": b"1"}))
    assert git(repo, "diff", "--name-only", "main", "aura/the-goal") == "a"


async def test_a_large_file_arrives_whole(store, repo, git, deliver, tmp_path, h):
    delivery, tree = await deliver(repo)
    empty = await store.commit(tree, (), "e")
    h.put(tmp_path / "w", {**h.read(repo), "big.bin": os.urandom(1 << 20) * 6})
    taken = await snapshot(store, tmp_path / "w", empty, message="m")
    await delivery.apply(tree, taken.tree)
    assert int(git(repo, "cat-file", "-s", "aura/the-goal:big.bin")) == 6 << 20 > LARGE


async def test_a_repository_without_a_commit(store, tmp_path, git, deliver, h):
    fresh = tmp_path / "fresh"
    h.put(fresh, {"a.py": b"a"})
    git(fresh, "init", "-q", "-b", "main")
    delivery, tree = await deliver(fresh)
    await delivery.apply(tree, await store.edit(tree, {"b.py": b"b"}))
    assert git(fresh, "ls-tree", "-r", "--name-only", "aura/the-goal").split() == ["a.py", "b.py"]
    assert git(fresh, "symbolic-ref", "HEAD") == "refs/heads/main"


async def test_a_project_below_the_root(store, repo, git, deliver, h):
    h.put(repo, {"lib/two.py": b"dirty"})
    delivery, tree = await deliver(repo / "lib")
    await delivery.apply(tree, await store.edit(tree, {"one.py": b"1\n"}))
    assert git(repo, "show", "aura/the-goal:lib/one.py") == "1"
    assert git(repo, "show", "aura/the-goal:lib/two.py") == "dirty"
    assert git(repo, "show", "aura/the-goal:app.py") == "print(1)"


async def test_the_persons_hooks_do_not_run_and_a_locked_branch_is_said(store, repo, deliver, tmp_path, h):
    marker = tmp_path / "ran"
    for hook in ("reference-transaction", "post-update", "post-commit"):
        h.put(repo, {f".git/hooks/{hook}": f"#!/bin/sh\ntouch '{marker}'\n".encode()})
        (repo / ".git/hooks" / hook).chmod(0o755)
    delivery, tree = await deliver(repo)
    new = await store.edit(tree, {"a": b"1"})
    h.put(repo, {".git/refs/heads/aura/the-goal.lock": b""})
    with pytest.raises(GitError, match="update-ref"):
        await delivery.apply(tree, new)
    (repo / ".git/refs/heads/aura/the-goal.lock").unlink()
    await delivery.apply(tree, new)
    assert not marker.exists()
