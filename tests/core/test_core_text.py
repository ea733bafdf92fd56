"""The sanitiser: nothing that others wrote reaches a terminal as anything but text."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_engine.core.text import MAX_LINE, MAX_MARKS, clean, one_line

NASTY = (
    "\x1b\x07\x9b\x9d\x90\x98\x9c\\[]P^_;0123m@~?\r\n\t\0\x08\x7f\u202e\u200b\u200d\ufeff\U000e0041\u0301\u20ddé漢a "
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hhome", "home"),
        ("\x1b[?1049h\x1b[>4;1mx", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]52;c;ZXZpbA==\x1b\\x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;2;0;0;0\x1b\\x", "x"),
        ("\x1b_Gf=100;AAAA\x1b\\x", "x"),
        ("\x1b^pm\x1b\\\x1bXsos\x1b\\x", "x"),
        ("\x9b31mred\x9d0;t\x9cx\x90q\x9cy", "redxy"),
        ("\x1b]0;never ended\nall of it", ""),
        ("\x1bc\x1b(0x\x1b=y\x1b#8z", "xyz"),
        ("\x1b", ""),
        ("\x1b[", ""),
        ("\x1b\x1b[31mx", "x"),
        ("hidden\rshown", "hidden\nshown"),
        ("dos\r\nline", "dos\nline"),
        ("a\x00b\x08c\x7fd\x85e\x0bf\x0cg", "abcdefg"),
        ("\u202egnp.exe", "<U+202E>gnp.exe"),
        ("a\u200bb\u2066c\ufeffd\u00ade", "a<U+200B>b<U+2066>c<U+FEFF>d<U+00AD>e"),
        ("x\U000e0041\U000e0100y", "x<U+E0041><U+E0100>y"),
        ("a\u2028b\u3164c", "a<U+2028>b<U+3164>c"),
        ("bad \udcff name", "bad ? name"),
        ("[red]not markup[/red]", "[red]not markup[/red]"),
        ("e\u0301 ok", "e\u0301 ok"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\u0e31"])
def test_marks_are_capped(mark: str) -> None:
    assert clean("a" + mark * 50 + "b") == "a" + mark * MAX_MARKS + "b"


def test_lines_are_cut() -> None:
    cut = clean("x" * 10_000 + "\n" + "y" * MAX_LINE)
    assert cut == "x" * (MAX_LINE - 1) + "…\n" + "y" * MAX_LINE


@pytest.mark.parametrize("unit", ["a", "é", "\x1b[31m", "\x1b]0;", "a\u0301", "\u202e", "\x9b", "\r", "\x1b["])
def test_megabytes_on_a_line_are_cleaned_quickly(unit: str) -> None:
    text = unit * (2_000_000 // len(unit))
    start = time.process_time()
    clean(text)
    assert time.process_time() - start < 5


def test_ten_megabytes_on_a_line() -> None:
    start = time.process_time()
    shown = clean("\u202e\x1b[31mx" * 1_500_000)
    assert time.process_time() - start < 10
    assert len(shown) == MAX_LINE


@settings(max_examples=250, deadline=None)
@given(text=st.text() | st.text(alphabet=NASTY, max_size=60))
def test_what_is_cleaned_is_inert_and_stays_as_it_is(text: str) -> None:
    shown = clean(text)
    assert clean(shown) == shown
    for char in shown:
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp"), repr(char)
        assert unicodedata.bidirectional(char) not in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
    flat = one_line(text, 40)
    assert "\n" not in flat
    assert "\t" not in flat
    assert len(flat) <= 40
    assert one_line(flat, 40) == flat
