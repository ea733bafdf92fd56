"""`aura fsck`: does a run's journal agree with itself, with the store, the processes and the folders?"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_engine.cli.options import add_data_options, command, print_json, run_folder

if TYPE_CHECKING:
    from aura_engine.core.model import ProcessRecord
    from aura_engine.core.state import RunState
    from aura_engine.journal.fsck import Told

NAMES = (
    "the journal's file is sound",
    "its events are numbered without a gap",
    "its events fold to a state, and the status on disk is that state's",
    "no attempt ended and no task landed twice",
    "what runs belongs to attempts that have not ended",
    "no attempt was started twice",
    "every call to the planner is counted once",
    "what counts as done has its receipts, and its work is in the store",
    "nothing is left over",
)
SHOWN = 5
"""Troubles of one point that are told; the rest is counted."""
SWEEP = 5.0
"""Seconds in which what an ended worker left is swept."""


@dataclass(frozen=True)
class Point:
    """One of the nine, and what is wrong with it; empty for nothing."""

    number: int
    name: str
    troubles: tuple[str, ...]


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "fsck",
        "Look whether a run's journal, store, processes and folders agree. Changes nothing; exit status 1 "
        "when something is wrong.",
        "aura fsck   after a crash of the machine, say",
    )
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print the nine points."""
    folder = run_folder(arguments)
    points = examine_run(folder)
    wrong = [point for point in points if point.troubles]
    if arguments.json:
        print_json({"run": folder.name, "clean": not wrong, "points": [asdict(point) for point in points]})
        return 1 if wrong else 0
    from aura_engine.core.text import one_line

    for point in points:
        print(f"{'✗' if point.troubles else '✓'} {point.number} {point.name}")
        for trouble in point.troubles[:SHOWN]:
            print(f"    {one_line(trouble, 300)}")
        if len(point.troubles) > SHOWN:
            print(f"    and {len(point.troubles) - SHOWN} more")
    if wrong:
        print(f"{folder.name}: {len(wrong)} of {len(points)} points are wrong. Keep a copy: aura backup")
        return 1
    print(f"{folder.name}: all is well.")
    return 0


def examine_run(folder: Path) -> list[Point]:
    """The nine points for the run in `folder`, beside a living engine or without one. JournalError, GitError.

    The journal is ahead of everything: what else is looked at before it is read must be in it, also while an engine
    goes on writing. The store is ahead of the journal, and what an ending run leaves is settled before its lock goes.
    """
    from aura_engine.journal import fsck
    from aura_engine.journal.lock import owner

    status, running = _status(folder), _running(folder)
    told = fsck.examine(folder / "journal.db", at=int(status.get("seq", 0)))
    troubles = told.troubles
    troubles[3] += _disagrees(status, told)
    troubles[5] += _strangers(running, told.state)
    troubles[8] += _absent(folder, told)
    if owner(folder / "lock") is None:
        troubles[9] += _left_over(folder, told.state)
    return [Point(number, name, tuple(troubles[number])) for number, name in enumerate(NAMES, start=1)]


def _status(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "state" / "status.json").read_text("utf-8")))
    except (OSError, ValueError):
        return {}  # a projection: it may be deleted at any time


def _disagrees(status: dict[str, Any], told: Told) -> list[str]:
    """The projection tells an earlier moment, never another story."""
    if not status:
        return []
    seq = int(status.get("seq", 0))
    if seq > told.events:
        return [f"state/status.json tells of event {seq}, the journal ends with {told.events}"]
    more = ("total", "unproven")  # those are counted under their status too
    counted = {name: n for name, n in status.get("tasks", {}).items() if n and name not in more}
    then = told.statuses.get(seq)
    if then is not None and counted != then:
        return [f"state/status.json counts {counted} after event {seq}, the journal {then}"]
    return []


def _running(folder: Path) -> dict[tuple[str, str], list[ProcessRecord]]:
    """The living processes of attempts, by task and number."""
    from aura_engine.runtimes import traces

    found: dict[tuple[str, str], list[ProcessRecord]] = {}
    for place in sorted((folder / "attempts").glob("*/*")):
        told = traces.told_in(place)
        living = _alive([told.shim, told.worker or told.shim]) if told is not None else []
        if living:
            found[place.parent.name, place.name] = living
    return found


def _alive(records: Iterable[ProcessRecord]) -> list[ProcessRecord]:
    from aura_engine.runtimes import processes

    return [record for record in records if processes.alive(record)]


def _strangers(running: dict[tuple[str, str], list[ProcessRecord]], state: RunState) -> list[str]:
    """Processes of attempts that have ended, or that the journal does not know."""
    until = time.monotonic() + SWEEP
    found: list[str] = []
    for (task_id, name), records in running.items():
        task = state.tasks.get(task_id)
        number = int(name) if name.isdecimal() else 0
        attempt = task.attempts[number - 1] if task is not None and 0 < number <= len(task.attempts) else None
        if attempt is not None and attempt.live and attempt.ending is None:
            continue
        while (left := _alive(records)) and time.monotonic() < until:  # what an ended worker left is swept in moments
            time.sleep(0.1)
        if left:
            why = "it has ended" if attempt else "the journal does not know it"
            found.append(f"process {left[0].pid} of {task_id}#{name} runs, but {why}")
    return found


def _absent(folder: Path, told: Told) -> list[str]:
    """Commits that the journal names and the store lacks, with all that they hold."""
    from aura_engine.workspace.fsck import missing

    commits = [(event.commit, event.tree) for event in told.landed]
    if told.state.head:
        commits.append((told.state.head, told.state.head_tree))
    commits += [(commit, "") for commit in told.snapshots]
    return missing(folder / "store.git", commits) if commits else []


def _left_over(folder: Path, state: RunState) -> list[str]:
    """No engine runs: after an orderly end nothing may be left; after a crash the next start clears it away.

    An engine that comes to its end empties the lock; one that was killed leaves its name in it.
    """
    from aura_engine.core.model import RunStatus
    from aura_engine.paths import RunPaths
    from aura_engine.scratch import GONE, stale, temporaries

    lock = folder / "lock"
    killed = lock.exists() and lock.stat().st_size > 0
    if killed or state.status is RunStatus.RUNNING or not state.task_file:
        return []
    paths = RunPaths.of(folder.parent, Path(state.task_file))
    found = temporaries(folder) + [path for path in (folder / "socket",) if path.exists()]
    if not any(task.live for task in state.leaves()):
        found += stale(paths, state) + [path for path in (paths.checks, paths.scratch / GONE) if path.exists()]
    return [f"{path} is left over" for path in sorted(found)]
