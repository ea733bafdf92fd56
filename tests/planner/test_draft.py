"""The draft of a plan: what is refused, what it becomes."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aura_engine.core import events as ev
from aura_engine.core.fold import fold
from aura_engine.core.model import Check, Ending, EndKind, ExitRecord, Prepare, Role, TaskStatus
from aura_engine.core.plan import TaskSpec
from aura_engine.core.state import RunState
from aura_engine.planner import tools
from aura_engine.planner.draft import Draft, Refused, Rules

CHECK: dict[str, Any] = {"name": "it works", "run": "true"}
LAW = Check(name="unit tests", run="make test", person=True)


def task(key: str, *needs: str, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"key": key, "title": f"Make {key}", "needs": list(needs), "checks": [CHECK], **more}
    return fields


def group(key: str, *tasks: dict[str, Any], needs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"key": key, "title": f"Group {key}", "needs": list(needs), "tasks": list(tasks)}


def add(draft: Draft, *tasks: dict[str, Any], parent: str = "") -> str:
    return do(draft, "add_tasks", parent=parent, tasks=list(tasks))


def do(draft: Draft, tool: str, **arguments: Any) -> str:
    """A call as the model makes it: parsed, then handed to the draft."""
    return getattr(draft, tool)(tools.parse(tool, arguments))


def goal_state() -> RunState:
    return fold([(ev.GoalRead(revision="r1", text="goal", prose="goal", checks=(LAW,)), 0.0)])


@pytest.fixture
def draft() -> Draft:
    """For a new goal with one check of the person's."""
    return Draft(goal_state())


@pytest.fixture
def under_way() -> RunState:
    """A1 landed, A2 failed, A3 runs, A4 waits for A3, A5 is a group with A5.1; the goal's first revision is told."""
    state = goal_state()
    check = Check(**CHECK)
    leaves = [TaskSpec(id=f"A{i}", title=f"Task {i}", checks=(check,)) for i in (1, 2, 3)]
    specs = (
        *leaves,
        TaskSpec(id="A4", title="Task 4", needs=("A3",), checks=(check,)),
        TaskSpec(id="A5", title="Five", group=True),
        TaskSpec(id="A5.1", parent="A5", title="Task 5.1", checks=(check,)),
    )
    finished = Ending(kind=EndKind.FINISHED)
    events = [
        ev.PlannerAsked(call=1, triggers=("goal_new",), revision="r1"),
        ev.PlanChanged(reason="plan", told=True, add=specs),
        ev.AttemptStarting(task="A1", n=1, role=Role.FLASH, backend="fake", base="c0"),
        ev.WorkerEnded(task="A1", n=1, ending=finished, exit=ExitRecord()),
        ev.Landed(task="A1", n=1, commit="c1", tree="t1"),
        ev.TaskSettled(task="A2", status=TaskStatus.FAILED, reason="no luck"),
        ev.AttemptStarting(task="A3", n=1, role=Role.FLASH, backend="fake", base="c1"),
    ]
    return fold([(event, 0.0) for event in events], state)


# ---- ids


def test_ids_are_aura_s_and_keys_are_only_labels(draft: Draft) -> None:
    said = add(draft, group("../x", task("B7"), task("rm -rf /")), task("A1.1", "../x"))
    assert list(draft.add) == ["A1", "A1.1", "A1.2", "A2"]
    assert draft.add["A2"].needs == ("A1",)
    assert "../x = A1" in said
    assert "A1.1 = A2" in said
    add(draft, task("later", "B7"), parent="../x")
    assert draft.add["A1.3"].needs == ("A1.1",)


def test_further_messages_go_on_counting(draft: Draft) -> None:
    add(draft, task("a"))
    add(draft, task("b"))
    assert list(draft.add) == ["A1", "A2"]


def test_a_changed_goal_gets_the_next_letter(under_way: RunState) -> None:
    fold([(ev.GoalRead(revision="r2", text="other", prose="other", checks=(LAW,)), 0.0)], under_way)
    draft = Draft(under_way)
    add(draft, task("a", "A1"))
    add(draft, task("b"), parent="A5")
    assert list(draft.add) == ["B1", "A5.2"]


