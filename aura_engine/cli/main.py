"""`aura`: finds the command and runs it. Nothing heavy is imported before the command is known."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, cast

from aura_engine import garbage

COMMANDS = {
    "start": "run a goal (`aura TASK.md` is the same)",
    "demo": "see all of it with a scripted model: no key, no Docker, no CLI",
    "setup": "planner, workers, Docker: asked one by one, tried at once, written at the end",
    "config": "show, get, set and edit settings, and where each came from",
    "completion": "completion of commands and options for bash, zsh or fish",
    "doctor": "whether a run could start here, and what to do where not",
    "status": "where the last run stands",
    "progress": "its tree of tasks",
    "receipts": "what was checked, with which result",
    "history": "goal revisions, plans, starts and ends",
    "changelog": "goal revisions and what each changed in the plan",
    "changelog-overview": "the same, a line each",
    "logs": "what a task's worker says and does; -f: as it goes on",
    "diff": "what a task changed, or the whole run",
    "decisions": "every change of a task's status and why",
    "report": "the whole run as one page, Markdown or HTML",
    "summaries": "what became of each task, in a sentence",
    "token-stats": "who used how many tokens, and what it cost",
    "cache-stats": "how much of it came from the providers' caches",
    "projects": "the goals started from this folder",
    "cleanup": "containers and data that goals have left behind; lists them first",
    "clean-workspaces": "remove workspaces that no task needs; shows them first",
    "events": "what has happened; --follow: and what happens",
    "attach": "watch a run that goes on elsewhere on this machine; leaving it leaves the run",
    "answer": "answer a question of the planner's",
    "approve": "let the plan that waits for you start",
    "reject": "say what is wrong with it",
    "ask": "ask the planner why something is as it is",
    "pause": "start nothing new; with a task: freeze its worker",
    "resume": "undo a pause",
    "stop": "end the engine; running workers go on",
    "wake": "do not wait for limits any longer",
    "message": "tell a task's worker something",
    "kill": "stop a task's worker",
    "retry": "run a failed, blocked or killed task again",
    "escalate": "the task's next attempt runs as Pro",
    "add": "add a task of your own to the plan",
    "edit": "change a task",
    "drop": "a task is no longer wanted",
    "restore": "what was dropped is wanted after all",
    "fsck": "whether a run's journal, store, processes and folders agree",
    "recover": "the work that is kept of attempts, and how to have it back",
    "restart": "begin a goal afresh; what there was is kept",
    "backup": "a whole copy of the journal, also while the engine writes it",
}
ASKED = frozenset(
    (
        "pause",
        "resume",
        "stop",
        "wake",
        "message",
        "kill",
        "retry",
        "escalate",
        "add",
        "edit",
        "drop",
        "restore",
        "approve",
        "reject",
    )
)  # those that `asks` has a table of
EPILOG = """\
examples:
  aura demo                          watch a whole run, with a scripted model
  aura task.md                       start, or go on with, the goal in task.md
  aura task.md --no-ui --json        the same for a script: one JSON object per event
  aura task.md -w 4 --worker-mode flash-first
  aura start task.md --detach        in the background; aura attach shows it, aura stop ends it
  aura status                        where the last run of this folder stands

exit status: 0 goal achieved, 1 ended without, 2 wrong use, 3 budget reached,
             4 another engine owns the project, 5 a person is needed, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The top of the command line."""
    top = argparse.ArgumentParser(
        prog="aura",
        description="Turns the goal in task.md into verified, landed work by coding-agent workers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="aura TASK.md [options] | aura COMMAND [options]",
    )
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_argument_group("commands (each has its own --help)")
    for name, text in COMMANDS.items():
        commands.add_argument(name, nargs="?", help=text)
    return top


def main(argv: Sequence[str]) -> int:
    """Run one command line; the exit status."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        parser().print_help()
        return 0
    if argv[0] == "--version":
        from aura_engine import __version__

        print(f"aura {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name in COMMANDS:
        return _module(name).run(parser_of(name).parse_args(rest))
    _refuse_mistyped(name)
    start = importlib.import_module("aura_engine.cli.start")
    return start.run(start.parser("aura").parse_args(argv))


def parser_of(name: str) -> argparse.ArgumentParser:
    """The options of one of COMMANDS."""
    module = _module(name)
    return module.parser(name) if name in ASKED else module.parser()


def _module(name: str) -> Any:
    return importlib.import_module(f"aura_engine.cli.{'asks' if name in ASKED else name.replace('-', '_')}")


def _refuse_mistyped(name: str) -> None:
    """UsageError for a bare word that is neither a command nor a file: `aura statsu` asks for no task file."""
    if name.startswith("-") or Path(name).suffix or os.sep in name or os.path.lexists(name):
        return
    from difflib import get_close_matches

    from aura_engine.errors import UsageError

    near = get_close_matches(name, COMMANDS, n=1)
    meant = f"Did you mean aura {near[0]}? " if near else ""
    raise UsageError(f"“{name}” is neither a command nor a file.", cure=f"{meant}aura --help lists the commands.")


def entry() -> NoReturn:
    """The console script: errors are one line for a person, never a traceback."""
    garbage.put_off()
    if hasattr(signal, "SIGCHLD"):
        # Whoever started us may ignore it, which is inherited: every program's exit status would then read as 0.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        # Names of files and titles hold any letter; a terminal that has none for it shows an escape, not a traceback.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; there is nobody to tell
        status = 1
    except Exception as error:
        status = _tell(error)
    sys.exit(status)


_SYSTEM = {
    errno.EMFILE: "This process may not open more files. Allow it some thousand: ulimit -n 4096.",
    errno.ENFILE: "The system has no room for another open file. End something that holds many.",
    errno.ENOSPC: "The disk is full. Make room on it.",
    errno.EDQUOT: "Your disk quota is used up. Make room.",
}
"""What the system may refuse at any place, in a person's words."""


def _tell(error: Exception) -> int:
    """One line for a person; the exit status. What nobody foresaw goes into the run's log with its traceback."""
    from aura_engine.errors import AuraError

    if isinstance(error, AuraError):
        print(f"aura: {error.line()}", file=sys.stderr)
        return error.exit_status
    import logging
    import traceback

    if logging.getLogger().handlers:  # else it would go to the screen
        logging.getLogger("aura").error("unforeseen", exc_info=error)
    innermost: BaseException = error
    while isinstance(innermost, BaseExceptionGroup):
        innermost = cast("BaseExceptionGroup[BaseException]", innermost).exceptions[0]
    if isinstance(innermost, OSError) and innermost.errno in _SYSTEM:
        said = f"{_SYSTEM[innermost.errno]} What has landed is safe, and the same command goes on."
        print(f"aura: {said}", file=sys.stderr)
        return 1
    frames = traceback.extract_tb(innermost.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(str(innermost).split())[:300]
    print(
        f"aura: a defect in Aura{where}: {type(innermost).__name__}: {text}. The run's engine.log has the details; "
        "what has landed is safe, and the same command goes on.",
        file=sys.stderr,
    )
    return 1
