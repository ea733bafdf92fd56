"""Long jobs that a worker hands over: its attempt ends only when they do."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import psutil
import pytest

from aura_engine import watching
from aura_engine.core import commands
from aura_engine.core.model import EndKind, RunStatus

HAND_OVER = 'echo "{\\"managed_subprocesses\\": [{\\"pid\\": $!, \\"kind\\": \\"training\\"}]}" > process.json'


def job(work: str) -> dict[str, str]:
    """Settings of a worker that starts this in the background, hands it over and ends at once."""
    script = f"cat > prompt.txt; ({work}) </dev/null >job.log 2>&1 & {HAND_OVER}"
    return {"FLASH_BACKEND": "command", "FLASH_COMMAND": f"sh -c {shlex.quote(script)}"}


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(watching, "JOB_LOOK", 0.05)


@pytest.mark.parametrize("wall", ["none", "bubblewrap"])
async def test_the_attempt_ends_when_the_job_does(stage, wall):
    async with stage.play(**job("sleep 0.5; echo hello > greeting.txt"), CONTAINMENT=wall) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert len(play.of("attempt_starting")) == 1
    assert not (stage.project / "process.json").exists()
    assert (stage.project / "greeting.txt").read_text() == "hello\n"


async def test_what_it_lists_falsely_holds_nothing_up(stage):
    script = 'echo hello > greeting.txt; sleep 60 & echo \'{"managed_subprocesses": [{"pid": 1}]}\' > process.json'
    settings = {"FLASH_BACKEND": "command", "FLASH_COMMAND": f"sh -c {shlex.quote(script)}"}
    async with stage.play(**settings) as play:
        assert await play.end() is RunStatus.ACHIEVED


async def test_its_time_counts_and_nothing_of_it_is_left(stage):
    async with stage.play(**job("sleep 60"), TASK_BUDGET="1s") as play:
        ended = await play.until(lambda event: event.kind == "worker_ended")
        assert ended.ending.kind is EndKind.OUT_OF_TIME
        await stage.eventually(lambda: not _still_there(play))


async def test_a_job_can_be_killed(stage):
    async with stage.play(**job("sleep 60")) as play:
        attempt = play.engine._options.paths.attempt("A1", 1)
        await play.until(lambda event: event.kind == "attempt_started")
        await stage.eventually(lambda: (attempt / "held").exists())
        assert play.engine.command(commands.Kill(task="A1")) == ""
        await play.until(lambda event: event.kind == "task_settled")
        await stage.eventually(lambda: not _still_there(play))


async def test_a_job_outlives_the_engine(stage):
    settings = job("while [ ! -e go ]; do sleep 0.02; done; echo hello > greeting.txt")
    async with stage.play(**settings) as play:
        paths = play.engine._options.paths
        await play.until(lambda event: event.kind == "attempt_started")
        await stage.eventually(lambda: (paths.attempt("A1", 1) / "held").exists())
    assert (paths.attempt("A1", 1) / "exit.json").exists()
    async with stage.play(**settings) as play:
        await play.until(lambda event: event.kind == "notice" and "adopted" in event.text)
        (paths.workspace("A1", 1) / "go").touch()
        assert await play.end() is RunStatus.ACHIEVED
    assert len(play.of("worker_ended")) == 1


def _still_there(play) -> list[int]:
    """Processes of the first attempt's shim that live."""
    found = json.loads(Path(play.engine._options.paths.attempt("A1", 1), "process.json").read_text())
    pid = found["shim"]["pid"]
    try:
        return [each.pid for each in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
