from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from aura_engine.errors import GitError, MissingProgram
from aura_engine.workspace import git as git_module
from aura_engine.workspace import objects as objects_module
from aura_engine.workspace import store as store_module
from aura_engine.workspace import trees
from aura_engine.workspace.files import Root
from aura_engine.workspace.git import call, require_git, run_git
from aura_engine.workspace.large import LARGE, MAGIC
from aura_engine.workspace.store import EMPTY_TREE, Entry, GitStore


async def test_edit_reads_back_and_git_agrees(store, h):
    tree = await h.tree(store, {"a.txt": b"1", "d/e/f": b"2", "d/x y": b"3", "d.z": b"4", "d-é": b"5"})
    assert await store.read(tree, "d/e/f") == b"2"
    assert await store.read(tree, "d") is None
    assert await store.read(tree, "none/at/all") is None
    store.objects.publish()
    assert set(await store.entries(tree)) == {"a.txt", "d/e/f", "d/x y", "d.z", "d-é"}
    listed = (await run_git(["ls-tree", "-r", "-z", "--name-only", tree], git_dir=store.path)).decode()
    assert listed.split("\0")[:-1] == ["a.txt", "d-é", "d.z", "d/e/f", "d/x y"]
    await run_git(["fsck", "--strict", "--no-dangling"], git_dir=store.path)


async def test_edit_swaps_file_and_folder(store, h):
    tree = await h.tree(store, {"a": b"file", "b/x": b"1", "b/y": b"2"})
    swapped = await store.edit(
        tree, {"a": None, "a/inner": b"now a folder", "b": b"now a file", "b/x": None, "b/y": None}
    )
    assert set(await store.entries(swapped)) == {"a/inner", "b"}
    assert await store.edit(swapped, {"a": None, "b": None}) == EMPTY_TREE
    assert await store.edit(tree, {"nothing/here": None, "a/below": None}) == tree
    with pytest.raises(GitError, match="a file and a folder"):
        await store.edit(tree, {"n": b"", "n/m": b""})


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", ".git/config", "a/.GIT/hooks/x", "", "a/\0"])
async def test_edit_refuses_paths_outside(store, path):
    with pytest.raises(GitError, match="inside the project"):
        await store.edit(EMPTY_TREE, {path: b"x"})


async def test_edit_keeps_the_exec_bit_of_replaced_bytes(store, h):
    tree = await h.tree(store, {"run": b"1"})
    entry = (await store.entries(tree))["run"]
    tree = await store.edit(tree, {"run": Entry("100755", entry.oid)})
    assert (await store.entries(await store.edit(tree, {"run": b"2"})))["run"].mode == "100755"


async def test_commit_is_deterministic_and_readable(store, h):
    tree = await h.tree(store, {"a": b"1"})
    first = await store.commit(tree, (), "one")
    assert first == await store.commit(tree, (), "one")
    second = await store.commit(tree, (first,), "two")
    assert second != await store.commit(tree, (), "two")
    assert await store.tree_of(second) == tree
    store.objects.publish()
    log = (await run_git(["log", "--format=%s|%an <%ae>", second], git_dir=store.path)).decode().splitlines()
    assert log == ["two|Aura <aura@localhost>", "one|Aura <aura@localhost>"]
    with pytest.raises(GitError, match="not a commit"):
        await store.tree_of(tree)
    with pytest.raises(GitError, match="missing"):
        await store.tree_of("1" * 40)


async def test_diff_and_patch(store, h):
    old = await h.tree(store, {"a": b"1\n", "d/gone": b"x\n", "same": b"s\n", "swap": b"file\n"})
    new = await h.tree(store, {"a": b"2\n", "d/made": b"y\n", "same": b"s\n", "swap/in": b"folder\n"})
    changes = {change.path: change.status for change in await store.diff(old, new)}
    assert changes == {"a": "M", "d/gone": "D", "d/made": "A", "swap": "D", "swap/in": "A"}
    assert await store.diff(old, old) == ()
    patch = await store.patch(old, new, paths=["a"])
    assert "-1\n+2\n" in patch
    assert "made" not in patch
    assert len(await store.patch(old, new, limit=30)) == 30


