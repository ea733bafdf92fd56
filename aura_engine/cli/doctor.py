"""`aura doctor`: whether a run could start here, and what to do where it could not."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import command, print_json, project_of
from aura_engine.cli.start import flags_of

if TYPE_CHECKING:
    from aura_engine.doctor.findings import Finding, Report

MARKS = {"good": ("✓", "+"), "note": ("·", "-"), "warning": ("!", "!"), "problem": ("✗", "x")}
"""Level → mark, and the one for terminals without Unicode."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "doctor",
        "Looks at the machine, the settings, the containment and the worker programs.",
        "aura doctor           is everything there?",
        "aura doctor --probe   and can planner and workers really work?",
        closing="exit status: 0 a run could start, 1 something would keep it from starting",
    )
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument(
        "--probe", action="store_true", help="also try planner and workers for real: some cents, 3 minutes at most"
    )
    made.add_argument("--worker-mode", metavar="MODE", help="pro-only, auto, flash-first or flash-only")
    made.add_argument("--data-dir", metavar="DIR", help="where the data of runs lies (default: .aura here)")
    made.add_argument("--config", "-c", metavar="FILE", help="in place of your own configuration file")
    made.add_argument("--override", "-O", metavar="KEY=VALUE", action="append", default=[], help="one setting")
    made.add_argument("--no-docker", action="store_true", help="workers on this machine, not in Docker")
    made.set_defaults(workers=None)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Look, and say it as it is found."""
    from aura_engine import __version__
    from aura_engine.doctor.examine import Question, examine
    from aura_engine.doctor.findings import Report

    question = Question(
        project=project_of(),
        flags=flags_of(arguments),
        environ=dict(os.environ),
        config_file=Path(arguments.config).expanduser() if arguments.config else None,
        probe=arguments.probe,
    )
    findings: list[Finding] = []
    asyncio.run(_until_told(examine(question, lambda finding: _take(finding, findings, as_json=arguments.json))))
    report = Report.of(__version__, findings)
    if arguments.json:
        print_json(report.model_dump(mode="json"))
    else:
        _say_outcome(report, probed=arguments.probe)
    return 0 if report.can_start else 1


async def _until_told(looking: Coroutine[None, None, None]) -> None:
    """Look to the end; a hang-up or a wish to stop is met as Ctrl-C is: no worker of the probe stays behind."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(looking)
    for each in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(each, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _take(finding: Finding, findings: list[Finding], *, as_json: bool) -> None:
    """Say a finding at once, or keep it for the document."""
    if as_json:
        if finding.about == "costs":  # to be known before they arise
            print(line(finding), file=sys.stderr, flush=True)
    else:
        if not findings or findings[-1].section != finding.section:
            print(f"{chr(10) if findings else ''}{finding.section.capitalize()}")
        print(line(finding), flush=True)
    findings.append(finding)


def line(finding: Finding) -> str:
    """One line; on a terminal it is broken to its width, further lines indented."""
    from aura_engine.report.words import fold_ascii

    plain = "utf" not in (sys.stdout.encoding or "").lower()
    mark = MARKS[finding.level][plain]
    stop = "." if finding.cure and finding.text[-1:] not in ".!?:;" else ""
    line = f"  {mark} {finding.about}: {finding.text}{stop} {finding.cure}".rstrip()
    line = fold_ascii(line) if plain else line
    if sys.stdout.isatty():
        width = max(40, shutil.get_terminal_size().columns)
        return textwrap.fill(line, width, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    return line


def _say_outcome(report: Report, *, probed: bool) -> None:
    problems = sum(finding.level == "problem" for finding in report.findings)
    if problems:
        things = "One thing keeps" if problems == 1 else f"{problems} things keep"
        print(f"\n{things} a run from starting: see the lines above with a cross.")
        return
    print("\nA run could start.")
    if not probed:
        print("aura doctor --probe also tries planner and workers with their models (some cents).")
