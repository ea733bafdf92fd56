"""The base: the person's folder as it stands, less secrets and caches, as the first commit of a run's store."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aura_engine.paths import atomic_write
from aura_engine.workspace import trees
from aura_engine.workspace.files import MAX_FILE, Found, Root, Walk, mode_of
from aura_engine.workspace.names import is_secret, parents, within
from aura_engine.workspace.objects import EMPTY_TREE, New
from aura_engine.workspace.repository import dirty_paths, find_repository, list_files
from aura_engine.workspace.store import GitStore

HEAVY = 50 * 1024 * 1024
"""Bytes in all from which on the biggest parts are named before the start."""

_RECORD = "base.json"


@dataclass(frozen=True)
class Base:
    """What a run starts from."""

    tree: str
    commit: str
    size: int
    """Bytes of all files together."""
    large: tuple[tuple[str, int], ...]
    """Empty up to 50 MB in all; else the files and folders (bytes) without which the rest would be below."""
    skipped: tuple[tuple[str, str], ...]
    """Path and reason of what did not enter."""
    head: str | None = None
    """The commit that the person's repository had checked out."""
    dirty: tuple[str, ...] = ()
    """What differed from it: paths below the repository's root, a nested repository with a slash at the end."""
    exclude: tuple[str, ...] = ()
    """What was not asked for."""


async def take_base(store: GitStore, folder: Path, *, exclude: Collection[str] = frozenset()) -> Base:
    """Commit the person's folder as it stands, and remember it beside the store for `load_base`.

    In a git repository: tracked files with their uncommitted changes, untracked ones that are not ignored, submodules
    and nested repositories as files. In a plain folder: everything bar caches. Secrets and what lies in `exclude`
    never enter. GitError when the repository cannot be read.
    """
    return await store.run(_take_base, store, folder, frozenset(exclude))


async def load_base(store: GitStore) -> Base | None:
    """The base that an earlier engine took; None before the first."""
    return await store.run(_load, store)


def _take_base(store: GitStore, folder: Path, exclude: frozenset[str]) -> Base:
    repository = find_repository(folder)
    with Root(folder) as root:
        if repository:
            found = _look_up(root, list_files(folder), exclude)
        else:
            found = Walk(skip=exclude, without_secrets=True).run(root)
        sizes = {path: info.st_size for path, info in found.files.items()}
        new: New = {}
        entries = store.take(root, found.files, found.left_out, known={}, new=new)
    tree = trees.edit(store.objects, EMPTY_TREE, entries, new)
    store.objects.add(new)
    base = Base(
        tree=tree,
        commit=store.commit_now(tree, (), "The project as Aura found it"),
        size=sum(sizes.values()),
        large=heaviest(sizes),
        skipped=tuple(sorted(found.left_out.items())),
        head=repository.head if repository else None,
        dirty=tuple(dirty_paths(folder)) if repository else (),
        exclude=tuple(sorted(exclude)),
    )
    atomic_write(store.path / _RECORD, json.dumps(asdict(base)))
    return base


def _load(store: GitStore) -> Base | None:
    try:
        raw: dict[str, Any] = json.loads((store.path / _RECORD).read_text())
    except FileNotFoundError:
        return None
    for key in ("large", "skipped"):
        raw[key] = tuple((path, rest) for path, rest in raw[key])
    for key in ("dirty", "exclude"):
        raw[key] = tuple(raw[key])
    return Base(**raw)


def _look_up(root: Root, paths: list[str], exclude: frozenset[str]) -> Found:
    found = Found()
    for path in paths:
        if within(path, exclude) or path.split("/", 1)[0] == ".aura":
            continue
        try:
            info = root.stat(path)
        except OSError:  # tracked, but gone; or a folder on the way has become a link
            continue
        if is_secret(path):
            found.left_out[path] = "secret"
        elif mode_of(info) is None:
            found.left_out[path] = "not a regular file"
        elif info.st_size > MAX_FILE:
            found.left_out[path] = f"larger than {MAX_FILE // 1024**3} GB"
        else:
            found.files[path] = info
    return found


def heaviest(sizes: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Of more than 50 MB in all the parts to share instead of copying, biggest first (path, bytes).

    A folder is named rather than its files, and the deepest one that holds nearly everything of it.
    """
    totals: dict[str, int] = defaultdict(int)
    inside: dict[str, set[str]] = defaultdict(set)
    for path, size in sizes.items():
        totals[path] += size
        child = path
        for parent in (*parents(path), ""):
            totals[parent] += size
            inside[parent].add(child)
            child = parent
    rest = totals[""]
    named: list[tuple[str, int]] = []
    for part in sorted(inside[""], key=lambda each: -totals[each]):
        if rest <= HEAVY:
            break
        rest -= totals[part]
        while (
            part in inside and totals[biggest := max(inside[part], key=lambda each: totals[each])] > 0.9 * totals[part]
        ):
            part = biggest
        named.append((part, totals[part]))
    return tuple(named)