async def test_merge_of_different_paths_costs_no_process(store, h, monkeypatch):
    base = await h.tree(store, {"a": b"1", "d/b": b"2", "d/c": b"3"})
    ours = await store.edit(base, {"a": b"mine", "d/new": b"n", "d/c": None})
    theirs = await store.edit(base, {"d/b": b"theirs", "e/f": b"g"})
    monkeypatch.setattr(store_module, "call", lambda *args, **kwargs: pytest.fail("a process was started"))
    merged = await store.merge(base, ours, theirs)
    assert merged.clean
    wanted = {"a": b"mine", "d/b": b"theirs", "d/new": b"n", "e/f": b"g"}
    assert {path: await store.read(merged.tree, path) for path in await store.entries(merged.tree)} == wanted
    assert (await store.merge(base, base, theirs)).tree == theirs
    assert (await store.merge(base, ours, base)).tree == ours


async def test_merge_of_lines_in_one_file(store, h):
    text = b"".join(b"line %d\n" % n for n in range(40))
    base = await h.tree(store, {"f": text})
    ours = await store.edit(base, {"f": text.replace(b"line 3\n", b"ours\n")})
    theirs = await store.edit(base, {"f": text.replace(b"line 33\n", b"theirs\n")})
    merged = await store.merge(base, ours, theirs)
    assert merged.clean
    assert await store.read(merged.tree, "f") == text.replace(b"line 3\n", b"ours\n").replace(b"line 33\n", b"theirs\n")


async def test_conflict_names_paths_and_carries_markers(store, h):
    base = await h.tree(store, {"f é": b"1\n", "gone": b"x\n", "ok": b"o\n"})
    ours = await store.edit(base, {"f é": b"ours\n", "gone": None})
    theirs = await store.edit(base, {"f é": b"theirs\n", "gone": b"changed\n", "ok": b"new\n"})
    merged = await store.merge(base, ours, theirs)
    assert merged.conflicts == ("f é", "gone")
    assert await store.read(merged.tree, "f é") == b"<<<<<<< landed\nours\n=======\ntheirs\n>>>>>>> attempt\n"
    assert await store.read(merged.tree, "ok") == b"new\n"


async def _take(store: GitStore, folder: Path, path: str) -> Entry:
    new = {}
    with Root(folder) as root:
        skipped = {}
        taken = store.take(root, [path], skipped, known={}, new=new)
        assert skipped == {}
    store.objects.add(new)
    return taken[path]


