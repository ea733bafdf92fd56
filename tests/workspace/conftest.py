"""A store, a person's git, and small ways to write and read folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import pytest

from aura_engine.workspace.clean import CleanCheckout
from aura_engine.workspace.store import EMPTY_TREE, GitStore
from aura_engine.workspace.throwaway import LinePacks, ThrowawayGit

Git = Callable[..., str]


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GitStore]:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    made = GitStore(tmp_path / "store.git")
    await made.init()
    yield made
    await made.aclose()


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """The person's own git, with their configuration, in a folder."""

    def run(folder: Path, *args: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1"}
        who = ["-c", "user.name=Person", "-c", "user.email=person@example.org", "-c", "protocol.file.allow=always"]
        done = subprocess.run(["git", *who, *args], cwd=folder, env=env, capture_output=True, check=False)
        assert done.returncode == 0, f"git {args}: {done.stderr.decode()}"
        return done.stdout.decode(errors="surrogateescape").strip()

    return run


@pytest.fixture
def repo(tmp_path: Path, git: Git) -> Path:
    """A person's repository with one commit on `main`."""
    (tmp_path / "home").mkdir(exist_ok=True)
    folder = tmp_path / "projet à moi"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    put(folder, {"app.py": b"print(1)\n", "lib/one.py": b"one\n", ".gitignore": b"out/\n*.log\n"})
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def put(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def read(folder: Path) -> dict[str, bytes]:
    """Every file and link of a folder, less its `.git`."""
    return {
        str(place.relative_to(folder)): str(place.readlink()).encode() if place.is_symlink() else place.read_bytes()
        for place in folder.rglob("*")
        if (place.is_symlink() or place.is_file()) and ".git" not in place.relative_to(folder).parts
    }


class Helpers:
    """What test modules need of this file: test folders are no packages, so they cannot import it."""

    put = staticmethod(put)
    read = staticmethod(read)

    @staticmethod
    async def tree(store: GitStore, files: dict[str, bytes]) -> str:
        return await store.edit(EMPTY_TREE, files)

    @staticmethod
    async def commit(store: GitStore, files: dict[str, bytes]) -> str:
        return await store.commit(await store.edit(EMPTY_TREE, files), (), "base")

    @staticmethod
    async def workspace(store: GitStore, tree: str, folder: Path, hidden: Collection[str] = ()) -> CleanCheckout:
        """A folder as a worker gets it."""
        shown = await store.edit(tree, dict.fromkeys(hidden))
        made = CleanCheckout(store, folder, skip={".git"})
        await made.fill(shown)
        await made.settle()
        await ThrowawayGit(store, LinePacks(store)).renew(made, shown, frozenset(hidden))
        return made


@pytest.fixture
def h() -> type[Helpers]:
    return Helpers
