from __future__ import annotations

import os

import pytest

from aura_engine.errors import GitError
from aura_engine.workspace.base import heaviest, load_base, take_base
from aura_engine.workspace.repository import find_repository

MB = 1024 * 1024


async def _files(store, base) -> dict[str, bytes | None]:
    return {path: await store.read(base.tree, path) for path in await store.entries(base.tree)}


async def test_a_plain_folder_bar_caches_and_secrets(store, tmp_path, h):
    folder = tmp_path / "plain"
    good = {"a.py": b"a", "d/é x": b"e", "out.log": b"l", ".hidden": b"h", "task.md": b"goal"}
    caches = {
        "__pycache__/a.pyc": b"",
        ".venv/bin/python": b"",
        "node_modules/x/y.js": b"",
        ".aura/t-1/journal.db": b"",
    }
    secrets = [".env", ".env.local", "d/.env", "deploy.pem", "srv.KEY", "id_rsa", "id_ed25519.pub", ".ssh/config"]
    secrets += [".netrc", ".aws/credentials", "sub/.npmrc"]
    h.put(folder, {**good, **caches, **dict.fromkeys(secrets, b"hunter2")})
    (folder / "empty").mkdir()
    (folder / "out").symlink_to("/etc/hostname")
    base = await take_base(store, folder, exclude={"task.md"})
    del good["task.md"]
    assert await _files(store, base) == {**good, "out": b"/etc/hostname"}
    named = {path for path, reason in base.skipped if reason == "secret"}
    assert named == {path if not path.startswith((".ssh/", ".aws/")) else path.split("/")[0] for path in secrets}
    assert await store.tree_of(base.commit) == base.tree
    assert (base.size, base.large, base.head) == (sum(map(len, good.values())) + len("/etc/hostname"), (), None)
    assert await load_base(store) == base


async def test_an_empty_folder(store, tmp_path):
    (tmp_path / "empty").mkdir()
    base = await take_base(store, tmp_path / "empty")
    assert await store.entries(base.tree) == {}
    assert base.size == 0


async def test_a_repository_as_it_stands(store, repo, git, h):
    h.put(repo, {".env": b"tracked by mistake", "gone.py": b"g", "lib/staged.py": b"s"})
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "second")
    (repo / "gone.py").unlink()
    h.put(repo, {"app.py": b"print(2)\n", "new é.txt": b"n", "out/x": b"o", "a.log": b"l", "sub/.gitignore": b"b\n"})
    h.put(
        repo, {"sub/b": b"ignored", "lib/staged.py": b"staged", "nested/out/y": b"not ignored there", "nested/z": b"z"}
    )
    git(repo, "add", "lib/staged.py")
    git(repo / "nested", "init", "-q")
    git(repo / "nested", "add", "z")
    git(repo / "nested", "commit", "-q", "-m", "n")
    before = git(repo, "status", "--porcelain"), (repo / ".git/index").read_bytes()
    base = await take_base(store, repo)
    assert await _files(store, base) == {
        ".gitignore": b"out/\n*.log\n", "app.py": b"print(2)\n", "lib/one.py": b"one\n", "lib/staged.py": b"staged",
        "new é.txt": b"n", "sub/.gitignore": b"b\n", "nested/out/y": b"not ignored there", "nested/z": b"z",
    }  # fmt: skip
    assert base.skipped == ((".env", "secret"),)
    assert base.head == git(repo, "rev-parse", "HEAD")
    assert set(base.dirty) == {"app.py", "gone.py", "lib/staged.py", "new é.txt", "sub/.gitignore", "nested/"}
    assert (git(repo, "status", "--porcelain"), (repo / ".git/index").read_bytes()) == before


async def test_submodules_come_as_files(store, repo, git, tmp_path, h):
    other = tmp_path / "other"
    h.put(other, {"inside.py": b"i"})
    git(other, "init", "-q")
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "o")
    git(repo, "submodule", "--quiet", "add", str(other), "vendor/other")
    base = await take_base(store, repo)
    assert await store.read(base.tree, "vendor/other/inside.py") == b"i"


