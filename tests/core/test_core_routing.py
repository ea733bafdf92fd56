"""Routing and scheduling, row by row."""

from __future__ import annotations

import pytest

from aura_engine.core import events as ev
from aura_engine.core.fold import fold
from aura_engine.core.model import (
    Check,
    Difficulty,
    Ending,
    EndKind,
    ExitRecord,
    Outcome,
    Role,
    WorkerMode,
)
from aura_engine.core.plan import TaskSpec
from aura_engine.core.routing import CUT_OFF, Step, after, backoff, cut_off, must_run_alone, outcome_of, role_for
from aura_engine.core.schedule import Start, next_moment, soon, starts, waits
from aura_engine.core.state import Attempt, RunState, Task

CHECK = Check(name="it works", run="true")


def tried(
    *past: tuple[Role, Outcome] | tuple[Role, Outcome, EndKind], difficulty: Difficulty = Difficulty.NORMAL
) -> Task:
    """A task with these attempts behind it."""
    task = Task(TaskSpec(id="A1", title="One", checks=(CHECK,), difficulty=difficulty))
    for n, (role, outcome, *kind) in enumerate(past, start=1):
        ending = Ending(kind=kind[0] if kind else EndKind.FINISHED)
        task.attempts.append(
            Attempt(n, role, "fake", "c0", "", 0.0, ending=ending, ended=1.0, outcome=outcome, reason="why")
        )
    return task


F, P = Role.FLASH, Role.PRO
CAP, INFRA = Outcome.CAPABILITY, Outcome.INFRASTRUCTURE


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (EndKind.FINISHED, Outcome.PASSED),
        (EndKind.GAVE_UP, Outcome.CAPABILITY),
        (EndKind.OUT_OF_TURNS, Outcome.CAPABILITY),
        (EndKind.LOOPING, Outcome.CAPABILITY),
        (EndKind.OUT_OF_TIME, Outcome.BUDGET),
        (EndKind.CONTEXT_OVERFLOW, Outcome.RESOURCE),
        (EndKind.KILLED, Outcome.INTERRUPTED),
        (EndKind.CREDENTIALS, Outcome.INFRASTRUCTURE),
        (EndKind.MONEY, Outcome.INFRASTRUCTURE),
        (EndKind.RATE_LIMIT, Outcome.INFRASTRUCTURE),
        (EndKind.OVERLOADED, Outcome.INFRASTRUCTURE),
        (EndKind.UNREACHABLE, Outcome.INFRASTRUCTURE),
        (EndKind.BAD_REQUEST, Outcome.INFRASTRUCTURE),
        (EndKind.PERMISSION, Outcome.INFRASTRUCTURE),
        (EndKind.MISSING_CLI, Outcome.INFRASTRUCTURE),
        (EndKind.CRASHED, Outcome.INFRASTRUCTURE),
        (EndKind.HUNG, Outcome.INFRASTRUCTURE),
        (EndKind.LOST, Outcome.INTERRUPTED),
        (EndKind.OVER_CAP, Outcome.BUDGET),
        (EndKind.RUN_CAPPED, Outcome.INTERRUPTED),
        (EndKind.OUT_OF_MEMORY, Outcome.RESOURCE),
        (EndKind.OVER_LIMIT, Outcome.RESOURCE),
    ],
)
def test_what_a_worker_s_ending_means(kind: EndKind, outcome: Outcome) -> None:
    assert outcome_of(kind) is outcome


def test_every_ending_has_its_row() -> None:
    rows = test_what_a_worker_s_ending_means.pytestmark[0].args[1]
    assert {kind for kind, _ in rows} == set(EndKind)


