"""A workspace as a commit: our own walk, the base's rules, and nothing in the workspace is executed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from aura_engine.workspace import trees
from aura_engine.workspace.clean import CleanCheckout
from aura_engine.workspace.files import EXPECTED, Found, Root, Walk
from aura_engine.workspace.ignore import NAME, Ignores
from aura_engine.workspace.names import within
from aura_engine.workspace.objects import FILE, Entry, New, make
from aura_engine.workspace.store import GitStore, commit_text

_NAMED = 500


@dataclass(frozen=True)
class Snapshot:
    """What an attempt left in its workspace."""

    commit: str
    """Its parent is the attempt's base."""
    tree: str
    changed: tuple[trees.Change, ...]
    """Against the base, sorted by path."""
    left_out: tuple[tuple[str, str], ...]
    """Path and reason of what did not enter, folders as one; at most 500."""

    @property
    def lost(self) -> list[tuple[str, str]]:
        """What did not enter though it may be work."""
        return [(path, why) for path, why in self.left_out if why not in EXPECTED]


async def snapshot(
    store: GitStore,
    workspace: Path,
    base_commit: str,
    *,
    message: str,
    keep: Collection[str] = frozenset(),
    skip: Collection[str] = frozenset(),
    given: CleanCheckout | None = None,
) -> Snapshot:
    """Commit the workspace onto `base_commit`, without touching or trusting anything in it.

    Left out: `.git`, caches, and what the base's ignore files name, unless the base has the file or `keep` names it or
    a folder around it. Files and folders in `skip` (prepared, shared, or withheld from the worker) stay as the base has
    them. Also does so what cannot be read. `given`: the workspace as it was given to the worker; its untouched files
    are not read again. GitError when the store fails, OSError when the workspace is gone.
    """
    found = await store.run(_snapshot, store, workspace, base_commit, message, frozenset(keep), frozenset(skip), given)
    store.knows(found.commit, found.tree)
    return found


def ignores_of(store: GitStore, entries: Mapping[str, Entry]) -> Ignores:
    """The rules of the ignore files that a tree has."""
    rules = {
        path: store.objects.read(entry.oid)
        for path, entry in entries.items()
        if path.endswith(NAME) and path.rpartition("/")[2] == NAME and entry.mode == FILE
    }
    return Ignores(store.path, rules)


def removed(entries: Mapping[str, Entry], found: Found, skip: frozenset[str]) -> list[str]:
    """The files of a tree that are really gone: not merely unreadable, skipped, or now a thing git cannot hold."""
    missing = [path for path in entries if path not in found.files]
    if "." in found.left_out:
        return []
    return [path for path in missing if not within(path, skip) and not within(path, found.left_out)]


def _snapshot(
    store: GitStore,
    workspace: Path,
    base_commit: str,
    message: str,
    keep: frozenset[str],
    skip: frozenset[str],
    given: CleanCheckout | None,
) -> Snapshot:
    base_tree = store.objects.header(base_commit)[0]
    base = store.flat(base_tree)
    walk = Walk(known=base, keep=keep, skip=skip, ignored=ignores_of(store, base).match)
    with Root(workspace) as root:
        found = walk.run(root)
        suspects = [
            path
            for path, info in found.files.items()
            if not (given and path in base and given.is_as_given(path, info, base[path]))
        ]
        new: New = {}
        changes: dict[str, Entry | None] = {**store.take(root, suspects, found.left_out, known=base, new=new)}
    changes |= dict.fromkeys(removed(base, found, skip))
    tree = trees.edit(store.objects, base_tree, changes, new) if changes else base_tree
    commit = make(new, "commit", commit_text(tree, (base_commit,), message))
    store.objects.add(new)
    changed = sorted(trees.diff(store.objects, base_tree, tree))
    store.flat(tree)  # landing asks for it next
    return Snapshot(commit, tree, tuple(changed), tuple(sorted(found.left_out.items()))[:_NAMED])