# ---- what is refused


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ([task("a", "b"), task("b", "a")], "cycle"),
        ([task("a", "c"), task("b", "a"), task("c", "b")], "cycle"),
        ([group("g", task("a", "b")), task("b", "g")], "cycle"),
        ([group("g", task("a"), needs=("h",)), group("h", task("b", "a"))], "cycle"),
        ([group("g", task("a"), needs=("a",))], "cycle"),
        ([task("a", "a")], "itself"),
        ([group("g", task("a", "g"))], "the group it is in"),
        ([task("a", "nobody")], "does not exist"),
        ([task("a"), task("a", title="Other")], "“a” is taken"),
        ([task("a", title="Same"), task("b", title="SAME")], "in the same place already"),
        ([task("a", checks=[])], "no check"),
        ([task("a", checks=["nothing of the kind"])], "no goal check"),
        ([task("a", checks=[CHECK, {**CHECK, "run": "false"}])], "two checks have the same name"),
        ([{**group("g", task("a")), "checks": [CHECK]}], "is a group"),
        ([task("a", checks=[{"name": "unit tests", "run": "true"}])], "the person's check"),
        ([task("a", checks=[{**CHECK, "reproduce": False}])], "only the person"),
        ([task("a", makes=["../../etc/passwd"])], "inside the project"),
        ([], "empty"),
        ([task(f"t{i}") for i in range(501)], "50[12] tasks in one call"),
        ([group("g", *(task(f"t{i}") for i in range(500)))], "50[12] tasks in one call"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_whole(draft: Draft, tasks: list[dict[str, Any]], why: str) -> None:
    add(draft, task("before"))
    with pytest.raises(Refused, match=why):
        add(draft, task("good"), *tasks) if tasks else add(draft)
    assert list(draft.add) == ["A1"]
    assert list(draft.keys) == ["before"]
    add(draft, task("good"))
    assert list(draft.add) == ["A1", "A2"], "no id was lost"


def test_five_hundred_tasks_in_one_call_are_taken(draft: Draft) -> None:
    add(draft, *(task(f"t{i}") for i in range(500)))
    assert len(draft.add) == 500


def test_a_tree_deeper_than_anyone_can_follow_is_refused(draft: Draft) -> None:
    def nest(depth: int) -> dict[str, Any]:
        return task("leaf") if depth == 1 else group(f"g{depth}", nest(depth - 1))

    with pytest.raises(Refused, match="levels deep"):
        add(draft, nest(tools.MAX_DEPTH + 1))
    add(draft, nest(tools.MAX_DEPTH))
    deep = draft.keys["g2"]
    with pytest.raises(Refused, match="levels deep"):
        add(draft, group("too", task("deep")), parent=deep)


def test_a_chain_of_ten_thousand_is_no_recursion() -> None:
    draft = Draft(goal_state())
    start = time.process_time()
    for first in range(0, 10_000, 500):
        add(draft, *(task(f"t{i}", *([f"t{i - 1}"] if i else [])) for i in range(first, first + 500)))
    assert len(draft.add) == 10_000
    with pytest.raises(Refused, match="cycle"):
        do(draft, "change_task", id="t0", needs=["t9999"])
    assert time.process_time() - start < 20


def test_a_parent_has_to_be_a_group_that_exists(under_way: RunState) -> None:
    draft = Draft(under_way)
    with pytest.raises(Refused, match="only a group"):
        add(draft, task("a"), parent="A4")
    with pytest.raises(Refused, match="no task “A9”"):
        add(draft, task("a"), parent="A9")


# ---- who decides


def test_a_task_s_own_tests_never_suffice(draft: Draft) -> None:
    draft.rules = Rules(deciding=lambda path: path.startswith("tests/"))
    with pytest.raises(Refused, match="decides its own check"):
        add(draft, task("a", makes=["tests/test_a.py"]))
    probe = {"name": "probe", "run": "python probe.py", "hidden": True}
    judge = {"name": "judge", "judge": "The tests test something.", "file": "tests.md"}
    for number, independent in enumerate((probe, judge, "unit tests")):
        makes = [f"tests/test_{number}.py"]
        add(draft, task(f"t{number}", makes=makes, checks=[CHECK, independent]))
    assert draft.add["A3"].goal_checks == ("unit tests",)
    add(draft, task("plain", makes=["notes.md"]))
    with pytest.raises(Refused, match="decides its own check"):
        do(draft, "change_task", id="plain", makes=["tests/test_plain.py"])
    assert draft.add[draft.keys["plain"]].makes == ("notes.md",)


def test_the_person_s_check_is_never_changed(draft: Draft) -> None:
    weak = {"name": "unit tests", "run": "true"}
    criterion = {"text": "Works", "checks": [weak]}
    with pytest.raises(Refused, match="the person's check"):
        do(draft, "set_brief", final_goal="g", success_criteria=[criterion])
    with pytest.raises(Refused, match="the person's check"):
        do(draft, "add_goal_check", check=weak)
    assert draft.brief is None
    assert draft.checks() == {"unit tests": LAW}


def test_a_planner_s_check_is_never_a_person_s(draft: Draft) -> None:
    do(draft, "add_goal_check", check={**CHECK, "person": True})
    add(draft, task("a", checks=[{**CHECK, "name": "other", "person": True}]))
    assert not draft.goal_checks["it works"].person
    assert not draft.add["A1"].checks[0].person


def test_a_brief_needs_a_check_for_each_criterion(draft: Draft) -> None:
    with pytest.raises(ValueError, match=r"success_criteria\.0\.checks"):
        do(draft, "set_brief", final_goal="g", success_criteria=[{"text": "Works", "checks": []}])
    with pytest.raises(Refused, match="there is no goal check “x”"):
        do(draft, "set_brief", final_goal="g", success_criteria=[{"text": "Works", "checks": ["x"]}])
    twice = [{"text": "1", "checks": [CHECK]}, {"text": "2", "checks": [{**CHECK, "run": "false"}]}]
    with pytest.raises(Refused, match="two goal checks"):
        do(draft, "set_brief", final_goal="g", success_criteria=twice)
    assert draft.goal_checks == {}, "nothing of a refused brief stays"
    criteria = [{"text": "Works", "checks": ["unit tests", CHECK]}]
    prepare = {"run": "make venv", "makes": [".venv"], "from": ["requirements.txt"]}
    do(draft, "set_brief", final_goal="g", success_criteria=criteria, prepare=prepare)
    assert draft.brief is not None
    assert draft.brief.criteria[0].checks == ("unit tests", "it works")
    event = draft.event("r", 1, told=True)
    assert event is not None
    assert event.prepare == Prepare(run="make venv", makes=(".venv",), from_=("requirements.txt",))


# ---- held out


def leaky(text: str, hidden: Any) -> list[str]:
    return [check.run for check in hidden if check.run in text]


def test_nothing_that_workers_read_gives_a_held_out_check_away(under_way: RunState) -> None:
    held = Check(name="held", run="probe.py --deep", hidden=True, person=True)
    law = ev.GoalRead(revision="r1", text="goal", prose="goal", checks=(LAW, held))
    draft = Draft(fold([(law, 0.0)], under_way), Rules(leaks=leaky))
    secret = "make probe.py --deep pass"
    own = {"name": "p", "run": "own_probe 7", "hidden": True}
    criteria = [{"text": "Works", "checks": ["unit tests"]}]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("add_tasks", {"tasks": [task("a", instructions=secret)]}),
        ("add_tasks", {"tasks": [task("a", title=secret)]}),
        ("add_tasks", {"tasks": [task("a", instructions="run own_probe 7", checks=[own])]}),
        ("change_task", {"id": "A4", "instructions": secret}),
        ("retry_task", {"id": "A2", "instructions": secret}),
        ("set_brief", {"final_goal": "g", "environment": secret, "success_criteria": criteria}),
        ("set_brief", {"final_goal": "g", "constraints": [secret], "success_criteria": criteria}),
        ("add_probe", {"task": "A4", "check": {"name": "p", "run": "Task 4"}}),
    ]
    for tool, arguments in calls:
        with pytest.raises(Refused, match="gives away"):
            do(draft, tool, **arguments)
    assert draft.event("r", 1, told=False) is None


