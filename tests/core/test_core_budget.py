"""Caps and the account of running workers: what must hold for any row of steps."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from aura_engine.core import events as ev
from aura_engine.core.budget import NOTHING, Account, Caps, Limit, Spent, past
from aura_engine.core.events_planner import CapReached, ModelAsked, ModelReplied, cap_words
from aura_engine.core.fold import fold
from aura_engine.core.model import RunStatus, Usage
from aura_engine.core.state import RunState

STEPS = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 1000)), max_size=200)


@given(steps=STEPS, cap=st.integers(1, 20_000))
def test_no_worker_goes_past_the_cap_by_more_than_one_step(steps: list[tuple[int, int]], cap: int) -> None:
    """Eight workers in any order; one that is told to stop has one step under way, whose usage comes all the same."""
    account, limit = Account(), Limit(tokens=cap)
    used = dict.fromkeys(map(str, range(8)), 0)
    longest = dict(used)
    last_words: set[str] = set()
    for name in used:
        account.open(name)
    for worker, tokens in steps:
        name = str(worker)
        if name in last_words:
            continue
        if account.entries[name].halted:
            last_words.add(name)
        used[name] += tokens
        longest[name] = max(longest[name], tokens)
        account.settle(name, Spent(tokens=used[name]))
        for late in account.to_halt(NOTHING, limit):
            account.entries[late].halted = True
        if sum(used.values()) >= cap:
            assert all(entry.halted for entry in account.entries.values())
    # A step larger than any before it was reserved too little: the one that crosses the cap may come on top.
    assert sum(used.values()) <= cap + sum(longest.values()) + max(longest.values())


@given(totals=st.lists(st.integers(0, 1000)))
def test_a_total_never_becomes_smaller_and_a_step_is_never_negative(totals: list[int]) -> None:
    account = Account()
    account.open("a")
    for total in totals:
        before = account.entries["a"].spent
        entry = account.settle("a", Spent(tokens=total, cost=total / 100))
        assert entry is not None
        assert entry.spent.tokens >= before.tokens
        assert entry.step >= NOTHING
    assert account.entries["a"].spent.tokens == max(totals, default=0)


@given(steps=st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_a_start_reserves_what_a_step_took_on_average(steps: list[int]) -> None:
    account = Account()
    account.open("a")
    total = 0
    for tokens in steps:
        total += tokens
        account.settle("a", Spent(tokens=total))
    account.open("b")
    assert math.isclose(account.entries["b"].step.tokens, total / len(steps), abs_tol=1)
    assert account.entries["a"].step.tokens == max(steps)


def test_the_oldest_workers_go_on_as_long_as_their_steps_fit() -> None:
    account = Account()
    for name in "abc":
        account.open(name)
        account.settle(name, Spent(tokens=10))
    assert account.to_halt(Spent(tokens=50), Limit(tokens=100)) == ["c"]
    assert account.to_halt(Spent(tokens=70), Limit(tokens=100)) == ["a", "b", "c"]
    assert account.to_halt(Spent(tokens=70), Limit()) == []


def test_each_measure_has_its_cap_and_zero_is_none() -> None:
    used = Spent(tokens=10, cost=1.0, work=60.0)
    assert past(used, NOTHING, Limit()) == ""
    assert past(used, NOTHING, Limit(tokens=10)) == "tokens"
    assert past(used, NOTHING, Limit(tokens=11)) == ""
    assert past(used, Spent(tokens=2), Limit(tokens=11)) == "tokens"
    assert past(used, Spent(cost=0.5), Limit(cost=1.5)) == ""
    assert past(used, Spent(cost=0.51), Limit(cost=1.5)) == "cost"
    assert past(used, NOTHING, Limit(work=60)) == "work"


def test_sums_of_cents_do_not_miss_the_cap_by_a_rounding_error() -> None:
    account = Account()
    account.open("a")
    for count in range(1, 11):
        account.settle("a", Spent(tokens=count, cost=sum([0.1] * count)))
    assert past(account.spent, NOTHING, Limit(cost=1.0)) == "cost"


def started(**more: object) -> ev.EngineStarted:
    return ev.EngineStarted(version="1", pid=1, **more)


def test_a_question_that_nobody_saw_answered_stays_counted() -> None:
    """The engine died: the provider may have billed it."""
    state = fold([(started(), 0.0), (ModelAsked(id=1, purpose="planner", reserve=Usage(input=100, cost=0.5)), 1.0)])
    assert (state.spent.cost, state.planner_usage.cost) == (0.5, 0.0)
    fold([(started(), 2.0)], state)
    assert (state.spent.cost, state.planner_usage.cost, state.reserved) == (0.5, 0.5, {})


def test_a_conversation_is_counted_once_whoever_wrote_the_journal() -> None:
    asked = ev.PlannerAsked(call=1, triggers=("goal_new:x",), revision="x")
    replied = ev.PlannerReplied(call=1, requests=2, usage=Usage(input=30, cost=0.3))
    requests = [
        event
        for number, tokens in ((1, 10), (2, 20))
        for event in (
            ModelAsked(id=number, purpose="planner", reserve=Usage(input=99)),
            ModelReplied(id=number, purpose="planner", usage=Usage(input=tokens, cost=tokens / 100)),
        )
    ]
    old = fold([(event, 0.0) for event in (started(), asked, replied)])
    new = fold([(event, 0.0) for event in (started(), asked, *requests, replied)])
    assert old.planner_usage.input == new.planner_usage.input == 30
    assert new.spent.tokens == 30


def test_a_judge_and_an_answer_are_counted_beside_the_conversation() -> None:
    asked = ev.PlannerAsked(call=1, triggers=("goal_new:x",), revision="x")
    judged = ModelReplied(id=1, purpose="judge", usage=Usage(input=7))
    replied = ev.PlannerReplied(call=1, requests=1, usage=Usage(input=30))
    assert fold([(event, 0.0) for event in (started(), asked, judged, replied)]).planner_usage.input == 37


def test_only_the_run_s_cap_stops_the_run_and_a_new_start_looks_again() -> None:
    reached = CapReached(scope="run", measure="cost", used=4.8, cap=5.0)
    state = fold([(started(caps=Caps(run=Limit(cost=5))), 0.0), (reached, 1.0)])
    assert state.capped == reached
    assert fold([(started(caps=Caps(run=Limit(cost=9))), 2.0)], state).capped is None
    assert fold([(reached.model_copy(update={"scope": "task", "task": "A1"}), 0.0)]).capped is None
    assert state.status is RunStatus.RUNNING


def test_a_cap_in_words() -> None:
    reached = CapReached(scope="run", measure="cost", used=4.8, cap=5.0)
    assert cap_words(reached).startswith("$4.80 of $5.00 used")
    work = reached.model_copy(update={"measure": "work", "used": 3599.6, "cap": 3600.0})
    assert cap_words(work).startswith("1h of 1h of work used")
    tokens = reached.model_copy(update={"measure": "tokens", "used": 1_234_567.0, "cap": 2_000_000.0})
    assert cap_words(tokens).startswith("1,234,567 of 2,000,000 tokens used")


def test_a_run_without_caps_has_none() -> None:
    assert not RunState().caps.run.any
    assert not Caps().timed
    assert Caps(task=Limit(work=1)).timed
