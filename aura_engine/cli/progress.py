"""`aura progress`: the tree of tasks, as the run last wrote it."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, print_json, run_folder
from aura_engine.errors import UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(prog="aura progress", description="The tree of tasks of the last run.")
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
