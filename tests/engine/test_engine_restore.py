"""What was dropped is planned again, as it was, under new ids."""

from __future__ import annotations

import pytest

from aura_engine.commanding import _restore
from aura_engine.core import events as ev
from aura_engine.core.commands import DropTask, Restore, dropped, refusal
from aura_engine.core.fold import apply
from aura_engine.core.model import Check, Difficulty
from aura_engine.core.plan import TaskSpec
from aura_engine.core.state import RunState
from aura_engine.planner.draft import Draft, Rules


def leaf(id: str, *needs: str, **more: object) -> TaskSpec:
    checks = (Check(name="unit", run="true"),)
    return TaskSpec(id=id, parent=id.rpartition(".")[0], title=f"Task {id}", needs=needs, checks=checks, **more)


@pytest.fixture
def state() -> RunState:
    """A1 has landed nothing; of it the whole is dropped, of A2 one task before."""
    made = RunState()
    group = [TaskSpec(id=id, parent=id.rpartition(".")[0], title=f"Group {id}", group=True) for id in ("A1", "A1.2")]
    plan = (
        *(group[0], leaf("A1.1", instructions="well", difficulty=Difficulty.HARD), group[1]),
        *(leaf("A1.2.1", "A1.1"), leaf("A2"), leaf("A3", "A2")),
    )
    for event in (
        ev.GoalRead(revision="r", text="g", prose="g"),
        ev.PlanChanged(reason="first", call=1, told=True, add=plan),
        ev.PlanChanged(reason="dropped by you", archive=("A1", "A1.1", "A1.2", "A1.2.1")),
    ):
        apply(made, event, 1.0)
    return made


def test_a_group_comes_back_with_all_that_was_in_it(state: RunState) -> None:
    assert dropped(state, "A1") == ["A1", "A1.1", "A1.2", "A1.2.1"]
    draft = Draft(state, Rules(), by_person=True)
    assert _restore(draft, "A1") == "A1 brought back as B1"
    event = draft.event("again", 0, told=False)
    assert event is not None
    apply(state, event, 2.0)
    again = state.tasks["B1.1"].spec
    assert (again.title, again.instructions, again.difficulty) == ("Task A1.1", "well", Difficulty.HARD)
    assert [check.run for check in again.checks] == ["true"]
    assert state.tasks["B1.2"].spec.group
    assert state.tasks["B1.2.1"].spec.needs == ("B1.1",), "what it needs came back with it"


def test_one_task_out_of_a_dropped_group_comes_back_alone(state: RunState) -> None:
    draft = Draft(state, Rules(), by_person=True)
    assert _restore(draft, "A1.1") == "A1.1 brought back as B1"
    assert draft.all_specs()["B1"].parent == ""


def test_what_was_not_dropped_cannot_be_brought_back(state: RunState) -> None:
    assert refusal(state, Restore(task="A1")) == ""
    assert refusal(state, Restore(task="A2")) == "nothing of A2 was dropped"
    assert "no task" in refusal(state, Restore(task="Z1"))
    assert refusal(state, DropTask(task="A2")) == ""
