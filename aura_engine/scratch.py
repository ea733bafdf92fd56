"""The run's scratch folders: what a killed engine left in them goes at the next start, the rest at the end."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aura_engine.core.model import TaskStatus
from aura_engine.core.routing import cut_off
from aura_engine.core.state import RunState
from aura_engine.paths import TEMPORARY, RunPaths
from aura_engine.removal import remove_tree

GONE = "gone"
"""What is being removed lies here: a rename takes no time, whatever is in it."""


def kept(paths: RunPaths, state: RunState) -> set[Path]:
    """Workspaces and HOMEs that are still needed: of attempts under way, and of those whose session is to go on."""
    found: set[Path] = set()
    for task in state.leaves():
        last = cut_off(task) if task.status in (TaskStatus.PENDING, TaskStatus.KILLED) else None
        for attempt in filter(None, (last, task.live)):
            found |= {paths.workspace(task.spec.id, attempt.place), paths.home(task.spec.id, attempt.place)}
    return found


def put_aside(paths: RunPaths, state: RunState) -> None:
    """At a start, with the lock held: take from the way what no attempt needs. Takes moments; OSError.

    Folders made ahead or waiting for their next use, texts half-written, what the last start did not get removed.
    """
    gone = paths.scratch / GONE
    gone.mkdir(mode=0o700, exist_ok=True)
    for number, entry in enumerate(stale(paths, state)):
        entry.rename(gone / f"{os.getpid()}-{number}")
    for entry in temporaries(paths.run):
        entry.unlink(missing_ok=True)


def remove_aside(paths: RunPaths) -> None:
    """Remove what was put aside; blocks for as long as that takes."""
    remove_tree(paths.scratch / GONE)


def clear(paths: RunPaths, state: RunState) -> None:
    """At the end, when nobody works any more: all but the folders of sessions that are to go on. Blocks."""
    for entry in stale(paths, state):
        remove_tree(entry)
    remove_tree(paths.checks)
    remove_aside(paths)


def stale(paths: RunPaths, state: RunState) -> list[Path]:
    """Folders of attempts that nothing needs any more."""
    needed = kept(paths, state)
    folders = (folder for folder in (paths.work, paths.homes) if folder.is_dir())
    return [entry for folder in folders for entry in sorted(folder.iterdir()) if entry not in needed]


def temporaries(run: Path) -> list[Path]:
    """Files that a crash left half-written in a run's own folders."""
    form = re.compile(TEMPORARY)
    folders = (run, run / "state", run / "memory", *(run / "attempts").glob("*/*"))
    return [entry for folder in folders if folder.is_dir() for entry in folder.iterdir() if form.fullmatch(entry.name)]
