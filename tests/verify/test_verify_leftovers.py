"""What a command left is found though ids have gone round, and though it shows nothing while it becomes another."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator

import pytest

from aura_engine.verify import leftovers

Left = tuple[subprocess.Popen[bytes], str]


@pytest.fixture
def left() -> Iterator[Left]:
    """A process of a session of its own that carries a command's mark, and the token of that mark."""
    token = secrets.token_hex(16)
    process = subprocess.Popen(
        ["sleep", "1000"], env={**os.environ, leftovers.MARK: token}, start_new_session=True, stdin=subprocess.DEVNULL
    )
    yield process, token
    process.kill()
    process.wait(timeout=10)


def is_killed(process: subprocess.Popen[bytes]) -> bool:
    return process.wait(timeout=10) == -signal.SIGKILL


async def test_ids_that_went_round_during_a_long_command_hide_nobody(left: Left, monkeypatch) -> None:
    process, token = left
    leader = process.pid + 1
    monkeypatch.setattr(leftovers, "_newest_pid", lambda: leader + 1)  # passed the command's own once more
    await leftovers.sweep(token, leader, alive=False, ran=leftovers._SHORT)
    assert is_killed(process)


async def test_ids_that_have_begun_anew_hide_nobody(left: Left, monkeypatch) -> None:
    process, token = left
    monkeypatch.setattr(leftovers, "_newest_pid", lambda: process.pid)
    await leftovers.sweep(token, process.pid + 1, alive=False, ran=0.0)
    assert is_killed(process)


@pytest.mark.parametrize("times", [1, len(leftovers._GLANCES) + 2], ids=["a moment", "until a thread looks"])
async def test_a_process_that_shows_nothing_for_a_moment_is_looked_at_again(left: Left, monkeypatch, times) -> None:
    process, token = left
    real, looks = leftovers._environ, iter(range(times))
    monkeypatch.setattr(
        leftovers, "_environ", lambda pid: "" if pid == process.pid and next(looks, None) is not None else real(pid)
    )
    monkeypatch.setattr(leftovers, "_newest_pid", lambda: process.pid)
    await leftovers.sweep(token, process.pid - 1, alive=False, ran=0.0)
    assert is_killed(process)


async def test_who_never_shows_anything_holds_nobody_up(left: Left, monkeypatch) -> None:
    process, token = left
    monkeypatch.setattr(leftovers, "_environ", lambda pid: "")
    monkeypatch.setattr(leftovers, "_newest_pid", lambda: process.pid)
    await leftovers.sweep(token, process.pid - 1, alive=False, ran=0.0)
    assert process.poll() is None
