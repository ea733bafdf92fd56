"""Output files of any length and any kind, as pages: no Textual, no terminal."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from aura_engine.report.steps import raw_step, said_time, steps_of
from aura_engine.workers.parsers import parser_maker
from aura_tui.logs.file import LINE_CAP, LogFile
from aura_tui.logs.pager import MOST, Page, Pager, Place, Request
from aura_tui.logs.wrap import cut, wrap

NOW = 1_700_000_000.0


def message(text: str) -> str:
    return json.dumps({"event": "message", "text": text}) + "\n"


def numbered(path: Path, count: int, start: int = 0) -> Path:
    with path.open("a") as file:
        file.writelines(message(f"line {number}") for number in range(start, start + count))
    return path


def pager(path: Path, backend: str = "builtin") -> Pager:
    return Pager(path, parser_maker(backend))


def texts(page: Page) -> list[str]:
    return [row.text for row in page.rows]


def indexed(path: Path) -> LogFile:
    file = LogFile(path)
    with file.opened():
        while file.index(NOW):
            pass
    return file


def read(file: LogFile, start: int, stop: int) -> list[tuple[int, bytes]]:
    with file.opened():
        return [(line.number, line.data) for line in file.lines(start, stop)]


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=300).filter(lambda b: b"\n" not in b), max_size=60),
    ended=st.booleans(),
    start=st.integers(0, 70),
    count=st.integers(0, 70),
    limit=st.integers(1, 500),
)
def test_lines_are_what_is_in_the_file(tmp_path_factory, lines, ended, start, count, limit) -> None:
    path = tmp_path_factory.mktemp("log") / "out"
    body = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    path.write_bytes(body)
    file = LogFile(path)
    with file.opened():
        while file.index(NOW, limit):
            pass
    whole = body.split(b"\n")
    if whole[-1] == b"":
        whole.pop()
    assert file.total == len(whole)
    assert read(file, start, start + count) == list(enumerate(whole))[start : start + count]


def test_a_large_file_has_a_small_index(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        file.writelines(b"x" * 99 + b"\n" for _ in range(200_000))
    tracemalloc.start()
    log = indexed(path)
    before = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert log.total == 200_000
    assert before < 1 << 20
    assert read(log, 123_456, 123_457)[0][0] == 123_456


def test_the_index_is_thinned_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aura_tui.logs.file.ENTRIES", 4)
    monkeypatch.setattr("aura_tui.logs.file.CHUNK", 64)
    path = tmp_path / "out"
    path.write_bytes(b"".join(b"%05d\n" % number for number in range(5000)))
    log = indexed(path)
    assert len(log._lines) <= 4
    assert read(log, 4321, 4323) == [(4321, b"04321"), (4322, b"04322")]


def test_a_file_that_grows(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 5)
    view = pager(path)
    assert texts(view.page(Request(60, 3), NOW)) == ["line 2", "line 3", "line 4"]
    numbered(path, 2, 5)
    page = view.page(Request(60, 3), NOW)
    assert texts(page) == ["line 4", "line 5", "line 6"]
    assert page.at_end
    assert page.total == 7


def test_half_a_line_is_no_step_until_it_ends(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 1)
    view = pager(path)
    whole = message("the second")
    with path.open("a") as file:
        file.write(whole[:10])
        file.flush()
        assert texts(view.page(Request(60, 5), NOW)) == ["line 0"]
        assert texts(view.page(Request(60, 5, raw=True), NOW))[-1] == whole[:10]
        file.write(whole[10:])
    assert texts(view.page(Request(60, 5), NOW)) == ["line 0", "the second"]
    assert texts(view.page(Request(60, 5, raw=True), NOW))[-1] == whole.strip()


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    view = pager(tmp_path / "out")
    page = view.page(Request(60, 5), NOW)
    assert (page.rows, page.error, page.total) == ((), "", 0)
    numbered(tmp_path / "out", 1)
    assert texts(view.page(Request(60, 5), NOW)) == ["line 0"]


def test_a_file_that_is_cut_begins_anew(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 50)
    view = pager(path)
    before = view.page(Request(60, 3), NOW)
    path.write_text(message("anew"))
    page = view.page(Request(60, 3), NOW)
    assert texts(page) == ["anew"]
    assert page.generation == before.generation + 1


def test_a_file_that_is_replaced_begins_anew(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 3)
    view = pager(path)
    view.page(Request(60, 3), NOW)
    other = numbered(tmp_path / "other", 4, start=100)
    other.replace(path)
    assert texts(view.page(Request(60, 9), NOW))[0] == "line 100"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    assert "not a plain file" in pager(tmp_path / "out").page(Request(60, 5), NOW).error


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc/passwd")
    page = pager(tmp_path / "out").page(Request(60, 5, raw=True), NOW)
    assert page.error
    assert page.rows == ()


def test_a_line_of_a_hundred_megabytes(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 2)
    with path.open("ab") as file:
        for _ in range(100):
            file.write(b"y" * (1 << 20))
        file.write(b"\n")
    numbered(path, 2, start=2)
    view = pager(path)
    tracemalloc.start()
    while view.page(Request(60, 8), NOW).behind:
        pass
    page = view.page(Request(60, 600), NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts(page)[:2] == ["line 0", "line 1"]
    assert texts(page)[-2:] == ["line 2", "line 3"]
    assert peak < 12 << 20
    assert read(view.file, 2, 3)[0][1] == b"y" * LINE_CAP


def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 5)
    before = len(list(Path("/proc/self/fd").iterdir()))
    views = [pager(path) for _ in range(30)]
    for view in views:
        view.page(Request(60, 5), NOW)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_moving_up_and_down(tmp_path: Path) -> None:
    view = pager(numbered(tmp_path / "out", 100))
    up = view.page(Request(60, 10, None, -5), NOW)
    assert texts(up)[0] == "line 85"
    assert not up.at_end
    down = view.page(Request(60, 10, up.top, 3), NOW)
    assert texts(down)[0] == "line 88"
    end = view.page(Request(60, 10, down.top, 50), NOW)
    assert texts(end)[-1] == "line 99"
    assert len(end.rows) == 10
    assert end.at_end
    first = view.page(Request(60, 10, end.top, -5000), NOW)
    assert texts(first)[0] == "line 0"


def test_a_place_stays_when_lines_come_and_the_width_changes(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("".join(message(f"{number}: " + "words and more words " * 8) for number in range(40)))
    view = pager(path)
    held = view.page(Request(60, 10, Place(20)), NOW)
    assert texts(held)[0].startswith("20: ")
    numbered(path, 30)
    assert texts(view.page(Request(60, 10, held.top), NOW)) == texts(held)
    narrow = view.page(Request(40, 10, held.top), NOW)
    assert texts(narrow)[0].startswith("20: ")
    assert len({row.place for row in narrow.rows}) == 10


def test_rows_of_a_long_step_can_be_scrolled_through(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text(message("\n".join(f"row {number}" for number in range(30))) + message("end"))
    view = pager(path)
    page = view.page(Request(60, 5, Place(0, 10)), NOW)
    assert texts(page) == [f"row {number}" for number in range(10, 15)]
    assert texts(view.page(Request(60, 5, page.top, -3), NOW))[0] == "row 7"


def test_a_stream_that_says_nothing_for_long_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "out"
    usage = json.dumps({"event": "usage", "turns": 1, "input": 1, "output": 1}) + "\n"
    path.write_text(message("before") + usage * (2 * MOST))
    page = pager(path).page(Request(60, 5), NOW)
    assert page.rows == ()
    assert page.total == 2 * MOST + 1


def test_times_are_those_of_arrival_or_what_the_stream_says(tmp_path: Path) -> None:
    path = numbered(tmp_path / "out", 2)
    view = pager(path)
    assert {row.time for row in view.page(Request(60, 5), NOW).rows} == {""}, "nobody was there to see it come"
    numbered(path, 1, start=2)
    assert view.page(Request(60, 5), NOW).rows[-1].time.count(":") == 2
    assert said_time(b'{"timestamp":"2026-01-02T03:04:05.678Z"}') == "2026-01-02T03:04:05.678Z"
    assert said_time(b'{"text":"\\"timestamp\\":\\"2026-01-02T03:04:05Z\\""}') == "", "only its own, not a quoted one"


@pytest.mark.parametrize(
    ("needle", "back", "start", "found"),
    [
        ("line 7", True, 1000, 799),
        ("line 777", True, 1000, 777),
        ("line 7", False, 100, 700),
        ("line 7", False, 70, 71),
    ],
)
def test_search_goes_on_from_where_it_stopped(tmp_path: Path, needle: str, back: bool, start: int, found: int) -> None:
    view = pager(numbered(tmp_path / "out", 1000))
    view.page(Request(60, 5), NOW)
    line, at = view.find(needle, start, back=back, raw=False, limit=64)
    for _ in range(20):
        if line is not None:
            break
        line, at = view.find(needle, at, back=back, raw=False, limit=64)
    assert line == found


def test_a_search_for_what_is_not_there_ends(tmp_path: Path) -> None:
    view = pager(numbered(tmp_path / "out", 300))
    view.page(Request(60, 5), NOW)
    assert view.find("nowhere", 300, back=True, raw=False) == (None, -1)
    assert view.find("nowhere", -1, back=False, raw=False) == (None, 300)


def test_a_search_finds_what_json_escapes(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text(message("nothing") + message('he said "häh"') + message("nothing"))
    view = pager(path)
    view.page(Request(60, 5), NOW)
    assert view.find('"HÄH"', -1, back=False, raw=False)[0] == 1


def test_steps_of_a_claude_stream() -> None:
    def steps(event: dict) -> list[tuple[str, str, str]]:
        parser = parser_maker("claude")()
        assert parser is not None
        return [(s.label, s.text, s.tone) for s in steps_of(parser.feed(json.dumps(event).encode() + b"\n"))]

    def assistant(block: dict) -> dict:
        return {"type": "assistant", "message": {"id": "m", "content": [block], "usage": {}}}

    edit = {"file_path": "src/engine.py", "old_string": "a\nb", "new_string": "c"}
    assert steps(assistant({"type": "tool_use", "name": "Edit", "input": edit})) == [
        ("edit", "src/engine.py  +1 −2", "do")
    ]
    run = {"command": "pytest -q\x1b[2J", "description": "run tests"}
    assert steps(assistant({"type": "tool_use", "name": "Bash", "input": run})) == [("run", "pytest -q", "do")]
    assert steps(assistant({"type": "text", "text": "I see"})) == [("says", "I see", "say")]

    def result(text: str, error: bool) -> dict:
        block = {"type": "tool_result", "content": text, "is_error": error}
        return {"type": "user", "message": {"content": [block]}}

    assert steps(result("1\n2\n8 passed", False)) == [("", "✓ 8 passed  (3 lines)", "dim")]
    assert steps(result("boom", True)) == [("", "✗ boom", "bad")]


def test_a_call_with_cut_json_still_names_its_file() -> None:
    parser = parser_maker("claude")()
    assert parser is not None
    tool = {"type": "tool_use", "name": "Write", "input": {"file_path": "a.py", "content": "x" * 5000}}
    event = {"type": "assistant", "message": {"id": "m", "content": [tool], "usage": {}}}
    assert steps_of(parser.feed(json.dumps(event).encode() + b"\n"))[0].text == "a.py"


def test_an_unknown_backend_shows_its_lines_raw(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("plain [red]words[/red]\x1b]0;x\x07\n")
    assert texts(pager(path, "no such").page(Request(60, 5), NOW)) == ["plain [red]words[/red]"]


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), width=st.integers(1, 50), height=st.integers(1, 20), raw=st.booleans())
def test_whatever_the_bytes_rows_fit_and_are_inert(tmp_path_factory, data, width, height, raw) -> None:
    path = tmp_path_factory.mktemp("log") / "out"
    path.write_bytes(data)
    page = pager(path).page(Request(width, height, raw=raw), NOW)
    assert len(page.rows) <= height
    for row in page.rows:
        assert not set(row.text) & {"\x1b", "\n", "\r", "\t", "\x9b", "\u202e"}


def test_raw_lines_are_cut() -> None:
    step = raw_step(b"z" * 100_000, 5_000_000)
    assert step.text.endswith("(5,000,000 bytes)")
    assert len(step.text) < 17_000


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=200), width=st.integers(2, 40)
)
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.expandtabs(4).split())
    assert cell_len(cut(text, width)) <= width
