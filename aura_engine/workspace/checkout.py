"""Filling a folder with a tree: exact bytes, modes and links; on request with a throw-away `.git` of one commit.

That `.git` is for the agent's own git and for builds that ask git for a version. The engine never reads it.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from aura_engine.errors import GitError
from aura_engine.workspace import trees
from aura_engine.workspace.files import Root, stamp
from aura_engine.workspace.git import call
from aura_engine.workspace.large import copy
from aura_engine.workspace.names import within
from aura_engine.workspace.objects import EXECUTABLE, Entry, New
from aura_engine.workspace.store import ATTRIBUTES, GitStore

_PACKS_CACHED = 8

_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tautocrlf = false
\tprotectNTFS = false
[user]
\tname = worker
\temail = worker@localhost
[gc]
\tauto = 0
"""


async def checkout(
    store: GitStore,
    tree: str,
    dest: Path,
    *,
    without: Collection[str] = frozenset(),
    throwaway_git: bool = False,
    links: Mapping[str, Path] | None = None,
) -> None:
    """Fill `dest` (made if missing, else empty) with the tree, less the files and folders in `without`.

    `links` are made last: path inside → where it points (shared data). With `throwaway_git` the folder gets its own
    `.git` in which everything is committed and clean. GitError when `dest` is not empty or git fails.
    """
    await store.run(_checkout, store, tree, dest, frozenset(without), throwaway_git, dict(links or {}))


async def discard(store: GitStore, dest: Path) -> None:
    """Remove a checkout and all the store remembers of it. What cannot be removed is left; no error."""
    await store.run(_discard, store, dest)


def _checkout(
    store: GitStore, tree: str, dest: Path, without: frozenset[str], throwaway_git: bool, links: dict[str, Path]
) -> None:
    dest.mkdir(parents=True, exist_ok=True)
    if any(dest.iterdir()):
        raise GitError(f"{dest} is not empty.", cure="A checkout needs an empty folder.")
    large = {
        path: entry
        for path, entry in store.flat(tree).items()
        if store.large.find(entry.oid) and not within(path, without)
    }
    new: New = {}
    plain = trees.edit(store.objects, tree, dict.fromkeys((*without, *large)), new) if without or large else tree
    store.objects.add(new)
    index = store.index_of(dest)
    index.unlink(missing_ok=True)
    call(["read-tree", "-u", "--reset", plain], git_dir=store.path, work_tree=dest, index=index, timeout=600)
    with Root(dest) as root:
        for path, entry in large.items():
            _place(store, root, path, entry)
    for path, target in links.items():
        place = dest / trees.clean_path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    if throwaway_git:
        _make_git(store, plain, dest, index, [*large, *links])


def _place(store: GitStore, root: Root, path: str, entry: Entry) -> None:
    source = store.large.find(entry.oid)
    assert source is not None
    place = root.path / path
    place.parent.mkdir(parents=True, exist_ok=True)
    copy(source, place, 0o777 if entry.mode == EXECUTABLE else 0o666)
    store.placed[str(root.path), path] = (stamp(root.stat(path)), entry)


def _make_git(store: GitStore, tree: str, dest: Path, index: Path, untracked: list[str]) -> None:
    git = dest / ".git"
    for folder in ("objects/pack", "refs", "info"):
        (git / folder).mkdir(parents=True)
    commit = store.commit_now(tree, (), "The project as this task found it")
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "config").write_text(_CONFIG)
    (git / "packed-refs").write_text(f"{commit} refs/heads/main\n")
    (git / "info/attributes").write_text(ATTRIBUTES)
    lines = [f"/{_quoted(path)}\n".encode(errors="surrogateescape") for path in untracked if "\n" not in path]
    if lines:
        (git / "info/exclude").write_bytes(b"".join(lines))
    copy(index, git / "index", 0o666)
    with store.pack_lock:  # nobody may drop the pack while it is copied
        for part in _pack_of(store, commit):
            copy(part, git / "objects/pack" / part.name, 0o444)


def _quoted(path: str) -> str:
    """The path as an ignore rule that means it literally."""
    for special in "\\*?[":
        path = path.replace(special, "\\" + special)
    return path[:-1] + "\\ " if path.endswith(" ") else path


def _pack_of(store: GitStore, commit: str) -> list[Path]:
    """The pack of one commit and its index, made once and kept for the next workspaces of the same tree."""
    folder = store.path / "packs" / commit
    if not any(folder.glob("*.idx")):
        folder.mkdir(exist_ok=True)
        args = ["pack-objects", "--revs", "--window=0", "-q", str(folder / "pack")]
        call(args, git_dir=store.path, stdin=commit.encode() + b"\n", timeout=600)
        by_age = sorted(folder.parent.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        for old in by_age[:-_PACKS_CACHED]:
            shutil.rmtree(old)
    os.utime(folder)
    return sorted(folder.glob("pack-*.pack")) + sorted(folder.glob("pack-*.idx"))


def _discard(store: GitStore, dest: Path) -> None:
    # `rm` does in 1 ms what costs Python 3 ms of the engine's CPU for a folder of 50 files.
    gone = subprocess.run(["rm", "-rf", "--", str(dest)], stderr=subprocess.DEVNULL, check=False, close_fds=False)
    if gone.returncode:  # a worker may have taken away the right to change its folders
        dest.chmod(stat.S_IRWXU)
        for folder, names, _ in os.walk(dest):
            for place in (Path(folder, name) for name in names):
                if not place.is_symlink():
                    place.chmod(stat.S_IRWXU)
        shutil.rmtree(dest, ignore_errors=True)
    store.index_of(dest).unlink(missing_ok=True)
    for key in [key for key in store.placed if key[0] == str(dest)]:
        store.placed.pop(key, None)
