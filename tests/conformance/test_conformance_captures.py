"""What real programs printed is told right: in whatever pieces it comes, cut anywhere, and with noise in between."""

from __future__ import annotations

import pytest
from lab_captures import CAPTURES, HERE, Capture, a_job

from aura_engine.core.model import Ending, EndKind, ExitRecord, SignalKind
from aura_engine.workers.base import Seen
from aura_engine.workers.table import make_backend

NOISE = (
    b'{"a": 1}',
    b"",
    b"null",
    b"[]",
    b"\xff\xfe\x00\x80",
    b"[" * 50_000,
    b'{"type": {"type": []}, "event": {}, "method": 7, "id": []}',
    b"npm warn deprecated",
)
all_of_them = pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.id)
done = [capture for capture in CAPTURES if capture.kind is EndKind.FINISHED]
failed = [capture for capture in CAPTURES if capture.kind is not EndKind.FINISHED]


def replay(capture: Capture, *, stdout: bytes | None = None, step: int = 0, exit: int | None = None) -> Ending:
    """The ending of a run, its output fed in pieces of `step` bytes."""
    backend = make_backend(capture.backend)
    parser, seen = backend.parser(a_job(capture.backend)), Seen()
    data = capture.stdout if stdout is None else stdout
    step = step or len(data) or 1
    for at in range(0, len(data), step):
        seen.add_all(parser.feed(data[at : at + step]))
    seen.add_all(parser.close())
    status = capture.exit if exit is None else exit
    record = ExitRecord(code=status if status >= 0 else None, signal=-status if status < 0 else None)
    return backend.ending(record, seen, capture.stderr)


def test_the_captures_are_there():
    for capture in CAPTURES:
        assert capture.stdout or capture.stderr, capture.id
    used = {(capture.backend, capture.name) for capture in CAPTURES}
    assert {(path.parent.name, path.stem) for path in HERE.glob("*/*")} <= used


@all_of_them
def test_it_ends_as_it_did(capture):
    found = replay(capture)
    assert found.kind is capture.kind, found
    assert bool(found.detail) == (capture.kind is not EndKind.FINISHED)
    assert found.detail.isprintable()


@all_of_them
@pytest.mark.parametrize("step", [7, 4096])
def test_it_ends_the_same_in_pieces(capture, step):
    assert replay(capture, step=step) == replay(capture)


@all_of_them
def test_noise_between_its_lines_changes_nothing(capture):
    noise = b"\n".join(NOISE) + b"\n"
    lines = capture.stdout.splitlines(keepends=True)
    assert replay(capture, stdout=noise + b"".join(line + noise for line in lines)) == replay(capture)


@pytest.mark.parametrize("capture", done, ids=lambda capture: capture.id)
def test_cut_before_its_last_word_it_is_no_success(capture):
    """Cut behind each line and in the middle of each, with exit status 0."""
    backend = make_backend(capture.backend)
    parser = backend.parser(a_job(capture.backend))
    lines = capture.stdout.splitlines(keepends=True)
    words = [any(signal.kind is SignalKind.FINISHED for signal in parser.feed(line)) for line in lines]
    first = words.index(True)
    for at in range(first + 1):
        before = b"".join(lines[:at])
        for cut in (before, before + lines[at][: len(lines[at]) // 2], before + lines[at][:-3]):
            assert replay(capture, stdout=cut, exit=0).kind is not EndKind.FINISHED, at


@pytest.mark.parametrize("capture", done, ids=lambda capture: capture.id)
def test_success_takes_exit_status_0(capture):
    assert replay(capture, exit=1).kind is EndKind.CRASHED
    assert replay(capture, exit=-11).kind is EndKind.CRASHED
    assert replay(capture, exit=-9).kind is EndKind.FINISHED  # we ended it, after its last word


@pytest.mark.parametrize("capture", failed, ids=lambda capture: capture.id)
def test_exit_status_0_makes_no_success_of_a_failure(capture):
    found = replay(capture, exit=0)
    assert found.kind is not EndKind.FINISHED
    said = b'"result"' in capture.stdout or b'"error"' in capture.stdout
    told_by_status = capture.kind in (EndKind.KILLED, EndKind.CRASHED, EndKind.OUT_OF_TURNS) or not said
    assert found.kind is capture.kind or told_by_status
