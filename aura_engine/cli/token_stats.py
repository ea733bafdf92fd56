"""`aura token-stats`: who used how many tokens, and what it cost."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aura_engine.cli.options import add_data_options, command, print_models, run_folder, told

if TYPE_CHECKING:
    from aura_engine.report.models import UsageRow


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "token-stats",
        "Who used how many tokens, and what it cost.",
        "aura token-stats          planner, then each role",
        "aura token-stats --json   for a script",
        closing="The same figures stand live in the screen's header and, once a run has ended, in its report and in\n"
        "token_stats.jsonl.",
    )
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from aura_engine.report.usage import token_table

    return show(arguments, token_table)


def show(arguments: argparse.Namespace, table: Callable[[Sequence[UsageRow]], str]) -> int:
    """Print who used what, as `table` sets it out, or as JSON; the exit status."""
    from aura_engine.report.usage import usage_rows

    rows = usage_rows(told(run_folder(arguments))[0])
    if arguments.json:
        print_models(rows)
    else:
        print(table(rows))
    return 0
