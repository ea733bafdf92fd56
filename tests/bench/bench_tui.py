"""The screen's figures, measured in a pseudo-terminal: 10,000 tasks, 8 workers that print 1,000 lines a second each.

    python tests/bench/bench_tui.py [--seconds 10] [--lines 1000000]      prints one JSON object

The screen runs in a process of its own over a link that holds a synthetic run; this process plays terminal and workers.
A key's time runs from its being written to the terminal until the row it selects is read back, painted.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import platform
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
TASKS, WORKERS, RATE = 10_000, 8, 1000
COLUMNS, ROWS = 160, 50
LAG_KEPT = 1500
"""Wake-ups of the engine's loop, 10 ms apart and what they were late, that its lag is told from."""
WORDS = "the quick brown fox looks at the tests and finds that one of them is not as it was"
TEXTUAL_FLOOR = """
from textual.app import App
from textual.widgets import Static
class Floor(App):
    def compose(self):
        yield Static("aura")
Floor().run()
"""


def line(number: int) -> str:
    """One line of a worker's stream, about 130 bytes."""
    return json.dumps({"event": "message", "text": f"{number:08} {WORDS}"}) + "\n"


def child(folder: Path, running: int) -> None:
    """The screen, on this process's terminal."""
    sys.path[:0] = [str(HERE.parent / "tui"), str(HERE.parent.parent)]
    from tui_fakes import FakeLink, many, story

    from aura_engine import garbage

    garbage.put_off()  # as the command does
    from aura_tui.app import AuraApp
    from aura_tui.base import Options

    outputs = {(f"A1.{item}", 1): folder / f"{item}.jsonl" for item in range(1, WORKERS + 1)}
    run = story() if running < 0 else many(TASKS, running=running)
    app = AuraApp(FakeLink(run, outputs), Options(theme="aura-dark"))

    threading.Thread(target=lambda: asyncio.run(beat(folder / "lag")), daemon=True).start()
    app.run()


async def beat(path: Path) -> None:
    """An engine's loop beside the screen's: how late it wakes from 10 ms of sleep, in milliseconds."""
    late: list[float] = []
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.01)
        late.append(1000 * (time.perf_counter() - start - 0.01))
        if len(late) % 100 == 0:
            late = late[-LAG_KEPT:]
            path.write_text(json.dumps(late))


