"""What a terminal adds to lines of text: its width and, where they are wanted, colours. All text comes in clean."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TextIO

_CODES = {"good": "32", "bad": "31", "ask": "33", "do": "36", "key": "36", "dim": "2", "bold": "1"}
WIDTH = 80
"""Columns where there is no terminal."""


class Paint:
    """Colours of one stream: none where it is no terminal, where `NO_COLOR` is set, or in a dumb terminal."""

    def __init__(self, out: TextIO | None = None) -> None:
        stream = out or sys.stdout
        self.tty = stream.isatty()
        self.colours = self.tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        self.width = max(40, shutil.get_terminal_size((WIDTH, 24)).columns) if self.tty else WIDTH

    def __call__(self, text: str, tone: str) -> str:
        """The text in a tone; tones without a colour leave it as it is."""
        code = _CODES.get(tone)
        return f"\x1b[{code}m{text}\x1b[0m" if code and self.colours and text else text

    def hang(self, text: str, indent: str) -> list[str]:
        """One line of text broken to the terminal's width, further lines behind `indent`; whole where it is none."""
        if not self.tty:
            return [text]
        return textwrap.wrap(text, self.width, subsequent_indent=indent, break_on_hyphens=False) or [""]
