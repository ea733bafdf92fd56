"""The screen in a real pseudo-terminal: first paint, keys, resizes, a terminal that is not read, and how it is left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIMIT = 20.0


class Terminal:
    """A terminal of 100 by 30 with the screen on it."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.master, slave = pty.openpty()
        self.resize(100, 30)
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        env |= {"CHILD_THEME": "aura-dark", **more}
        for size in ("COLUMNS", "LINES"):  # they would outweigh the terminal's own
            env.pop(size, None)
        env["PYTHONPATH"] = f"{HERE}{os.pathsep}{HERE.parent.parent}"
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "tui_child.py"), str(folder)],
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, limit: float) -> bool:
        """Read once, waiting at most so long; False when there was nothing or the other end has gone."""
        if not select.select([self.master], [], [], max(0.0, limit))[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def wait(self, pattern: str) -> None:
        """Until the pattern was painted."""
        end = time.monotonic() + LIMIT
        while not re.search(pattern.encode(), self.seen):
            assert time.monotonic() < end, f"{pattern} was not painted; the end of what was: {self.seen[-800:]!r}"
            assert self.read(0.2) or self.process.poll() is None, self.seen[-2000:].decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        self.seen = b""
        os.write(self.master, keys.encode())

    def left(self) -> int:
        """Its exit status, once it has left."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < end, "it did not leave"
            self.read(0.05)
        while self.read(0.1):
            pass
        return self.process.returncode


@pytest.fixture
def screen_on(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Makes the terminal, with more in its environment."""
    (tmp_path / "out").write_text(json.dumps({"event": "message", "text": "hello from the worker"}) + "\n")
    made: list[Terminal] = []

    def make(**more: str) -> Terminal:
        made.append(Terminal(tmp_path, **more))
        return made[-1]

    yield make
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        with contextlib.suppress(OSError):  # a test has closed it
            os.close(each.master)


@pytest.fixture
def terminal(screen_on: Callable[..., Terminal]) -> Terminal:
    return screen_on()


def test_first_paint_keys_and_a_clean_way_out(terminal: Terminal) -> None:
    terminal.wait("Slippage")
    terminal.wait("hello from the worker")
    hostile = (b"\x1b]52", b"\x1b]0;owned", b"\xc2\x9b", "\u202e".encode())
    assert not [bad for bad in hostile if bad in terminal.seen]
    log = terminal.folder / "log"
    end = time.monotonic() + LIMIT
    while "C CODE COMPLAINS" not in log.read_text():
        assert time.monotonic() < end
        terminal.read(0.05)
    assert b"COMPLAINS" not in terminal.seen, "what others write to standard error is not in the picture"
    terminal.press("q")
    terminal.wait("Leave the run going")
    terminal.press("\r")
    assert terminal.left() == 0
    assert (terminal.folder / "returned").read_text() == "background: True"
    assert b"afterwards" in terminal.seen
    for restored in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l"):
        assert restored in terminal.seen, "alternate screen, cursor and mouse as they were"


def test_three_hundred_resizes_in_a_burst(terminal: Terminal) -> None:
    terminal.wait("Slippage")
    for number in range(300):
        terminal.resize(1 + number * 7 % 250, 1 + number * 3 % 80)
        terminal.read(0.0)
    terminal.resize(1, 1)
    terminal.resize(100, 30)
    terminal.seen = b""
    terminal.wait("Gradient")
    terminal.press("P")
    terminal.wait("paused")


def test_a_terminal_that_is_not_read_holds_nothing_up(terminal: Terminal) -> None:
    terminal.wait("Slippage")
    beats = terminal.folder / "beats"
    with (terminal.folder / "out").open("a") as out:
        start = time.monotonic()
        while time.monotonic() < start + 1.5:
            # The tree goes up and down and the output flows, until the terminal's buffer is full.
            os.write(terminal.master, b"\x1b[B\x1b[B\x1b[A")
            out.writelines(json.dumps({"event": "message", "text": f"line {n} " * 9}) + "\n" for n in range(20))
            out.flush()
            select.select([], [], [], 0.01)
    times = [float(line) for line in beats.read_text().splitlines()[:-1] if float(line) > start]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) > 20
    assert max(gaps) < 0.5
    terminal.wait("line 19")
    terminal.press("P")
    terminal.wait("paused")


def test_down_to_one_cell_and_back(terminal: Terminal) -> None:
    terminal.wait("Slippage")
    terminal.resize(1, 1)
    terminal.press("P")
    terminal.resize(100, 30)
    terminal.wait("paused")
    terminal.press("q")
    terminal.wait("Leave the run going")


def colours(seen: bytes) -> set[str]:
    """Which kinds of colours were painted: `full` ones, or the `sixteen` that a terminal names."""
    found: set[str] = set()
    for style in re.findall(rb"\x1b\[([0-9;]+)m", seen):
        rest, count = re.subn(rb"[34]8;(?:2;\d+;\d+;\d+|5;\d+)", b"", style)
        found |= {"full"} if count else set()
        named = [int(code) for code in rest.split(b";") if code]
        found |= {"sixteen"} if any(30 <= code <= 47 or 90 <= code <= 107 for code in named if code % 10 < 8) else set()
    return found


@pytest.mark.parametrize(
    ("environment", "painted", "ascii_only"),
    [
        ({"TERM": "xterm-256color"}, {"full"}, False),
        ({"TERM": "xterm", "COLORTERM": "", "CHILD_THEME": ""}, {"sixteen"}, False),
        ({"TERM": "linux", "COLORTERM": "", "CHILD_THEME": ""}, {"sixteen"}, True),
        ({"NO_COLOR": "1"}, set(), False),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"full"}, True),
    ],
    ids=["all colours", "sixteen colours", "the console", "no colours", "no Unicode"],
)
def test_it_keeps_to_what_the_terminal_can(
    screen_on: Callable[..., Terminal], environment: dict[str, str], painted: set[str], ascii_only: bool
) -> None:
    terminal = screen_on(**environment)
    terminal.wait("Slippage")
    terminal.wait("hello from the worker")
    assert colours(terminal.seen) == painted
    assert terminal.seen.isascii() is ascii_only


def test_a_widget_that_raises_leaves_terminal_and_engine_whole(terminal: Terminal) -> None:
    terminal.wait("Slippage")
    terminal.process.send_signal(signal.SIGUSR1)
    assert terminal.left() == 1
    for restored in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l"):
        assert restored in terminal.seen
    assert b"The screen broke (ValueError: cannot paint 16)" in terminal.seen
    assert b"Traceback" not in terminal.seen
    assert b"local variable" not in terminal.seen
    assert "in render_line" in (terminal.folder / "log").read_text()
    times = [float(line) for line in (terminal.folder / "beats").read_text().splitlines()[:-1]]
    assert len([at for at in times if at > float((terminal.folder / "broke").read_text())]) >= 5
    assert max(after - before for before, after in pairwise(times)) < 0.5


def test_a_hang_up_ends_the_screen_and_nothing_else(terminal: Terminal) -> None:
    terminal.wait("Slippage")
    os.close(terminal.master)
    os.killpg(terminal.process.pid, signal.SIGHUP)
    assert terminal.process.wait(LIMIT) == 0
    assert (terminal.folder / "returned").read_text() == "background: False"
