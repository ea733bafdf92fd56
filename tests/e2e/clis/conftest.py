"""Real CLIs: one at a time, in a network of their own, and what they leave behind is looked for."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

KEYS = {"flash": "sk-canary-flash-3f9a1c55d2e84b70", "pro": "sk-canary-pro-b1d07e64c3954a28"}
TURN_LIMIT = 900.0
"""Seconds that a test waits for the CLIs of other tests to be done."""
CLONE_NEWNET, CAP_SYS_ADMIN, SIOCSIFFLAGS, IFF_UP = 0x40000000, 21, 0x8914, 0x1
NOT_ROUTABLE = ("192.0.2.1", 9)


class Traces:
    """What a run leaves on the machine."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders

    def files_with(self, needle: str) -> list[Path]:
        """All files of the test that hold this text."""
        found: list[Path] = []
        for path in (path for folder in self.folders for path in folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a run is going on
                if path.is_file() and needle.encode() in path.read_bytes():
                    found.append(path)
        return found

    def of_keys(self) -> list[object]:
        """Files and command lines in which a key stands."""
        return [trace for key in KEYS.values() for trace in (*self.files_with(key), *self.processes_with(key))]

    def processes_with(self, words: str) -> list[str]:
        """Command lines that hold these words."""
        lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        return [line for line in lines if words in line]

    def workers(self) -> list[psutil.Process]:
        """Processes of this test's workers: by the folder they work in, or by their HOME."""
        state = os.environ["XDG_STATE_HOME"]
        return [
            process
            for process in psutil.process_iter(["cwd", "environ"])
            if (process.info["cwd"] or "").startswith(state)
            or (process.info["environ"] or {}).get("HOME", "").startswith(state)
        ]


@pytest.fixture
def keys() -> dict[str, str]:
    """Each role's key: nothing but the model's service may ever see one."""
    return KEYS


@pytest.fixture
def traces(tmp_path: Path, hermetic: Path) -> Traces:
    """See Traces."""
    return Traces(tmp_path, hermetic)


@pytest.fixture(autouse=True)
def real(
    traces: Traces, eventually: Callable[[Callable[[], Any]], Any], tmp_path_factory: pytest.TempPathFactory
) -> Generator[None]:
    """Never two tests side by side, nothing reaches out of the machine, no process is left behind."""
    with one_at_a_time(tmp_path_factory.getbasetemp().parent / "cli.lock"), alone():
        try:
            yield
            eventually(lambda: not traces.workers())
        finally:
            for process in traces.workers():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


@contextlib.contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Each of them takes up to a gigabyte and both cores: other processes of this test run have to wait."""
    deadline = time.monotonic() + TURN_LIMIT
    with lock.open("w") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield


def may_unshare() -> bool:
    """Whether this process may have a network of its own, as root on Linux may."""
    status = Path("/proc/self/status")
    found = re.search(r"^CapEff:\s*(\w+)", status.read_text(), re.MULTILINE) if status.exists() else None
    return bool(found and int(found[1], 16) >> CAP_SYS_ADMIN & 1)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """This thread, and all it starts, in a network of nothing but loopback; nothing may try to leave it.

    Where that is not permitted everything stays as it is.
    """
    if not may_unshare():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            with socket.socket() as probe:
                fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
            yield
            assert ways_out() == 0
            with socket.socket() as probe, pytest.raises(OSError, match="unreachable"):
                probe.connect(NOT_ROUTABLE)
            assert ways_out() == 1  # the counter does notice
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def ways_out() -> int:
    """How often anything in this thread's network tried to reach another machine or a name server."""
    net = Path("/proc/thread-self/net")
    lines = (net / "snmp").read_text().splitlines()
    count = 0
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        counted = dict(zip(names.split(), values.split(), strict=True))
        wanted = {"Ip:": "OutNoRoutes", "Udp:": "NoPorts"}.get(names.split()[0])
        count += int(counted[wanted]) if wanted else 0
    lines = (net / "snmp6").read_text().splitlines() if (net / "snmp6").exists() else []
    return count + sum(int(line.split()[1]) for line in lines if line.startswith("Ip6OutNoRoutes"))
