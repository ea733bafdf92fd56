"""`aura report`: the whole run as one page, in Markdown or in HTML."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aura_engine.cli.options import add_data_options, command, print_json, run_folder, told
from aura_engine.errors import UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "report",
        "The whole run on one page: outcome, tree, each task with its receipts and diff, cost, what was decided alone.",
        "aura report                        Markdown, on the terminal",
        "aura report --html -o report.html  one file for a browser: nothing is fetched, no script runs",
        "aura report --json                 for a script",
        closing="The end of a run writes both into its folder: report.md and report.html.",
    )
    made.add_argument("--html", action="store_true", help="HTML instead of Markdown")
    made.add_argument("--output", "-o", metavar="FILE", help="write it there (.html: HTML)")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Write it. UsageError when the file cannot be written."""
    from aura_engine.cli.accounts import account_in
    from aura_engine.cli.redacting import redactor_here
    from aura_engine.report.final_html import final_html
    from aura_engine.report.final_markdown import final_markdown

    folder = run_folder(arguments)
    state, events = told(folder)
    account = account_in(folder, state, events, redactor_here())
    if arguments.json:
        print_json(account.model_dump(mode="json"))
        return 0
    file = Path(arguments.output).expanduser() if arguments.output else None
    html = arguments.html or (file is not None and file.suffix.lower() in (".html", ".htm"))
    text = (final_html if html else final_markdown)(account)
    if file is None:
        print(text, end="")
        return 0
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written: {error.strerror}.", cure="Name a file in a folder of yours."
        ) from error
    print(f"Written: {file}", file=sys.stderr)
    return 0
