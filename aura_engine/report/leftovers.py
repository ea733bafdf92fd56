"""The folders that attempts of a run worked in: which of them nothing needs any more."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from aura_engine.core.text import one_line
from aura_engine.paths import RunPaths
from aura_engine.removal import below, remove_tree
from aura_engine.report.models import Leftover

DAY = 86_400.0
Kind = Literal["workspace", "checkout", "home"]


def leftovers(paths: RunPaths, spare: Collection[str] | None, age: float, *, remove: bool) -> Iterator[Leftover]:
    """Each folder of the run, and why it stays; with `remove` the others are removed as they are given out.

    `spare` names the workspaces (`A1.2-3`) whose work is in the store; None while an engine runs the goal. `age` is in
    days, by the last change in the folder itself.
    """
    places: tuple[tuple[Kind, Path], ...] = (
        ("workspace", paths.work),
        ("checkout", paths.checks),
        ("home", paths.homes),
    )
    now = time.time()
    for kind, parent in places:
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            try:
                old = max(0.0, now - folder.lstat().st_mtime) / DAY
                kept = _why_kept(kind, folder.name, spare, old, age)
                size = _size(folder)
            except OSError:
                continue  # it has just gone
            gone = remove and not kept and _remove(folder)
            yield Leftover(
                run=one_line(paths.run.name),
                path=one_line(str(folder), 1000),
                kind=kind,
                age_days=round(old, 2),
                bytes=size,
                kept="cannot be removed" if remove and not kept and not gone else kept,
                removed=gone,
            )


def _why_kept(kind: Kind, name: str, spare: Collection[str] | None, old: float, age: float) -> str:
    if spare is None:
        return "an engine runs this goal"
    if kind != "checkout" and name not in spare:
        return "the next start may go on in it"
    return "" if old >= age else "younger than asked for"


def _size(folder: Path) -> int:
    """Bytes on the disk."""
    total = folder.lstat().st_size
    for entry in below(folder):
        with suppress(OSError):
            total += entry.stat(follow_symlinks=False).st_size
    return total


def _remove(folder: Path) -> bool:
    """A worker may have taken away the right to change its folders: given back below it, never through a link."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        return True
    remove_tree(folder)
    return not folder.exists()
