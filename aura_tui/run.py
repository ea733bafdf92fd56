"""Runs the screen on this process's terminal, whose error stream is its canvas: nobody else may write there."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from aura_engine.control.link import Link
from aura_tui.app import AuraApp
from aura_tui.base import Options


def run_screen(link: Link, options: Options, log: Path) -> tuple[str, int]:
    """Show a run until the person leaves: (`background` or "", exit status; not 0 when the screen broke).

    What libraries write to standard error meanwhile goes to the end of `log`. Blocks; to be called on the main thread.
    """
    app = AuraApp(link, options)
    with guarded_stderr(log):
        returned = app.run()
    return returned or "", app.return_code or 0


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
        canvas.flush()
        painter.flush()
        os.dup2(terminal, 2)
        _streams(painter, errors)
        canvas.close()
        os.close(terminal)
        os.close(sink)


def _streams(painted: TextIO, errors: TextIO) -> None:
    for name, stream in (("__stderr__", painted), ("stderr", errors)):
        setattr(sys, name, stream)
