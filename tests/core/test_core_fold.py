"""Single facts about fold, events and commands."""

from __future__ import annotations

import time

import pytest

from aura_engine.core import commands
from aura_engine.core import events as ev
from aura_engine.core.fold import apply, fold
from aura_engine.core.model import (
    Check,
    Ending,
    EndKind,
    ExitRecord,
    Outcome,
    Phase,
    Prepare,
    Receipt,
    Role,
    RunStatus,
    TaskStatus,
    Usage,
    Verdict,
)
from aura_engine.core.plan import TaskChange, TaskSpec, apply_change, batch_index, batch_letter, id_key
from aura_engine.core.state import RunState, tree_order

MINE = Check(name="tests", run="make test", person=True)
THEIRS = Check(name="tests", run="true")


def leaf(task_id: str, *needs: str, parent: str = "") -> TaskSpec:
    return TaskSpec(id=task_id, parent=parent, title=task_id, needs=needs, checks=(Check(name="c", run="true"),))


def planned(*specs: TaskSpec) -> RunState:
    return fold([(ev.PlanChanged(reason="plan", add=specs), 0.0)])


def goal(*checks: Check, prepare: Prepare | None = None, revision: str = "r1") -> ev.GoalRead:
    return ev.GoalRead(revision=revision, text="goal", prose="goal", checks=checks, prepare=prepare)


def starting(task: str = "A1", n: int = 1) -> ev.AttemptStarting:
    return ev.AttemptStarting(task=task, n=n, role=Role.FLASH, backend="fake", base="c0")


def worker_ended(task: str = "A1", n: int = 1) -> ev.WorkerEnded:
    return ev.WorkerEnded(task=task, n=n, ending=Ending(kind=EndKind.FINISHED), exit=ExitRecord(code=0))


def test_a_second_live_attempt_is_refused() -> None:
    state = planned(leaf("A1"))
    apply(state, starting())
    with pytest.raises(ValueError, match="second live attempt"):
        apply(state, starting(n=2))


def test_a_forbidden_edge_is_refused() -> None:
    state = planned(leaf("A1"))
    with pytest.raises(ValueError, match="pending → completed"):
        fold([(ev.TaskSettled(task="A1", status=TaskStatus.COMPLETED, reason=""), 0.0)], state)


def test_a_person_s_check_stands_before_a_planned_one_of_the_same_name() -> None:
    state = fold([(goal(), 0.0), (ev.PlanChanged(reason="p", goal_checks=(THEIRS,)), 0.0), (goal(MINE), 0.0)])
    assert state.goal_checks == {"tests": MINE}


def test_planned_goal_checks_outlive_an_edit_of_the_goal() -> None:
    other = Check(name="other", run="true")
    state = fold([(goal(MINE), 0.0), (ev.PlanChanged(reason="p", goal_checks=(other,)), 0.0)])
    apply(state, goal(revision="r2"))
    assert state.goal_checks == {"other": other}


def test_a_receipt_does_not_outlive_its_check() -> None:
    def ran(check: Check) -> ev.CheckRan:
        verdict = Verdict.GREEN
        return ev.CheckRan(
            receipt=Receipt(check=check.name, check_hash=check.hash, tree="t", phase=Phase.GOAL, verdict=verdict)
        )

    same = Check(name="same", run="true", person=True)
    state = fold([(goal(MINE, same), 0.0), (ran(MINE), 0.0), (ran(same), 0.0)])
    apply(state, goal(MINE.model_copy(update={"run": "make check"}), same, revision="r2"))
    assert set(state.goal_receipts) == {"same"}
    assert state.checked is None


def test_the_person_s_prepare_goes_before_the_planner_s_which_outlives_an_edit() -> None:
    mine, theirs = Prepare(run="make venv"), Prepare(run="npm ci")
    state = fold([(goal(), 0.0), (ev.PlanChanged(reason="p", prepare=theirs), 0.0)])
    assert state.prepare == theirs
    apply(state, goal(prepare=mine, revision="r2"))
    assert state.prepare == mine
    apply(state, goal(revision="r3"))
    assert state.prepare == theirs


