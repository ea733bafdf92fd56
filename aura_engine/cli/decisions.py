"""`aura decisions`: every change of a task's status, with its reason and evidence."""

from __future__ import annotations

import argparse

from aura_engine.cli.options import add_data_options, command, events_of, print_json, run_folder

LAST = 40


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "decisions",
        "Every change of a task's status, with its reason; the planner's own decisions are in aura changelog.",
        f"aura decisions            the last {LAST}",
        "aura decisions A1.2       all about one task",
        "aura decisions --last 0   all of them",
        "aura decisions --json     with the evidence: exit codes, trees, hashes",
    )
    made.add_argument("task", nargs="?", default="", metavar="TASK", help="only this task's, or a group's (as A1)")
    made.add_argument("--last", "-n", metavar="N", type=int, default=None, help="only the last N; 0 for all")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    from aura_engine.cli.paint import Paint
    from aura_engine.report.decisions import DecisionLog, decision_lines

    log = DecisionLog(kept=None)
    for event, time in events_of(run_folder(arguments)):
        log.note(event, time)
    task: str = arguments.task
    entries = [each for each in log.entries if not task or f"{each['task_id']}.".startswith(f"{task}.")]
    last = arguments.last if arguments.last is not None else 0 if task or arguments.json else LAST
    shown = entries[-last:] if last > 0 else entries
    if arguments.json:
        print_json(shown)
        return 0
    if not shown:
        print(f"Nothing was decided{f' about {task}' if task else ''} yet.")
    if len(shown) < len(entries):
        print(f"… {len(entries) - len(shown)} before these; all: aura decisions --last 0")
    paint = Paint()
    for line in decision_lines(shown):
        print("\n".join(paint.hang(line, " " * 10)))
    return 0
