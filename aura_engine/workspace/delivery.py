"""Delivery into a plain folder: file by file, never over something the person made, and complete when run again."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from aura_engine.faults import fault
from aura_engine.workspace import trees
from aura_engine.workspace.files import Root, Stamp, Walk, mode_of, stamp
from aura_engine.workspace.large import copy
from aura_engine.workspace.names import parents
from aura_engine.workspace.objects import EXECUTABLE, LINK, Entry, New
from aura_engine.workspace.snapshot import ignores_of, removed
from aura_engine.workspace.store import GitStore


@dataclass(frozen=True)
class Delivered:
    """Where the work is now."""

    place: str
    """For a person: the folder, or the branch and its repository."""
    command: str
    """What the person types to take it."""
    kept: tuple[str, ...] = ()
    """Paths where the person's own version stayed."""
    note: str = ""
    """One sentence that the person should know; usually empty."""


class FolderDelivery:
    """The person's plain folder. One instance per run; its methods must not overlap."""

    def __init__(self, store: GitStore, folder: Path, *, exclude: Collection[str] = frozenset()) -> None:
        self._store = store
        self._folder = folder
        self._exclude = frozenset(exclude)
        self._seen: dict[str, tuple[Stamp, Entry]] = {}
        """What a file's content was when it had that stamp: an unchanged folder costs only its stats."""

    async def changes_by_person(self, last_tree: str) -> str | None:
        """`last_tree` with what the person has changed, added or removed since it was delivered; None for nothing.

        New files count unless the tree's ignore files name them or they are caches or secrets. A delivery that was cut
        short must be completed with `apply` first, else its half would look like the person's work.
        """
        return await self._store.run(self._changes, last_tree)

    async def apply(self, old_tree: str, new_tree: str) -> Delivered:
        """Bring the folder from what was delivered last to the new tree.

        Each file is replaced at once, or left and named in `kept` where it is neither the old nor the new one. Run
        again after a crash, it completes what is missing. OSError when the folder cannot be written.
        """
        return await self._store.run(self._apply, old_tree, new_tree)

    def _changes(self, last_tree: str) -> str | None:
        store = self._store
        last = store.flat(last_tree)
        walk = Walk(known=last, skip=self._exclude, without_secrets=True, ignored=ignores_of(store, last).match)
        with Root(self._folder) as root:
            found = walk.run(root)
            suspects: list[str] = []
            for path, info in found.files.items():
                seen = self._seen.get(path)
                if not (seen and seen[0].is_of(info) and seen[1] == last.get(path)):
                    suspects.append(path)
            new: New = {}
            taken = store.take(root, suspects, found.left_out, known=last, new=new)
        for path in suspects:
            if path not in found.left_out:
                self._seen[path] = (stamp(found.files[path]), taken.get(path) or last[path])
        changes: dict[str, Entry | None] = {**taken}
        changes |= dict.fromkeys(removed(last, found, self._exclude))
        if not changes:
            return None
        tree = trees.edit(store.objects, last_tree, changes, new)
        store.objects.add(new)
        return tree

    def _apply(self, old_tree: str, new_tree: str) -> Delivered:
        changes = sorted(trees.diff(self._store.objects, old_tree, new_tree))
        gone = [change for change in changes if change.new is None]
        with Root(self._folder) as root:  # removals first: a folder may give way to a file
            kept = [change.path for change in gone if not self._remove(root, change)]
            kept += [change.path for change in changes if change.new and not self._write(root, change, change.new)]
        return Delivered(str(self._folder), f"cd {shlex.quote(str(self._folder))}", tuple(sorted(kept)))

    def _remove(self, root: Root, change: trees.Change) -> bool:
        try:
            if self._now(root, change.path) != change.old:
                return False
            (self._folder / change.path).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # a link on the way, or a file that cannot be read: the person's
            return False
        self._seen.pop(change.path, None)
        root.leave()
        for folder in parents(change.path):
            try:
                (self._folder / folder).rmdir()
            except OSError:
                break
        return True

    def _write(self, root: Root, change: trees.Change, entry: Entry) -> bool:
        path = change.path
        try:
            for folder in reversed([*parents(path)]):
                try:
                    root.folder(folder)  # OSError where a link or a file stands in the way
                except FileNotFoundError:
                    (self._folder / folder).mkdir()
            current = self._now(root, path)
        except FileNotFoundError:
            current = None
        except OSError:
            return False
        if current == entry:
            return True
        if current != change.old:
            return False
        self._put(path, entry)
        self._seen[path] = (stamp(root.stat(path)), entry)
        return True

    def _now(self, root: Root, path: str) -> Entry:
        """What the folder holds there. FileNotFoundError for nothing, OSError for what is no file or link."""
        info = root.stat(path)
        if mode_of(info) is None:
            raise OSError(f"{path} is a folder or a device")
        seen = self._seen.get(path)
        return seen[1] if seen and seen[0].is_of(info) else self._store.identify(root, path)

    def _put(self, path: str, entry: Entry) -> None:
        """Replace a file in one step. The temporary name is the path's own, so a crash leaves at most one behind."""
        place = self._folder / path
        temporary = place.parent / f".aura-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.tmp"
        temporary.unlink(missing_ok=True)
        if entry.mode == LINK:
            temporary.symlink_to(os.fsdecode(self._store.objects.read(entry.oid)))
        else:
            # As open as its folder is, so that whoever shares the folder can share the file.
            mode = place.parent.stat().st_mode & (0o777 if entry.mode == EXECUTABLE else 0o666)
            if large := self._store.large.find(entry.oid):
                copy(large, temporary, 0o600)
            else:
                temporary.write_bytes(self._store.objects.read(entry.oid))
            temporary.chmod(mode | 0o600)
            fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        fault("delivery.file")
        temporary.replace(place)
