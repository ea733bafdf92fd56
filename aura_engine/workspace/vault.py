"""The work that is kept in a store beside the line: held by refs, measured, put into a folder again, let go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aura_engine.errors import GitError, UsageError
from aura_engine.paths import atomic_write
from aura_engine.removal import below
from aura_engine.workspace.git import call
from aura_engine.workspace.large import copy
from aura_engine.workspace.objects import EXECUTABLE, GITLINK, LINK, Entry
from aura_engine.workspace.store import GitStore
from aura_engine.workspace.trees import diff

PREFIX = "refs/aura/"
REPACK_LIMIT = 1800.0
"""Seconds that letting work go may take."""


@dataclass(frozen=True)
class Extent:
    """What a snapshot holds beyond the commit that it was made from."""

    files: int
    """Files changed, added or removed."""
    size: int
    """Bytes of those that are there."""


def measure(store: GitStore, snapshots: Iterable[tuple[str, str]]) -> dict[str, Extent]:
    """By snapshot, of (snapshot, the commit that its folder was made from), as far as they are there. Blocks."""
    found: dict[str, Extent] = {}
    for snapshot, base in snapshots:
        try:
            trees = [store.objects.header(commit)[0] for commit in (base, own(store, snapshot, base))]
            changes = list(diff(store.objects, *trees))
            size = sum(_size(store, change.new.oid) for change in changes if change.new)
        except (GitError, OSError):
            continue
        found[snapshot] = Extent(len(changes), size)
    return found


def _size(store: GitStore, oid: str) -> int:
    place = store.large.find(oid)
    return place.stat().st_size if place else len(store.objects.read(oid))


def hold(store: GitStore, roots: Mapping[str, str]) -> None:
    """Refs `refs/aura/NAME` → object for these and no others, so that no tidying up of git's takes them. Blocks."""
    store.objects.publish()
    lines = [f"{oid} {PREFIX}{name}\n" for name, oid in sorted(roots.items())]
    atomic_write(store.path / "packed-refs", "# pack-refs with: sorted\n" + "".join(lines))


def let_go(store: GitStore, roots: Mapping[str, str]) -> int:
    """Remove all that none of these needs; the bytes that came free. Blocks; nobody else may use the store meanwhile.

    GitError when one of them is not there or git refuses; then nothing is lost.
    """
    for oid in set(roots.values()):
        store.objects.read(oid)
    before = taken(store.path)
    hold(store, roots)
    call(["repack", "-a", "-d", "-q"], git_dir=store.path, timeout=REPACK_LIMIT)
    # Somebody else's `git gc` made it, and it names what is gone.
    (store.path / "objects/info/commit-graph").unlink(missing_ok=True)
    call(["prune", "--expire=now"], git_dir=store.path, timeout=REPACK_LIMIT)
    listed = call(["rev-list", "--objects", "--all"], git_dir=store.path, timeout=REPACK_LIMIT).out
    store.large.keep_only({line[:40].decode("ascii", "replace") for line in listed.splitlines()})
    return max(0, before - taken(store.path))


def own(store: GitStore, snapshot: str, base: str) -> str:
    """The worker's own state: its parent, where files that decide checks were put back in a snapshot. Blocks."""
    parents = store.objects.header(snapshot)[1]
    return parents[0] if parents and parents[0] != base else snapshot


def restore(store_path: Path, snapshot: str, base: str, target: Path) -> int:
    """Put what a worker left into a new folder, also while an engine uses the store; how many files it has. Blocks.

    UsageError when something stands at `target`; GitError when the store lacks it, OSError when it cannot be written.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already.", cure="Name a new folder with --to.")
    with reading(store_path) as store:
        entries = store.flat(store.objects.header(own(store, snapshot, base))[0])
        target.mkdir(parents=True)
        for path, entry in entries.items():
            _put(store, target / path, entry)
    return len(entries)


@contextlib.contextmanager
def reading(path: Path) -> Generator[GitStore]:
    """The store of a run that an engine may be using: nothing in it is changed."""
    store = GitStore(path)
    try:
        store.large.load(tidy=False)
        store.objects.look()
        yield store
    finally:
        store.objects.close()


def _put(store: GitStore, place: Path, entry: Entry) -> None:
    if entry.mode == GITLINK:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o777 if entry.mode == EXECUTABLE else 0o666
    large = store.large.find(entry.oid)
    if large:
        copy(large, place, mode)
    elif entry.mode == LINK:
        place.symlink_to(os.fsdecode(store.objects.read(entry.oid)))
    else:
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:  # noqa: PTH123
            file.write(store.objects.read(entry.oid))


def taken(folder: Path) -> int:
    """Bytes on the disk below a folder. Blocks."""
    return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in below(folder))


def rooted(commits: Collection[str]) -> dict[str, str]:
    """Names for `hold`."""
    return {f"keep/{commit}": commit for commit in commits if commit}
