"""`aura attach`: watch a run whose engine is another process. Leaving it leaves the run."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from aura_engine.cli.options import add_data_options, run_folder
from aura_engine.errors import AuraError

RECALL = 12
"""Events from before that are told again."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(
        prog="aura attach", description="Watch a run that goes on in another process. Leaving it leaves the run."
    )
    made.add_argument("--no-ui", action="store_true", help="plain lines instead of the screen (now: always)")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Show it until the run ends (the status is then the run's) or one leaves (0). NoEngine."""
    folder = run_folder(arguments)
    from aura_engine.control.remote import RemoteLink

    link, said = RemoteLink.open(folder)
    from aura_engine.cli.exits import exit_status
    from aura_engine.cli.plain import PlainView

    view = PlainView(as_json=arguments.json, out=sys.stdout)
    left = False

    def leave(number: int, frame: FrameType | None) -> None:
        nonlocal left
        left = True
        view.leave()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        view.show(link, skip=int(said["seq"]), recall=RECALL)
    except OSError as error:
        raise AuraError(f"The engine has gone: {error}.", cure="aura status says how the run stands.") from error
    if view.ended is not None:
        return exit_status(view.ended)
    if left and not arguments.json:
        print(f"The run goes on (process {said['pid']}). Stop it: aura stop.", file=sys.stderr)
    return 0
