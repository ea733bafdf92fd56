"""`aura projects`: the goals that were started from this folder."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aura_engine.cli.options import command, print_models, project_of
from aura_engine.paths import data_dir, last_run, read_index

if TYPE_CHECKING:
    from aura_engine.report.models import Project


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "projects",
        "The goals that were started from this folder, each with its own data.",
        "aura projects                       which there are, and how each stands",
        "aura status --task-file other.md    one of them; without it, commands take the one marked with *",
    )
    made.add_argument("--data-dir", metavar="DIR", help="where the data of runs lies (default: .aura here)")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
    found = projects_in(data)
    if arguments.json:
        print_models(found)
    elif not found:
        print(f"No goal was started with its data in {data} yet. Start one: aura TASK.md")
    for each in [] if arguments.json else found:
        mark = "*" if each.last else " "
        runs = ", runs now" if each.owned else ""
        gone = "  (the file is gone: aura cleanup)" if not each.task_file_exists else ""
        when = each.started[:16].replace("T", " ") + "Z" if each.started else "never started"
        status = f"{each.status.replace('_', ' ')}{runs}, {each.tasks_done}/{each.tasks} tasks done"
        print(f"{mark} {_name(each.task_file)}  {status}, last start {when}{gone}")
    return 0


def projects_in(data: Path) -> list[Project]:
    """Those with a journal in the data folder, the last started first."""
    from aura_engine.core.text import one_line
    from aura_engine.journal.lock import owner
    from aura_engine.report.models import Project

    runs, last = read_index(data)["runs"], last_run(data)
    found: list[Project] = []
    for folder in sorted(path.parent for path in data.glob("*/journal.db")):
        known = runs.get(folder.name, {})
        status = _status(folder)
        file = str(known.get("task_file") or status.get("task_file") or "")
        owned = owner(folder / "lock") is not None
        word = str(status.get("status") or "unknown")
        tasks = cast("dict[str, int]", status.get("tasks") or {})
        found.append(
            Project(
                run=one_line(folder.name),
                task_file=one_line(file, 1000),
                task_file_exists=bool(file) and Path(file).is_file(),
                started=str(known["started"]) if known.get("started") else None,
                status="stopped_short" if word == "running" and not owned else word,
                tasks_done=tasks.get("completed", 0),
                tasks=tasks.get("total", 0),
                owned=owned,
                last=folder == last,
            )
        )
    return sorted(found, key=lambda each: each.started or "", reverse=True)


def _status(folder: Path) -> dict[str, Any]:
    """What `aura status` would say; empty when the run left nothing."""
    try:
        return dict(json.loads((folder / "state" / "status.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _name(task_file: str) -> str:
    """As seen from the folder one stands in."""
    path, here = Path(task_file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else task_file
