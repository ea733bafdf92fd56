from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from aura_engine.resources import themes

COLOURS = (
    *("primary", "secondary", "accent", "foreground", "background"),
    *("surface", "panel", "success", "warning", "error"),
)
NAMES = {"aura-dark", "aura-light", "high-contrast", "terminal-16", "colour-blind-safe"}
SAID = ("foreground", "success", "warning", "error", "primary", "accent")
"""Colours that words are written in."""


def load(name: str) -> dict[str, object]:
    return tomllib.loads((themes() / f"{name}.toml").read_text(encoding="utf-8"))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_defined() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_the_five_themes_are_there() -> None:
    assert {Path(file.name).stem for file in themes().iterdir() if file.name.endswith(".toml")} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_theme_is_complete(name: str) -> None:
    theme = load(name)
    assert theme["name"] == name
    assert isinstance(theme["dark"], bool)
    assert set(theme) == {"name", "dark", "ansi", "variables", *COLOURS}
    form = r"ansi_[a-z_]+" if theme["ansi"] else r"#[0-9a-f]{6}"
    for colour in COLOURS:
        assert re.fullmatch(form, str(theme[colour])), colour
    assert isinstance(theme["variables"], dict)
    assert all(isinstance(value, str) for value in theme["variables"].values())


@pytest.mark.parametrize("name", sorted(NAMES - {"terminal-16"}))
def test_words_can_be_read(name: str) -> None:
    theme = load(name)
    least = 7.0 if name == "high-contrast" else 4.5
    for ground in ("background", "surface", "panel"):
        for colour in SAID:
            ratio = contrast(str(theme[colour]), str(theme[ground]))
            assert ratio >= least, f"{colour} on {ground}: {ratio:.1f}"
    variables = theme["variables"]
    assert isinstance(variables, dict)
    cursor = contrast(variables["block-cursor-foreground"], variables["block-cursor-background"])
    assert cursor >= least, f"the cursor: {cursor:.1f}"
    assert theme["dark"] == (luminance(str(theme["background"])) < 0.5)


def test_good_and_bad_differ_without_red_and_green() -> None:
    """Seen by a protanope red is dark and a deuteranope red and green are alike: blue and brightness must tell them."""
    theme = load("colour-blind-safe")
    good, bad = str(theme["success"]), str(theme["error"])
    assert abs(int(good[5:7], 16) - int(bad[5:7], 16)) > 128
