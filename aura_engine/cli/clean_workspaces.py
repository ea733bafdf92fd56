"""`aura clean-workspaces`: folders that attempts worked in and that nothing needs any more."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import command, print_models, project_of
from aura_engine.errors import OwnedError, UsageError
from aura_engine.paths import data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aura_engine.report.models import Leftover

AGE = 7.0
"""Days (AURA_TASK_CLEANUP_AGE of old)."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "clean-workspaces",
        "Lists the folders that ended attempts worked in; with --force it removes them. Their work is safe:\n"
        "it lies in the run's store (aura diff TASK#N), as does all that landed.",
        "aura clean-workspaces                   what could go: older than 7 days",
        "aura clean-workspaces --age 1 --force   remove what is older than a day",
        "aura clean-workspaces --all             whatever its age",
        closing="A folder stays while an engine runs the goal, and while the next start may go on in it.",
    )
    made.add_argument("--age", metavar="DAYS", type=float, default=AGE, help="only older ones (default: 7)")
    made.add_argument("--all", action="store_true", help="whatever their age")
    made.add_argument("--force", action="store_true", help="remove them; without it they are only listed")
    made.add_argument("--data-dir", metavar="DIR", help="where the data of runs lies (default: .aura here)")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(arguments: argparse.Namespace) -> int:
    """List or remove."""
    if not arguments.age >= 0:
        raise UsageError("--age takes a number of days.", cure="As --age 7, or --all for every age.")
    data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
    age = 0.0 if arguments.all else float(arguments.age)
    found = [left for run in _runs(data) for left in _of_run(data, run, age, force=arguments.force)]
    if arguments.json:
        print_models(found)
    else:
        _say(found, data, force=arguments.force)
    return 0


def _runs(data: Path) -> list[Path]:
    return sorted(path.parent for path in data.glob("*/journal.db"))


def _of_run(data: Path, run: Path, age: float, *, force: bool) -> Iterator[Leftover]:
    """The folders of one run; no engine can begin with it while they are removed."""
    from aura_engine.journal.lock import OwnerLock
    from aura_engine.paths import RunPaths, scratch_of
    from aura_engine.report.leftovers import leftovers

    paths = RunPaths(run, scratch_of(data, run))
    if not paths.scratch.is_dir():
        return
    try:
        with OwnerLock.acquire(paths.lock):
            yield from leftovers(paths, _spare(run), age, remove=force)
    except OwnedError:
        yield from leftovers(paths, None, age, remove=False)


def _spare(run: Path) -> frozenset[str]:
    """The workspaces (`A1.2-3`) whose work is in the store and in which no next attempt may go on."""
    from aura_engine.cli.options import told
    from aura_engine.core.state import OPEN

    state, _ = told(run)
    spare: set[str] = set()
    for task in state.leaves():
        last = task.attempts[-1:]
        in_use = {each.place for each in last if each.live or task.status in OPEN}
        spare |= {f"{task.spec.id}-{each.place}" for each in task.attempts if each.place not in in_use}
    return frozenset(spare)


def _say(found: list[Leftover], data: Path, *, force: bool) -> None:
    from aura_engine.core.duration import span
    from aura_engine.report.words import count

    for left in found:
        what = f"  {left.kept}" if left.kept else ""
        print(f"{_size(left.bytes):>9}  {span(left.age_days * 86_400):>7}  {left.path}{what}")
    going = [left for left in found if not left.kept]
    freed = _size(sum(left.bytes for left in going))
    if not found:
        print(f"No run of {data} has left a workspace.")
    elif not going:
        print("Nothing of it can go.")
    elif force:
        print(f"Removed {count(len(going), 'folder')}, {freed}.")
    else:
        print(f"{count(len(going), 'folder')}, {freed}, could go; nothing was removed. To do it: --force")


def _size(number: int) -> str:
    """Bytes for reading."""
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
