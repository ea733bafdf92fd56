"""`aura receipts [TASK]`: every check that was run, on which tree, with which result."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, events_of, print_json, run_folder


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(
        prog="aura receipts", description="Every check that was run, on which tree, with which result."
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
