"""`aura diff [TASK]`: what a task changed, or what the whole run changed against the base that it began with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import add_data_options, command, print_json, run_folder, task_and_number, the_task, told
from aura_engine.errors import AuraError, UsageError

if TYPE_CHECKING:
    from aura_engine.core.state import RunState
    from aura_engine.report.models import DiffOut

LIMIT = 16_000_000
"""Bytes of a diff that are read."""
_TONES = {"+": "good", "-": "bad", "@": "key"}
_HEADS = ("diff --git ", "index ", "--- ", "+++ ", "new file", "deleted file")


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "diff",
        "What a task changed; without a task what the whole run changed against the base that it began with.",
        "aura diff                  all that has landed, against the base",
        "aura diff --stat           only the files, and how many lines",
        "aura diff A1.2             what a task landed, else what is in work or was left behind",
        "aura diff A1.2#1           what its first attempt left behind",
        "aura diff | git apply      take it over elsewhere",
    )
    made.add_argument("task", nargs="?", default="", metavar="TASK[#N]", help="a task's id (aura progress shows them)")
    made.add_argument("--stat", action="store_true", help="only the files and their numbers of lines")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from aura_engine.cli.redacting import redactor_here

    folder = run_folder(arguments)
    state, _ = told(folder)
    found = _of_task(folder, state, arguments.task) if arguments.task else _of_run(folder, state)
    found = found.model_copy(update={"patch": redactor_here()(found.patch)})
    if arguments.json:
        print_json(found.model_dump(mode="json"))
    elif not found.patch:
        print(f"Nothing was changed{f' by {arguments.task}' if arguments.task else ''} yet.", file=sys.stderr)
    elif arguments.stat:
        _print_stat(found)
    else:
        _print_patch(found)
    return 0


def _of_run(folder: Path, state: RunState) -> DiffOut:
    if not state.base_tree:
        raise UsageError("The run has taken no base yet.", cure="aura status says what it waits for.")
    return _read(folder, "run", "", 0, (state.base_tree, state.head_tree or state.base_tree))


def _of_task(folder: Path, state: RunState, wanted: str) -> DiffOut:
    from aura_engine.core.model import Outcome

    name, number = task_and_number(wanted)
    the_task(state, name)
    task = state.tasks[name]
    if task.spec.group:
        raise UsageError(f"{name} is a group: only its tasks change files.", cure="aura progress lists them.")
    if number > len(task.attempts):
        raise UsageError(f"There is no {name}#{number}.", cure=f"{name} had {len(task.attempts)} attempts so far.")
    live = task.live
    if live is not None and number in (0, live.n):
        in_work = _from_engine(folder, name)
        if in_work is not None:
            return in_work
    left = [each for each in task.attempts if each.snapshot and number in (0, each.n)]
    if not left:
        return _out("left", name, number, ("", ""), "", cut=False)
    last = left[-1]
    of = "landed" if last.outcome is Outcome.PASSED else "left"
    return _read(folder, of, name, last.n, (last.base, last.snapshot))


def _read(folder: Path, of: str, task: str, attempt: int, ends: tuple[str, str]) -> DiffOut:
    from aura_engine.workspace.reader import StoreReader

    with StoreReader(folder / "store.git") as reader:
        diff = reader.diff(*ends, limit=LIMIT)
    return _out(of, task, attempt, ends, diff.text, cut=diff.cut)


def _from_engine(folder: Path, task: str) -> DiffOut | None:
    """What is in its worker's folder now, as the engine says it; None when none runs or answers."""
    from aura_engine.control.client import Connection

    try:
        with Connection(folder, control=False) as connection:
            answer = connection.ask({"type": "diff", "task": task})
    except (AuraError, OSError):
        return None
    return _out("in work", task, 0, ("", ""), str(answer.get("text", "")), cut=False)


def _out(of: str, task: str, attempt: int, ends: tuple[str, str], patch: str, *, cut: bool) -> DiffOut:
    from aura_engine.report.models import DiffOut
    from aura_engine.report.patch import files_of

    files = [
        {"path": file.path, "what": file.what, "added": file.added, "removed": file.removed} for file in files_of(patch)
    ]
    old, new = ends
    fields = {"of": of, "task": task, "attempt": attempt, "old": old, "new": new, "cut": cut}
    return DiffOut.model_validate({**fields, "files": files, "patch": patch})


def _print_stat(found: DiffOut) -> None:
    from aura_engine.cli.paint import Paint
    from aura_engine.report.words import count

    paint = Paint()
    for file in found.files:
        what = f"  {file.what}" if file.what else ""
        plus, minus = f"+{file.added}".rjust(6), f"−{file.removed}".ljust(6)
        print(f"{paint(plus, 'good')} {paint(minus, 'bad')} {file.path}{what}")
    added, removed = sum(file.added for file in found.files), sum(file.removed for file in found.files)
    print(f"+{added} −{removed} in {count(len(found.files), 'file')}{' (cut)' if found.cut else ''}")


def _print_patch(found: DiffOut) -> None:
    """To a terminal in colours and clean; to a program as git wrote it."""
    from aura_engine.cli.paint import Paint
    from aura_engine.core.text import clean

    paint = Paint()
    if paint.tty:
        for line in found.patch.rstrip("\n").split("\n"):
            tone = "bold" if line.startswith(_HEADS) else _TONES.get(line[:1], "say")
            print(paint(clean(line.replace("\t", "    ")), tone))
    else:
        print(found.patch, end="")
    if found.cut:
        print(f"It goes on: only the first {LIMIT // 1_000_000} MB are shown.", file=sys.stderr)
