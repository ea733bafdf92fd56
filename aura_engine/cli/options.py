"""What several commands take and look up: the data folder, the last run, the journal's events."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_engine.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from aura_engine.core.state import RunState


def command(name: str, description: str, *examples: str, closing: str = "") -> argparse.ArgumentParser:
    """A command's parser: what it does, and lines that show it in use (`command   what that does`)."""
    shown = "\n".join(["examples:", *(f"  {line}" for line in examples)])
    return argparse.ArgumentParser(
        prog=f"aura {name}".strip(),
        description=description,
        epilog=f"{shown}\n\n{closing}" if closing else shown,
        formatter_class=_Help,
    )


class _Help(argparse.HelpFormatter):
    """Broken to the terminal's width, but for the examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


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


def told(folder: Path) -> tuple[RunState, list[tuple[object, float]]]:
    """The state of a run by its journal, and the events with their wall times that it is made of."""
    from aura_engine.core.fold import fold

    events = list(events_of(folder))
    return fold(events), events


def task_and_number(text: str) -> tuple[str, int]:
    """`A1.2#3` → (`A1.2`, 3); 0 where no attempt is named. UsageError for a number that is none."""
    task, _, number = text.partition("#")
    if number and not (number.isdecimal() and int(number)):
        raise UsageError(f"“{text}” names no attempt.", cure="Write it as A1.2#3.")
    return task, int(number or 0)


def the_task(state: RunState, task: str) -> None:
    """UsageError when there is no such task."""
    if task not in state.tasks:
        raise UsageError(f"There is no task “{task[:60]}”.", cure="aura progress lists them.")


def print_models(models: Sequence[BaseModel]) -> None:
    """A JSON list on stdout."""
    print_json([model.model_dump(mode="json") for model in models])


def print_model_line(model: BaseModel) -> None:
    """One JSON object on a line of its own."""
    print(json.dumps(model.model_dump(mode="json"), ensure_ascii=False))


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