@pytest.mark.parametrize(
    ("past", "step", "park"),
    [
        ([(F, Outcome.INTERRUPTED)], Step.WAIT, False),
        ([(F, Outcome.INTERRUPTED, EndKind.LOST)] * 2, Step.RETRY, False),
        ([(F, Outcome.INTERRUPTED, EndKind.LOST)] * 3, Step.PLANNER, False),
        ([(F, CAP)], Step.RETRY, False),
        ([(F, Outcome.CONFLICT)], Step.RETRY, False),
        ([(F, Outcome.CONFLICT)] * 5, Step.RETRY, False),
        ([(F, Outcome.CONFLICT)] * 6, Step.PLANNER, False),
        ([(F, Outcome.BUDGET)], Step.PLANNER, False),
        ([(F, Outcome.RESOURCE)], Step.RETRY, False),
        ([(F, Outcome.RESOURCE), (F, CAP), (F, Outcome.RESOURCE)], Step.PLANNER, False),
        ([(F, INFRA, EndKind.CREDENTIALS)], Step.PERSON, True),
        ([(F, INFRA, EndKind.MONEY)], Step.PERSON, True),
        ([(F, INFRA, EndKind.MISSING_CLI)], Step.PERSON, True),
        ([(F, INFRA, EndKind.RATE_LIMIT)], Step.RETRY, True),
        ([(F, INFRA, EndKind.OVERLOADED)] * 11, Step.RETRY, True),
        ([(F, INFRA, EndKind.UNREACHABLE)] * 12, Step.PERSON, True),
        ([(F, INFRA, EndKind.CRASHED)] * 2, Step.RETRY, False),
        ([(F, INFRA, EndKind.HUNG)] * 3, Step.PLANNER, False),
        ([(F, INFRA, EndKind.BAD_REQUEST)] * 3, Step.PLANNER, False),
        ([(F, INFRA, EndKind.RATE_LIMIT)] * 5 + [(F, INFRA, EndKind.CRASHED)], Step.RETRY, False),
        ([(F, INFRA, EndKind.CRASHED)] * 2 + [(F, CAP), (F, INFRA, EndKind.CRASHED)], Step.RETRY, False),
    ],
)
def test_what_an_outcome_leads_to(past: list[tuple], step: Step, park: bool) -> None:
    found = after(tried(*past), WorkerMode.AUTO, per_role=3)
    assert (found.step, found.park) == (step, park)
    assert "why" in found.reason


def test_attempts_are_capped_per_role() -> None:
    for mode, role in ((WorkerMode.FLASH_ONLY, F), (WorkerMode.PRO_ONLY, P)):
        assert after(tried((role, CAP), (role, CAP)), mode, per_role=3).step is Step.RETRY
        assert after(tried(*[(role, CAP)] * 3), mode, per_role=3).step is Step.PLANNER
    escalated = [(F, CAP), (F, CAP), (P, CAP), (P, CAP)]
    assert after(tried(*escalated), WorkerMode.AUTO, per_role=3).step is Step.RETRY
    assert after(tried(*escalated, (P, CAP)), WorkerMode.AUTO, per_role=3).step is Step.PLANNER


def test_an_ordered_retry_begins_the_count_anew() -> None:
    task = tried(*[(P, CAP)] * 3)
    task.since = 3
    assert role_for(task, WorkerMode.AUTO) is F
    task.attempts += tried(*[(F, CAP)] * 4).attempts[3:]
    assert after(task, WorkerMode.AUTO, per_role=3).step is Step.RETRY


@pytest.mark.parametrize("mode", [WorkerMode.AUTO, WorkerMode.FLASH_FIRST])
def test_two_capability_failures_on_flash_escalate(mode: WorkerMode) -> None:
    assert role_for(tried(), mode) is F
    assert role_for(tried((F, CAP)), mode) is F
    assert role_for(tried((F, CAP), (F, CAP)), mode) is P
    assert role_for(tried((F, CAP, EndKind.GAVE_UP)), mode) is P
    assert role_for(tried((F, CAP), (F, CAP), (P, INFRA)), mode) is P


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not CAP])
def test_nothing_but_capability_escalates(outcome: Outcome) -> None:
    for mode in (WorkerMode.AUTO, WorkerMode.FLASH_FIRST):
        assert role_for(tried(*[(F, outcome)] * 5), mode) is F


def test_roles_by_mode() -> None:
    hard = tried(difficulty=Difficulty.HARD)
    assert [role_for(hard, mode) for mode in WorkerMode] == [P, P, F, F]
    assert [role_for(tried(), mode) for mode in WorkerMode] == [P, F, F, F]
    failed = tried((F, CAP), (F, CAP))
    assert role_for(failed, WorkerMode.FLASH_ONLY) is F
    forced = tried()
    forced.forced_role = P
    assert [role_for(forced, mode) for mode in WorkerMode] == [P, P, P, F]


def test_back_off_doubles_to_its_ceiling() -> None:
    assert [backoff(tries) for tries in (1, 2, 3, 7, 50)] == [5, 10, 20, 300, 300]
    assert backoff(3, base=1.0) == 4
    limited = tried((F, INFRA, EndKind.RATE_LIMIT))
    limited.attempts[0].ending = Ending(kind=EndKind.RATE_LIMIT, retry_after=77.0)
    assert after(limited, WorkerMode.AUTO, per_role=3).delay == 77.0
    limited.attempts[0].ending = Ending(kind=EndKind.RATE_LIMIT, retry_after=0.0)
    assert after(limited, WorkerMode.AUTO, per_role=3).delay == 1.0


# ---- schedule


def planned(*specs: TaskSpec) -> RunState:
    return fold([(ev.PlanChanged(reason="plan", add=specs), 0.0)])


