"""`aura progress`: the tree of tasks, as the run last wrote it."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command, print_json, run_folder
from aura_engine.errors import UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "progress",
        "The tree of tasks of the last run.",
        "aura progress          tasks with status, worker, checks and what they wait for",
        "aura progress | less   it is Markdown: state/progress.md in the run's folder",
    )
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print progress.md."""
    folder = run_folder(arguments)
    try:
        text = (folder / "state" / "progress.md").read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{folder.name} has no progress yet.", cure="It is written soon after a start.") from error
    if arguments.json:
        print_json({"run": folder.name, "markdown": text})
    else:
        print(text.rstrip())
    return 0
