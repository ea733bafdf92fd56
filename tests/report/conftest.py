"""A small run with everything in it that a report has to tell."""

from __future__ import annotations

import pytest

from aura_engine.core import events as ev
from aura_engine.core.fold import apply
from aura_engine.core.model import (
    Check,
    Counts,
    Ending,
    EndKind,
    ExitRecord,
    Outcome,
    Phase,
    ProcessRecord,
    Receipt,
    Role,
    RunStatus,
    Usage,
    Verdict,
)
from aura_engine.core.plan import Brief, Criterion, TaskSpec
from aura_engine.core.state import RunState

START = 1_700_000_000.0
CHECK = Check(name="unit tests", run="make test")
LAW = Check(name="sharpe", file="metrics.json", value="sharpe", at_least=1.5, person=True, hidden=True)


class Story:
    """Events of a run, a second apart, and the state after them."""

    def __init__(self) -> None:
        self.state = RunState()
        self.events: list[tuple[object, float]] = []
        self.now = START

    def tell(self, *events: object) -> RunState:
        for event in events:
            self.now += 1
            self.events.append((event, self.now))
            apply(self.state, event, self.now)
        return self.state

    def begin(self) -> RunState:
        """A goal, a plan: A1 with A1.1 and A1.2 (needs A1.1), and A2."""
        specs = (
            TaskSpec(id="A1", title="Data", group=True),
            TaskSpec(id="A1.1", parent="A1", title="Fetch daily bars", checks=(CHECK,)),
            TaskSpec(id="A1.2", parent="A1", title="Clean and align", checks=(CHECK,), needs=("A1.1",)),
            TaskSpec(id="A2", title="Report", checks=(CHECK,), goal_checks=("sharpe",)),
        )
        brief = Brief(final_goal="A pipeline that makes money.", criteria=(Criterion(text="c", checks=("sharpe",)),))
        return self.tell(
            ev.EngineStarted(version="0.1.0", pid=42, mode="auto", workers=2, task_file="/home/me/quant/task.md"),
            ev.GoalRead(revision="4f1c9a22aa", text="# Quant pipeline\n\nMake it.", prose="Make it.", checks=(LAW,)),
            ev.BaseTaken(commit="c0", tree="t0"),
            ev.GoalChecked(tree="t0", revision="4f1c9a22aa", red=("sharpe",), before=True),
            ev.PlannerAsked(call=1, triggers=("goal_new",), revision="4f1c9a22aa"),
            ev.PlanChanged(reason="first plan", call=1, told=True, brief=brief, add=specs),
            ev.PlannerReplied(call=1, requests=2, usage=Usage(input=9000, output=1000, cost=0.2)),
        )

    def start(self, task: str, role: Role = Role.FLASH) -> RunState:
        n = len(self.state.tasks[task].attempts) + 1
        return self.tell(
            ev.AttemptStarting(task=task, n=n, role=role, backend="builtin", base="c0"),
            ev.AttemptStarted(task=task, n=n, process=ProcessRecord(pid=77, start_time=1, boot_id="b")),
        )

    def finish(self, task: str, claims: str = "All done, tests pass!") -> RunState:
        ending = Ending(kind=EndKind.FINISHED, claims=claims, usage=Usage(input=3000, output=400, cost=0.05))
        n = len(self.state.tasks[task].attempts)
        return self.tell(ev.WorkerEnded(task=task, n=n, ending=ending, exit=ExitRecord(code=0)))

    def fail(self, task: str, reason: str = "1 failed, 7 passed") -> RunState:
        n = len(self.state.tasks[task].attempts)
        return self.tell(
            ev.CheckRan(task=task, n=n, receipt=receipt(verdict=Verdict.RED, reason=reason, exit_code=1)),
            ev.AttemptEnded(task=task, n=n, outcome=Outcome.CAPABILITY, reason=reason, failed_check="unit tests"),
        )

    def land(self, task: str, **more: object) -> RunState:
        n = len(self.state.tasks[task].attempts)
        return self.tell(
            ev.CheckRan(task=task, n=n, receipt=receipt()),
            ev.Landed.model_validate({"task": task, "n": n, "commit": "c1", "tree": "t1", "paths": 3, **more}),
        )

    def whole(self) -> RunState:
        """From the start to the goal reached, with a failure, an escalation and an edit on the way."""
        self.begin()
        for _ in range(2):
            self.start("A1.1")
            self.finish("A1.1")
            self.fail("A1.1")
        self.start("A1.1", Role.PRO)
        self.finish("A1.1")
        self.land("A1.1")
        self.tell(
            ev.GoalRead(revision="77aa", text="# Quant pipeline\n\nAnd a report.", prose="", checks=(LAW,)),
            ev.PlannerAsked(call=2, triggers=("goal_changed:77aa", "task_failed:A2"), revision="77aa"),
            ev.PlanChanged(
                reason="the goal wants a report each month",
                call=2,
                told=True,
                archive=("A2",),
                add=(TaskSpec(id="B1", title="Monthly report", checks=(CHECK,), needs=("A1",)),),
            ),
        )
        for task in ("A1.2", "B1"):
            self.start(task)
            self.finish(task)
            self.land(task)
        goal = Receipt(check="sharpe", check_hash="h", tree="t1", phase=Phase.GOAL, verdict=Verdict.GREEN, hidden=True)
        return self.tell(
            ev.CheckRan(receipt=goal),
            ev.GoalChecked(tree="t1", revision="77aa"),
            ev.GoalDeclared(revision="77aa", summary="All criteria hold."),
            ev.DeliveryStarted(tree="t1"),
            ev.Delivered(commit="c1", tree="t1", place="branch aura/task", take="git merge aura/task"),
            ev.RunEnded(status=RunStatus.ACHIEVED, reason="all goal checks are green"),
        )


def receipt(**more: object) -> Receipt:
    fields = {
        "check": "unit tests",
        "check_hash": "hash",
        "tree": "41c9ab12ff",
        "phase": Phase.TASK,
        "verdict": Verdict.GREEN,
        "exit_code": 0,
        "duration": 2.1,
        "output_hash": "oo",
        "counts": Counts(tests=8, failures=0, skipped=0),
    }
    return Receipt.model_validate({**fields, **more})


@pytest.fixture
def story() -> Story:
    """A run that has not begun."""
    return Story()


@pytest.fixture
def nasty() -> str:
    """Text that must not reach a terminal or a page as it is."""
    return "evil\x1b]0;pwned\x07\x1b[31m\r\n# Forged\u202e <script> [link](x)"