def leaf(task_id: str, *needs: str, parent: str = "") -> TaskSpec:
    return TaskSpec(id=task_id, parent=parent, title=task_id, needs=needs, checks=(CHECK,))


def group(task_id: str, *needs: str) -> TaskSpec:
    return TaskSpec(id=task_id, title=task_id, needs=needs, group=True)


def run_one(state: RunState, task: str, outcome: Outcome | None = None) -> None:
    """One attempt from start to end; None lands it."""
    n = len(state.tasks[task].attempts) + 1
    events = [
        ev.AttemptStarting(task=task, n=n, role=F, backend="fake", base="c0"),
        ev.WorkerEnded(task=task, n=n, ending=Ending(kind=EndKind.FINISHED), exit=ExitRecord()),
        ev.AttemptEnded(task=task, n=n, outcome=outcome, reason="why")
        if outcome
        else ev.Landed(task=task, n=n, commit="c1", tree="t1"),
    ]
    fold([(event, 0.0) for event in events], state)


def names(found: list[Start]) -> list[str]:
    return [start.task for start in found]


def test_longest_chains_start_first_and_ids_sort_as_a_person_counts() -> None:
    state = planned(leaf("A1"), leaf("A2"), leaf("A10"), leaf("A3"), leaf("A4", "A3"))
    assert names(starts(state, WorkerMode.AUTO, 9, 0.0)) == ["A3", "A1", "A2", "A10"]
    assert names(starts(state, WorkerMode.AUTO, 2, 0.0)) == ["A3", "A1"]


def test_what_starts_soon_is_what_would_start_next() -> None:
    state = planned(leaf("A1"), leaf("A10"), leaf("A2"), leaf("A3", "A10"), leaf("A4"))
    assert soon(state, 3) == ["A10", "A1", "A2"]
    run_one(state, "A10")
    assert soon(state, 9) == names(starts(state, WorkerMode.AUTO, 9, 0.0)) == ["A1", "A2", "A3", "A4"]
    fold([(ev.PlanChanged(reason="more", add=(leaf("A0", "A4"),), archive=("A1",)), 0.0)], state)
    assert soon(state, 9) == ["A4", "A2", "A3"], "the order is the new plan's"


def test_a_need_on_a_group_means_all_below_it_and_a_group_s_needs_bind_all_below() -> None:
    state = planned(
        group("A1"), leaf("A1.1", parent="A1"), leaf("A1.2", parent="A1"), group("A2", "A1"), leaf("A2.1", parent="A2")
    )
    run_one(state, "A1.1")
    assert names(starts(state, WorkerMode.AUTO, 9, 0.0)) == ["A1.2"]
    run_one(state, "A1.2")
    assert names(starts(state, WorkerMode.AUTO, 9, 0.0)) == ["A2.1"]


def test_a_task_with_two_conflicts_runs_alone() -> None:
    state = planned(leaf("A1"), leaf("A2"))
    for _ in range(2):
        run_one(state, "A1", Outcome.CONFLICT)
    assert must_run_alone(state.tasks["A1"])
    assert names(starts(state, WorkerMode.AUTO, 9, 0.0)) == ["A1"]
    fold([(ev.AttemptStarting(task="A1", n=3, role=F, backend="fake", base="c0"), 0.0)], state)
    assert starts(state, WorkerMode.AUTO, 9, 0.0) == []
    fold([(ev.WorkerEnded(task="A1", n=3, ending=Ending(kind=EndKind.FINISHED), exit=ExitRecord()), 0.0)], state)
    assert starts(state, WorkerMode.AUTO, 9, 0.0) == [], "nothing moves the head while its work is checked"


def test_a_task_that_must_run_alone_waits_for_the_others() -> None:
    state = planned(leaf("A1"), leaf("A2"))
    for _ in range(2):
        run_one(state, "A1", Outcome.CONFLICT)
    fold([(ev.AttemptStarting(task="A2", n=1, role=F, backend="fake", base="c0"), 0.0)], state)
    assert starts(state, WorkerMode.AUTO, 9, 0.0) == []


def test_parks_delays_pauses_and_questions_hold_tasks_back() -> None:
    state = planned(leaf("A1"), leaf("A2"), group("A3"), leaf("A3.1", parent="A3"))
    fold(
        [(ev.TaskDelayed(task="A1", until=50.0), 0.0), (ev.QuestionAsked(id="q1", question="?", task="A3"), 0.0)], state
    )
    assert names(starts(state, WorkerMode.AUTO, 9, 10.0)) == ["A2"]
    assert next_moment(state, 10.0) == 50.0
    fold([(ev.QuestionAnswered(id="q1", answer="x"), 0.0)], state)
    assert names(starts(state, WorkerMode.AUTO, 9, 50.0)) == ["A1", "A2", "A3.1"]
    fold([(ev.RoleParked(role=F, until=60.0, reason="limit"), 0.0)], state)
    assert starts(state, WorkerMode.AUTO, 9, 50.0) == []
    assert names(starts(state, WorkerMode.PRO_ONLY, 9, 50.0)) == ["A1", "A2", "A3.1"]
    assert names(starts(state, WorkerMode.AUTO, 9, 60.0)) == ["A1", "A2", "A3.1"]
    fold([(ev.Requested(command="pause"), 0.0)], state)
    assert starts(state, WorkerMode.AUTO, 9, 60.0) == []


