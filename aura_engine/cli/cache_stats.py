"""`aura cache-stats`: how much of what was read came from the providers’ caches."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command
from aura_engine.cli.token_stats import show


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "cache-stats",
        "How much of what was read came from the providers’ caches.",
        "aura cache-stats          planner, then each role",
        "aura cache-stats --json   for a script",
        closing="Aura keeps the stable part of each prompt first, so that the provider's own cache answers for it;\n"
        "there is no other cache to look into or to empty.",
    )
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from aura_engine.report.usage import cache_table

    return show(arguments, cache_table)
