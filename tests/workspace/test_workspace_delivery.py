from __future__ import annotations

import subprocess
import sys

import pytest

from aura_engine.workspace.base import take_base
from aura_engine.workspace.delivery import FolderDelivery
from aura_engine.workspace.files import Root
from aura_engine.workspace.large import LARGE
from aura_engine.workspace.snapshot import snapshot
from aura_engine.workspace.store import EMPTY_TREE, Entry


@pytest.fixture
async def delivered(store, tmp_path, h):
    """A plain folder, its delivery and the tree that it holds."""
    folder = tmp_path / "my project é"
    h.put(folder, {"app.py": b"1\n", "lib/one.py": b"one\n", "lib/two.py": b"two\n", ".gitignore": b"*.log\n"})
    base = await take_base(store, folder)
    return folder, FolderDelivery(store, folder), base.tree


async def test_changes_arrive_and_the_place_is_named(store, delivered, h):
    folder, delivery, tree = delivered
    new = await store.edit(tree, {"app.py": b"2\n", "lib/two.py": None, "new/deep/x": b"n"})
    done = await delivery.apply(tree, new)
    assert (done.place, done.command, done.kept) == (str(folder), f"cd '{folder}'", ())
    assert h.read(folder) == {
        "app.py": b"2\n", "lib/one.py": b"one\n", ".gitignore": b"*.log\n", "new/deep/x": b"n",
    }  # fmt: skip
    assert await delivery.changes_by_person(new) is None


async def test_the_only_file_of_a_folder_can_be_renamed(store, delivered, h):
    folder, delivery, tree = delivered
    one = await store.edit(tree, {"src/main.py": b"m\n"})
    await delivery.apply(tree, one)
    two = await store.edit(one, {"src/main.py": None, "src/app.py": b"m\n"})
    assert (await delivery.apply(one, two)).kept == ()
    assert (folder / "src/app.py").read_bytes() == b"m\n"
    assert not (folder / "src/main.py").exists()