def test_a_late_order_to_retry_changes_nothing() -> None:
    state = planned(leaf("A1"))
    fold([(starting(), 0.0), (worker_ended(), 0.0), (ev.Landed(task="A1", n=1, commit="c", tree="t"), 0.0)], state)
    apply(state, ev.PlanChanged(reason="r", retry=(ev.Retry(id="A1", instructions="again"),)))
    assert state.tasks["A1"].status is TaskStatus.COMPLETED


def test_an_archived_task_s_worker_ends_without_moving_it() -> None:
    state = planned(leaf("A1"))
    fold([(starting(), 0.0), (ev.PlanChanged(reason="r", archive=("A1",)), 0.0)], state)
    assert state.busy == {"A1"}, "its worker still takes a place"
    fold([(worker_ended(), 0.0)], state)
    assert not state.busy
    assert not state.verifying
    apply(state, ev.AttemptEnded(task="A1", n=1, outcome=Outcome.INTERRUPTED, reason="no longer wanted"))
    assert state.tasks["A1"].status is TaskStatus.ARCHIVED
    assert state.tasks["A1"].live is None


def test_an_archived_need_no_longer_holds_back() -> None:
    state = planned(leaf("A1"), leaf("A2", "A1"))
    assert set(state.ready) == {"A1"}
    apply(state, ev.PlanChanged(reason="r", archive=("A1",), change=(TaskChange(id="A2", needs=()),)))
    assert set(state.ready) == {"A2"}


def test_group_status() -> None:
    state = planned(TaskSpec(id="A1", title="g", group=True), leaf("A1.1", parent="A1"), leaf("A1.2", parent="A1"))
    assert state.group_status("A1") is TaskStatus.PENDING
    fold([(starting("A1.1"), 0.0), (worker_ended("A1.1"), 0.0)], state)
    assert state.group_status("A1") is TaskStatus.IN_PROGRESS
    apply(state, ev.Landed(task="A1.1", n=1, commit="c", tree="t"))
    assert state.group_status("A1") is TaskStatus.IN_PROGRESS, "one has landed, one waits"
    apply(state, ev.TaskSettled(task="A1.2", status=TaskStatus.FAILED, reason="r"))
    assert state.group_status("A1") is TaskStatus.FAILED
    apply(state, ev.PlanChanged(reason="r", archive=("A1.2",)))
    assert state.group_status("A1") is TaskStatus.COMPLETED
    with pytest.raises(ValueError, match="not allowed"):
        apply(state, ev.PlanChanged(reason="r", archive=("A1.1",)))


def test_long_chains_and_wide_trees_are_folded_quickly() -> None:
    specs = [leaf("A1"), *(leaf(f"A{i}", f"A{i - 1}") for i in range(2, 5001))]
    start = time.process_time()
    state = planned(*specs)
    assert time.process_time() - start < 5
    assert state.tasks["A1"].rank == 4999
    assert set(state.ready) == {"A1"}


def test_tree_order_reads_as_a_person_counts() -> None:
    state = planned(
        *(leaf(f"A{i}") for i in (10, 2, 1)), TaskSpec(id="B1", title="g", group=True), leaf("B1.1", parent="B1")
    )
    assert [(depth, task.spec.id) for depth, task in tree_order(state)] == [
        (0, "A1"),
        (0, "A2"),
        (0, "A10"),
        (0, "B1"),
        (1, "B1.1"),
    ]


def test_batch_letters() -> None:
    assert [batch_letter(i) for i in (0, 1, 25, 26, 27, 701, 702)] == ["A", "B", "Z", "AA", "AB", "ZZ", "AAA"]
    assert all(batch_index(f"{batch_letter(i)}7.2") == i for i in range(2000))
    assert sorted(["AA1", "Z9", "A10", "A2", "A1.2", "A1"], key=id_key) == ["A1", "A1.2", "A2", "A10", "Z9", "AA1"]


