"""Real workers that say nothing: who works, who only waits."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from aura_engine.guard.activity import Limits, take
from aura_engine.guard.pulse import Pulse
from aura_engine.guard.sockets import tcp_bytes

SHORT = Limits(first_output=0.3, no_event=0.3)
"""For silences that are 0.3 s long."""
BARE = json.dumps([sys.executable, "-I", "-S", "-c"])
"""How a worker starts a Python program of its own."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")


def child(program: str, *args: object, wait: bool = True, **how: str) -> str:
    """A program that runs another as a tool, its output caught."""
    options = ", ".join(f"{name}={value}" for name, value in ({"stdout": "subprocess.DEVNULL"} | how).items())
    started = f"subprocess.Popen({BARE} + {[program, *map(str, args)]!r}, {options})"
    return f"import subprocess, sys, time\np = {started}\n" + ("p.wait()" if wait else "time.sleep(60)")


@contextmanager
def serving(answer) -> Iterator[int]:
    """A TCP server on loopback: calls `answer(connection)` for each connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def dripping(connection: socket.socket) -> None:
    """A slow server: about 20 kB a second."""
    while True:
        connection.sendall(b"x" * 200)
        time.sleep(0.01)


async def test_one_that_sleeps_is_hung(watch):
    watched = await watch("import time; time.sleep(60)")
    verdict = await watched.verdict(SHORT, lambda verdict: verdict.hung)
    assert verdict.hung
    assert "no file changed" in verdict.words
    assert verdict.words.endswith("no child")


async def test_one_whose_child_sleeps_is_hung(watch):
    watched = await watch(child("import time; time.sleep(60)"))
    verdict = await watched.verdict(SHORT, lambda verdict: verdict.hung and "no child doing I/O" in verdict.words)
    assert verdict.hung
    assert "in 3 processes, no child doing I/O" in verdict.words


async def test_a_silent_build_is_alive(watch):
    watched = await watch(child("while True: pass"))
    verdict = await watched.verdict(SHORT, lambda verdict: "CPU" in verdict.words and verdict.alive)
    assert verdict.alive
    assert "s of CPU" in verdict.words


async def test_cpu_of_workers_that_come_and_go_counts(watch):
    burst = "import time\nwhile time.process_time() < 0.05: pass"
    forker = f"import subprocess\nwhile True: subprocess.run({BARE} + [{burst!r}])"
    watched = await watch(child(forker))
    verdict = await watched.verdict(SHORT, lambda verdict: verdict.alive and "CPU" in verdict.words)
    assert "s of CPU" in verdict.words


async def test_cpu_of_orphans_counts(watch):
    burst = "import os, time\nif os.fork(): os._exit(0)\nwhile time.process_time() < 0.3: pass"
    watched = await watch(child(burst, wait=False))
    before = take(watched.place, time.monotonic())
    verdict = await watched.verdict(SHORT, lambda verdict: verdict.alive, before=before)
    assert "s of CPU" in verdict.words


async def test_a_file_written_now_and_then_is_life(watch):
    watched = await watch("import time\nwhile True:\n open('a.log', 'a').write('.')\n time.sleep(0.05)")
    verdict = await watched.verdict(SHORT, lambda verdict: "files changed" in verdict.words)
    assert "files changed" in verdict.words


SLOW_WRITER = """
import sys, time
with open(sys.argv[1], 'w') as file:
    while True:
        file.write('x' * 90)
        file.flush()
        time.sleep(0.05)