def test_a_probe_is_always_held_out(under_way: RunState) -> None:
    draft = Draft(under_way)
    do(draft, "add_probe", task="A4", check={**CHECK, "name": "probe", "hidden": False})
    assert [check.hidden for check in draft.change["A4"].add_checks] == [True]
    with pytest.raises(Refused, match="has landed"):
        do(draft, "add_probe", task="A1", check=CHECK)
    with pytest.raises(Refused, match="is a group"):
        do(draft, "add_probe", task="A5", check=CHECK)


# ---- changing what is there


def test_what_has_landed_stays_as_it_is(under_way: RunState) -> None:
    draft = Draft(under_way)
    with pytest.raises(Refused, match="has landed"):
        do(draft, "change_task", id="A1", instructions="other")
    with pytest.raises(Refused, match="only failed, blocked or killed"):
        do(draft, "retry_task", id="A1", instructions="again")
    with pytest.raises(Refused, match="has landed"):
        do(draft, "archive_tasks", ids=["A1"], reason="the goal no longer wants it")
    assert draft.status("A1") is TaskStatus.COMPLETED


def test_what_others_need_cannot_be_archived_alone(under_way: RunState) -> None:
    draft = Draft(under_way)
    with pytest.raises(Refused, match="A4 needs A3"):
        do(draft, "archive_tasks", ids=["A3"], reason="r")
    assert draft.archive == {}
    with pytest.raises(Refused, match=r"A4 needs A3: drop it first \(aura drop A4\)"):  # a person's words for a person
        do(Draft(under_way, by_person=True), "archive_tasks", ids=["A3"], reason="r")
    do(draft, "archive_tasks", ids=["A3", "A4"], reason="r")
    assert list(draft.archive) == ["A3", "A4"]


