"""MEMORY.md: what Aura writes, what a person makes of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aura_engine.core.memory import MAX_CHARS, MAX_LESSONS, edited, full, parse, render

WORDS = st.lists(
    st.text("abc é-*<>#", min_size=1, max_size=40)
    .map(lambda text: " ".join(text.split()))
    .filter(lambda t: t.strip("-* ")),
    max_size=20,
)


@given(lessons=WORDS)
def test_what_is_written_is_read_back_and_is_no_edit(lessons: list[str]) -> None:
    assert edited(render(lessons), lessons) is None


@given(lessons=WORDS)
def test_a_file_from_before_the_last_lesson_is_no_edit(lessons: list[str]) -> None:
    """The engine died between the journal and the file: nothing is forgotten for that."""
    assert edited(render(lessons), [*lessons, "learned since"]) is None


def test_a_person_s_changes_are_taken() -> None:
    text = render(["use uv", "tests are slow"]).replace("- use uv", "- use pip\n- ask before adding a package")
    assert edited(text, ["use uv", "tests are slow"]) == ["use pip", "ask before adding a package", "tests are slow"]


def test_an_edit_of_an_older_file_keeps_what_was_learned_since() -> None:
    text = render(["use uv"]).replace("- use uv", "- use pip")
    assert edited(text, ["use uv", "learned since"]) == ["use pip", "use uv", "learned since"]


def test_an_emptied_file_empties_the_memory() -> None:
    assert edited("", ["use uv"]) == []


def test_a_file_of_the_person_s_own_making_is_taken() -> None:
    assert edited("# Mine\n\n* one\n+ two\n  goes on\nprose\n", []) == ["one", "two goes on"]


def test_a_lesson_of_many_lines_becomes_one() -> None:
    found, _ = parse(render(["a\n- b"]))
    assert found == ["a - b"]


def test_it_has_bounds() -> None:
    assert not full(["x" * MAX_CHARS])
    assert full(["x" * (MAX_CHARS + 1)])
    assert full(["x"] * (MAX_LESSONS + 1))
    found, _ = parse("\n".join(f"- {'y' * 2000}" for _ in range(1000)))
    assert len(found) == MAX_LESSONS
    assert max(map(len, found)) <= 500
