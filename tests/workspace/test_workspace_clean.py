from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_engine.workspace import clean as clean_module
from aura_engine.workspace import marks as marks_module
from aura_engine.workspace import throwaway as throwaway_module
from aura_engine.workspace.clean import CleanCheckout
from aura_engine.workspace.objects import Entry
from aura_engine.workspace.store import EMPTY_TREE
from aura_engine.workspace.throwaway import LinePacks, ThrowawayGit

FILES = {
    "app.py": b"print(1)\n",
    "pkg/a.py": b"a\n",
    "pkg/deep/b.py": b"b\n",
    "pkg/deep/c.py": b"c\n",
    "run.sh": b"x\n",
}


def exact(folder: Path) -> dict[str, tuple[str, int, bytes]]:
    """Everything in a folder: kind, permissions, content (a link's target)."""
    found: dict[str, tuple[str, int, bytes]] = {}
    for place in folder.rglob("*"):
        name, mode = str(place.relative_to(folder)), place.lstat().st_mode
        if place.is_symlink():
            found[name] = ("link", 0, os.fsencode(place.readlink()))
        elif place.is_dir():
            found[name] = ("folder", mode & 0o7777, b"")
        else:
            assert place.is_file(), name
            assert place.stat().st_nlink == 1, name
            found[name] = ("file", mode & 0o7777, place.read_bytes())
    return found


async def base(store, extra: dict[str, bytes | None] | None = None) -> str:
    tree = await store.edit(EMPTY_TREE, {**FILES, **(extra or {})})
    entries = await store.entries(tree)
    target = (await store.entries(await store.edit(EMPTY_TREE, {"t": b"app.py"})))["t"].oid
    odd = {"run.sh": Entry("100755", entries["run.sh"].oid), "to-app": Entry("120000", target)}
    return await store.edit(tree, odd)


async def filled(store, tree: str, folder: Path) -> CleanCheckout:
    made = CleanCheckout(store, folder)
    await made.fill(tree)
    await made.settle()
    return made


def _replace_by_equal_size(f: Path) -> None:
    info = (f / "app.py").stat()
    (f / "app.py").write_bytes(b"print(2)\n")
    os.utime(f / "app.py", ns=(info.st_atime_ns, info.st_mtime_ns))


def _rename_over(f: Path) -> None:
    info = (f / "app.py").stat()
    (f / "x").write_bytes(b"print(3)\n")
    os.utime(f / "x", ns=(info.st_atime_ns, info.st_mtime_ns))
    (f / "x").rename(f / "app.py")


def _hard_link_out(f: Path) -> None:
    os.link(f / "app.py", f.parent / "outside.py")


def _hard_link_in(f: Path) -> None:
    (f.parent / "theirs").write_bytes(b"print(1)\n")
    (f / "app.py").unlink()
    os.link(f.parent / "theirs", f / "app.py")


def _swap_for_link(f: Path) -> None:
    shutil.move(f / "pkg/deep", f.parent / "moved")
    (f / "pkg/deep").symlink_to(f.parent / "moved")


def _swap_folder_for_equal(f: Path) -> None:
    shutil.copytree(f / "pkg", f.parent / "copy")
    shutil.rmtree(f / "pkg")
    shutil.move(f.parent / "copy", f / "pkg")


def _nested_git(f: Path) -> None:
    subprocess.run(["git", "init", "-q", str(f / "pkg")], check=True)
    subprocess.run(["git", "init", "-q", str(f)], check=True)


def _locked(f: Path) -> None:
    (f / "new/inner").mkdir(parents=True)
    (f / "new/inner/x").write_bytes(b"1")
    (f / "new/inner").chmod(0)
    (f / "new").chmod(0o500)
    (f / "pkg/deep").chmod(0)


def _default_access_list(f: Path) -> None:
    os.setxattr(f / "pkg", "user.note", b"left by a check")


def _deeper_than_a_path_can_be(f: Path) -> None:
    fd = os.open(f, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 90, dir_fd=fd)
        deeper = os.open("d" * 90, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)


