"""`aura history`: goal revisions, plans, starts and ends of a run."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command, events_of, print_json, run_folder


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "history",
        "Goal revisions, plans, starts and ends of a run.",
        "aura history     a line each (aura changelog says what the plans changed)",
    )
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from aura_engine.report.history import history_rows, history_text

    rows = history_rows(events_of(run_folder(arguments)))
    if arguments.json:
        print_json(rows)
    else:
        print(history_text(rows).rstrip())
    return 0
