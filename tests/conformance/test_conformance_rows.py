"""Every row of the matrix, played for real by every backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from lab_bench import wrongs
from lab_matrix import BACKENDS, MATRIX, ROUTES

from aura_engine import watching
from aura_engine.core.model import Check, Ending, EndKind, Outcome, Role, WorkerMode
from aura_engine.core.plan import TaskSpec
from aura_engine.core.routing import Next, Step, after, outcome_of, role_for
from aura_engine.core.state import Attempt, Task
from aura_engine.guard.activity import Limits

MODE = WorkerMode.FLASH_FIRST
MOST = 20
"""Attempts after which something goes on for ever."""


def a_task() -> Task:
    return Task(TaskSpec(id="A1", title="One", checks=(Check(name="it works", run="true"),)))


def ended(task: Task, ending: Ending) -> Next:
    """What follows once another attempt has ended like that."""
    role, n = role_for(task, MODE), len(task.attempts) + 1
    past = {"ending": ending, "ended": 1.0, "outcome": outcome_of(ending.kind), "reason": ending.detail}
    task.attempts.append(Attempt(n, role, "fake", "c0", "", 0.0, **past))
    return after(task, MODE, per_role=3)


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
async def test_row(row, bench, monkeypatch):
    monkeypatch.setattr(watching, "LIMITS", row.limits or Limits())
    backends = [name for name in BACKENDS if name not in row.cannot]
    async with asyncio.TaskGroup() as group:
        plays = {name: group.create_task(bench.play(row, name)) for name in backends}
    assert [wrong for name, play in plays.items() for wrong in wrongs(row, name, play.result())] == []
    for name, play in plays.items():
        found = play.result().ending
        step = ended(a_task(), found)
        if found.retry_after is not None:  # parked until the limit is over
            assert step[2:] == (max(1.0, found.retry_after), True), name
        if found.kind is EndKind.FINISHED and name in ("claude", "codex", "acp"):
            assert found.session == "s-1", name


@pytest.mark.parametrize("kind", EndKind)
def test_what_an_ending_leads_to(kind):
    outcome, story = ROUTES[kind]
    assert outcome_of(kind) is outcome
    if outcome is Outcome.PASSED:
        return  # nothing is decided before its checks have run
    task, words = a_task(), []
    while len(words) < MOST:
        step = ended(task, Ending(kind=kind))
        again = step.step is Step.RETRY
        in_time = f" in {step.delay:g} s" if again and step.delay else ""
        words.append(f"{role_for(task, MODE)} again{in_time}" if again else str(step.step))
        words[-1] += ", the role parked" if step.park else ""
        if not again:
            break
    told = words[0] if len(words) == 1 else f"{words[0]}; {words[-1]} after {len(words)}"
    assert (f"{words[0]}; for ever" if len(words) == MOST else told) == story


@pytest.mark.parametrize("kind", [kind for kind in EndKind if ROUTES[kind][0] is Outcome.INFRASTRUCTURE])
def test_the_services_and_the_machines_faults_never_cost_a_worker_its_task(kind):
    task = a_task()
    for _ in range(2):
        ended(task, Ending(kind=kind))
    assert role_for(task, MODE) is Role.FLASH


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("success", {"kind": EndKind.GAVE_UP}, "ended as finished, not as gave_up"),
        ("success", {"steps": ()}, "its program"),
        ("try again in 20 minutes", {"wait": 60.0}, "to be waited for 1200.0 s, not 60.0 s"),
        ("crash on an address", {"words": "signal 5"}, "its detail lacks “signal 5”"),
    ],
)
async def test_a_row_that_expects_something_else_fails(name, changes, says, bench):
    row = next(row for row in MATRIX if row.name == name)
    played = await bench.play(row, "claude")
    assert wrongs(row, "claude", played) == []
    if changes == {"steps": ()}:
        (played.workspace / "made.txt").unlink()
        assert wrongs(row, "claude", played) == ["claude: its work is not what it was (no detail)"]
        return
    (wrong,) = wrongs(replace(row, **changes), "claude", played)
    assert says in wrong


async def test_a_row_whose_worker_leaves_a_process_fails(bench):
    row = next(row for row in MATRIX if row.name == "success")
    played = await bench.play(row, "codex")
    (wrong,) = wrongs(row, "codex", replace(played, left=(4711,)))
    assert "left processes (4711,)" in wrong