TRACES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda f: None,
    "new file": lambda f: (f / "pkg/new.py").write_bytes(b"1"),
    "new folders": lambda f: (f / "x/y/z").mkdir(parents=True),
    "bytes": lambda f: (f / "app.py").write_bytes(b"other"),
    "equal size and times": _replace_by_equal_size,
    "renamed over": _rename_over,
    "appended and cut": lambda f: os.truncate(f / "app.py", 3),
    "mode": lambda f: (f / "app.py").chmod(0o755),
    "exec bit gone": lambda f: (f / "run.sh").chmod(0o644),
    "folder's mode": lambda f: (f / "pkg").chmod(0o777),
    "times": lambda f: os.utime(f / "app.py", ns=(1, 1)),
    "file gone": lambda f: (f / "pkg/a.py").unlink(),
    "folder gone": lambda f: shutil.rmtree(f / "pkg"),
    "all gone": lambda f: [shutil.rmtree(p) if p.is_dir() else p.unlink() for p in list(f.iterdir())],
    "file is a folder": lambda f: ((f / "app.py").unlink(), (f / "app.py/in").mkdir(parents=True)),
    "folder is a file": lambda f: (shutil.rmtree(f / "pkg"), (f / "pkg").write_bytes(b"1")),
    "folder is a link": _swap_for_link,
    "equal folder": _swap_folder_for_equal,
    "link elsewhere": lambda f: ((f / "to-app").unlink(), (f / "to-app").symlink_to("/etc/passwd")),
    "link out": _hard_link_out,
    "link in": _hard_link_in,
    "fifo": lambda f: os.mkfifo(f / "pkg/fifo"),
    "nested git": _nested_git,
    "locked folders": _locked,
    "attributes": _default_access_list,
    "odd names": lambda f: (f / "new\nline \udcff").write_bytes(b"1"),
    "deep": _deeper_than_a_path_can_be,
}  # fmt: skip


@pytest.mark.parametrize("trace", TRACES)
async def test_after_every_trace_the_folder_is_exactly_the_tree(store, tmp_path, trace):
    tree, other = await base(store), await base(store, {"app.py": b"print(7)\n", "pkg/deep/b.py": None, "q/new": b"n"})
    made = await filled(store, tree, tmp_path / "one")
    for wanted in (tree, other, tree):
        TRACES[trace](made.folder)
        number = len(list(tmp_path.iterdir()))
        if not await made.become(wanted, tmp_path / f"next-{number}"):
            assert trace in ("all gone", "deep")
            made = await filled(store, wanted, tmp_path / f"next-{number}")
        reference = await filled(store, wanted, tmp_path / f"reference-{number}")
        assert exact(made.folder) == exact(reference.folder)
        for name in ("outside.py", "theirs", "moved", "copy"):
            place = tmp_path / name
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)


async def test_what_was_linked_out_can_no_longer_reach_in(store, tmp_path):
    tree = await base(store)
    made = await filled(store, tree, tmp_path / "one")
    _hard_link_out(made.folder)
    assert await made.become(tree, tmp_path / "two")
    (tmp_path / "outside.py").write_bytes(b"evil")
    assert (made.folder / "app.py").read_bytes() == b"print(1)\n"


async def test_a_process_that_writes_later_is_undone(store, tmp_path):
    """One that outlived the check: what it wrote between two checks is seen before the second."""
    tree = await base(store)
    made = await filled(store, tree, tmp_path / "one")
    with (made.folder / "app.py").open("r+b") as kept_open:
        assert await made.become(tree, tmp_path / "two")
        kept_open.write(b"evil")
        kept_open.flush()
        assert await made.become(tree, tmp_path / "three")
        assert (made.folder / "app.py").read_bytes() == b"print(1)\n"
        kept_open.write(b"evil again")
        kept_open.flush()
        assert (made.folder / "app.py").read_bytes() == b"print(1)\n"


async def test_a_file_that_was_changed_in_the_clocks_same_step_is_seen(store, tmp_path):
    tree = await base(store)
    made = await filled(store, tree, tmp_path / "one")
    for number in range(40):
        (made.folder / "app.py").write_bytes(b"print(%d)\n" % (number % 10))
        assert await made.become(tree, tmp_path / f"at-{number}")
        assert (made.folder / "app.py").read_bytes() == b"print(1)\n"