async def test_a_60_mb_file_is_named_and_kept(store, repo, h):
    (repo / "data").mkdir()
    with (repo / "data/big.bin").open("wb") as big:
        big.truncate(60 * MB)
    h.put(repo, {"data/small": b"s"})
    base = await take_base(store, repo)
    assert base.large == (("data/big.bin", 60 * MB),)
    assert store.objects.read((await store.entries(base.tree))["data/big.bin"].oid).startswith(b"aura-large-file")
    without = await take_base(store, repo, exclude={"data"})
    assert without.large == ()
    assert "data/small" not in await store.entries(without.tree)


def test_heaviest_names_folders_until_the_rest_is_small():
    assert heaviest({"a": 30 * MB, "b": 20 * MB}) == ()
    sizes = {f"raw/2024/{n}.csv": MB for n in range(60)} | {"src/a.py": MB, "model.bin": 45 * MB}
    assert heaviest(sizes) == (("raw/2024", 60 * MB),)
    assert heaviest({**sizes, "src/b.bin": 9 * MB}) == (("raw/2024", 60 * MB), ("model.bin", 45 * MB))


async def test_a_repository_without_a_commit(store, tmp_path, git, h):
    h.put(tmp_path / "fresh", {"a.py": b"a", ".gitignore": b"x\n", "x": b"ignored"})
    git(tmp_path / "fresh", "init", "-q")
    base = await take_base(store, tmp_path / "fresh")
    assert set(await store.entries(base.tree)) == {"a.py", ".gitignore"}
    assert base.head is None
    assert set(base.dirty) == {"a.py", ".gitignore"}


async def test_a_project_below_the_root_of_its_repository(store, repo):
    base = await take_base(store, repo / "lib")
    assert set(await store.entries(base.tree)) == {"one.py"}
    found = find_repository(repo / "lib")
    assert found is not None
    assert (found.top, found.prefix) == (repo, "lib/")


async def test_a_folder_that_merely_lies_below_a_repository_is_plain(store, repo, h):
    h.put(repo / "out/project", {"a.log": b"l"})
    assert find_repository(repo / "out/project") is None
    assert set(await store.entries((await take_base(store, repo / "out/project")).tree)) == {"a.log"}


async def test_a_broken_repository_is_said(store, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/.git").write_text("gitdir: /nowhere\n")
    with pytest.raises(GitError, match="not a git repository"):
        await take_base(store, tmp_path / "broken")


async def test_the_persons_own_ignore_file_counts(store, repo, tmp_path, h):
    h.put(tmp_path / "home", {".gitconfig": b"[core]\n\texcludesFile = ~/mine\n", "mine": b"*.swp\n"})
    h.put(repo, {"a.swp": b"s"})
    assert "a.swp" not in await store.entries((await take_base(store, repo)).tree)


async def test_nothing_of_the_persons_repository_is_executed(store, repo, git, tmp_path, h):
    marker = tmp_path / "ran"
    h.put(tmp_path, {"hooks/evil": f"#!/bin/sh\ntouch '{marker}'\n".encode()})
    (tmp_path / "hooks/evil").chmod(0o755)
    (tmp_path / "hooks/post-index-change").symlink_to("evil")
    git(repo, "config", "core.fsmonitor", str(tmp_path / "hooks/evil"))
    git(repo, "config", "core.hooksPath", str(tmp_path / "hooks"))
    (repo / "app.py").touch()
    await take_base(store, repo)
    assert not marker.exists()


async def test_a_repository_of_somebody_else(store, repo):
    if os.geteuid() == 0:  # only root can give a folder away; git then calls its ownership dubious
        for place in (repo, *repo.rglob("*")):
            os.chown(place, 12345, 12345)
    assert "app.py" in await store.entries((await take_base(store, repo)).tree)


async def test_a_tracked_file_behind_a_link_is_not_followed(store, repo, tmp_path, h):
    h.put(tmp_path / "outside", {"one.py": b"secret"})
    (repo / "lib/one.py").unlink()
    (repo / "lib").rmdir()
    (repo / "lib").symlink_to(tmp_path / "outside")
    base = await take_base(store, repo)
    assert await store.read(base.tree, "lib") == str(tmp_path / "outside").encode()
    assert await store.read(base.tree, "lib/one.py") is None
