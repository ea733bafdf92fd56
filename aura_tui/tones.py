"""The colours that our own widgets paint with, by what they mean; drawn from the theme.

They are no component classes of the widgets: some fifteen of those on twenty widgets made each start 150 ms longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.color import Color


@dataclass(frozen=True, slots=True)
class Tone:
    """A theme's variables for text and ground ("" leaves what is there), how much of them, and a text style."""

    text: str = ""
    share: float = 1.0
    ground: str = ""
    ground_share: float = 1.0
    style: str = ""
    ansi: Tone | None = None
    """What stands for it in the terminal's own sixteen colours, which cannot be mixed."""


_QUIET = Tone("ansi_bright_black")
_TURNED = Tone(style="reverse")
TONES: Mapping[str, Tone] = {
    "good": Tone("success"),
    "bad": Tone("error"),
    "ask": Tone("warning"),
    "live": Tone("primary"),
    "wait": Tone("foreground", 0.6, ansi=_QUIET),
    "dim": Tone("foreground", 0.6, ansi=_QUIET),
    "say": Tone("foreground"),
    "do": Tone("foreground"),
    "bold": Tone(style="bold"),
    "title": Tone("secondary", style="bold"),
    "key": Tone("footer-key-foreground", style="bold"),
    "bar": Tone(ground="foreground", ground_share=0.12, ansi=Tone()),
    "rule": Tone("foreground", 0.3, ansi=_QUIET),
    "rule-focus": Tone("primary"),
    "found": Tone("background", ground="warning", style="bold", ansi=_TURNED),
    "cursor": Tone("block-cursor-foreground", ground="block-cursor-background", ansi=_TURNED),
    "cursor-blur": Tone(ground="foreground", ground_share=0.12, ansi=Tone(style="underline")),
}


class Palette:
    """The tones of one theme."""

    def __init__(self, variables: Mapping[str, str], *, ansi: bool) -> None:
        self._variables = variables
        self._ansi = ansi

    def lay(self, name: str, base: Style, below: Color) -> Style:
        """`base` with a tone over it; half transparent colours are mixed with `below`. KeyError for no tone."""
        tone = TONES[name]
        if self._ansi and tone.ansi is not None:
            tone = tone.ansi
        color = self._mixed(tone.text, tone.share, below)
        ground = self._mixed(tone.ground, tone.ground_share, below)
        laid = base + Style.from_color(color.rich_color if color else None, ground.rich_color if ground else None)
        return laid + Style.parse(tone.style) if tone.style else laid

    def _mixed(self, variable: str, share: float, below: Color) -> Color | None:
        if not variable:
            return None
        # A variable holds a colour, `auto` (what can be read on the ground), either with a share: `red 35%`.
        name, _, percent = self._variables.get(variable, variable).partition(" ")
        share *= float(percent.rstrip("%")) / 100 if percent else 1.0
        color = below.get_contrast_text(1.0) if name == "auto" else Color.parse(name)
        return color if color.ansi is not None else below.blend(color, share * color.a, 1.0)