# ---- going on with a session, second workers, a person's hand on one task


@pytest.mark.parametrize("kind", list(EndKind))
def test_only_work_that_was_cut_off_goes_on_in_its_session(kind: EndKind) -> None:
    task = tried((F, outcome_of(kind), kind))
    assert cut_off(task) is None  # no session was ever told
    task.attempts[0].ending = Ending(kind=kind, session="s1")
    assert (cut_off(task) is task.attempts[0]) == (kind in CUT_OFF)


def test_a_task_that_was_changed_meanwhile_begins_afresh() -> None:
    task = tried((F, INFRA, EndKind.RATE_LIMIT))
    task.attempts[0].ending = Ending(kind=EndKind.RATE_LIMIT, session="s1")
    assert cut_off(task) is not None
    task.changed = 1
    assert cut_off(task) is None


def test_what_came_out_of_the_checks_is_never_resumed() -> None:
    task = tried((F, CAP, EndKind.KILLED))
    task.attempts[0].ending = Ending(kind=EndKind.KILLED, session="s1")
    assert cut_off(task) is None


def ready(*fallbacks: Role) -> RunState:
    spec = TaskSpec(id="A1", title="One", checks=(CHECK,))
    return fold(
        [
            (ev.EngineStarted(version="0", pid=1, mode="flash-only", fallbacks=fallbacks), 0.0),
            (ev.PlanChanged(reason="plan", add=(spec,)), 0.0),
        ]
    )


def test_the_second_worker_takes_over_while_the_first_is_parked() -> None:
    state = ready(F)
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 10.0) == [Start("A1", F)]
    fold([(ev.RoleParked(role=F, until=20.0, reason="limit"), 10.0)], state)
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 10.0) == [Start("A1", F, fallback=True)]
    assert waits(state, 10.0) == []
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 20.0) == [Start("A1", F)]
    fold([(ev.RoleParked(role=F, until=None, reason="no credit", fallback=True), 10.0)], state)
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 10.0) == []
    assert waits(state, 10.0) == [20.0]
    assert next_moment(state, 10.0) == 20.0


def test_without_a_second_worker_nothing_takes_over() -> None:
    state = fold([(ev.RoleParked(role=F, until=None, reason="no credit"), 10.0)], ready())
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 10.0) == []
    assert waits(state, 10.0) == [None]
    assert starts(fold([(ev.Requested(command="wake"), 11.0)], state), WorkerMode.FLASH_ONLY, 1, 11.0)


def test_a_paused_task_does_not_start() -> None:
    state = fold([(ev.Requested(command="pause", task="A1"), 5.0)], ready())
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 10.0) == []
    fold([(ev.Requested(command="resume", task="A1"), 11.0)], state)
    assert starts(state, WorkerMode.FLASH_ONLY, 1, 11.0)


def test_time_in_a_pause_is_no_working_time() -> None:
    state = ready()
    started = ev.AttemptStarting(task="A1", n=1, role=F, backend="fake", base="c0")
    fold(
        [
            (started, 10.0),
            (ev.Requested(command="pause", task="A1"), 20.0),
            (ev.Requested(command="resume", task="A1"), 50.0),
        ],
        state,
    )
    assert state.tasks["A1"].attempts[0].idle == 30.0


def test_a_message_that_could_not_be_brought_goes_to_the_next_attempt() -> None:
    state = ready()
    given = [ev.MessageGiven(task="A1", n=1, text=text, injected=text == "now") for text in ("now", "later")]
    fold([(event, 1.0) for event in given], state)
    for n in (1, 2):
        fold([(ev.AttemptStarting(task="A1", n=n, role=F, backend="fake", base="c0"), 2.0)], state)
        fold([(ev.WorkerEnded(task="A1", n=n, ending=Ending(kind=EndKind.FINISHED), exit=ExitRecord()), 2.5)], state)
        fold([(ev.AttemptEnded(task="A1", n=n, outcome=CAP, reason="red"), 3.0)], state)
    assert [attempt.messages for attempt in state.tasks["A1"].attempts] == [("later",), ()]
