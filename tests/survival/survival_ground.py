"""A project whose run is to be killed again and again: many small tasks, and workers that keep a ledger.

The ledger lies outside of everything: each start of a worker adds one line, so whoever is run twice is found.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import aura_engine
from aura_engine.cli.fsck import examine_run
from aura_engine.cli.options import events_of
from aura_engine.core import events as ev
from aura_engine.demo.brains import PlanBrain, plan_brain, task
from aura_engine.demo.script import call as tool
from aura_engine.demo.server import ScriptedModel
from aura_engine.errors import AuraError

CHECKOUT = Path(aura_engine.__file__).parent.parent
SETTLE = 8.0
"""Seconds in which what a run leaves running must have gone."""
NAPS = (0.02, 0.02, 0.05, 0.05, 0.1, 0.1, 0.2, 1.0)
"""Seconds that a worker sleeps after each of its five lines."""
WORKER = """\
#!/bin/sh
# First line of the prompt: `# Task A1: Task 0 (0.25)`. The folder's name says which attempt it is.
read -r _ _ id _ _ nap
id=${id%:}
nap=${nap#(}
nap=${nap%)}
printf '%s %s\\n' "$id" "${PWD##*/}" >> LEDGER
for line in 1 2 3 4 5; do echo "line $line"; sleep "$nap"; done
echo "$id" > "out-$id.txt"
"""


@dataclass
class Death:
    """How one engine's life ended."""

    killed: bool
    where: str
    """The fault point, or the seconds at which it was killed."""
    code: int
    stderr: str
    lived: float


