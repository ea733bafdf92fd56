"""Writes docs/commands.md of a checkout from the parsers: `python -m aura_engine.cli.papers`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from aura_engine.cli.main import ASKED, COMMANDS, parser_of
from aura_engine.doctor.findings import Report
from aura_engine.report import models
from aura_engine.report import models_upkeep as upkeep
from aura_engine.report.account_model import Account
from aura_engine.setup import told

LIST, OBJECT, LINES = "a list of objects", "one object", "one object a line"
OUTPUTS: dict[str, tuple[str, type[BaseModel]]] = {
    "status": (OBJECT, models.StatusOut),
    "progress": (OBJECT, models.ProgressOut),
    "projects": (LIST, models.Project),
    "history": (LIST, models.HistoryRow),
    "receipts": (LIST, models.ReceiptRow),
    "decisions": (LIST, models.DecisionEntry),
    "changelog": (LIST, models.GoalRevision),
    "changelog-overview": (LIST, models.GoalRevision),
    "summaries": (LIST, models.TaskSummary),
    "token-stats": (LIST, models.UsageRow),
    "cache-stats": (LIST, models.UsageRow),
    "clean-workspaces": (LIST, models.Leftover),
    "logs": (LINES, models.LogStep),
    "diff": (OBJECT, models.DiffOut),
    "report": (OBJECT, Account),
    "doctor": (OBJECT, Report),
    "answer": (OBJECT, models.AnsweredOut),
    "setup": (OBJECT, told.Outcome),
    "config show": (OBJECT, told.Shown),
    "config get": (OBJECT, told.Row),
    "config set": (OBJECT, told.Written),
    "config unset": (OBJECT, told.Written),
    "ask": (OBJECT, upkeep.AskOut),
    "cleanup": (OBJECT, upkeep.CleanupOut),
    "fsck": (OBJECT, upkeep.FsckOut),
    "recover": (OBJECT, upkeep.RecoverOut),
    "recover WHAT": (OBJECT, upkeep.RestoredOut),
    "backup": (OBJECT, upkeep.BackupOut),
    **dict.fromkeys(("start", "restart", "demo", "attach", "events"), (LINES, upkeep.EventLine)),
    **dict.fromkeys(sorted(ASKED), (OBJECT, models.AskedOut)),
}
"""What these print with `--json`; a command that prints different things has a line for each."""
WITHOUT = {
    "completion": "it prints a script for a shell",
    "config edit": "it opens an editor",
}
"""Commands without `--json`, and why."""
HEAD = """\
# Every command

Made from the code. `aura COMMAND --help` says the same. A command without `--task-file` takes the goal that was started
last in the folder one stands in; `aura projects` lists them all. `aura TASK.md` is `aura start TASK.md`.
"""


def commands_page() -> str:
    """What has to stand in docs/commands.md."""
    return "\n".join([HEAD, *(line for name in COMMANDS for line in _command(name))])


def _command(name: str) -> Iterator[str]:
    parser = parser_of(name)
    # argparse has no public list of a parser's options, and its printed form changes with the version of Python.
    actions: list[argparse.Action] = vars(parser)["_actions"]
    yield f"## aura {name}\n"
    yield f"{' '.join((parser.description or COMMANDS[name]).split())}\n"
    for action in actions:
        if action.help is not None and action.dest != "help":
            yield f"- {_names(action)}: {' '.join(action.help.split())}"
    epilog = parser.epilog or ""
    if epilog:
        yield f"\n```\n{epilog.strip()}\n```"
    for said, (shape, model) in OUTPUTS.items():
        if said.split()[0] == name:
            fields = ", ".join(f"`{field}`" for field in model.model_fields)
            more = " and the event's own" if model is upkeep.EventLine else ""
            yield f"\nWith `--json` {'it' if said == name else f'`aura {said}`'} prints {shape}: {fields}{more}."
    yield ""


def _names(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    shown = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        return f"`{shown}`"
    if action.choices:
        shown = "|".join(str(each) for each in action.choices)
    return ", ".join(f"`{option} {shown}`" if shown else f"`{option}`" for option in action.option_strings)


def main() -> None:
    """Write it in the checkout that one stands in."""
    Path("docs/commands.md").write_text(commands_page(), "utf-8")


if __name__ == "__main__":
    main()
