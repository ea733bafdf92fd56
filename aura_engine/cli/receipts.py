"""`aura receipts [TASK]`: every check that was run, on which tree, with which result."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command, events_of, print_json, run_folder


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "receipts",
        "Every check that was run, on which tree, with which result.",
        "aura receipts          all, oldest first",
        "aura receipts A1.2     one task's, or a group's (A1); “goal” for the goal's own",
        "aura receipts --json   with hashes, durations and the end of the output",
    )
    made.add_argument("task", nargs="?", default="", metavar="TASK", help="only this task's (as A1.2)")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    from aura_engine.report.receipts import receipt_rows, receipts_table

    rows = receipt_rows(events_of(run_folder(arguments)), arguments.task)
    if arguments.json:
        print_json(rows)
    else:
        of = f" for {arguments.task}" if arguments.task else ""
        print(receipts_table(rows).rstrip() if rows else f"No check was run{of} yet.")
    return 0