def test_a_group_goes_with_all_below_it(under_way: RunState) -> None:
    draft = Draft(under_way)
    do(draft, "archive_tasks", ids=["A5"], reason="r")
    assert list(draft.archive) == ["A5", "A5.1"]


def test_what_is_added_and_archived_in_one_conversation_was_never_there(under_way: RunState) -> None:
    draft = Draft(under_way)
    add(draft, task("a"), task("b"))
    do(draft, "archive_tasks", ids=["a"], reason="thought better of it")
    event = draft.event("r", 1, told=False)
    assert event is not None
    assert [spec.title for spec in event.add] == ["Make b"]
    assert event.archive == ()


def test_changes_add_up_and_a_refused_one_leaves_the_earlier(under_way: RunState) -> None:
    draft = Draft(under_way)
    do(draft, "change_task", id="A4", instructions="carefully", add_checks=[{**CHECK, "name": "second"}])
    do(draft, "change_task", id="A4", difficulty="hard", add_checks=[{**CHECK, "name": "third"}])
    with pytest.raises(Refused, match="cannot need itself"):
        do(draft, "change_task", id="A4", needs=["A4"])
    add(draft, task("a", "A4"))
    with pytest.raises(Refused, match="cycle"):
        do(draft, "change_task", id="A4", needs=["a"])
    spec = draft.spec("A4")
    assert spec is not None
    assert (spec.instructions, spec.difficulty, spec.needs) == ("carefully", "hard", ("A3",))
    assert [check.name for check in spec.checks] == ["it works", "second", "third"]
    with pytest.raises(Refused, match="is a group"):
        do(draft, "change_task", id="A5", add_checks=[CHECK])
    event = draft.event("r", 1, told=False)
    assert event is not None
    fold([(event, 0.0)], under_way)
    assert under_way.tasks["A4"].spec == spec