async def test_large_files_stay_beside_the_store(store, tmp_path):
    data = os.urandom(1024) * (LARGE // 1024 + 1)
    (tmp_path / "big").write_bytes(data)
    entry = await _take(store, tmp_path, "big")
    assert store.objects.read(entry.oid).startswith(MAGIC)
    tree = await store.edit(EMPTY_TREE, {"big": entry})
    assert await store.read(tree, "big") == data
    with Root(tmp_path) as root:
        assert store.identify(root, "big") == entry
    again = GitStore(store.path)
    await again.init()
    assert await again.read(tree, "big") == data
    await again.aclose()


async def test_a_forged_pointer_is_only_text(store, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * (LARGE + 1))
    entry = await _take(store, tmp_path, "big")
    forged = store.objects.read(entry.oid)
    (tmp_path / "forged").write_bytes(forged)
    tree = await store.edit(EMPTY_TREE, {"forged": await _take(store, tmp_path, "forged")})
    assert await store.read(tree, "forged") == forged


async def test_conflicting_large_files_are_not_torn(store, tmp_path, h):
    sides = []
    for byte in (b"1", b"2", b"3"):
        (tmp_path / "big").write_bytes(byte * (LARGE + 1))
        sides.append(await store.edit(EMPTY_TREE, {"big": await _take(store, tmp_path, "big")}))
    merged = await store.merge(*sides)
    assert merged.conflicts == ("big",)
    assert await store.read(merged.tree, "big") == b"2" * (LARGE + 1)


async def test_what_a_crash_left_in_the_log_comes_back(store, h):
    tree = await h.tree(store, {"a": b"precious"})
    assert not [place for place in (store.path / "objects").rglob("*") if place.is_file()]
    with (store.path / "recent-objects").open("ab") as log:
        log.write(b"a torn append that is longer than one head")
    for _ in range(2):
        again = GitStore(store.path)
        await again.init()
        assert await again.read(tree, "a") == b"precious"
        assert (store.path / "recent-objects").read_bytes() == b""
        await again.aclose()


async def test_the_log_is_emptied_into_packs_before_it_grows_large(store, h, monkeypatch):
    monkeypatch.setattr(objects_module, "_LOG_AT_MOST", 2_000)
    tree = EMPTY_TREE
    for number in range(40):
        tree = await store.edit(tree, {f"f{number}": os.urandom(100)})
        assert (store.path / "recent-objects").stat().st_size <= 2_000
    assert len(await store.entries(tree)) == 40
    store.objects.publish()
    await run_git(["fsck", "--strict", "--no-dangling"], git_dir=store.path)
    assert len((await run_git(["ls-tree", tree], git_dir=store.path)).splitlines()) == 40


async def test_many_objects_become_one_pack(store, h):
    files = {f"d{n % 7}/f{n}": b"%d" % n for n in range(300)}
    tree = await h.tree(store, files)
    assert len(list((store.path / "objects/pack").glob("*.pack"))) == 1
    assert await store.read(tree, "d6/f20") == b"20"
    await run_git(["fsck", "--strict", "--no-dangling"], git_dir=store.path)


async def test_reading_goes_on_when_the_reader_died(store, h):
    tree = await h.tree(store, {"a": b"1"})
    assert await store.read(tree, "a") == b"1"
    process = store.objects._cat._process
    process.kill()
    process.wait()
    assert await store.read(tree, "a") == b"1"


async def test_git_inherits_nothing(store, h, monkeypatch, tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "home/.gitconfig").write_text(
        f"[diff]\n\texternal = touch {marker}\n[core]\n\tfsmonitor = touch {marker}\n"
    )
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {marker}")
    old, new = await h.tree(store, {"a": b"1\n"}), await h.tree(store, {"a": b"2\n"})
    assert "+2" in await store.patch(old, new)
    assert not marker.exists()


async def test_errors_name_the_command_and_what_git_said(store):
    with pytest.raises(GitError, match=r"git rev-parse --verify nonsense failed: fatal: .*single revision"):
        call(["rev-parse", "--verify", "nonsense"], git_dir=store.path)


async def test_a_git_that_hangs_is_ended(tmp_path, monkeypatch):
    _fake_git(tmp_path, monkeypatch, "exec sleep 600")
    with pytest.raises(GitError, match=r"git status did not end within 0\.1 s"):
        call(["status"], timeout=0.1)


async def test_require_git(tmp_path, monkeypatch):
    assert (await require_git())[0].isdigit()
    _fake_git(tmp_path, monkeypatch, "echo git version 2.30.2")
    with pytest.raises(MissingProgram, match=r"found “git version 2\.30\.2”") as too_old:
        await require_git()
    assert "apt-get install git" in too_old.value.cure
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(MissingProgram, match="not installed") as missing:
        await require_git()
    assert missing.value.cure == git_module.CURE


def _fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin/git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


async def test_a_full_disk_leaves_no_torn_log(store, h, monkeypatch):
    write = os.write

    def torn(fd: int, data: bytes) -> int:
        write(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", torn)
    with pytest.raises(OSError, match="No space"):
        store.commit_now(EMPTY_TREE, (), "lost")
    monkeypatch.setattr(os, "write", write)
    tree = await h.tree(store, {"a": b"after"})
    for place in (store.path / "objects").rglob("*/*"):
        place.unlink() if place.is_file() else None
    again = GitStore(store.path)
    await again.init()
    assert await again.read(tree, "a") == b"after"
    await again.aclose()


async def test_many_at_once(store, h):
    base = await h.tree(store, {f"f{n}": b"0\n" for n in range(8)})

    async def work(n: int) -> bytes | None:
        ours = await store.edit(base, {f"f{n}": b"ours\n", "same": b"same\n"})
        theirs = await store.edit(base, {f"f{n}": b"theirs\n", "same": b"same\n"})
        merged = await store.merge(base, ours, theirs)
        return await store.read(merged.tree, f"f{n}")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(n)) for n in range(8)]
    assert all(task.result() and task.result().startswith(b"<<<<<<< landed\nours\n") for task in tasks)