def test_a_new_revision_gets_the_next_letter() -> None:
    state = RunState()
    assert state.batch == "A"
    fold([(goal(), 0.0), (ev.PlannerAsked(call=1, triggers=("goal_new",), revision="r1"), 0.0)], state)
    fold([(ev.PlanChanged(reason="p", told=True, add=(leaf("A1"),)), 0.0)], state)
    assert state.batch == "A", "more work for the same goal stays in its batch"
    apply(state, goal(revision="r2"))
    assert state.batch == "B"


# ---- events


def test_a_journal_can_be_read_again_whatever_a_stream_said() -> None:
    ending = Ending(
        kind=EndKind.FINISHED, claims="\ud800 done", retry_after=float("inf"), usage=Usage(cost=float("nan"))
    )
    event = ev.WorkerEnded(task="A1", n=1, ending=ending, exit=ExitRecord(code=0))
    back = ev.decode("worker_ended", ev.encode(event))
    assert back.ending.claims == "? done"
    assert back.ending.retry_after is None
    assert back.ending.usage.cost == 0.0


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), float("-inf")])
def test_a_bound_is_a_number(bound: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Check(name="c", file="m.json", value="x", at_least=bound)


@pytest.mark.parametrize("equals", [True, False, 1.0, 0.0, "1", "true"])
def test_a_value_keeps_its_type_through_the_journal(equals: str | float | bool) -> None:
    event = ev.PlanChanged(reason="r", goal_checks=(Check(name="c", file="m.json", value="x", equals=equals),))
    back = ev.decode("plan_changed", ev.encode(event)).goal_checks[0].equals
    assert (back, type(back)) == (equals, type(equals))


def test_every_kind_is_known_and_an_unknown_one_is_refused() -> None:
    assert all(cls.model_fields["kind"].default == kind for kind, cls in ev.KINDS.items())
    with pytest.raises(ValueError, match="newer Aura"):
        ev.decode("time_travelled", "{}")
    with pytest.raises(ValueError, match="validation error"):
        ev.decode("notice", "{}")


# ---- checks


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "needs one of"),
        ({"judge": "good", "run": "true"}, "judge decides"),
        ({"value": "x", "at_least": 1}, "needs the `file`"),
        ({"file": "a", "value": "x"}, "needs a bound"),
        ({"file": "a", "at_least": 1}, "needs the `value`"),
        ({"run": "true", "matches": "x"}, "need a `file`"),
        ({"run": "true", "report": "tap"}, "junit"),
        ({"file": "../a"}, "inside the project"),
        ({"file": "/etc/passwd"}, "inside the project"),
        ({"run": "true", "uses": ["a/../../b"]}, "inside the project"),
        ({"run": "true", "files": {"../x": ""}}, "inside the project"),
        ({"run": "true", "timeout": 0}, "greater than 0"),
        ({"run": "true", "colour": "red"}, "not permitted"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(fields: dict, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Check(name="c", **fields)


def test_a_check_s_hash_is_of_what_decides() -> None:
    check = Check(name="c", run="true")
    same = [{"name": "d"}, {"part": "p"}, {"hidden": True}, {"person": True}]
    other = [{"run": "false"}, {"timeout": 5.0}, {"network": True}, {"files": {"a": "b"}}, {"uses": ("a",)}]
    assert {check.model_copy(update=update).hash for update in same} == {check.hash}
    assert check.hash not in {check.model_copy(update=update).hash for update in other}


def test_planned_changes_only_add_checks_and_leave_the_person_s() -> None:
    spec = TaskSpec(id="A1", title="t", checks=(MINE, Check(name="b", run="b")))
    change = TaskChange(id="A1", add_checks=(THEIRS, Check(name="c", run="c")), instructions="new")
    found = apply_change(spec, change)
    assert [check.name for check in found.checks] == ["tests", "b", "c"]
    assert found.checks[0] == MINE
    assert (found.instructions, found.needs) == ("new", ())


# ---- commands


def test_commands_that_make_no_sense_now_are_refused() -> None:
    state = planned(leaf("A1"), leaf("A2", "A1"), TaskSpec(id="A3", title="g", group=True), leaf("A3.1", parent="A3"))
    fold([(ev.QuestionAsked(id="q1", question="?"), 0.0)], state)
    refused = commands.refusal
    for command in (commands.Kill(task="A9"), commands.RetryTask(task="A3"), commands.Escalate(task="")):
        assert "there is no task" in refused(state, command)
    assert refused(state, commands.Kill(task="A1")) == ""
    assert "only failed" in refused(state, commands.RetryTask(task="A1"))
    assert refused(state, commands.Escalate(task="A1")) == ""
    assert "not paused" in refused(state, commands.Resume())
    assert refused(state, commands.Pause()) == ""
    assert "no question q9" in refused(state, commands.Answer(question="q9", answer="x"))
    assert refused(state, commands.Answer(question="q1", answer="x")) == ""
    assert refused(state, commands.Stop()) == ""

    fold([(ev.QuestionAnswered(id="q1", answer="x"), 0.0), (ev.Requested(command="pause"), 0.0)], state)
    fold([(ev.TaskSettled(task="A2", status=TaskStatus.FAILED, reason=""), 0.0)], state)
    fold([(starting(), 0.0), (worker_ended(), 0.0), (ev.Landed(task="A1", n=1, commit="c", tree="t"), 0.0)], state)
    assert "answered already" in refused(state, commands.Answer(question="q1", answer="y"))
    assert "paused already" in refused(state, commands.Pause())
    assert refused(state, commands.Resume()) == ""
    assert refused(state, commands.RetryTask(task="A2")) == ""
    assert "nothing to stop" in refused(state, commands.Kill(task="A1"))
    assert "completed" in refused(state, commands.Escalate(task="A1"))


def test_requests_change_the_state() -> None:
    state = planned(leaf("A1"))
    fold([(ev.TaskSettled(task="A1", status=TaskStatus.KILLED, reason=""), 0.0)], state)
    apply(state, ev.Requested(command="escalate", task="A1"))
    apply(state, ev.Requested(command="retry", task="A1", text="carefully"))
    task = state.tasks["A1"]
    assert (task.status, task.extra, task.forced_role) == (TaskStatus.PENDING, "carefully", Role.PRO)
    apply(state, starting())
    assert task.forced_role is None, "the order holds for one attempt"


def test_a_run_that_ended_runs_again_when_an_engine_starts() -> None:
    state = fold([(ev.RunEnded(status=RunStatus.NEEDS_PERSON, reason="key"), 0.0)])
    assert (state.status, state.ended_reason) == (RunStatus.NEEDS_PERSON, "key")
    fold(
        [(ev.RoleParked(role=Role.PRO, until=None, reason="key"), 0.0), (ev.EngineStarted(version="0", pid=1), 5.0)],
        state,
    )
    assert (state.status, state.ended_reason, state.parked) == (RunStatus.RUNNING, "", {})


def test_a_run_that_is_only_opened_again_lasted_as_long_as_before():
    opened = ev.EngineStarted(version="1", pid=1, host="h")
    ended = ev.RunEnded(status=RunStatus.ACHIEVED, reason="done")
    state = fold([(opened, 100.0), (ended, 149.0)])
    assert state.lasted(900.0) == 49.0
    fold([(opened, 1000.0), (ev.Notice(text="hello"), 1001.0)], state)
    assert state.lasted(1002.0) == 902.0
    fold([(ev.GoalChecked(tree="t", revision="r", red=()), 1002.0), (ended, 1003.0)], state)
    assert state.lasted(9000.0) == 49.0
    fold([(opened, 2000.0), (ev.GoalRead(revision="r2", text="more", prose="more"), 2001.0), (ended, 2100.0)], state)
    assert state.lasted(9000.0) == 2000.0
    fold([(ev.Requested(command="wake", actor="person"), 2300.0)], state)
    assert state.lasted(9000.0) == 2000.0
