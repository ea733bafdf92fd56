"""What screens and widgets may ask of the application, without knowing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from textual.app import App
from textual.message import Message

from aura_engine.control.link import Link
from aura_engine.core.text import one_line
from aura_tui.tones import Palette
from aura_tui.viewmodel import ViewModel

START_UP = 1.0
"""Seconds after which the first picture is there."""
Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True)
class Options:
    """What the config file says about the screen."""

    theme: str = ""
    """Empty: our dark one, or the plainest where the terminal has sixteen colours or none."""
    themes: Path | None = None
    """The folder of a person's own themes."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Key by action id (see actions.py)."""
    bell: bool = False
    config: Path | None = None
    """The file that the set-up writes in place of the person's usual one."""
    ascii_only: bool | None = None
    """None: told from the locale and the terminal."""


class BaseApp(App[str]):
    """The run as the screen sees it, the link to it, and a few words."""

    @dataclass
    class Do(Message):
        """Somebody asks for one of the table's actions, by its id."""

        id: str

    def __init__(self, link: Link, options: Options, *, ascii_only: bool) -> None:
        super().__init__()
        self.link = link
        self.options = options
        self.keys: dict[str, str] = dict(options.keys)
        self.ascii_only = ascii_only
        self.model = ViewModel(ascii_only=ascii_only)
        self.leaves_at_end = False
        """The person has left already: only the run's end is waited for."""
        self._palette: tuple[Mapping[str, str], Palette] | None = None

    @property
    def palette(self) -> Palette:
        """The tones of the theme as it is now."""
        variables = self.theme_variables
        if self._palette is None or self._palette[0] is not variables:
            self._palette = (variables, Palette(variables, ansi=self.native_ansi_color))
        return self._palette[1]

    def say(self, text: str, severity: Severity = "information") -> None:
        """A toast; the text is never read as markup."""
        self.notify(one_line(text, 500), severity=severity, markup=False, timeout=8 if severity != "information" else 4)

    def do(self, id: str) -> None:
        """Do what the row of the table of actions says."""
        self.post_message(self.Do(id))

    def leave_at_end(self) -> None:
        """Close the screen once the run, which was told to stop, has ended."""
        self.leaves_at_end = True
        self.say("Stopping: this screen closes when the run has ended.")

    def leave(self, *, background: bool = False) -> None:
        """Close the screen; the run goes on, in the background or as it was told."""
        self.exit("background" if background else "")
