from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.core.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30 min", 5400),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("7", 7),
        (0.5, 0.5),
    ],
)
def test_lengths(text, seconds):
    assert parse_duration(text) == seconds


def test_a_bare_number_counts_units():
    assert parse_duration("45", unit=60) == 2700
    assert parse_duration("45s", unit=60) == 45


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "0m", "10x", "m", "inf", "nan", True, "1h-5m"])
def test_what_is_no_length_of_time(text):
    with pytest.raises(ValueError, match="is not a length of time"):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), [(1800, "30m"), (5400, "1h30m"), (2.5, "2.5s"), (3661, "1h1m1s")])
def test_formatting(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(min_value=1, max_value=10**7))
def test_what_is_formatted_parses_back(seconds):
    assert parse_duration(format_duration(seconds)) == seconds