"""


@linux
async def test_a_child_that_writes_elsewhere_is_alive(watch, tmp_path):
    watched = await watch(child(SLOW_WRITER, tmp_path / "elsewhere"))
    verdict = await watched.verdict(SHORT, lambda verdict: "I/O by its children" in verdict.words)
    assert "I/O by its children" in verdict.words


@linux
async def test_what_the_program_itself_writes_elsewhere_is_not_life(watch, tmp_path, eventually):
    watched = await watch(SLOW_WRITER, tmp_path / "elsewhere")
    await eventually((tmp_path / "elsewhere").exists)
    verdict = await watched.verdict(SHORT, lambda verdict: verdict.hung)
    assert verdict.hung


@linux
async def test_a_program_below_a_launcher_is_still_the_program(watch, tmp_path, eventually):
    watched = await watch(child(SLOW_WRITER, tmp_path / "elsewhere", stdout="None"))
    await eventually((tmp_path / "elsewhere").exists)
    verdict = await watched.verdict(SHORT, lambda verdict: verdict.hung)
    assert verdict.hung
    assert "in 3 processes, no child" in verdict.words


READER = "import socket, sys\ns = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\nwhile s.recv(65536): pass"


@linux
async def test_a_slow_download_into_memory_is_alive(watch):
    # `recv` shows in no file of /proc: the kernel's own count of the connection does
    with serving(dripping) as port:
        watched = await watch(child(READER, port))
        calm = Limits(first_output=0.3, no_event=0.3, child_cpu=1.0)
        verdict = await watched.verdict(calm, lambda verdict: "I/O by its children" in verdict.words)
        assert "I/O by its children" in verdict.words
        assert verdict.alive


@linux
async def test_a_long_answer_of_the_model_is_life(watch):
    with serving(dripping) as port:
        watched = await watch(READER, port)
        calm = Limits(first_output=0.3, no_event=0.3, idle_cpu=1.0)
        verdict = await watched.verdict(calm, lambda verdict: "received from its model" in verdict.words)
        assert "received from its model" in verdict.words


RETRIES = """
import socket, sys, time
while True:
    with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as s:
        s.sendall(b'q' * 3000)
        s.recv(100)
    time.sleep(0.2)
"""


@linux
async def test_trying_again_for_ever_is_not_life(watch):
    asked = threading.Event()

    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"500 sorry")
        asked.set()

    with serving(refuse) as port:
        watched = await watch(RETRIES, port)
        await asyncio.to_thread(asked.wait, 20)
        verdict = await watched.verdict(SHORT, lambda verdict: verdict.hung, apart=1.0)
        assert verdict.hung


@linux
def test_the_kernel_tells_what_went_through_a_connection():
    with serving(lambda connection: connection.recv(100) and connection.sendall(b"y" * 5_000)) as port:
        with socket.create_connection(("127.0.0.1", port)) as here:
            here.sendall(b"q" * 70)
            got = b""
            while data := here.recv(65536):
                got += data
            inode = os.fstat(here.fileno()).st_ino
            received, sent = tcp_bytes()[inode]
        assert len(got) == 5_000
        assert received in (5_000, 5_001)  # the end of the stream may count for one
        assert sent <= 71


# ---- the pulse


async def test_a_silent_worker_is_found_hung_in_its_time(watch):
    watched = await watch("import time; time.sleep(60)")
    pulse = Pulse(watched.place, Limits(first_output=1.0))
    begun = time.monotonic()
    verdicts = []
    while not (verdicts and verdicts[-1].hung):
        await asyncio.sleep(pulse.due())
        if pulse.due() == 0:
            verdicts.append(await pulse.look())
        assert time.monotonic() - begun < 20
    assert time.monotonic() - begun >= 1.0
    assert len(verdicts) <= 8
    assert verdicts[-1].words.startswith("no output at all in")


async def test_a_busy_worker_is_looked_at_and_left_alone(watch):
    watched = await watch(child("while True: pass"))
    pulse = Pulse(watched.place, Limits(first_output=0.5))
    until = time.monotonic() + 1.5
    hung = [False]
    while time.monotonic() < until:
        await asyncio.sleep(pulse.due() or 0.001)
        if pulse.due() == 0:
            hung.append((await pulse.look()).hung)
    assert len(hung) > 3
    assert not any(hung)
