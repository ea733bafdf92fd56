"""What several commands take and look up: the data folder, the last run, the journal's events."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aura_engine.errors import UsageError


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """`--data-dir`, `--task-file` and `--json` for commands that look at a run."""
    parser.add_argument("--data-dir", metavar="DIR", help="where the data of runs lies (default: .aura here)")
    parser.add_argument("--task-file", metavar="FILE", help="the goal (default: the last one started here)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def project_of(environ: dict[str, str] | None = None) -> Path:
    """The project folder: AURA_PROJECT_ROOT, else the folder one stands in."""
    environ = dict(os.environ) if environ is None else environ
    return Path(environ.get("AURA_PROJECT_ROOT") or Path.cwd()).expanduser().resolve()


def run_folder(arguments: argparse.Namespace) -> Path:
    """The folder of the run asked for. UsageError when there is none."""
    from aura_engine.paths import data_dir, last_run, run_dir

    data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
    folder = run_dir(data, Path(arguments.task_file)) if arguments.task_file else last_run(data)
    if folder is None or not folder.is_dir():
        of = f" of {arguments.task_file}" if arguments.task_file else ""
        raise UsageError(f"There is no run{of} in {data}.", cure="Start one: aura TASK.md (or see one: aura demo).")
    return folder


def events_of(folder: Path) -> Iterator[tuple[object, float]]:
    """The events of a run with their wall times."""
    from aura_engine.core.events import decode
    from aura_engine.journal.store import Journal

    for entry in Journal.open(folder / "journal.db", writer=False).read():
        yield decode(entry.kind, entry.payload), entry.time


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
