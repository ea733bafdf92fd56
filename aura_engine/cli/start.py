"""`aura TASK.md`, `aura start`: run a goal, or go on with it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from aura_engine.cli.options import project_of
from aura_engine.errors import UsageError


def parser(prog: str = "aura start") -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(
        prog=prog,
        description="Run the goal in a task file, or go on with it: the same command resumes, re-checks or replans.",
        epilog="example: aura task.md -w 4 --worker-mode flash-first -O AURA_TASK_BUDGET=45m",
    )
    made.add_argument("file", nargs="?", metavar="TASK.md", help="the goal")
    made.add_argument("--task-file", metavar="FILE", help="the same, as an option")
    made.add_argument("--plan", metavar="FILE", help="your own plan in place of the planner's first (docs/plans.md)")
    made.add_argument("--detach", action="store_true", help="run in the background; aura attach shows it")
    add_run_options(made)
    return made


def add_run_options(made: argparse.ArgumentParser) -> None:
    """Options of every command that runs an engine."""
    made.add_argument("--no-ui", action="store_true", help="plain lines instead of the screen")
    made.add_argument("--ui", choices=("plain", "full", "rich"), help="which view on a terminal (default: full)")
    made.add_argument("--json", action="store_true", help="one JSON object per event on standard output")
    made.add_argument("--workers", "-w", metavar="N", help="workers at once (AURA_MAX_CONCURRENT_TASKS)")
    made.add_argument("--worker-mode", metavar="MODE", help="pro-only, auto, flash-first or flash-only")
    made.add_argument("--data-dir", metavar="DIR", help="where the data of runs lies (default: .aura here)")
    made.add_argument("--config", "-c", metavar="FILE", help="in place of your own configuration file")
    made.add_argument(
        "--override", "-O", metavar="KEY=VALUE", action="append", default=[], help="one setting, for this run"
    )
    made.add_argument("--workerpro-codex", action="store_true", help="Pro is your own configured Codex, for this run")
    made.add_argument("--no-docker", action="store_true", help="workers on this machine, not in Docker")


def run(arguments: argparse.Namespace) -> int:
    """Run the engine to its end; the exit status says how it ended."""
    name = arguments.file or arguments.task_file
    if arguments.file and arguments.task_file and arguments.file != arguments.task_file:
        raise UsageError("Two task files were given.", cure="Give one: aura TASK.md")
    if not name:
        raise UsageError("No task file was given.", cure="Write your goal into task.md, then: aura task.md")
    from aura_engine.cli.screen import Stage, staged, wanted

    if wanted(arguments, os.environ) and not (arguments.config or arguments.override) and Path(name).is_file():
        _set_up_first()

    def play(stage: Stage | None) -> int:
        from aura_engine.cli.run import run_goal

        return run_goal(
            Path(name).expanduser(),
            project_of(),
            flags_of(arguments),
            dict(os.environ),
            arguments,
            detach=arguments.detach,
            stage=stage,
        )

    return staged(arguments, play)


def _set_up_first() -> None:
    """The first start without any configuration asks for one. UsageError when the person leaves that.

    In a process of its own: what it loads to try the answers would stay in this one, which is about to split.
    """
    from aura_engine.setup.draft import Draft, Place

    if not Draft(Place.of(dict(os.environ), project_of())).untouched:
        return
    import subprocess
    import sys

    asked = subprocess.run([sys.executable, "-P", "-m", "aura_engine.cli", "setup", "--ui", "full"], check=False)
    if asked.returncode:
        raise UsageError("Aura does not know yet who plans and who works.", cure="aura setup asks for it.")


def flags_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The options as settings. ConfigError for an override that is not KEY=VALUE."""
    from aura_engine.config.load import parse_override

    flags = dict(parse_override(text) for text in arguments.override)
    options = {
        "AURA_MAX_CONCURRENT_TASKS": arguments.workers,
        "AURA_WORKER_MODE": arguments.worker_mode,
        "AURA_DATA_DIR": arguments.data_dir,
        "AURA_WORKERS_IN_DOCKER": "0" if arguments.no_docker else None,
    }
    return {**flags, **{key: value for key, value in options.items() if value is not None}}