def lag_p99(folder: Path) -> float:
    """In milliseconds, over the last LAG_KEPT wake-ups."""
    late = sorted(json.loads((folder / "lag").read_text()))
    return round(late[len(late) * 99 // 100], 1)


class Terminal:
    """A pseudo-terminal whose other end is the screen; what it prints is counted and can be waited for."""

    def __init__(self, argv: list[str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(HERE.parent.parent)}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        os.close(slave)
        self.bytes = 0
        self._tail = b""
        self._lock = threading.Condition()
        self.reading = threading.Event()
        """Cleared: nobody reads what the screen prints, as at the other end of a stalled line."""
        self.reading.set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            select.select([self.master], [], [])
            self.reading.wait()
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                return
            with self._lock:
                self.bytes += len(data)
                self._tail = (self._tail + data)[-(1 << 18) :]
                self._lock.notify_all()

    def forget(self) -> None:
        """What was printed so far is not waited for any more."""
        with self._lock:
            self._tail = b""

    def wait(self, pattern: bytes, limit: float = 30.0) -> float:
        """Seconds since the start of the process until the pattern is there."""
        wanted = re.compile(pattern)
        end = time.perf_counter() + limit
        with self._lock:
            while not wanted.search(self._tail):
                if not self._lock.wait(end - time.perf_counter()):
                    raise TimeoutError(pattern)
            return time.perf_counter() - self.started

    def key(self, key: bytes, pattern: bytes) -> float:
        """Seconds from a key to what it changes."""
        self.forget()
        start = time.perf_counter()
        os.write(self.master, key)
        self.wait(pattern)
        return time.perf_counter() - start

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


class Flood(threading.Thread):
    """The workers: each appends its lines in twenty bursts a second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.files = [(folder / f"{item}.jsonl").open("a") for item in range(1, WORKERS + 1)]
        self.stop = threading.Event()
        self.written = 0

    def run(self) -> None:
        start = time.monotonic()
        while not self.stop.wait(0.05):
            due = int((time.monotonic() - start) * RATE)
            for number in range(self.written, due):
                text = line(number)
                for file in self.files:
                    file.write(text)
            for file in self.files:
                file.flush()
            self.written = due

    def burst(self, count: int) -> None:
        """So many lines at once, spread over the workers."""
        block = "".join(line(number) for number in range(1000))
        for _ in range(count // 1000 // WORKERS):
            for file in self.files:
                file.write(block)
        for file in self.files:
            file.flush()


def measure(seconds: float, lines: int) -> dict[str, object]:
    """All figures. Bytes and shares per second; memory in MiB; times in milliseconds."""
    found: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "tasks": TASKS,
        "terminal": f"{COLUMNS}x{ROWS}",
    }
    floor = Terminal([sys.executable, "-c", TEXTUAL_FLOOR])
    found["first_paint_textual_ms"] = round(1000 * floor.wait(rb"aura"))
    floor.close()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found |= idle(folder, seconds)
        found |= flooded(folder, seconds, lines)
    return found


def idle(folder: Path, seconds: float) -> dict[str, object]:
    """Nothing runs: first paint, bytes and CPU of a screen that is left alone."""
    paints: list[float] = []
    for _ in range(5):
        terminal = Terminal([sys.executable, __file__, "--child", str(folder), "-1"])
        paints.append(terminal.wait(rb"A2\.3"))
        terminal.close()
    terminal = Terminal([sys.executable, __file__, "--child", str(folder), "0"])
    terminal.wait(rb"A1\.20")
    time.sleep(3)
    process = psutil.Process(terminal.process.pid)
    cpu, sent = process.cpu_times(), terminal.bytes
    time.sleep(seconds)
    after = process.cpu_times()
    spent = after.user + after.system - cpu.user - cpu.system
    figures = {
        "first_paint_ms": round(1000 * statistics.median(paints)),
        "first_paint_best_ms": round(1000 * min(paints)),
        "idle_bytes_per_s": round((terminal.bytes - sent) / seconds),
        "idle_cpu_percent": round(100 * spent / seconds, 1),
    }
    terminal.close()
    return figures


def flooded(folder: Path, seconds: float, lines: int) -> dict[str, object]:
    """All workers print: keys, bytes, CPU, memory."""
    flood = Flood(folder)
    flood.start()
    terminal = Terminal([sys.executable, __file__, "--child", str(folder), str(WORKERS)])
    terminal.wait(rb"A1\.20")
    time.sleep(3)
    process = psutil.Process(terminal.process.pid)
    cpu, sent = process.cpu_times(), terminal.bytes
    time.sleep(seconds)
    after = process.cpu_times()
    spent = after.user + after.system - cpu.user - cpu.system
    bytes_per_second = (terminal.bytes - sent) / seconds
    times: list[float] = []
    row = 1
    for _ in range(100):
        row += 1
        group, item = divmod(row - 1, 21)
        wanted = f"A{group + 1}.{item} " if item else f"A{group + 1} "
        times.append(1000 * terminal.key(b"\x1b[B", re.escape(wanted).encode()))
        time.sleep(0.05)
    lag = lag_p99(folder)
    terminal.reading.clear()
    time.sleep(2 + LAG_KEPT * 0.01)  # until none is left of before
    unread = lag_p99(folder)
    terminal.reading.set()
    before = process.memory_info().rss
    flood.burst(lines)
    time.sleep(8)
    grown = process.memory_info().rss - before
    times.sort()
    figures = {
        "lines_per_s_per_worker": RATE,
        "key_to_frame_ms_p50": round(statistics.median(times), 1),
        "key_to_frame_ms_p95": round(times[94], 1),
        "key_to_frame_ms_max": round(times[-1], 1),
        "engine_loop_lag_ms_p99": lag,
        "engine_loop_lag_ms_p99_unread": unread,
        "bytes_per_s": round(bytes_per_second),
        "cpu_percent": round(100 * spent / seconds, 1),
        "memory_mib": round(before / 2**20, 1),
        "memory_grown_mib": round(grown / 2**20, 1),
        "lines_in_the_burst": lines,
    }
    terminal.close()
    flood.stop.set()
    flood.join()
    for file in flood.files:
        file.close()
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--seconds", type=float, default=10.0)
        parser.add_argument("--lines", type=int, default=1_000_000)
        arguments = parser.parse_args()
        print(json.dumps(measure(arguments.seconds, arguments.lines), indent=2))
