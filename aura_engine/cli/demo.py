"""`aura demo`: the real engine, real workers, a real small project; only the model is scripted, and it says so."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from aura_engine.cli.start import add_run_options, flags_of

SAID = """\
Aura demo: the model is scripted and answers from this machine; all else is real: the engine, {workers} workers at
once, their commands, the checks, what lands. Watch for a task that goes from flash to pro, a worker whose claim is
not believed, and a goal that is edited in mid-run.
Project: {folder}
"""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(prog="aura demo", description=__doc__)
    made.add_argument("--folder", metavar="DIR", help="a new folder for the example (default: a fresh one here)")
    add_run_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Make the project, start the scripted model, run the goal."""
    from aura_engine.cli.run import run_goal
    from aura_engine.demo.server import ScriptedModel
    from aura_engine.demo.story import brain, edit_when, make_project
    from aura_engine.recorder import Committed

    named = arguments.folder or tempfile.mkdtemp(prefix="aura-demo-", dir=".")
    folder = Path(named).expanduser()
    task_file = make_project(folder.resolve())
    landed: set[str] = set()
    edited = False

    def person(committed: Committed) -> None:
        """Plays the person who has second thoughts."""
        nonlocal edited
        if committed.event.kind == "landed":
            landed.add(committed.event.task)
            text = None if edited else edit_when(len(landed))
            if text is not None:
                edited = True
                task_file.write_text(text, encoding="utf-8")

    flags = {"AURA_MAX_CONCURRENT_TASKS": "3", **flags_of(arguments)}
    workers = flags["AURA_MAX_CONCURRENT_TASKS"]
    if not arguments.json:
        print(SAID.format(workers=workers, folder=folder.resolve()), flush=True)
    with ScriptedModel(brain()) as model:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AURA_")}
        flags |= settings_for(model.url)
        return run_goal(task_file, folder.resolve(), flags, environ, arguments, sys.stdout, beside=person)


def settings_for(url: str) -> dict[str, str]:
    """Settings that point planner and both roles at a scripted model; workers are the builtin ones."""
    return {
        "AURA_API_PROVIDER": "anthropic",
        "AURA_API_BASE_URL": url,
        "AURA_API_KEY": "demo",
        "AURA_API_MODEL": "demo-planner",
        "AURA_PRO_BACKEND": "builtin",
        "AURA_PRO_BASE_URL": url,
        "AURA_PRO_API_KEY": "demo",
        "AURA_PRO_MODEL": "demo-pro",
        "AURA_FLASH_BACKEND": "builtin",
        "AURA_FLASH_BASE_URL": url,
        "AURA_FLASH_API_KEY": "demo",
        "AURA_FLASH_MODEL": "demo-flash",
    }
