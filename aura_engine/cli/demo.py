"""`aura demo`: the real engine, real workers, a real small project; only the model is scripted, and it says so."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import command
from aura_engine.cli.start import add_run_options, flags_of
from aura_engine.errors import UsageError

if TYPE_CHECKING:
    from aura_engine.cli.screen import Stage

SAID = """\
Aura demo: the model is scripted and answers from this machine; all else is real: the engine, {workers} workers at
once, their commands, the checks, what lands. Watch for a task that goes from flash to pro, a worker whose claim is
not believed, and a goal that is edited in mid-run.
Project: {folder}
"""
STANDS = """\
The demo's model has ended with it. To go on with the same story: aura demo --folder {folder}
What there is so far: aura status, aura report and aura diff, in that folder.
"""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "demo",
        "The real engine, real workers, a real small project; only the model is scripted, and it says so.",
        "aura demo                    on the full screen; ? shows the keys",
        "aura demo --no-ui            the same story in lines",
        "aura demo --folder almanac   into a new folder of that name, or on with the demo that was left there",
    )
    made.add_argument("--folder", metavar="DIR", help="a new folder, or an earlier demo's (default: a fresh one here)")
    add_run_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Make the project, start the scripted model, run the goal."""
    from aura_engine.cli.screen import staged

    return staged(arguments, lambda stage: _play(arguments, stage))


def _play(arguments: argparse.Namespace, stage: Stage | None) -> int:
    from aura_engine.cli.run import run_goal
    from aura_engine.config.load import load_settings
    from aura_engine.demo.server import ScriptedModel
    from aura_engine.demo.story import brain, edit_when, make_project
    from aura_engine.recorder import Committed
    from aura_engine.runtimes.containment import NONE
    from aura_engine.runtimes.walls import available

    flags = {"AURA_MAX_CONCURRENT_TASKS": "3", **flags_of(arguments)}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AURA_")}
    config = Path(arguments.config).expanduser() if arguments.config else None
    # A wrong flag is told before anything is made; the project whose .env counts is the example, which has none.
    project = Path(arguments.folder or "aura-demo")
    load_settings(flags=flags, environ=environ, project=project, config_file=config, keys=False)
    folder, task_file = _made(arguments.folder, make_project)
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

    workers = flags["AURA_MAX_CONCURRENT_TASKS"]
    if not arguments.json:
        print(SAID.format(workers=workers, folder=folder), flush=True)
    # The example's workers are ours: nobody is asked for consent where nothing can contain them; the run says so.
    if not available(os.environ):
        flags["AURA_CONTAINMENT"] = NONE
    with ScriptedModel(brain()) as model:
        flags |= settings_for(model.url)
        status = run_goal(task_file, folder, flags, environ, arguments, beside=person, stage=stage)
    if status and not arguments.json:
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more
            print(STANDS.format(folder=shlex.quote(os.path.relpath(folder))), flush=True)
    return status


def _made(named: str | None, make_project: Callable[[Path], Path]) -> tuple[Path, Path]:
    """The example's folder and its task file. UsageError where it cannot be made."""
    try:
        folder = Path(named or tempfile.mkdtemp(prefix="aura-demo-", dir=".")).expanduser().resolve()
        return folder, make_project(folder)
    except OSError as error:
        where = named or Path.cwd()
        raise UsageError(
            f"The example cannot be made in {where}: {error.strerror}.",
            cure="Name a new folder that you may write: aura demo --folder DIR",
        ) from error


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
