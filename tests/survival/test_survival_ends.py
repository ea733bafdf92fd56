"""Whatever way a run ends: all that can be read of it is written, and whole, before its lock goes."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from survival_ground import Ground

from aura_engine.cli.options import events_of
from aura_engine.demo.server import ScriptedModel
from aura_engine.journal.lock import owner

GOING = "lock.going=kill9"


def status_of(run: Path) -> dict[str, Any]:
    """What `aura status` reads."""
    return json.loads((run / "state" / "status.json").read_text())


def is_whole(run: Path, status: str) -> None:
    """Its papers tell the end, though its engine was killed the moment before it let go of the run."""
    said = status_of(run)
    last, _ = list(events_of(run))[-1]
    assert (said["status"], last.kind) == (status, "run_ended")
    assert said["seq"] == len(list(events_of(run)))
    for name in ("report.html", "report.md"):
        assert list(run.glob(f"**/{name}")), name
    assert status in (run / "state" / "progress.md").read_text()
    assert not (run / "socket").exists()


def test_that_reaches_its_goal(make_ground: Callable[..., Ground]):
    ground = make_ground(tasks=2, workers=2, naps=(0.0,))
    with ScriptedModel(ground.brain) as model:
        assert ground.live(model.url, fault=GOING).killed
    assert ground.run is not None
    is_whole(ground.run, "achieved")
    assert ground.after_kill() == []


def test_that_is_stopped(make_ground: Callable[..., Ground]):
    ground = make_ground(tasks=2, workers=2, naps=(0.3,), needs=False)
    with ScriptedModel(ground.brain) as model:
        engine = ground.start(model.url, GOING)
        while not ground.at_work() and engine.poll() is None:
            time.sleep(0.02)
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(30) == -signal.SIGKILL
        assert ground.run is not None
        is_whole(ground.run, "interrupted")
        assert ground.after_kill() == []
        death = ground.live(model.url)  # takes up what goes on
    assert ground.after_end(death) == []


def test_that_fails(make_ground: Callable[..., Ground]):
    ground = make_ground(tasks=2, workers=2, naps=(0.0,))
    with ScriptedModel(ground.brain) as model:
        death = ground.live(model.url, fault=f"recovery.begin=enospc,{GOING}")
        assert death.killed, death.stderr
        assert ground.run is not None
        is_whole(ground.run, "failed")
        assert owner(ground.run / "lock") is None
        death = ground.live(model.url)
    assert ground.after_end(death) == []
