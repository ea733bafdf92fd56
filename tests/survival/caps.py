"""Holds the caps against kill -9: many workers in parallel, the engine killed at random moments and started again.

`python tests/survival/caps.py [--trials 30] [--workers 8] [--seed N] [--step 4] [--json]`

The scripted model keeps the bill: every question counts from the moment it is asked. A trial is good when the run ends
as `budget` (exit status 3), no worker asked its model more than once after the bill had reached the cap, and the ledger
holds at least what was billed. While no engine lives nobody counts: a start has to be quicker than a step.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aura_engine.core.events import decode
from aura_engine.core.fold import fold
from aura_engine.demo.brains import plan_brain, task
from aura_engine.demo.script import Ask, Say, say, shell
from aura_engine.demo.server import ScriptedModel
from aura_engine.journal.store import Journal

TOKENS = 10_000
"""Of a step, more or less."""
STEPS = 5
"""Steps of each worker that the cap leaves room for, about."""
PATIENCE = 120.0
"""Seconds for a trial."""
BUDGET = 3
CHECK = {"name": "parts", "run": "test -f 0"}


@dataclasses.dataclass
class Bill:
    """What the model was asked for, and by whom after there was nothing left."""

    dice: random.Random
    step: float
    cap: int = 0
    total: int = 0
    asked: int = 0
    late: Counter[str] = dataclasses.field(default_factory=Counter[str])

    def worker(self, ask: Ask, attempt: int) -> list[Any]:
        """A worker that never comes to an end."""
        return [self._answer] * 1000

    def _answer(self, ask: Ask) -> Say:
        who = ask.prompt("# Task ").splitlines()[0]
        tokens = int(TOKENS * self.dice.uniform(0.8, 1.2))
        if self.total >= self.cap:
            self.late[who] += 1
        self.total += tokens
        self.asked += 1
        delay = self.step * self.dice.uniform(0.8, 1.2)
        return say(shell(ask, "true"), usage={"input": tokens - 100, "output": 100}, delay=delay)


@dataclasses.dataclass(frozen=True)
class Trial:
    """How one went."""

    seed: int
    status: int
    kills: int
    billed: int
    counted: int
    cap: int
    most_late: int
    """Steps that one worker began after the bill had reached the cap."""
    away: float
    """Seconds that no engine lived at a time, at most."""
    seconds: float

    @property
    def good(self) -> bool:
        """The cap held."""
        return self.status == BUDGET and self.most_late <= 1 and self.counted >= self.billed


def trial(seed: int, workers: int, step: float, folder: Path) -> Trial:
    """One run in a new folder."""
    dice = random.Random(seed)
    # The planner's own few thousand tokens leave the cap a little less than these steps.
    bill = Bill(dice, step, cap=int(workers * STEPS * TOKENS * dice.uniform(0.8, 1.2)))
    names = [f"Make part {number}" for number in range(workers)]
    plan = {"tasks": [task(name, f"test -f {name[-1]}") for name in names], "checks": [CHECK]}
    brain = plan_brain(plan, {"*": bill.worker})
    project = folder / f"trial-{seed}"
    project.mkdir()
    (project / "task.md").write_text("# Parts\n\nMake all parts.\n")
    began, kills, status, away = time.monotonic(), 0, -9, 0.0
    with ScriptedModel(brain) as model:
        moments = [dice.uniform(0.0, step * STEPS) for _ in range(dice.randint(1, 3))]
        while time.monotonic() - began < PATIENCE:
            died = time.monotonic()
            with (project / f"told.{kills}").open("wb") as told:
                engine = subprocess.Popen(
                    [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json", "-w", str(workers)],
                    cwd=project,
                    env=_environment(model.url, folder, bill.cap),
                    stdout=told,
                    stderr=subprocess.DEVNULL,
                )
            # A dead engine cannot be killed: the next death comes after it is back.
            while not told_of(project / f"told.{kills}") and engine.poll() is None:
                time.sleep(0.02)
            away = max(away, time.monotonic() - died) if kills else away
            try:
                status = engine.wait(moments.pop() if moments else PATIENCE)
                break
            except subprocess.TimeoutExpired:
                engine.kill()
                engine.wait()
                kills += 1
        time.sleep(step)  # whoever was not stopped would ask again
    counted = _counted(project)
    late = max(bill.late.values(), default=0)
    return Trial(seed, status, kills, bill.total, counted, bill.cap, late, away, time.monotonic() - began)


def told_of(path: Path) -> bool:
    """The engine has said something: it is up."""
    return path.stat().st_size > 0


def _environment(url: str, folder: Path, cap: int) -> dict[str, str]:
    settings = {
        "API_PROVIDER": "openai",
        "API_BASE_URL": f"{url}/v1",
        "API_KEY": "k",
        "API_MODEL": "demo-planner",
        "FLASH_BACKEND": "builtin",
        "FLASH_BASE_URL": url,
        "FLASH_API_KEY": "k",
        "FLASH_MODEL": "demo-flash",
        "WORKER_MODE": "flash-only",
        "MAX_TOKENS": str(cap),
        "MAX_TURNS": "1000",
        "CONTAINMENT": "none",
    }
    own = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    return {**os.environ, **own, **{f"AURA_{name}": value for name, value in settings.items()}}


def _counted(project: Path) -> int:
    """What the workers' share of the ledger is, by the journal."""
    (journal,) = project.glob(".aura/*/journal.db")
    rows = Journal.open(journal, writer=False).read()
    return fold((decode(row.kind, row.payload), row.time) for row in rows).worker_usage.tokens


def main() -> int:
    """Every trial, a line each; 1 when one was not good."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--trials", type=int, default=30)
    made.add_argument("--workers", type=int, default=8)
    made.add_argument("--seed", type=int, default=int(time.time()))
    made.add_argument("--step", type=float, default=4.0, help="seconds that the model takes")
    made.add_argument("--json", action="store_true")
    wanted = made.parse_args()
    found: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="aura-caps-") as folder:
        for number in range(wanted.trials):
            one = trial(wanted.seed + number, wanted.workers, wanted.step, Path(folder))
            found.append(one)
            over = (one.billed - one.cap) / TOKENS
            word = "good" if one.good else "BAD"
            print(
                f"{word}: seed {one.seed}, {one.kills} kills, billed {one.billed}, counted {one.counted}, "
                f"cap {one.cap} ({over:+.1f} steps), most steps begun past it by one worker {one.most_late}, "
                f"no engine for {one.away:.1f} s at most, exit {one.status}, {one.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    bad = [one.seed for one in found if not one.good]
    if wanted.json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))
    print(f"{len(found) - len(bad)} of {len(found)} good; bad seeds: {bad or 'none'}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
