"""A finished run on the disk, made without an engine: what the commands that look at a run are shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from aura_engine.cli.main import main
from aura_engine.clock import SystemClock
from aura_engine.core import events as ev
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
from aura_engine.journal.store import Journal
from aura_engine.paths import RunPaths, data_dir, remember_run
from aura_engine.recorder import Recorder
from aura_engine.report.decisions import DecisionLog
from aura_engine.report.progress import progress_markdown
from aura_engine.report.status import status_json
from aura_engine.workspace.store import EMPTY_TREE, GitStore

KEY = "sk-ant-0123456789abcdefghijklmnop"
EVIL = "evil\x1b]0;pwned\x07\x1b[31m<script>alert(1)</script>"
CHECK = Check(name="unit tests", run="make test")
WEEK = Check(name="the week", run="make week", person=True)
OUTPUT = [
    {"event": "start", "session": "s", "model": "m"},
    {"event": "tool", "id": "1", "name": "run", "input": json.dumps({"command": f"echo {EVIL}"})},
    {"event": "tool_result", "id": "1", "ok": True, "text": f"the key is {KEY}"},
]


class Ran(NamedTuple):
    """A project and its one run."""

    project: Path
    paths: RunPaths
    state: RunState


def receipt(**more: object) -> Receipt:
    """A green one unless something else is said."""
    fields = {
        "check": "unit tests",
        "check_hash": "h",
        "tree": "41c9ab12ff",
        "phase": Phase.TASK,
        "verdict": Verdict.GREEN,
        "exit_code": 0,
        "counts": Counts(tests=8, failures=0, skipped=0),
    }
    return Receipt.model_validate({**fields, **more})


async def _lived(paths: RunPaths, project: Path) -> RunState:
    store = GitStore(paths.store)
    await store.init()
    base_tree = await store.edit(EMPTY_TREE, {"README.md": b"hello\n"})
    base = await store.commit(base_tree, [], "base")
    work = await store.edit(base_tree, {"moon.py": f"KEY = '{KEY}'\nname = '{EVIL}'\n".encode()})
    first = await store.commit(await store.edit(base_tree, {"moon.py": b"wrong\n"}), [base], "A1#1")
    second = await store.commit(work, [base], "A1#2")
    # Not closed: what is new stands in the store's log alone, as beside an engine that was killed.
    store.objects.close()
    recorder = Recorder(Journal.open(paths.journal), SystemClock())

    def begin(task: str, n: int, role: Role) -> list[object]:
        return [
            ev.AttemptStarting(task=task, n=n, role=role, backend="builtin", base=base, place=n),
            ev.AttemptStarted(task=task, n=n, process=ProcessRecord(pid=2**22 + 1, start_time=1, boot_id="b")),
        ]

    def end(task: str, n: int) -> object:
        usage = Usage(input=3000, output=400, cache_read=1000, cost=0.05)
        ending = Ending(kind=EndKind.FINISHED, claims=f"All done {EVIL}", usage=usage)
        return ev.WorkerEnded(task=task, n=n, ending=ending, exit=ExitRecord(code=0))

    red = receipt(verdict=Verdict.RED, reason="1 failed", exit_code=1, tail="boom ``` <b>")
    specs = (
        TaskSpec(id="A1", title="The moon", checks=(CHECK,)),
        TaskSpec(id="A2", title=f"The sea {EVIL}", needs=("A1",), checks=(CHECK,)),
        TaskSpec(id="A3", title="Unwanted later", checks=(CHECK,)),
    )
    brief = Brief(final_goal="A page for `today`.", criteria=(Criterion(text="It is there.", checks=("the week",)),))
    file = str(project / "task.md")
    events = [
        ev.EngineStarted(version="0.1.0", pid=1, mode="auto", workers=2, task_file=file, project=str(project)),
        ev.GoalRead(revision="1" * 40, text="# Almanac\n\nA page.\n", prose="A page.", checks=()),
        ev.BaseTaken(commit=base, tree=base_tree),
        ev.PlannerAsked(call=1, triggers=("goal_new",), revision="1" * 40),
        ev.PlanChanged(reason="goal_new", call=1, told=True, brief=brief, add=specs),
        ev.PlannerReplied(call=1, requests=1, usage=Usage(input=900, output=100, cost=0.2)),
        *begin("A1", 1, Role.FLASH),
        end("A1", 1),
        ev.CheckRan(task="A1", n=1, receipt=red),
        ev.AttemptEnded(
            task="A1", n=1, outcome=Outcome.CAPABILITY, reason="1 failed", failed_check="unit tests", snapshot=first
        ),
        *begin("A1", 2, Role.PRO),
        end("A1", 2),
        ev.CheckRan(task="A1", n=2, receipt=receipt()),
        ev.Landed(task="A1", n=2, commit=second, tree=work, paths=1, snapshot=second, dropped=("conftest.py",)),
        ev.GoalRead(revision="2" * 40, text="# Almanac\n\nA page, and a week.\n", prose="", checks=(WEEK,)),
        ev.PlanChanged(reason="the goal wants a week", call=2, told=True, archive=("A3",)),
        *begin("A2", 1, Role.FLASH),
        end("A2", 1),
        ev.AttemptEnded(task="A2", n=1, outcome=Outcome.CAPABILITY, reason=f"it looped {EVIL}"),
        ev.TaskSettled(task="A2", status="failed", reason="no attempt is left"),
        ev.QuestionAsked(id="q1", question="Which coast?", task="A2"),
        ev.RunEnded(status=RunStatus.FAILED, reason="tasks failed for good"),
    ]
    log = DecisionLog()
    for event in events:
        await recorder.record(event)
        log.note(event, 0.0)
    await recorder.journal.close()
    state = recorder.state
    paths.progress.write_text(progress_markdown(state, state.started_at + 60))
    (paths.state / "status.json").write_text(json.dumps(status_json(state, state.started_at + 60, log.last(5))))
    return state


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ran:
    """A run that ended with one task landed, one failed and one dropped; one stands in its project."""
    project = tmp_path / "mein Projekt ö"
    project.mkdir()
    (project / "task.md").write_text("# Almanac\n\nA page, and a week.\n")
    data = data_dir(project)
    paths = RunPaths.of(data, project / "task.md")
    paths.ensure(project)
    remember_run(data, project / "task.md", project=project, wall=1_700_000_000.0)
    state = asyncio.run(_lived(paths, project))
    for n in (1, 2):
        records = paths.attempt("A1", n)
        records.mkdir(parents=True)
        (records / "output.jsonl").write_text("".join(json.dumps(each) + "\n" for each in OUTPUT))
        (records / "exit.json").write_text("{}")
    monkeypatch.chdir(project)
    return Ran(project, paths, state)


@pytest.fixture
def live(ran: Ran) -> Path:
    """A second attempt at A2 that has not ended: the folder of its records."""

    async def begin() -> None:
        recorder = Recorder(Journal.open(ran.paths.journal), SystemClock())
        recorder.replay()
        await recorder.record(ev.Requested(command="retry", task="A2"))
        await recorder.record(
            ev.AttemptStarting(task="A2", n=2, role=Role.FLASH, backend="builtin", base="0" * 40, place=2)
        )
        await recorder.journal.close()

    asyncio.run(begin())
    records = ran.paths.attempt("A2", 2)
    records.mkdir(parents=True)
    return records


Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command says on its standard output; it has to succeed."""

    def run(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    return run
