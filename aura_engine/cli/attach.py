"""`aura attach`: watch a run whose engine is another process. Leaving it leaves the run."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_engine.cli.options import add_data_options, command, run_folder
from aura_engine.core.model import RunStatus
from aura_engine.errors import AuraError

if TYPE_CHECKING:
    from aura_engine.control.remote import RemoteLink

RECALL = 12
"""Events from before that are told again."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "attach",
        "Watch a run that goes on in another process. Leaving it leaves the run.",
        "aura attach               the full screen, as if it had been started here",
        "aura attach --no-ui       its story in lines, from now on",
        "aura attach --read-only   watch only",
    )
    made.add_argument("--no-ui", action="store_true", help="plain lines instead of the screen")
    made.add_argument("--ui", choices=("plain", "full", "rich"), help="which view on a terminal (default: full)")
    made.add_argument("--read-only", action="store_true", help="watch only: no key of yours reaches the run")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Show it until the run ends (the status is then the run's) or one leaves (0). NoEngine."""
    folder = run_folder(arguments)
    from aura_engine.control.remote import RemoteLink

    link, said = RemoteLink.open(folder, control=not arguments.read_only)
    from aura_engine.cli.exits import exit_status
    from aura_engine.cli.screen import wanted

    status = (_on_screen if wanted(arguments, os.environ) else _plainly)(arguments, folder, link, said)
    if status is not RunStatus.RUNNING:
        return exit_status(status)
    if not arguments.json:
        print(f"The run goes on (process {said['pid']}). Stop it: aura stop.", file=sys.stderr)
    return 0


def _on_screen(arguments: argparse.Namespace, folder: Path, link: RemoteLink, said: Mapping[str, Any]) -> RunStatus:
    from aura_engine.cli.screen import make
    from aura_engine.config.load import load_settings

    flags = {"AURA_DATA_DIR": arguments.data_dir} if arguments.data_dir else {}
    loaded = load_settings(flags=flags, environ=os.environ, project=Path.cwd(), keys=False)
    screen = make(loaded, folder / "screen.log")
    _on_signals(screen.leave)
    screen.show(link)
    return screen.status


def _plainly(arguments: argparse.Namespace, folder: Path, link: RemoteLink, said: Mapping[str, Any]) -> RunStatus:
    from aura_engine.cli.plain import PlainView

    view = PlainView(as_json=arguments.json, out=sys.stdout)
    _on_signals(view.leave)
    try:
        view.show(link, skip=int(said["seq"]), recall=RECALL)
    except OSError as error:
        raise AuraError(
            f"The engine has gone: {error.strerror or error}.", cure="aura status says how the run stands."
        ) from error
    return view.ended or RunStatus.RUNNING


def _on_signals(leave: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: leave())