async def test_a_file_read_lately_is_not_asked_for_again(store, monkeypatch):
    tree = await store.edit(EMPTY_TREE, {"small": b"s" * 100, "large": b"l" * 100_000})
    await store.run(store.objects.publish)  # from here on git answers
    asked: list[str] = []
    read = store.objects._cat.read

    def spy(oid: str, **limits: float):
        asked.append(oid)
        return read(oid, **limits)

    monkeypatch.setattr(store.objects._cat, "read", spy)
    oids = {path: entry.oid for path, entry in (await store.entries(tree)).items()}
    for _ in range(2):
        assert store.objects.read(oids["small"]) == b"s" * 100
        assert store.objects.read(oids["large"]) == b"l" * 100_000
    assert asked.count(oids["small"]) == 1
    assert asked.count(oids["large"]) == 2


async def test_files_read_lately_are_bounded(store, monkeypatch):
    monkeypatch.setattr("aura_engine.workspace.lately.MOST", 250)
    tree = await store.edit(EMPTY_TREE, {f"{n}": bytes([n]) * 100 for n in range(5)})
    for entry in (await store.entries(tree)).values():
        store.objects.read(entry.oid)
    assert len(store.objects._lately._kept) == 2
    assert store.objects._lately.size == 200


async def test_versions_of_a_folder_cost_the_log_little_and_come_back(store, h):
    log = store.path / "recent-objects"
    tree = await h.tree(store, {f"a file with a long name {n}": b"%d" % n for n in range(200)})
    sizes: list[int] = []
    versions = [tree]
    for number in range(6):
        before = log.stat().st_size if log.exists() else 0
        versions.append(await store.edit(versions[-1], {f"another {number}": b"same"}))
        sizes.append(log.stat().st_size - before)
    assert sizes[0] > 4_000
    assert max(sizes[1:]) < 400
    again = GitStore(store.path)
    await again.init()
    await run_git(["fsck", "--strict", "--no-dangling"], git_dir=store.path)
    for number, version in enumerate(versions):
        assert len((await run_git(["ls-tree", version], git_dir=store.path)).splitlines()) == 200 + number
    await again.aclose()


async def test_a_log_that_is_begun_anew_refers_to_nothing_before_it(store, h, monkeypatch):
    monkeypatch.setattr(objects_module, "_LOG_AT_MOST", 20_000)
    tree = await h.tree(store, {f"f{n}": b"same" for n in range(31)})
    for number in range(60):
        tree = await store.edit(tree, {f"g{number}": os.urandom(8)})
        found = objects_module.logged(store.path)
        if tree in found:  # else it was packed with the log this time
            assert b"g%d\0" % number in found[tree][1]
    assert len(await store.entries(tree)) == 91


async def test_differences_are_the_same_from_whole_trees_and_folder_by_folder(store, h):
    old = await h.tree(store, {"a": b"1", "d/e/f": b"2", "d/g": b"3", "x": b"4"})
    new = await store.edit(old, {"a": b"one", "d/e/f": None, "d/h/i": b"5", "x": None, "x/y": b"6"})
    expected = tuple(sorted(trees.diff(store.objects, old, new)))
    assert await store.diff(old, new) == expected
    assert {change.path: change.status for change in expected} == {
        "a": "M",
        "d/e/f": "D",
        "d/h/i": "A",
        "x": "D",
        "x/y": "A",
    }