FULL = """
import errno, resource, sys
from pathlib import Path
from aura_engine.workspace.large import copy

source = Path(sys.argv[1])
source.write_bytes(b"x" * 10_485_760)
resource.setrlimit(resource.RLIMIT_FSIZE, (9_961_472, resource.RLIM_INFINITY))  # like a disk with that much room
try:
    copy(source, source.with_name("copy"), 0o600)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_a_large_file_that_does_not_fit_is_no_copy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "big")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "EFBIG\n"


async def test_modes_links_and_large_files(store, delivered, tmp_path, h):
    folder, delivery, tree = delivered
    h.put(tmp_path / "w", {"big": b"b" * (LARGE + 1), "run.sh": b"#!/bin/sh\n"})
    (tmp_path / "w/run.sh").chmod(0o755)
    (tmp_path / "w/link").symlink_to("/etc/hostname")
    made = await snapshot(store, tmp_path / "w", await store.commit(EMPTY_TREE, (), "e"), message="m")
    new = await store.edit(tree, dict(await store.entries(made.tree)))
    folder.chmod(0o775)
    await delivery.apply(tree, new)
    assert (folder / "run.sh").stat().st_mode & 0o777 == 0o775
    assert (folder / "big").stat().st_mode & 0o777 == 0o664
    assert (folder / "big").read_bytes() == b"b" * (LARGE + 1)
    assert str((folder / "link").readlink()) == "/etc/hostname"
    assert await delivery.changes_by_person(new) is None
    await delivery.apply(new, tree)
    assert not (folder / "link").is_symlink()


async def test_files_and_folders_swap(store, delivered, h):
    folder, delivery, tree = delivered
    new = await store.edit(
        tree, {"app.py": None, "app.py/in": b"f", "lib": b"file", "lib/one.py": None, "lib/two.py": None}
    )
    assert (await delivery.apply(tree, new)).kept == ()
    assert h.read(folder) == {"app.py/in": b"f", "lib": b"file", ".gitignore": b"*.log\n"}
    assert (await delivery.apply(new, EMPTY_TREE)).kept == ()
    assert list(folder.iterdir()) == []


async def test_what_the_person_made_is_never_overwritten(store, delivered, h):
    folder, delivery, tree = delivered
    h.put(folder, {"app.py": b"mine\n", "lib/two.py": b"mine too\n", "lib/new.py": b"also mine\n", "dir/mine": b"m"})
    new = await store.edit(
        tree, {"app.py": b"2\n", "lib/two.py": None, "lib/new.py": b"theirs\n", "lib/one.py": b"1\n", "dir": b"file"}
    )
    done = await delivery.apply(tree, new)
    assert done.kept == ("app.py", "dir", "lib/new.py", "lib/two.py")
    assert h.read(folder) == {
        "app.py": b"mine\n", "lib/two.py": b"mine too\n", "lib/new.py": b"also mine\n", "lib/one.py": b"1\n",
        "dir/mine": b"m", ".gitignore": b"*.log\n",
    }  # fmt: skip


async def test_a_delivery_cut_short_is_completed(store, delivered, h, monkeypatch):
    folder, delivery, tree = delivered
    new = await store.edit(tree, {"app.py": b"2\n", "lib/one.py": b"1\n", "lib/two.py": None, "z": b"z"})
    put, count = FolderDelivery._put, []

    def crash(self: FolderDelivery, path: str, entry: Entry) -> None:
        count.append(path)
        if len(count) == 2:
            (folder / "lib/.aura-0123456789abcdef.tmp").write_bytes(b"half")
            raise OSError("no space left on device")
        put(self, path, entry)

    monkeypatch.setattr(FolderDelivery, "_put", crash)
    with pytest.raises(OSError, match="no space"):
        await delivery.apply(tree, new)
    monkeypatch.setattr(FolderDelivery, "_put", put)
    fresh = FolderDelivery(store, folder)
    assert (await fresh.apply(tree, new)).kept == ()
    assert (folder / "app.py").read_bytes() == b"2\n"
    assert (folder / "z").read_bytes() == b"z"
    assert not (folder / "lib/two.py").exists()
    assert await fresh.changes_by_person(new) is None
    assert (await fresh.apply(tree, new)).kept == ()


async def test_a_link_in_the_way_is_not_followed(store, delivered, tmp_path, h):
    folder, delivery, tree = delivered
    outside = tmp_path / "outside"
    h.put(outside, {"one.py": b"one\n", "two.py": b"two\n"})
    for name in ("one.py", "two.py"):
        (folder / "lib" / name).unlink()
    (folder / "lib").rmdir()
    (folder / "lib").symlink_to(outside)
    new = await store.edit(tree, {"lib/one.py": b"pwned", "lib/two.py": None, "lib/three/x": b"3"})
    assert (await delivery.apply(tree, new)).kept == ("lib/one.py", "lib/three/x")
    assert h.read(outside) == {"one.py": b"one\n", "two.py": b"two\n"}
    assert len(list(outside.iterdir())) == 2


async def test_a_landed_link_that_becomes_a_folder_again(store, delivered, tmp_path, h):
    folder, delivery, tree = delivered
    h.put(tmp_path / "outside", {"x": b"x"})
    link = (await store.entries(await store.edit(EMPTY_TREE, {"t": str(tmp_path / "outside").encode()})))["t"].oid
    linked = await store.edit(tree, {"d": Entry("120000", link)})
    await delivery.apply(tree, linked)
    again = await store.edit(linked, {"d": None, "d/x": b"inside"})
    assert (await delivery.apply(linked, again)).kept == ()
    assert (folder / "d/x").read_bytes() == b"inside"
    assert h.read(tmp_path / "outside") == {"x": b"x"}


async def test_the_persons_changes_are_found(store, delivered, h):
    folder, delivery, tree = delivered
    assert await delivery.changes_by_person(tree) is None
    h.put(folder, {"app.py": b"mine\n", "notes/n.md": b"n", "a.log": b"l", ".env": b"KEY=1", "__pycache__/x.pyc": b""})
    (folder / "lib/two.py").unlink()
    changed = await delivery.changes_by_person(tree)
    assert changed is not None
    found = {change.path: change.status for change in await store.diff(tree, changed)}
    assert found == {"app.py": "M", "notes/n.md": "A", "lib/two.py": "D"}
    assert await delivery.changes_by_person(changed) is None
    assert (await delivery.apply(tree, changed)).kept == ()


async def test_what_is_excluded_is_never_the_persons_change(store, delivered, h):
    folder, _, tree = delivered
    h.put(folder, {"task.md": b"new goal", "data/rows": b"r"})
    assert await FolderDelivery(store, folder, exclude={"task.md", "data"}).changes_by_person(tree) is None


async def test_an_unchanged_folder_is_not_read_again(store, delivered, monkeypatch):
    _, delivery, tree = delivered
    new = await store.edit(tree, {"app.py": b"2\n"})
    await delivery.changes_by_person(tree)
    await delivery.apply(tree, new)
    monkeypatch.setattr(Root, "open", lambda self, path: pytest.fail(f"{path} was read"))
    assert await delivery.changes_by_person(new) is None
