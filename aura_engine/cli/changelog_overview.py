"""`aura changelog-overview`: the name by which some know `aura changelog --overview`."""

from __future__ import annotations

import argparse

from aura_engine.cli import changelog
from aura_engine.cli.options import add_data_options, command


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "changelog-overview",
        "The revisions of the goal, a line each: the same as aura changelog --overview.",
        "aura changelog-overview   when the goal was edited, and how much that changed",
    )
    add_data_options(made)
    made.set_defaults(overview=True)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    return changelog.run(arguments)
