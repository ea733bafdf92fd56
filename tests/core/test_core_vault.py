"""What is kept of attempts' work, and how long."""

from __future__ import annotations

from aura_engine.core import events as ev
from aura_engine.core.fold import fold
from aura_engine.core.model import Outcome, Role
from aura_engine.core.plan import TaskSpec
from aura_engine.core.vault import kept, needed, overdue


def story():
    """A1 was tried twice and landed, A2 was killed, A3 is still to go on."""
    yield ev.PlanChanged(reason="", add=tuple(TaskSpec(id=f"A{n}", title="t") for n in (1, 2, 3))), 1.0
    for number, (task, n) in enumerate((("A1", 1), ("A1", 2), ("A2", 1), ("A3", 1))):
        yield ev.AttemptStarting(task=task, n=n, role=Role.FLASH, backend="b", base=f"base{number}"), 10.0 + number
        if task == "A2":
            yield ev.WorkspaceKept(task=task, n=n, snapshot="before", why="killed: stopped by you"), 20.0
        if (task, n) == ("A1", 2):
            end = ev.WorkerEnded(task=task, n=n, ending={"kind": "finished"}, exit={})
            yield end, 21.0
            yield ev.Landed(task=task, n=n, commit="c", tree="t", snapshot="landed"), 22.0
        else:
            yield (
                ev.AttemptEnded(task=task, n=n, outcome=Outcome.CAPABILITY, reason="no", snapshot=f"snap{number}"),
                23.0 + number,
            )
    yield ev.TaskSettled(task="A2", status="killed", reason="stopped"), 30.0


def test_each_state_is_told_once_with_the_base_it_was_made_from():
    found = kept([*story(), (ev.WorkspaceKept(task="A2", n=1, folder="/kept/A2-1", why="could not be taken"), 40.0)])
    assert [(one.name, one.snapshot, one.base, one.when) for one in found] == [
        ("A2#1", "before", "base2", 20.0),
        ("A1#2", "landed", "base1", 22.0),
        ("A1#1", "snap0", "base0", 23.0),
        ("A2#1", "snap2", "base2", 25.0),
        ("A3#1", "snap3", "base3", 26.0),
        ("A2#1", "", "base2", 40.0),
    ]
    assert [one.landed for one in found] == [False, True, False, False, False, False]
    same = [*story(), (ev.WorkspaceKept(task="A3", n=1, snapshot="snap3", why="killed"), 41.0)]
    assert [one.why for one in kept(same) if one.snapshot == "snap3"] == ["killed"]


def test_what_is_trimmed_is_gone_and_nobody_builds_on_it():
    gone = [*story(), (ev.VaultTrimmed(snapshots=("snap3", "before"), reason="old"), 50.0)]
    assert {one.snapshot for one in kept(gone)} == {"landed", "snap0", "snap2"}
    assert fold(gone).tasks["A3"].attempts[0].snapshot == ""


def test_only_work_that_nothing_needs_is_let_go():
    state = fold(story())
    assert needed(state) == {"landed", "snap2", "snap3"}
    found = kept(story())
    old, much = overdue(found, needed(state), {}, before=100.0, limit=0)
    assert ([one.snapshot for one in old], much) == (["before", "snap0"], [])
    sizes = {"before": 60, "snap0": 50}
    assert overdue(found, needed(state), sizes, before=0.0, limit=110) == ([], [])
    old, much = overdue(found, needed(state), sizes, before=0.0, limit=100)
    assert (old, [one.snapshot for one in much]) == ([], ["before"])  # the oldest first, and no more than it takes
