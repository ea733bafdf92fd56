"""Trees compared, edited and merged folder by folder: only what differs is looked at. Paths are POSIX, relative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from aura_engine.errors import GitError
from aura_engine.workspace.objects import EMPTY_TREE, TREE, Entry, New, Objects


class Change(NamedTuple):
    """One path that differs between two trees: added, modified or deleted."""

    path: str
    status: Literal["A", "M", "D"]
    old: Entry | None
    new: Entry | None


class Overlap(Exception):
    """Both sides changed the same thing: only a line-by-line merge can tell."""


def clean_path(path: str) -> str:
    """The path if a tree may hold it; GitError for what would leave the folder or reach into a `.git`."""
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise GitError(f"“{path}” is not a path inside the project.")
    return path


def lookup(objects: Objects, tree: str, path: str) -> Entry | None:
    """What the tree holds at the path, a folder too."""
    *folders, name = path.split("/")
    for folder in folders:
        entry = objects.tree(tree).get(folder)
        if entry is None or entry.mode != TREE:
            return None
        tree = entry.oid
    return objects.tree(tree).get(name)


def edit(objects: Objects, tree: str, changes: Mapping[str, Entry | None], new: New) -> str:
    """The tree with paths put (Entry) or removed (None; a folder goes whole); what it is made of is added to `new`.

    A file may give way to a folder and the other way round in one call. GitError for a path outside the project, or
    one that is wanted both as a file and as a folder.
    """
    for path in changes:
        clean_path(path)
    return _edit(objects, tree, changes, new) or objects.make_tree(new, {})


def _edit(objects: Objects, tree: str | None, changes: Mapping[str, Entry | None], new: New) -> str | None:
    """None for a tree that has become empty."""
    entries = dict(objects.tree(tree)) if tree else {}
    below: dict[str, dict[str, Entry | None]] = {}
    direct: dict[str, Entry | None] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        else:
            direct[name] = entry
    for name, entry in direct.items():
        entries.pop(name, None)
        if entry is not None:
            entries[name] = entry
    for name, inner in below.items():
        if direct.get(name) is not None:
            if any(entry is not None for entry in inner.values()):
                raise GitError(f"“{name}” cannot be a file and a folder at once.")
            continue  # the folder's files go, the file that takes its place is already there
        old = entries.pop(name, None)
        subtree = _edit(objects, old.oid if old and old.mode == TREE else None, inner, new)
        if subtree:
            entries[name] = Entry(TREE, subtree)
        elif old and old.mode != TREE:
            entries[name] = old  # removing what was never below a file leaves the file alone
    return objects.make_tree(new, entries) if entries else None


def differing(one: Mapping[str, Entry], other: Mapping[str, Entry]) -> set[str]:
    """The names that are not the same in both."""
    return {name for name, _ in one.items() ^ other.items()}


def flat_diff(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Iterator[Change]:
    """See `diff`, of all files of two trees by their paths."""
    for path in differing(before, after):
        a, b = before.get(path), after.get(path)
        yield Change(path, "M" if a and b else "A" if b else "D", a, b)


def diff(objects: Objects, old: str, new: str, prefix: str = "") -> Iterator[Change]:
    """What leads from one tree to the other, sorted within each folder. Renames are a delete and an add."""
    if old == new:
        return
    before, after = objects.tree(old), objects.tree(new)
    for name in sorted(differing(before, after)):
        a, b = before.get(name), after.get(name)
        path = prefix + name
        a_tree = a.oid if a and a.mode == TREE else EMPTY_TREE
        b_tree = b.oid if b and b.mode == TREE else EMPTY_TREE
        yield from diff(objects, a_tree, b_tree, path + "/")
        a = None if a and a.mode == TREE else a
        b = None if b and b.mode == TREE else b
        if a and b:
            yield Change(path, "M", a, b)
        elif b:
            yield Change(path, "A", None, b)
        elif a:
            yield Change(path, "D", a, None)


def merge(objects: Objects, base: str, ours: str, theirs: str, new: New) -> str:
    """The three-way merge of trees that changed different paths. Overlap when both changed the same one."""
    if theirs in (ours, base):
        return ours
    if ours == base:
        return theirs
    return _merge(objects, base, ours, theirs, new) or objects.make_tree(new, {})


def _merge(objects: Objects, base: str, ours: str, theirs: str, new: New) -> str | None:
    b_all, o_all, t_all = objects.tree(base), objects.tree(ours), objects.tree(theirs)
    merged = dict(o_all)
    for name in differing(b_all, t_all):
        b, o, t = b_all.get(name), o_all.get(name), t_all.get(name)
        if t == o:
            kept = o
        elif o == b:
            kept = t
        elif o and t and o.mode == t.mode == TREE and (b is None or b.mode == TREE):
            subtree = _merge(objects, b.oid if b else EMPTY_TREE, o.oid, t.oid, new)
            kept = Entry(TREE, subtree) if subtree else None
        else:
            raise Overlap(name)
        if kept is not None:
            merged[name] = kept
        else:
            merged.pop(name, None)
    return objects.make_tree(new, merged) if merged else None
