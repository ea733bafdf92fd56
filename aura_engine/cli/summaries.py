"""`aura summaries [TASK]`: what became of each task, in a sentence, and where its page lies."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command, print_models, run_folder, the_task, told


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "summaries",
        "What became of each task, in a sentence.",
        "aura summaries          every task",
        "aura summaries A1       a group's tasks",
        "aura summaries --json   for a script",
        closing="The end of a run writes a page for each task into summaries/ of its folder, and the whole account\n"
        "into summaries/final_report.md (aura report shows it).",
    )
    made.add_argument("task", nargs="?", default="", metavar="TASK", help="only this task, or a group's")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    from aura_engine.cli.paint import Paint
    from aura_engine.core.model import TaskStatus
    from aura_engine.report.summaries import summary_rows
    from aura_engine.report.words import STATUS_SYMBOL, UNICODE

    folder = run_folder(arguments)
    state, _ = told(folder)
    if arguments.task:
        the_task(state, arguments.task)
    rows = summary_rows(state, folder, arguments.task)
    if arguments.json:
        print_models(rows)
        return 0
    paint = Paint()
    for row in rows:
        mark = UNICODE[STATUS_SYMBOL[TaskStatus(row.status)]]
        said = f": {row.summary}" if row.summary else ""
        print("\n".join(paint.hang(f"{mark} {row.task}  {row.title}{said}", "    ")))
    if not rows:
        print("There are no tasks yet.")
    return 0
