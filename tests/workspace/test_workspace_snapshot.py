from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from aura_engine.workspace import files as files_module
from aura_engine.workspace import snapshot as snapshot_module
from aura_engine.workspace.files import Found, Root, Walk
from aura_engine.workspace.snapshot import removed, snapshot
from aura_engine.workspace.store import EMPTY_TREE


@pytest.fixture
async def started(store, tmp_path, h):
    """A base and its workspace, as a worker gets it."""
    files = {
        "app.py": b"print(1)\n",
        "lib/one.py": b"one\n",
        "lib/two.py": b"two\n",
        ".gitignore": b"out/\n*.log\n!keep.log\n/built\n",
        "node_modules/committed.js": b"js\n",
        "out/tracked.txt": b"t\n",
    }
    commit = await h.commit(store, files)
    await h.workspace(store, await store.tree_of(commit), tmp_path / "ws")
    return commit, tmp_path / "ws"


def _statuses(taken) -> dict[str, str]:
    return {change.path: change.status for change in taken.changed}


async def test_changes_become_a_commit_on_the_base(store, started, h):
    base, ws = started
    (ws / "app.py").write_bytes(b"print(2)\n")
    (ws / "lib/two.py").unlink()
    (ws / "lib/one.py").chmod(0o755)
    h.put(ws, {"new/ü x.py": b"n", "keep.log": b"k"})
    (ws / "link").symlink_to("/etc/passwd")
    taken = await snapshot(store, ws, base, message="A1#1")
    assert _statuses(taken) == {
        "app.py": "M", "lib/one.py": "M", "lib/two.py": "D", "new/ü x.py": "A", "keep.log": "A", "link": "A",
    }  # fmt: skip
    assert store.objects.header(taken.commit) == (taken.tree, (base,))
    entries = await store.entries(taken.tree)
    assert (entries["lib/one.py"].mode, entries["link"].mode) == ("100755", "120000")
    assert await store.read(taken.tree, "link") == b"/etc/passwd"
    assert taken.left_out == ()


async def test_what_is_as_it_was_given_is_not_read(store, tmp_path, h, monkeypatch):
    base = await h.commit(store, {"app.py": b"1", "lib/one.py": b"2"})
    given = await h.workspace(store, await store.tree_of(base), tmp_path / "ws")
    monkeypatch.setattr(Root, "open", lambda self, path: pytest.fail(f"{path} was read"))
    taken = await snapshot(store, tmp_path / "ws", base, message="m", given=given)
    assert (taken.tree, taken.changed) == (await store.tree_of(base), ())


async def test_what_was_given_and_is_not_the_bases_counts_as_changed(store, tmp_path, h):
    base = await h.commit(store, {"app.py": b"1", "lib/one.py": b"2"})
    carried = await store.edit(await store.tree_of(base), {"app.py": b"of the last attempt", "new.py": b"3"})
    given = await h.workspace(store, carried, tmp_path / "ws")
    taken = await snapshot(store, tmp_path / "ws", base, message="m", given=given)
    assert taken.tree == carried


