"""No output of a worker can fill the engine's memory or break its parsers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from lab_captures import CAPTURES, a_job
from lab_matrix import BACKENDS, TEXT

from aura_engine.core.model import EndKind, ExitRecord
from aura_engine.workers.base import Seen, StreamParser
from aura_engine.workers.table import make_backend
from aura_engine.workers.tail import CHUNK

MB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")


def one_parser(backend: str) -> StreamParser:
    return make_backend(backend).parser(a_job(backend))


def peak_growth(parser: StreamParser, chunks: Iterable[bytes]) -> int:
    """Bytes by which this process's memory grew at most while the chunks were read."""

    def figure(name: str) -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) << 10

    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what it holds
    before = figure("VmRSS")
    for chunk in chunks:
        parser.feed(chunk)
    return figure("VmHWM") - before


def goes_on(backend: str, parser: StreamParser) -> bool:
    """Whether a whole run that follows is still understood."""
    if backend in TEXT:
        return [signal.text for signal in parser.feed(b"\nstill here\n")][-1].endswith("still here")
    seen = Seen()
    name = "ok" if backend != "acp" else "qwen"
    stdout = next((one.stdout for one in CAPTURES if (one.backend, one.name) == (backend, name)), b"")
    stdout = stdout or b'{"event": "result", "status": "finished", "summary": "done"}\n'
    seen.add_all([*parser.feed(b"\n" + stdout), *parser.close()])
    return seen.finished is not None


@linux
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_line_of_100_mb_is_passed_over_in_bounded_memory(backend):
    parser = one_parser(backend)
    chunk = b"x" * CHUNK
    assert peak_growth(parser, (chunk for _ in range(100 * MB // CHUNK))) < 12 * MB
    assert goes_on(backend, parser)


@linux
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name not in TEXT])
def test_a_message_of_100_mb_is_passed_over_in_bounded_memory(backend):
    """One that begins as a good line does."""
    parser = one_parser(backend)
    good = next((one.stdout for one in CAPTURES if one.backend == backend), b'{"event": "message", "text": "')
    start = good.splitlines()[-1].rstrip(b'"}')[:200]
    chunks = (start if number == 0 else b"\\n" * (CHUNK // 2) for number in range(100 * MB // CHUNK))
    assert peak_growth(parser, chunks) < 12 * MB
    assert goes_on(backend, parser)


@linux
@pytest.mark.parametrize("backend", ["claude", "command"])
def test_a_flood_of_200_000_lines_is_read_in_bounded_memory(backend):
    parser = one_parser(backend)
    line = b'{"type": "zz_new", "event": "zz_new"}\n'
    per_chunk = CHUNK // len(line)
    assert peak_growth(parser, (line * per_chunk for _ in range(200_000 // per_chunk))) < 32 * MB
    assert goes_on(backend, parser)


@pytest.mark.parametrize("backend", BACKENDS)
def test_broken_lines_of_real_output_raise_nothing(backend):
    """Each line of each capture with some bytes of it changed, cut out or doubled."""
    dice = random.Random(20_261_122)
    lines = [line for one in CAPTURES if one.backend == backend for line in one.stdout.splitlines()]
    lines = lines or [b'{"event": "usage", "input": 1, "output": 2, "turns": 3}', b'{"event": "tool", "name": "run"}']
    parser, seen = one_parser(backend), Seen()
    for line in dice.choices(lines, k=500):
        at, to = sorted(dice.choices(range(len(line)), k=2))
        middle = dice.choice([b"", line[at:to] * 2, bytes(dice.choices(range(256), k=3)), b"null", b"-1e999", b"{}"])
        seen.add_all(parser.feed(line[:at] + middle + line[to:] + b"\n"))
        parser.replies()
    seen.add_all(parser.close())
    assert make_backend(backend).ending(ExitRecord(code=1), seen, "").kind is not EndKind.FINISHED
