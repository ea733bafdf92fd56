"""`aura changelog`: the revisions of the goal, and what each changed in the plan."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command, events_of, print_models, run_folder


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "changelog",
        "The revisions of the goal and what each changed in the plan.",
        "aura changelog              every revision: its lines, checks and plans",
        "aura changelog --overview   a line for each (aura changelog-overview is the same)",
        "aura changelog --json       for a script",
    )
    made.add_argument("--overview", action="store_true", help="one line for each revision")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from aura_engine.cli.paint import Paint
    from aura_engine.report.changes import changelog_text, revisions

    found = revisions(events_of(run_folder(arguments)))
    if arguments.json:
        print_models([revision for revision, _ in found])
    else:
        print(changelog_text(found, overview=arguments.overview, paint=Paint()))
    return 0