def test_retry(under_way: RunState) -> None:
    draft = Draft(under_way)
    do(draft, "retry_task", id="A2", instructions="another way")
    event = draft.event("r", 1, told=False)
    assert event is not None
    fold([(event, 0.0)], under_way)
    found = under_way.tasks["A2"]
    assert (found.status, found.extra) == (TaskStatus.PENDING, "another way")


def test_an_empty_plan_is_a_problem_for_a_new_goal_only(draft: Draft) -> None:
    assert draft.problems(new_goal=False) == []
    assert len(draft.problems(new_goal=True)) == 2
    assert draft.event("r", 1, told=True) is None
    do(draft, "set_brief", final_goal="g", success_criteria=[{"text": "Works", "checks": ["unit tests"]}])
    assert len(draft.problems(new_goal=True)) == 1
    add(draft, task("a"))
    assert draft.problems(new_goal=True) == []


def test_lessons_are_kept(draft: Draft) -> None:
    do(draft, "remember", lesson="The API is slow.")
    event = draft.event("r", 1, told=False)
    assert event is not None
    assert event.lessons == ("The API is slow.",)


# ---- garbage

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["A1", "A2", "a", "g"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "title", "tasks", "checks", "needs", "name", "run", "id", "file"]), inner
        )
    ),
    max_leaves=12,
)
TEXT = st.text(max_size=12) | st.sampled_from(["a", "b", "A1", "A2", "A4", "A5", "unit tests", "\ud800", "", "../x"])
CHECKS = st.lists(
    st.fixed_dictionaries(
        {"name": TEXT},
        optional={
            "run": TEXT,
            "file": TEXT,
            "value": TEXT,
            "at_least": st.floats(),
            "judge": TEXT,
            "hidden": st.booleans(),
        },
    )
    | TEXT,
    max_size=2,
)
TASKS = st.lists(
    st.deferred(lambda: TASK),
    max_size=3,
)
TASK: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"key": TEXT, "title": TEXT},
    optional={
        "needs": st.lists(TEXT, max_size=2),
        "checks": CHECKS,
        "makes": st.lists(TEXT, max_size=2),
        "tasks": TASKS,
    },
)
NEARLY = st.one_of(
    st.tuples(st.just("add_tasks"), st.fixed_dictionaries({"tasks": TASKS}, optional={"parent": TEXT})),
    st.tuples(
        st.just("change_task"),
        st.fixed_dictionaries({"id": TEXT}, optional={"needs": st.lists(TEXT, max_size=2), "add_checks": CHECKS}),
    ),
    st.tuples(st.just("archive_tasks"), st.fixed_dictionaries({"ids": st.lists(TEXT), "reason": TEXT})),
    st.tuples(st.just("retry_task"), st.fixed_dictionaries({"id": TEXT, "instructions": TEXT})),
    st.tuples(st.sampled_from([*tools.TOOLS, "no_such_tool"]), JSON),
)
DRAFTED = [name for name in tools.TOOLS if hasattr(Draft, name)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(NEARLY, max_size=6))
def test_garbage_is_refused_and_nothing_else_happens(under_way: RunState, calls: list[tuple[str, Any]]) -> None:
    draft = Draft(under_way)
    for name, arguments in calls:
        try:
            args = tools.parse(name, arguments)
            if name in DRAFTED:
                getattr(draft, name)(args)
        except ValueError:
            continue
    event = draft.event("r", 1, told=False)
    if event is None:
        return
    # What passed is a plan: it can be journaled, read again and folded, and something may still start or has run.
    back = ev.decode("plan_changed", ev.encode(event))
    state = fold([(back, 0.0)], goal_state_with(under_way))
    assert set(state.tasks) >= {spec.id for spec in event.add}
    assert all(spec.checks or spec.goal_checks or spec.group for spec in event.add)


def goal_state_with(state: RunState) -> RunState:
    """A copy that a test may change."""
    return copy.deepcopy(state)
