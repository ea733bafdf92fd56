"""Filling a folder with a tree: exact bytes, modes and links."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from pathlib import Path

from aura_engine.errors import GitError
from aura_engine.removal import remove_tree
from aura_engine.workspace import trees
from aura_engine.workspace.git import call
from aura_engine.workspace.large import copy
from aura_engine.workspace.objects import EXECUTABLE, Entry, New
from aura_engine.workspace.store import GitStore


async def checkout(store: GitStore, tree: str, dest: Path) -> None:
    """Fill `dest` (made if missing, else empty) with the tree. GitError when `dest` is not empty or git fails."""
    await store.run(_checkout, store, tree, dest)


async def discard(store: GitStore, dest: Path) -> None:
    """Remove a checkout. What cannot be removed is left; no error."""
    await store.run(remove_tree, dest)


def large_files(store: GitStore, tree: str) -> Mapping[str, Entry]:
    """The files of a tree that stand in it as pointers."""
    if not store.large.any:
        return {}
    return {path: entry for path, entry in store.flat(tree).items() if store.large.find(entry.oid)}


def without(store: GitStore, tree: str, paths: Collection[str]) -> str:
    """The tree less these files and folders."""
    new: New = {}
    plain = trees.edit(store.objects, tree, dict.fromkeys(paths), new) if paths else tree
    store.objects.add(new)
    return plain


def _checkout(store: GitStore, tree: str, dest: Path) -> None:
    dest.mkdir(parents=True, exist_ok=True)
    if any(dest.iterdir()):
        raise GitError(f"{dest} is not empty.", cure="A checkout needs an empty folder.")
    large = large_files(store, tree)
    plain = without(store, tree, large)
    store.objects.publish()
    index = store.path / "indexes" / secrets.token_hex(12)
    try:
        call(["read-tree", "-u", "--reset", plain], git_dir=store.path, work_tree=dest, index=index, timeout=600)
    finally:
        index.unlink(missing_ok=True)
    for path, entry in large.items():
        source = store.large.find(entry.oid)
        assert source is not None
        place = dest / path
        place.parent.mkdir(parents=True, exist_ok=True)
        copy(source, place, 0o777 if entry.mode == EXECUTABLE else 0o666)
