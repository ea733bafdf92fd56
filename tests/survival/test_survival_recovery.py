"""After a death: every living worker adopted in no time, none after a reboot, nothing of the dead left running."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from survival_ground import Ground

from aura_engine.core.state import RunState
from aura_engine.demo.server import ScriptedModel
from aura_engine.paths import RunPaths
from aura_engine.scratch import GONE, clear, put_aside, remove_aside, temporaries
from aura_engine.verify.leftovers import end_leftovers

WORKERS = 16
RECOVERED_IN = 5.0
PATIENCE = 60.0


def until(true: Callable[[], Any]) -> Any:
    """Waits for something outside to become true; what it is then."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def told(ground: Ground, kind: str) -> list[dict[str, Any]]:
    """Events of a kind that the engine of now has told."""
    lines = ground.told.read_bytes().split(b"\n")[:-1]
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def kill_all(ground: Ground) -> None:
    """What a power failure does."""
    for name in ground.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself
            psutil.Process(int(name.split()[0])).kill()
    until(lambda: not ground.processes())


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_sixteen_workers_are_adopted_within_seconds_and_nothing_they_say_is_lost(make_ground):
    ground = make_ground(tasks=WORKERS, workers=WORKERS, naps=(3.0,), needs=False)
    with ScriptedModel(ground.brain) as model:
        engine = ground.start(model.url)
        until(lambda: len(told(ground, "attempt_started")) == WORKERS)
        first = [line for line in ground.processes() if "shim" in line]
        engine.kill()
        engine.wait(10)
        engine = ground.start(model.url)
        notice = until(lambda: [e for e in told(ground, "notice") if "after the restart" in e["text"]])
        # From the lock on: how long a process takes to come up says more about what else the machine does.
        began, ended = (
            datetime.fromisoformat(event["time"]) for event in (told(ground, "engine_started")[0], notice[0])
        )
        took = (ended - began).total_seconds()
        print(f"{WORKERS} workers adopted in {took:.2f} s")
        assert notice[0]["text"].endswith(f"{WORKERS} adopted")
        assert {line.split()[0] for line in first} <= {line.split()[0] for line in ground.processes()}
        assert engine.wait(PATIENCE) == 0
    assert took < RECOVERED_IN, f"{took:.1f} s"
    assert ground.after_kill() == []
    assert set(ground.starts().values()) == {1}
    assert ground.run is not None
    for output in ground.run.glob("attempts/*/1/output.jsonl"):
        assert output.read_text().split("\n") == [*(f"line {n}" for n in range(1, 6)), ""]
    assert [end["ending"]["claims"].split("\n")[-1] for end in told(ground, "worker_ended")] == ["line 5"] * WORKERS


@pytest.mark.slow
def test_row_19_after_a_reboot_no_process_is_trusted_and_the_work_is_done_again(make_ground):
    ground = make_ground(tasks=3, workers=3, naps=(0.4,), needs=False)
    with ScriptedModel(ground.brain) as model:
        engine = ground.start(model.url)
        until(lambda: len(told(ground, "attempt_started")) == 3)
        kill_all(ground)
        assert engine.wait(10) == -9
        assert ground.run is not None
        for record in ground.run.glob("attempts/*/1/process.json"):
            # The same pids are somebody else's now: ours, in fact. Nobody may take us for a worker, or signal us.
            text = re.sub(r'"boot_id": ?"[^"]+"', '"boot_id": "an earlier boot"', record.read_text())
            record.write_text(re.sub(r'"pid": ?\d+', f'"pid": {os.getpid()}', text))
        death = ground.live(model.url)
    assert death.code == 0, death.stderr
    assert set(ground.starts().values()) == {2}, "what a reboot cut off is begun again"
    ground.ledger.write_text("A1\nA2\nA3\n")
    assert ground.after_end(death) == []


@pytest.mark.slow
def test_row_7_a_check_that_its_engine_left_running_is_ended_and_run_again(make_ground):
    ground = make_ground(tasks=1, workers=1, naps=(0.0,), check="sleep 7654; ")
    with ScriptedModel(ground.brain) as model:
        engine = ground.start(model.url)
        left = until(lambda: [line for line in ground.processes() if "sleep 7654" in line])
        engine.kill()
        engine.wait(10)
        assert ground.after_kill() == []
        engine = ground.start(model.url)
        until(lambda: told(ground, "notice"))
        again = until(lambda: {*ground.processes()} & {*filter(lambda line: "sleep 7654" in line, ground.processes())})
        assert not {line.split()[0] for line in left} & {line.split()[0] for line in again}
        engine.kill()
        engine.wait(10)
    kill_all(ground)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    made = RunPaths(tmp_path / "run", tmp_path / "scratch")
    for folder in (made.state, made.attempts, made.work, made.homes, made.checks):
        folder.mkdir(parents=True)
    return made


def test_what_a_killed_engine_left_is_out_of_the_way_at_once_and_what_is_needed_stays(paths: RunPaths):
    for name in ("A1-1", "idle-77-3"):
        (paths.work / name).mkdir()
    half = paths.state / ".progress.md.4711-0badcafe"
    half.touch()
    (paths.state / "progress.md").touch()
    put_aside(paths, RunState())
    assert list(paths.work.iterdir()) == []
    assert len(list((paths.scratch / GONE).iterdir())) == 2
    assert temporaries(paths.run) == []
    assert (paths.state / "progress.md").exists()
    put_aside(paths, RunState())
    remove_aside(paths)
    assert not (paths.scratch / GONE).exists()
    clear(paths, RunState())
    assert not paths.checks.exists()


def test_only_this_run_s_checks_are_ended(paths: RunPaths):
    def command(home: Path) -> subprocess.Popen[bytes]:
        env = {"HOME": str(home), "AURA_CHECK": "x", "PATH": os.environ["PATH"]}
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env)

    ours, others = command(paths.checks / "scratch" / "check-1"), command(paths.scratch.with_name("scratch-2") / "x")
    try:
        until(lambda: all("AURA_CHECK" in psutil.Process(each.pid).environ() for each in (ours, others)))
        assert end_leftovers(paths.scratch) == 1
        ours.wait(10)
        assert others.poll() is None
    finally:
        for each in (ours, others):
            each.kill()
            each.wait(10)
