"""The full screen on the command line: when it is wanted, what it is told, and leaving it with the run going on.

The screen is found by its name, as backends are: the engine itself knows none.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from aura_engine.cli.stand_in import Split, leave_input, print_to
from aura_engine.errors import AuraError

if TYPE_CHECKING:
    from aura_engine.config.load import Loaded
    from aura_engine.control.link import Link

SCREEN = "aura_tui.run"

_WAY_OUT = "".join(f"\x1b[?{mode}l" for mode in (1000, 1003, 1015, 1006, 1016, 2004, 2048, 1004)) + (
    "\x1b[?7h\x1b[<u\x1b[?1049l\x1b[?25h"
)
"""What a full screen sets and a killed one leaves: mouse, pasting, sizes, focus; wrapping, keys, screen, cursor."""


def wanted(arguments: argparse.Namespace, environ: Mapping[str, str]) -> bool:
    """Whether to show it: on a terminal that can, unless something else was asked for.

    Terminal.app of macOS paints it badly: there only when asked for.
    """
    ui = getattr(arguments, "ui", None)
    if arguments.no_ui or arguments.json or ui == "plain" or getattr(arguments, "detach", False):
        return False
    here = sys.stdin.isatty() and sys.stdout.isatty() and environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return here and (ui in ("full", "rich") or environ.get("TERM_PROGRAM") != "Apple_Terminal")


def staged(arguments: argparse.Namespace, run: Callable[[Stage | None], int]) -> int:
    """Run with a stage for the screen where it is wanted; the exit status. Call it while there is one thread."""
    if not wanted(arguments, os.environ):
        return run(None)
    stage = Stage()
    status = stage.part()
    return run(stage) if status is None else status


class Stage:
    """The process with the screen, and the one that stands in for it at the shell.

    That one only waits: for the end of its child, which does all the work, or for its word that it goes on without a
    terminal.
    """

    def __init__(self) -> None:
        self._split: Split | None = None
        self._screen: Any = None

    def part(self) -> int | None:
        """None in the process that does the work; in the one that stands in, its exit status, at the end."""
        before = termios.tcgetattr(sys.stdin.fileno())
        split = self._split = Split()
        if not split.child:
            return None

        def pass_on(number: int, frame: FrameType | None) -> None:
            with suppress(ProcessLookupError):
                os.kill(split.child, number)

        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both
        if split.goes_on():
            how = f"The run goes on in the background (process {split.child})."
            if split.broken:
                how = f"The screen broke; the run's log says how. {how}"
            print(f"{how} Watch it: aura attach. Stop it: aura stop.")
            return int(split.broken)
        code = split.status()
        if code >= 0:
            return code
        with suppress(OSError, termios.error):  # a terminal that has gone
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSAFLUSH, before)
            print(f"{_WAY_OUT}Aura was killed ({signal.Signals(-code).name}). Its workers go on; so does the run, with")
            print("the same command.", flush=True)
        return 128 - code

    def show(self, link: Link, loaded: Loaded, log: Path) -> None:
        """Show a run until the person leaves; where they leave it going on, the shell has its prompt back then."""
        self._screen = make(loaded, log)
        try:
            self._screen.show(link)
        except AuraError:
            self._let_go(log, broken=True)
            raise
        if self._screen.background:
            self._let_go(log)

    def leave(self) -> None:
        """End the screen soon; from a signal's handler."""
        if self._screen is not None:
            self._screen.leave()

    def _let_go(self, log: Path, *, broken: bool = False) -> None:
        assert self._split is not None
        os.setsid()
        leave_input()
        print_to(log)
        self._split.go_on(broken=broken)


def make(loaded: Loaded, log: Path) -> Any:
    """A screen (see aura_tui.run.Screen) as the settings want it; what libraries print meanwhile goes to `log`."""
    settings = loaded.settings
    module = importlib.import_module(SCREEN)
    return module.screen(
        theme=settings.theme,
        themes=loaded.folder / "themes",
        keys=loaded.keys,
        bell=settings.bell,
        log=log,
        config=loaded.config_file,
    )
