from __future__ import annotations

import pytest

from aura_engine.config.dotenv import parse_env


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  export A = b c  ", "b c"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A= # comment", ""),
        ("A='b # c' # comment", "b # c"),
        ("A='a\\n'", "a\\n"),
        ('A="a\\n\\"b\\" \\$c"', 'a\n"b" $c'),
        ("A=x=y", "x=y"),
        ("A=$HOME", "$HOME"),
        ("A=http://h/#frag", "http://h/#frag"),
        ("A=it's", "it's"),
    ],
)
def test_values(line, value):
    assert parse_env(line).values == {"A": value}


def test_comments_blank_lines_bom_and_crlf():
    found = parse_env("\ufeff# first\r\n\r\nA=1\r\n  # indented\r\nB=2\r\nA=3\r\n")
    assert found.values == {"A": "3", "B": "2"}
    assert found.bad_lines == []


def test_a_quoted_value_may_span_lines():
    found = parse_env('KEY="-----BEGIN\nabc\n-----END" # done\nB=2\n')
    assert found.values == {"KEY": "-----BEGIN\nabc\n-----END", "B": "2"}


def test_bad_lines_are_numbered_and_do_not_take_the_next_ones_along():
    found = parse_env('A=1\nno assignment\n1A=2\nB="never closed\nC=3\nD="x" y\n')
    assert [number for number, _ in found.bad_lines] == [2, 3, 4, 6]
    assert found.values == {"A": "1", "C": "3"}