async def test_only_what_differs_is_written(store, tmp_path):
    tree, other = await base(store), await base(store, {"pkg/a.py": b"changed\n"})
    made = await filled(store, tree, tmp_path / "one")
    before = {path: (tmp_path / "one" / path).stat().st_mtime_ns for path in FILES}  # an inode can be had again
    (made.folder / "junk").mkdir()
    assert await made.become(other, tmp_path / "two")
    after = {path: (tmp_path / "two" / path).stat().st_mtime_ns for path in FILES}
    assert {path for path in FILES if before[path] != after[path]} == {"pkg/a.py"}
    assert not (tmp_path / "two/junk").exists()


async def test_files_and_folders_trade_places_between_trees(store, tmp_path):
    one = await store.edit(EMPTY_TREE, {"a": b"1", "b/c": b"2", "b/d/e": b"3", "same": b"4"})
    two = await store.edit(EMPTY_TREE, {"a/x": b"1", "b": b"2", "same": b"4"})
    made = await filled(store, one, tmp_path / "one")
    for number, tree in enumerate((two, one, EMPTY_TREE, two)):
        assert await made.become(tree, tmp_path / f"at-{number}")
        reference = await filled(store, tree, tmp_path / f"reference-{number}")
        assert exact(made.folder) == exact(reference.folder)


async def test_prepared_files_stay_and_a_touched_one_spoils_the_folder(store, tmp_path):
    tree, other = await base(store), await base(store, {"app.py": b"2"})
    made = CleanCheckout(store, tmp_path / "one")
    await made.fill(tree)
    (made.folder / ".venv/bin").mkdir(parents=True)
    (made.folder / ".venv/bin/python").write_bytes(b"elf")
    await made.settle()
    assert await made.become(other, tmp_path / "two")
    assert (made.folder / ".venv/bin/python").read_bytes() == b"elf"
    (made.folder / ".venv/bin/python").write_bytes(b"ELF")
    assert not await made.become(other, tmp_path / "three")
    assert not await made.become(other, tmp_path / "four")


async def test_a_tree_that_reaches_into_prepared_files_needs_a_new_folder(store, tmp_path):
    made = CleanCheckout(store, tmp_path / "one")
    await made.fill(await base(store))
    (made.folder / "data").mkdir()
    (made.folder / "data/rows").write_bytes(b"1")
    await made.settle()
    assert not await made.become(await base(store, {"data/more": b"2"}), tmp_path / "two")


async def test_more_repairs_than_pay_off_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(clean_module, "MAX_REPAIRS", 3)
    made = await filled(store, await base(store), tmp_path / "one")
    for number in range(4):
        (made.folder / f"{number}").write_bytes(b"")
    assert not await made.become(await base(store), tmp_path / "two")


async def test_a_clock_that_is_not_the_file_systems_spoils_the_folder(store, tmp_path, monkeypatch):
    monkeypatch.setattr(marks_module.time, "clock_gettime_ns", lambda clock: 1)
    monkeypatch.setattr(marks_module, "_TICKS", 2)
    made = await filled(store, await base(store), tmp_path / "one")
    assert not await made.become(await base(store), tmp_path / "two")


async def test_throwaway_git_follows_the_tree_and_forgets_what_a_worker_did(store, tmp_path, git, h):
    tree = await base(store)
    made = CleanCheckout(store, tmp_path / "ws", skip={".git"})
    await made.fill(tree)
    await made.settle()
    throwaway = ThrowawayGit(store, LinePacks(store))
    await throwaway.renew(made, tree, frozenset())
    (linked := tmp_path / "linked").write_text("ours")
    spoilers = [
        lambda f: None,
        lambda f: git(f, "status"),
        lambda f: (git(f, "add", "-A"), git(f, "commit", "-q", "--allow-empty", "-m", "w"), git(f, "branch", "x")),
        lambda f: h.put(f, {".git/hooks/post-checkout": b"#!/bin/sh\ntouch /tmp/evil\n"}),
        lambda f: (f / ".git/config").write_text("[alias]\nstatus = !touch evil\n"),
        lambda f: ((f / ".git/index").unlink(), (f / ".git/index").symlink_to(tmp_path / "outside")),
        lambda f: ((f / ".git/index").unlink(), (f / ".git/index/x").mkdir(parents=True)),
        lambda f: ((f / ".git/index").unlink(), os.link(linked, f / ".git/index")),
        lambda f: (shutil.rmtree(f / ".git"), (f / ".git").symlink_to(tmp_path)),
        lambda f: (shutil.rmtree(f / ".git"), (f / ".git").write_text("gitdir: /elsewhere")),
        lambda f: shutil.rmtree(f / ".git"),
    ]
    for number, spoil in enumerate(spoilers):
        spoil(made.folder)
        tree = await base(store, {"app.py": b"%d\n" % number, f"made/{number}.py": b"%d" % number})
        assert await made.become(tree, tmp_path / f"ws-{number}")
        await throwaway.renew(made, tree, frozenset())
        assert git(made.folder, "status", "--porcelain") == ""
        assert git(made.folder, "log", "--all", "--format=%s") == "The project as this task found it"
        assert git(made.folder, "show", "HEAD:app.py") == str(number)
        git(made.folder, "fsck", "--strict")
        assert set(git(made.folder, "ls-files").splitlines()) == set(await store.entries(tree))
        assert not (made.folder / ".git/hooks").exists()
        assert len(list((made.folder / ".git/objects/pack").iterdir())) == 4  # the line's, and what it lacks
    assert not (tmp_path / "outside").exists()
    assert linked.read_text() == "ours"


