"""Is everything in the store that the journal names? Reads only, also beside a living engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aura_engine.errors import GitError
from aura_engine.workspace.git import call
from aura_engine.workspace.objects import GITLINK, TREE, Objects


def missing(store: Path, commits: Iterable[tuple[str, str]]) -> list[str]:
    """What is not there of these (commit, its tree or "") and of all that they hold, in words. Blocks."""
    objects = Objects(store)
    found: list[str] = []
    seen: set[str] = set()
    blobs: set[str] = set()
    try:
        logged = objects.look()
        for commit, tree in commits:
            try:
                real = objects.header(commit)[0]
                if tree and real != tree:
                    found.append(f"commit {commit[:12]} holds another tree than the journal says")
                _walk(objects, real, seen, blobs)
            except GitError as error:
                found.append(str(error))
    finally:
        objects.close()
    asked = "".join(f"{oid}\n" for oid in sorted(blobs - logged))
    if asked:
        said = call(["cat-file", "--batch-check"], git_dir=store, stdin=asked.encode()).out.decode(errors="replace")
        found += [
            f"object {line.split()[0]} is missing from {store}." for line in said.splitlines() if "missing" in line
        ]
    return found


def _walk(objects: Objects, tree: str, seen: set[str], blobs: set[str]) -> None:
    """Every tree below this one is read, every file in them noted."""
    waiting = [tree]
    while waiting:
        oid = waiting.pop()
        if oid in seen:
            continue
        seen.add(oid)
        for entry in objects.tree(oid).values():
            if entry.mode == TREE:
                waiting.append(entry.oid)
            elif entry.mode != GITLINK:
                blobs.add(entry.oid)
