"""Runs the screen on this process's terminal, whose error stream is its canvas: nobody else may write there."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aura_engine.control.link import Link
from aura_engine.core.model import RunStatus
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError
from aura_tui.app import AuraApp, ascii_terminal
from aura_tui.base import Options

if TYPE_CHECKING:
    from aura_engine.setup.draft import Place


class Screen:
    """The full screen as the command line knows it.

    What libraries write to standard error meanwhile goes to the end of `log`.
    """

    def __init__(self, options: Options, log: Path) -> None:
        self._options = options
        self._log = log
        self._app: AuraApp | None = None
        self.background = False
        """The person has left with the run going on."""
        self.status = RunStatus.RUNNING
        """How the run stood when the screen was left."""

    def show(self, link: Link) -> None:
        """Show a run until the person leaves, or it is told to. Blocks; to be called on the main thread.

        AuraError when the screen itself broke: the terminal is as it was, and the log says how it came about.
        """
        app = self._app = AuraApp(link, self._options)
        with guarded_stderr(self._log):
            returned = app.run()
        self.background = returned == "background"
        self.status = app.model.state.status
        if app.broken is not None:
            with suppress(OSError), self._log.open("a", encoding="utf-8") as file:
                traceback.print_exception(app.broken, file=file)
            what = one_line(f"{type(app.broken).__name__}: {app.broken}", 200)
            raise AuraError(f"The screen broke ({what}).", cure=f"The run goes on: aura attach. See {self._log}.")

    def leave(self) -> None:
        """End soon; from a signal's handler or another thread."""
        if self._app is not None:
            self._app.leave_soon()


def screen(
    *, theme: str, themes: Path, keys: Mapping[str, str], bell: bool, log: Path, config: Path | None = None
) -> Screen:
    """A screen as the settings want it."""
    return Screen(Options(theme=theme, themes=themes, keys=keys, bell=bell, config=config), log)


def set_up(place: Place) -> list[str] | None:
    """The set-up as a full screen: what saving said, None where the person left it. ConfigError."""
    from aura_tui.setting_up import SetupApp, prepared

    walk = asyncio.run(prepared(place))
    return SetupApp(walk, ascii_only=ascii_terminal()).run()


@contextmanager
def guarded_stderr(log: Path) -> Generator[None, None, None]:
    """Paint on a copy of the terminal's descriptor while descriptor 2 itself leads to the log.

    A warning of a library, or of C code that knows no Python, would else stand in the middle of the picture.
    """
    painter, errors = sys.__stderr__, sys.stderr
    if painter is None:
        yield
        return
    painter.flush()
    terminal = os.dup(2)
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    canvas = os.fdopen(terminal, "w", encoding=painter.encoding, errors="replace", closefd=False)
    try:
        os.dup2(sink, 2)
        # Textual paints on `sys.__stderr__`; everybody else's `sys.stderr` keeps descriptor 2.
        _streams(canvas, painter)
        yield
    finally:
        for stream in (canvas, painter):
            with suppress(OSError):  # the terminal has gone
                stream.flush()
        os.dup2(terminal, 2)
        _streams(painter, errors)
        with suppress(OSError):
            canvas.close()
        os.close(terminal)
        os.close(sink)


def _streams(painted: TextIO, errors: TextIO) -> None:
    for name, stream in (("__stderr__", painted), ("stderr", errors)):
        setattr(sys, name, stream)
