"""A run that exists only as events, and a link to it, for the screen's tests and its bench."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aura_engine.control.link import Batch, Gpu, Live, Machine
from aura_engine.core import events as ev
from aura_engine.core.commands import Command, DropTask, refusal
from aura_engine.core.fold import apply
from aura_engine.core.model import (
    Check,
    Ending,
    EndKind,
    ExitRecord,
    Outcome,
    Phase,
    ProcessRecord,
    Receipt,
    Role,
    Usage,
    Verdict,
)
from aura_engine.core.plan import TaskSpec
from aura_engine.core.state import RunState

STARTED = 1_700_000_000.0


class Told(NamedTuple):
    seq: int
    time: float
    event: Any


class Run:
    """Events in the making: each method is something that happens, a second after the last."""

    def __init__(self, *, start: float = STARTED, workers: int = 4, mode: str = "auto") -> None:
        self.told: list[Told] = []
        self.now = start
        self.state = RunState()
        self.add(
            ev.EngineStarted(version="1", pid=1, mode=mode, workers=workers, project="/p", task_file="/p/quant.md"),
            ev.GoalRead(
                revision="r1",
                text="goal",
                prose="goal",
                checks=(Check(name="tests", run="pytest -q", person=True), Check(name="sharpe", run="x", person=True)),
            ),
            ev.BaseTaken(commit="c0", tree="t0"),
        )

    def add(self, *events: Any, after: float = 1.0) -> Run:
        for event in events:
            self.now += after
            apply(self.state, event, self.now)
            self.told.append(Told(len(self.told) + 1, self.now, event))
        return self

    def plan(self, *specs: TaskSpec, reason: str = "first plan") -> Run:
        return self.add(ev.PlanChanged(reason=reason, call=1, told=True, add=specs))

    def start(self, task: str, role: Role = Role.FLASH, backend: str = "builtin") -> Run:
        n = len(self.state.tasks[task].attempts) + 1
        process = ProcessRecord(pid=1, start_time=1.0, boot_id="b")
        return self.add(
            ev.AttemptStarting(task=task, n=n, role=role, backend=backend, base="c0"),
            ev.AttemptStarted(task=task, n=n, process=process),
        )

    def finish(self, task: str) -> Run:
        ending = Ending(kind=EndKind.FINISHED, usage=Usage(input=1000, output=200, cost=0.25))
        n = len(self.state.tasks[task].attempts)
        return self.add(ev.WorkerEnded(task=task, n=n, ending=ending, exit=ExitRecord(code=0)))

    def receipt(self, task: str, check: str, verdict: Verdict = Verdict.GREEN, reason: str = "") -> Run:
        receipt = Receipt(check=check, check_hash="h", tree="t", phase=Phase.TASK, verdict=verdict, reason=reason)
        return self.add(ev.CheckRan(task=task, n=len(self.state.tasks[task].attempts), receipt=receipt))

    def land(self, task: str) -> Run:
        self.finish(task)
        for check in self.state.tasks[task].spec.checks:
            self.receipt(task, check.name)
        n = len(self.state.tasks[task].attempts)
        return self.add(ev.Landed(task=task, n=n, commit=f"c-{task}", tree=f"t-{task}", paths=2))

    def fail(self, task: str, reason: str = "1 failed, 7 passed", check: str = "unit") -> Run:
        self.finish(task)
        self.receipt(task, check, Verdict.RED, reason)
        n = len(self.state.tasks[task].attempts)
        return self.add(ev.AttemptEnded(task=task, n=n, outcome=Outcome.CAPABILITY, reason=reason, failed_check=check))


def leaf(id: str, title: str = "", needs: Sequence[str] = (), **more: Any) -> TaskSpec:
    """A leaf with one check of its own."""
    parent = id.rpartition(".")[0]
    checks = (Check(name="unit", run="pytest -q"),)
    return TaskSpec(id=id, parent=parent, title=title or f"Task {id}", needs=tuple(needs), checks=checks, **more)


def group(id: str, title: str = "") -> TaskSpec:
    """An inner node."""
    return TaskSpec(id=id, parent=id.rpartition(".")[0], title=title or f"Group {id}", group=True)


def story(*, ago: float = 4000.0) -> Run:
    """A run in the middle, with something of everything."""
    run = Run(start=time.time() - ago)
    run.plan(
        *(group("A1", "Data"), leaf("A1.1", "Fetch daily bars"), leaf("A1.2", "Clean and align", ["A1.1"])),
        *(leaf("A1.3", "Quality report", ["A1.2"]), group("A2", "Backtester"), leaf("A2.1", "Cost model", ["A1"])),
        *(leaf("A2.2", "Vectorised engine", ["A1"]), leaf("A2.3", "Slippage", ["A2.2"])),
        *(leaf("A2.4", "Walk-forward", ["A2.3"]), leaf("A2.5", "Report", ["A2.4"]), group("A3", "Models")),
        *(
            leaf("A3.1", "Baseline ridge"),
            leaf("A3.2", "Gradient boosting"),
            leaf("A3.3", "Ensemble", ["A3.1", "A3.2"]),
        ),
        reason="data first, then the engine, then models",
    )
    for task in ("A1.1", "A1.2", "A1.3"):
        run.start(task)
        run.now += 70
        run.land(task)
    run.start("A2.1", Role.PRO).start("A2.2")
    run.now += 300
    run.land("A2.1").land("A2.2")
    run.start("A3.2")
    run.now += 100
    run.fail("A3.2", "auc 0.57 is below 0.60")
    run.start("A2.3")
    run.now += 100
    run.fail("A2.3", "1 failed, 7 passed")
    run.start("A3.1").start("A2.3")
    run.receipt("A2.3", "unit", Verdict.RED, "1 failed")
    return run


def many(count: int, *, running: int = 8) -> Run:
    """A plan of about `count` leaves in groups of twenty, the first ones running."""
    specs: list[TaskSpec] = []
    for number in range(1, count // 20 + 1):
        specs.append(group(f"A{number}", f"Part {number} of the work"))
        specs += [leaf(f"A{number}.{item}", f"Step {item}: make part {number} better") for item in range(1, 21)]
    run = Run(start=time.time() - 60, workers=running).plan(*specs)
    for item in range(1, running + 1):
        run.start(f"A1.{item}")
    return run


class FakeLink:
    """A Link over a Run: what is added to it is told; commands are checked as the engine would, and kept."""

    def __init__(self, run: Run, outputs: Mapping[tuple[str, int], Path] | None = None) -> None:
        self.run = run
        self.outputs = dict(outputs or {})
        self.commands: list[Command] = []
        self.read_only = False
        self.live: dict[str, Live] = {}
        self.sample: Machine | None = Machine(cpu=61.0, memory_used=9 << 30, memory_total=24 << 30, disk_free=41 << 30)
        self.closed = False
        self.diffs: dict[str, str] = {}
        self.prompts: dict[int, str] = {}
        """Of the planner's calls."""
        self.disk = "goal"
        """The task file."""
        self.kept: tuple[str, str] | None = None
        """The edit of it that is not saved."""
        self.full = False
        """No disk takes that."""
        self._news = asyncio.Event()

    def tell(self, *_: object) -> None:
        """What was added to the run reaches the screen."""
        self._news.set()

    async def events(self, since: int) -> AsyncIterator[Batch]:
        while True:
            if len(self.run.told) > since:
                batch = self.run.told[since:]
                since = len(self.run.told)
                yield batch
            if self.closed:
                return
            await self._news.wait()
            self._news.clear()

    def telemetry(self) -> Mapping[str, Live]:
        return self.live

    def machine(self) -> Machine | None:
        return self.sample

    async def command(self, command: Command) -> str:
        why = refusal(self.run.state, command)
        if not why:
            self.commands.append(command)
            text = getattr(command, "text", "") or getattr(command, "instructions", "") or ""
            task = getattr(command, "task", "")
            if isinstance(command, DropTask):
                gone = [i for i in self.run.state.tasks if i == task or i.startswith(f"{task}.")]
                self.run.add(ev.PlanChanged(reason="dropped by you", archive=tuple(gone)))
            else:
                self.run.add(ev.Requested(command=command.kind, task=task, text=text))
            self.tell()
        return why

    def output(self, task: str, n: int) -> Path | None:
        return self.outputs.get((task, n))

    async def diff(self, task: str) -> str:
        return self.diffs.get(task, "")

    async def prompt(self, call: int) -> str:
        return self.prompts.get(call, "")

    async def goal(self) -> str:
        return self.disk

    async def save_goal(self, text: str, expected: str) -> str:
        if self.disk != expected:
            return "it was changed by somebody else meanwhile"
        self.disk = text
        return ""

    async def draft(self) -> tuple[str, str] | None:
        return self.kept

    async def keep_draft(self, draft: tuple[str, str] | None) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept = draft


GPU = Gpu(name="NVIDIA H200", percent=88.0, used=31 << 30, total=141 << 30, celsius=54.0)