async def test_of_an_index_only_what_changes_is_written(store, tmp_path, git, monkeypatch):
    tree, packs = await base(store, {f"a/{n:03}": b"%d" % n for n in range(100)}), LinePacks(store)
    made = CleanCheckout(store, tmp_path / "ws", skip={".git"})
    await made.fill(tree)
    await made.settle()
    throwaway = ThrowawayGit(store, packs)
    await throwaway.renew(made, tree, frozenset())
    parts: list[int] = []
    write_all = throwaway_module.write_all
    monkeypatch.setattr(throwaway_module, "write_all", lambda fd, data: parts.append(len(data)) or write_all(fd, data))
    spoilers = [
        lambda f: git(f, "update-index", "--force-remove", "app.py"),
        lambda f: (f / ".git/index").write_bytes(b"not an index"),
        lambda f: (f / ".git/index").unlink(),
    ]
    for number, spoil in enumerate(spoilers):
        spoil(made.folder)
        wholes: list[bool] = []
        for step, body in enumerate((b"new", b"newer", None)):
            tree = await store.edit(tree, {f"z{number}": body, "pkg/a.py": b"%d" % step})
            assert await made.become(tree, tmp_path / f"ws-{number}-{step}")
            parts.clear()
            await throwaway.renew(made, tree, frozenset())
            wholes.append(max(parts) > 6_000)
        assert wholes == [True, False, False]
        assert git(made.folder, "status", "--porcelain") == ""
        assert set(git(made.folder, "ls-files").splitlines()) == set(await store.entries(tree))
        git(made.folder, "fsck", "--strict")


async def test_hidden_files_never_get_into_a_pack_of_another_plan(store, tmp_path, git):
    packs, full = LinePacks(store), await base(store, {"probe.py": b"secret probe\n"})
    shown = await store.edit(full, {"probe.py": None})
    for number, (tree, hidden) in enumerate([(full, frozenset()), (shown, frozenset({"probe.py"}))]):
        made = CleanCheckout(store, tmp_path / f"{number}", skip={".git"})
        await made.fill(tree)
        await made.settle()
        await ThrowawayGit(store, packs).renew(made, tree, hidden)
    everything = git(tmp_path / "1", "cat-file", "--batch-all-objects", "--batch")
    assert "secret probe" not in everything
    assert "print(1)" in everything


async def test_the_line_is_packed_anew_only_from_time_to_time(store, tmp_path, git, monkeypatch):
    monkeypatch.setattr(throwaway_module, "_MOST_LACKING", 48)
    tree, packs = await base(store), LinePacks(store)
    made = CleanCheckout(store, tmp_path / "ws", skip={".git"})
    await made.fill(tree)
    await made.settle()
    throwaway = ThrowawayGit(store, packs)
    names: set[str] = set()
    for number in range(60):
        tree = await store.edit(tree, {f"made-{number}.txt": b"%d\n" % number})
        assert await made.become(tree, tmp_path / f"ws-{number}")
        await throwaway.renew(made, tree, frozenset())
        names |= {place.name for place in (store.path / "packs").iterdir()}
    assert len(names) == 2
    assert len(list((store.path / "packs").iterdir())) == 1
    assert git(made.folder, "status", "--porcelain") == ""