@pytest.mark.parametrize("known", [True, False])
async def test_a_change_with_size_and_times_put_back_is_seen(store, tmp_path, h, known):
    base = await h.commit(store, {"app.py": b"print(1)\n"})
    ws = tmp_path / "ws"
    given = await h.workspace(store, await store.tree_of(base), ws)
    before = (ws / "app.py").stat()
    (ws / "app.py").write_bytes(b"print(9)\n")
    os.utime(ws / "app.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    taken = await snapshot(store, ws, base, message="m", given=given if known else None)
    assert _statuses(taken) == {"app.py": "M"}


async def test_the_bases_ignore_rules_hold_and_the_workers_do_not(store, started, h):
    base, ws = started
    files = {"out/made.txt": b"", "deep/out/x": b"", "a.log": b"", "built/x": b"", "lib/built/x": b"", "hidden.py": b""}
    h.put(ws, {**files, ":(top)odd.log": b"", ".gitignore": b"hidden.py\n", ".git/info/exclude": b"hidden.py\n"})
    (ws / "out/tracked.txt").write_bytes(b"changed\n")
    taken = await snapshot(store, ws, base, message="m")
    assert _statuses(taken) == {
        ".gitignore": "M", "hidden.py": "A", "lib/built/x": "A", "out/tracked.txt": "M",
    }  # fmt: skip
    named = dict(taken.left_out)
    assert named == dict.fromkeys(["out/made.txt", "deep/out", "a.log", "built", ":(top)odd.log"], "ignored")


async def test_keep_and_skip(store, started, h):
    base, ws = started
    h.put(ws, {"out/report/r.txt": b"r", "out/other": b"o", "a.log": b"l", ".venv/bin/x": b"v", "data/d": b"d"})
    (ws / "lib/two.py").unlink()
    keep = {"out/report", "a.log"}
    taken = await snapshot(store, ws, base, message="m", keep=keep, skip={".venv", "data", "lib"})
    assert _statuses(taken) == {"out/report/r.txt": "A", "a.log": "A"}
    assert dict(taken.left_out) == {"out/other": "ignored"}


async def test_caches_stay_out_unless_the_base_has_them(store, started, h):
    base, ws = started
    h.put(ws, {"lib/__pycache__/a.pyc": b"", "node_modules/new/x.js": b"", ".aura/x": b"", "env/pyvenv.cfg": b""})
    h.put(ws, {"env/lib/y.py": b"", "node_modules/committed.js": b"changed"})
    taken = await snapshot(store, ws, base, message="m")
    assert _statuses(taken) == {"node_modules/committed.js": "M"}
    assert dict(taken.left_out) == {
        "lib/__pycache__": "cache", "node_modules/new": "cache", ".aura": "cache", "env": "virtual environment",
    }  # fmt: skip


async def test_odd_things_are_skipped_and_named(store, started, h):
    base, ws = started
    os.mkfifo(ws / "pipe")
    (ws / "app.py").unlink()
    os.mkfifo(ws / "app.py")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(ws / "sock"))
        with (ws / "sparse").open("wb") as sparse:
            sparse.truncate(1 << 40)
        (ws / ".gitmodules").symlink_to("app.py")
        (ws / "loop").symlink_to("loop")
        h.put(ws, {"line\nbreak \x1b[31m": b"e"})
        Path(os.fsdecode(os.fsencode(ws) + b"/bad-\xff\xfe")).write_bytes(b"b")
        taken = await snapshot(store, ws, base, message="m")
    assert _statuses(taken) == {"line\nbreak \x1b[31m": "A", "bad-\udcff\udcfe": "A", "loop": "A"}
    named = dict(taken.left_out)
    assert {path for path, reason in named.items() if reason == "not a regular file"} == {"pipe", "app.py", "sock"}
    assert "larger than" in named["sparse"]
    assert ".gitmodules" in named


async def test_nested_repositories_come_as_files(store, started, git, h):
    base, ws = started
    (ws / "nested").mkdir()
    git(ws / "nested", "init", "-q")
    h.put(ws, {"nested/file.py": b"n", "nested/.Git/hooks/x": b"evil"})
    git(ws / "nested", "add", "file.py")
    git(ws / "nested", "commit", "-q", "-m", "x")
    assert _statuses(await snapshot(store, ws, base, message="m")) == {"nested/file.py": "A"}


async def test_a_hostile_git_is_never_executed(store, started, tmp_path, h):
    base, ws = started
    marker = tmp_path / "ran"
    script = ws / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
    script.chmod(0o755)
    config = "".join(
        f"[{section}]\n\t{key} = {script}\n"
        for section, key in (
            ("core", "fsmonitor"), ("core", "hooksPath"), ("core", "sshCommand"), ("core", "attributesFile"),
            ('filter "evil"', "clean"), ('filter "evil"', "process"), ('filter "evil"', "smudge"),
            ('diff "evil"', "textconv"), ('merge "evil"', "driver"), ("diff", "external"),
        )
    )  # fmt: skip
    h.put(
        ws, {".git/config": config.encode(), "x.evil": b"x", ".gitattributes": b"* filter=evil diff=evil merge=evil\n"}
    )
    for hook in ("post-checkout", "post-index-change", "pre-commit", "reference-transaction"):
        h.put(ws, {f".git/hooks/{hook}": script.read_bytes()})
        (ws / ".git/hooks" / hook).chmod(0o755)
    taken = await snapshot(store, ws, base, message="m")
    assert set(_statuses(taken)) == {"evil.sh", "x.evil", ".gitattributes"}
    other = await store.edit(taken.tree, {"x.evil": b"theirs\n"})
    merged = await store.merge(taken.tree, other, await store.edit(taken.tree, {"x.evil": b"ours\n"}))
    assert merged.conflicts == ("x.evil",)
    await store.patch(taken.tree, other)
    await h.workspace(store, other, tmp_path / "again")
    assert not marker.exists()


