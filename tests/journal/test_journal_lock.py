from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_engine.errors import JournalError, OwnedError
from aura_engine.journal.lock import Owner, OwnerLock, owner

HOLD = """
import subprocess, sys
from pathlib import Path
from aura_engine.journal.lock import OwnerLock
lock = OwnerLock.acquire(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_second_engine_is_kept_out_and_told_who_is_in(lock_file: Path) -> None:
    with OwnerLock.acquire(lock_file):
        with pytest.raises(OwnedError, match=f"process {os.getpid()} on {socket.gethostname()}") as caught:
            OwnerLock.acquire(lock_file)
        assert caught.value.exit_status == 4
        assert caught.value.cure
        who = owner(lock_file)
        assert who is not None
        assert who.pid == os.getpid()
        assert who.started > 0
    assert owner(lock_file) is None
    with OwnerLock.acquire(lock_file):
        pass


def test_asking_who_owns_it_makes_no_file(lock_file: Path) -> None:
    assert owner(lock_file) is None
    assert not lock_file.exists()


def test_a_dead_engines_lock_is_taken_although_its_child_lives(
    lock_file: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    engine = python(HOLD, lock_file)
    assert engine.stdout is not None
    child = int(engine.stdout.readline())
    try:
        with pytest.raises(OwnedError, match=f"process {engine.pid}"):
            OwnerLock.acquire(lock_file)
        engine.kill()
        engine.wait(10)
        os.kill(child, 0)
        with OwnerLock.acquire(lock_file):
            who = owner(lock_file)
            assert who is not None
            assert who.pid == os.getpid()
    finally:
        os.kill(child, 9)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1, "shoe": 2}', "x" * 100_000])
def test_whatever_stands_in_the_file(lock_file: Path, content: str) -> None:
    lock_file.write_text(content)
    with OwnerLock.acquire(lock_file):
        lock_file.write_text(content)
        assert owner(lock_file) == Owner()
        with pytest.raises(OwnedError, match="another process"):
            OwnerLock.acquire(lock_file)


def test_released_twice(lock_file: Path) -> None:
    lock = OwnerLock.acquire(lock_file)
    lock.release()
    lock.release()


def test_a_link_in_its_place_is_not_followed(lock_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    lock_file.symlink_to(target)
    with pytest.raises(JournalError):
        OwnerLock.acquire(lock_file)
    assert target.read_text() == "keep"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="could not be opened"):
        OwnerLock.acquire(tmp_path / "missing" / "lock")