class Ground:
    """One project and one run in it, over as many engines as it takes."""

    limit = 150.0
    """Seconds in which a run must have come to its end when nobody kills it any more: longer is stuck."""

    def __init__(
        self,
        root: Path,
        *,
        tasks: int,
        workers: int,
        repository: bool = False,
        dice: random.Random | None = None,
        naps: Sequence[float] = NAPS,
        needs: bool = True,
        check: str = "",
    ) -> None:
        self.root = root
        self.tasks = tasks
        self.repository = repository
        self._workers = workers
        self.project = root / "project"
        self.project.mkdir(parents=True)
        (self.project / "notes.txt").write_text("the person's own\n")
        (self.project / "task.md").write_text("# Many\n\nMake the files.\n")
        self.ledger = root / "ledger"
        self.ledger.touch()
        self._worker = root / "worker"
        self._worker.write_text(WORKER.replace("LEDGER", str(self.ledger)))
        self._worker.chmod(0o755)
        if repository:
            git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
            for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
                subprocess.run([*git, *words], cwd=self.project, check=True, capture_output=True)
        self.brain = _planner(tasks, dice or random.Random(0), naps, needs, check)
        self.changes = 0
        self.told = root / "told.jsonl"
        """What the last engine told, an event a line."""
        self._said = root / "stderr"

    @property
    def run(self) -> Path | None:
        """The run's folder, once there is one with a journal."""
        found = list(self.project.glob(".aura/*/journal.db"))
        return found[0].parent if found else None

    def environment(self, url: str, fault: str) -> dict[str, str]:
        """Everything is the scripted model or the fake worker."""
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        wanted = {
            "HOME": str(self.root / "home"),
            "XDG_RUNTIME_DIR": "",
            "PYTHONPATH": str(CHECKOUT),
            "AURA_API_PROVIDER": "openai",
            "AURA_API_BASE_URL": f"{url}/v1",
            "AURA_API_KEY": "k",
            "AURA_API_MODEL": "m",
            "AURA_PRO_BACKEND": "command",
            "AURA_PRO_COMMAND": str(self._worker),
            "AURA_PRO_API_KEY": "k",
            "AURA_WORKER_MODE": "pro-only",
            "AURA_MAX_CONCURRENT_TASKS": str(self._workers),
            "AURA_CONTAINMENT": "none",  # the ledger lies outside of every wall
        }
        return keep | wanted | ({"AURA_FAULT": fault} if fault else {})

    def live(self, url: str, *, fault: str = "", kill_after: float | None = None, up: bool = False) -> Death:
        """One engine from its start to its death: at a fault point, after some seconds, or at the end of the run.

        `up`: the seconds count from where it has workers, so that a slow start is not all that is ever killed.
        """
        begun = time.monotonic()
        engine = self.start(url, fault)
        try:
            while up and engine.poll() is None and not self.at_work() and time.monotonic() < begun + self.limit:
                time.sleep(0.02)
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.wait(self.limit if kill_after is None else kill_after)
        finally:
            engine.kill()
            engine.wait(30)
        lived = time.monotonic() - begun
        stuck = kill_after is None and lived >= self.limit
        where = fault.partition("=")[0] or ("" if kill_after is None else f"{kill_after:.2f} s")
        killed = engine.returncode == -9 and not stuck
        return Death(killed, where, 0 if stuck else engine.returncode, self._said.read_text(errors="replace"), lived)

    def at_work(self) -> bool:
        """Whether an engine has said that a worker runs, or did."""
        told = self.told.read_bytes()
        return any(word in told for word in (b'"attempt_started"', b'"worker_ended"', b"after the restart"))

    def start(self, url: str, fault: str = "") -> subprocess.Popen[str]:
        """An engine in the background; what it tells of events goes to `told`."""
        with self._said.open("wb") as stderr, self.told.open("wb") as stdout:
            return subprocess.Popen(
                [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"],
                cwd=self.project,
                env=self.environment(url, fault),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
            )

    def person_writes(self) -> None:
        """The person goes on with a file of theirs, which no task touches."""
        self.changes += 1
        with (self.project / "notes.txt").open("a") as notes:
            notes.write(f"change {self.changes}\n")

    # ---- the oracle

    def after_kill(self) -> list[str]:
        """What is wrong with what a killed engine left."""
        found = self._twice()
        if self.run is not None:
            found += self._fsck()
        return found

    def after_end(self, death: Death) -> list[str]:
        """What is wrong at the end of the whole run."""
        if death.lived >= self.limit:
            return [f"stuck: no end within {self.limit:.0f} s"]
        if death.code != 0 or self.run is None:
            return [f"lost: the run ended with exit status {death.code}: {death.stderr[-500:]}"]
        found = self._twice() + self._fsck() + self._events() + self._delivered()
        until = time.monotonic() + SETTLE
        while (left := self.processes()) and time.monotonic() < until:
            time.sleep(0.1)
        return found + [f"leak: a process is left: {name}" for name in left]

    def starts(self) -> Counter[str]:
        """How often a worker was started, by task."""
        return Counter(line.split()[0] for line in self.ledger.read_text().splitlines())

    def _twice(self) -> list[str]:
        return [f"run twice: {name} was started {n} times" for name, n in self.starts().items() if n > 1]

    def _fsck(self) -> list[str]:
        assert self.run is not None
        try:
            points = examine_run(self.run)
        except AuraError as error:
            return [f"fsck: {error.line()}"]
        return [f"fsck {point.number}: {trouble}" for point in points for trouble in point.troubles]

    def _events(self) -> list[str]:
        assert self.run is not None
        landed: Counter[str] = Counter()
        planned = False
        found: list[str] = []
        for event, _ in events_of(self.run):
            match event:
                case ev.Landed():
                    landed[event.task] += 1
                case ev.PlanChanged(told=True):
                    planned = True
                case ev.PlannerAsked() if planned and any(key.startswith("goal_new") for key in event.triggers):
                    found.append("asked twice: the planner was asked for a plan that was in the journal")
                case _:
                    pass
        found += [f"landed twice: {name}" for name, n in landed.items() if n > 1]
        wanted = {f"A{number}" for number in range(1, self.tasks + 1)}
        found += [f"lost: {name} never landed" for name in sorted(wanted - landed.keys())]
        return found + [f"lost: {name} was never run" for name in sorted(wanted - self.starts().keys())]

    def _delivered(self) -> list[str]:
        found: list[str] = []
        for number in range(1, self.tasks + 1):
            name = f"out-A{number}.txt"
            if self._content(name) != f"A{number}\n":
                found.append(f"lost: {name} was not delivered")
        notes = "the person's own\n" + "".join(f"change {n}\n" for n in range(1, self.changes + 1))
        if (self.project / "notes.txt").read_text() != notes:
            found.append("lost: the person's own file was changed")
        strays = [path.name for path in self.project.iterdir() if path.name.startswith(".aura-")]
        return found + [f"leak: {name} in the project" for name in strays]

    def _content(self, name: str) -> str:
        if not self.repository:
            path = self.project / name
            return path.read_text() if path.is_file() else ""
        shown = subprocess.run(
            ["git", "show", f"aura/task:{name}"], cwd=self.project, capture_output=True, text=True, check=False
        )
        return shown.stdout

    def processes(self) -> list[str]:
        """What still runs of this ground: told by its HOME, or by where it stands."""
        own = str(self.root)
        found: list[str] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("HOME", "").startswith(own) or process.cwd().startswith(own):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        return found

    def close(self) -> None:
        """Nothing is looked at any more."""

    def remove(self) -> None:
        """Take all of it away."""
        shutil.rmtree(self.root, ignore_errors=True)

    def keep(self, told: dict[str, Any]) -> None:
        """Leave it for somebody to look at, with what is known of it."""
        (self.root / "failure.json").write_text(json.dumps(told, indent=2))


def _planner(tasks: int, dice: random.Random, naps: Sequence[float], needy: bool, check: str) -> PlanBrain:
    """Every fifth task waits for an earlier one, every tenth has a check that takes a moment."""
    planned: list[dict[str, Any]] = []
    for number in range(tasks):
        nap = dice.choice(naps)
        needs = [f"task-{number - 4}"] if needy and number % 5 == 4 else []
        slow = "sleep 0.3; " if number % 10 == 3 else check
        one = task(f"Task {number} ({nap})", f"{slow}test -s out-A{number + 1}.txt", key=f"task-{number}")
        planned.append({**one, "needs": needs})
    goal = {"name": "all there", "run": f"test $(ls out-*.txt | wc -l) -eq {tasks}"}
    brief = {"final_goal": "Many.", "success_criteria": [{"text": "All there.", "checks": [goal]}]}
    # At most so many to a call: more than 500 in one are refused.
    calls = [tool("add_tasks", tasks=planned[at : at + 256]) for at in range(0, len(planned), 256)]
    return plan_brain({"tasks": []}, {}, on={"goal_new": [tool("set_brief", **brief), *calls]})


@contextlib.contextmanager
def living(ground: Ground) -> Iterator[subprocess.Popen[str]]:
    """An engine that nobody kills, beside whoever looks; at the end of the block it is ended."""
    with ScriptedModel(ground.brain) as model:
        engine = ground.start(model.url)
        try:
            yield engine
        finally:
            engine.kill()
            engine.communicate(timeout=30)