async def test_a_folder_turned_into_a_link_shows_nothing_of_what_it_points_to(store, started, tmp_path, h):
    base, ws = started
    h.put(tmp_path / "outside", {"one.py": b"secret", "two.py": b"secret"})
    for name in ("one.py", "two.py"):
        (ws / "lib" / name).unlink()
    (ws / "lib").rmdir()
    (ws / "lib").symlink_to(tmp_path / "outside")
    taken = await snapshot(store, ws, base, message="m")
    assert _statuses(taken) == {"lib": "A", "lib/one.py": "D", "lib/two.py": "D"}
    assert await store.read(taken.tree, "lib") == str(tmp_path / "outside").encode()


async def test_a_link_swapped_in_after_the_walk_leads_nowhere(store, started, tmp_path, h, monkeypatch):
    base, ws = started
    h.put(tmp_path / "outside", {"one.py": b"secret"})
    (ws / "lib/one.py").write_bytes(b"changed")
    walk = Walk.run

    def swap_after(self: Walk, root: Root) -> Found:
        found = walk(self, root)
        (ws / "lib").rename(ws / "gone")
        (ws / "lib").symlink_to(tmp_path / "outside")
        root.folder("")  # the folder it has open still is the true one
        return found

    monkeypatch.setattr(snapshot_module.Walk, "run", swap_after)
    taken = await snapshot(store, ws, base, message="m")
    assert await store.read(taken.tree, "lib/one.py") == b"one\n"
    assert "cannot be read" in dict(taken.left_out)["lib/one.py"]


async def test_files_and_folders_that_swap(store, started, h):
    base, ws = started
    (ws / "app.py").unlink()
    h.put(ws, {"app.py/inner": b"i"})
    for name in ("one.py", "two.py"):
        (ws / "lib" / name).unlink()
    (ws / "lib").rmdir()
    (ws / "lib").write_bytes(b"now a file")
    taken = await snapshot(store, ws, base, message="m")
    assert set(await store.entries(taken.tree)) >= {"app.py/inner", "lib"}
    assert await store.read(taken.tree, "lib") == b"now a file"


async def test_an_emptied_workspace(store, started):
    base, ws = started
    for place in sorted(ws.rglob("*"), reverse=True):
        if ".git" not in place.parts:
            place.unlink() if place.is_file() else place.rmdir()
    assert (await snapshot(store, ws, base, message="m")).tree == EMPTY_TREE


def test_what_cannot_be_read_is_not_taken_for_removed(store):
    base = dict.fromkeys(["a/b/c", "a/d", "e", "f/g"])
    found = Found(files={"e": Path("/").stat()}, left_out={"a/b": "cannot be read: Permission denied"})
    assert removed(base, found, frozenset({"f"})) == ["a/d"]
    assert removed(base, Found(left_out={".": "cannot be read"}), frozenset()) == []


async def test_a_flood_of_names_is_bounded_and_loses_nothing_of_the_base(store, started, h, monkeypatch):
    base, ws = started
    h.put(ws, {f"lib/flood{n}": b"" for n in range(60)})
    (ws / "app.py").write_bytes(b"changed\n")
    monkeypatch.setattr(files_module, "MAX_SEEN", 40)
    taken = await snapshot(store, ws, base, message="m")
    assert _statuses(taken) == {"app.py": "M"}
    assert dict(taken.left_out)["lib"] == "beyond the first 40 names"


async def test_too_many_files_and_too_long_paths_are_named(store, started, h, monkeypatch):
    base, ws = started
    h.put(ws, {f"new/{n}": b"" for n in range(20)} | {"/".join(["deep" * 10] * 25): b""})
    monkeypatch.setattr(files_module, "MAX_FILES", 12)
    taken = await snapshot(store, ws, base, message="m")
    reasons = list(dict(taken.left_out).values())
    assert len(taken.changed) + reasons.count("more than 12 files") == 20
    assert reasons.count("path longer than 900 characters") == 1


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOSPC])
async def test_a_machine_that_cannot_read_or_keep_now_takes_no_half(store, tmp_path, h, monkeypatch, code):
    h.put(tmp_path / "w", {"one": b"1", "two": b"2"})
    base = await store.commit(EMPTY_TREE, (), "e")
    read = store._read_file

    def short(root, path):
        if path == "two":
            raise OSError(code, os.strerror(code))
        return read(root, path)

    monkeypatch.setattr(store, "_read_file", short)
    with pytest.raises(OSError, match=os.strerror(code)):
        await snapshot(store, tmp_path / "w", base, message="m")
    monkeypatch.undo()
    taken = await snapshot(store, tmp_path / "w", base, message="m")
    assert [change.path for change in taken.changed] == ["one", "two"]
    assert taken.lost == []
