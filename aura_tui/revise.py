"""What an edit of the goal changes: its text, its checks, what is wrong with its blocks; and what came of it.

No Textual here; `review` is for a thread when the goal is long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aura_engine.core.model import Check, TaskStatus
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.errors import GoalError
from aura_engine.goal.blocks import BlockError, Goal, parse_goal
from aura_engine.goal.diff import CheckChanges, diff_checks, diff_text
from aura_engine.goal.read import GoalText
from aura_engine.report.words import clock_time, count
from aura_tui.decisions import changed, stopped
from aura_tui.history import Decision, History
from aura_tui.patch import Patch
from aura_tui.sheet import Para, Part, Section, prose

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line of the goal; lines count from 1, 0 is the whole."""

    line: int
    what: str


@dataclass(frozen=True)
class Review:
    """An edit, looked at before it is applied."""

    diff: str
    checks: CheckChanges
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    prepare: bool
    """What a checkout is prepared with has changed."""


def same(text: str) -> str:
    """The text as the engine reads it: without what an editor adds at line ends and at the end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"


def problems_of(text: str) -> tuple[Problem, ...]:
    """What is wrong with a goal, each with its line."""
    return _parsed(text)[1]


def _parsed(text: str) -> tuple[Goal | None, tuple[Problem, ...]]:
    if not text.strip():
        return None, (Problem(0, "the goal is empty"),)
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        return None, (Problem(0, "the goal is larger than 1 MiB"),)
    try:
        return parse_goal(GoalText(Path("task.md"), same(text), "")), ()
    except BlockError as error:
        return None, tuple(Problem(each.line, one_line(each.what, 300)) for each in error.problems)
    except GoalError as error:
        return None, (Problem(0, one_line(str(error), 300)),)


def review(old: str, new: str, in_force: Iterable[Check], name: str = "task.md") -> Review:
    """What `new` in place of `old` changes; `in_force`: the person's checks that the engine goes by now."""
    goal, problems = _parsed(new)
    before, _ = _parsed(old)
    checks = diff_checks(before.checks if before else in_force, goal.checks) if goal else CheckChanges()
    return Review(
        diff=diff_text(same(old), same(new), name=name),
        checks=checks,
        problems=problems,
        notes=goal.notes if goal else (),
        prepare=goal is not None and before is not None and goal.prepare != before.prepare,
    )


def sections(found: Review, state: RunState) -> list[Section]:
    """The review, for reading before it is applied."""
    wrong = [
        Section(
            "problems",
            ((f"✗ {count(len(found.problems), 'problem')}", "bad bold"),),
            (),
            prose(
                Para("As it stands the engine takes no notice of this edit: the goal before it stays in force.", "ask"),
                *(Para(each.what, "bad", f"line {each.line}" if each.line else "") for each in found.problems),
            ),
        )
    ]
    notes = Section("notes", (("Perhaps not meant so", "ask"),), (), prose(*(Para(note) for note in found.notes)))
    lines = found.diff.split("\n")[2:]
    added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    text = Section(
        "text",
        (("Text", "title"),),
        ((f"+{added}", "good"), (f" −{removed} ", "bad")),
        Patch("", "", added, removed, lines),
    )
    blocks = [_checks(found)] if found.checks else []
    prepare = [Section("prepare", (("What a clean checkout is prepared with changes", "ask"),))] * found.prepare
    return [
        *(wrong if found.problems else []),
        *blocks,
        *prepare,
        *([notes] if found.notes else []),
        *([text] if lines else []),
        *([_plan(state)] if state.tasks and not found.problems else []),
    ]


def _checks(found: Review) -> Section:
    changes = found.checks
    rows = [Para(f"+ {check.name}  {check.describe()}", "good") for check in changes.added]
    for before, after in changes.changed:
        rows.append(Para(f"~ {after.name}", "ask"))
        rows += [Para(line, "dim", indent=8) for line in _fields(before, after)]
    rows += [Para(f"− {check.name}  {check.describe()}", "bad") for check in changes.removed]
    counted = [
        f"{len(group)} {word}"
        for group, word in ((changes.added, "added"), (changes.changed, "changed"), (changes.removed, "removed"))
        if group
    ]
    return Section("checks", (("Your checks", "title"), (f"  {', '.join(counted)}", "say")), (), prose(*rows))


def _fields(before: Check, after: Check) -> list[str]:
    """What differs between two checks of one name."""
    old, new = (check.model_dump(mode="json", exclude_defaults=True) for check in (before, after))
    names = [name for name in Check.model_fields if old.get(name) != new.get(name)]
    return [f"{name}: {_value(old, name)} → {_value(new, name)}" for name in names]


def _value(found: dict[str, object], name: str) -> str:
    return one_line(str(found[name]), 120) if name in found else "(not set)"


def _plan(state: RunState) -> Section:
    """What happens to the plan when it is applied."""
    leaves = [task for task in state.leaves() if task.status is not TaskStatus.ARCHIVED]
    done = sum(task.status is TaskStatus.COMPLETED for task in leaves)
    text = (
        f"The planner is told and decides what becomes of {count(len(leaves), 'task')}: {done} done, "
        f"{len(state.busy)} running. Done work stays where it is still wanted; new tasks get the next letter."
    )
    return Section("plan", (("Then", "title"),), (), prose(Para(text, "dim")))


def _asked(state: RunState, history: History) -> Decision | None:
    """The planner's first call that was about the goal as it is now, or the latest attempt at it."""
    about = [each for each in history.decisions if each.call and each.revision == state.revision]
    return next((each for each in about if each.changes), about[-1] if about else None)


def answer_to(state: RunState, history: History, text: str, saved_at: float) -> Decision | None:
    """The decision that changed the plan after the text that was saved at `saved_at` (wall time); None before it."""
    asked = _asked(state, history) if same(text) == state.goal_text else None
    return asked if asked is not None and asked.ended > saved_at and asked.changes else None


def aftermath(state: RunState, history: History, text: str, saved_at: float) -> list[Part]:
    """What has come of the text that was saved at `saved_at` (wall time), in a line."""
    if same(text) != state.goal_text:
        return [(f"saved {clock_time(saved_at)}; the engine has not read it yet", "live")]
    answer = _asked(state, history)
    if answer is not None and 0 < answer.ended < saved_at and state.told_revision == state.revision:
        return [("it is the goal that is in force: the plan stays as it is", "dim")]
    if answer is None or (answer.ended and state.told_revision != state.revision and answer.failure is None):
        return [("the engine has read it; the planner is asked next", "live")]
    if answer.failure is not None:
        return [(f"the planner could not be asked: {one_line(answer.failure.message, 200)}", "bad")]
    if not answer.ended:
        return [("the planner thinks about it", "live")]
    return [("the plan follows: ", "good"), (_became(state, answer), "say")]


def _became(state: RunState, answer: Decision) -> str:
    """`+2 tasks, 1 changed, 1 dropped, 9 kept`."""
    added = {spec.id for change in answer.changes for spec in change.add}
    kept = sum(task.status is not TaskStatus.ARCHIVED and task.spec.id not in added for task in state.leaves())
    parts: Sequence[str] = [part for change in answer.changes for part in changed(change)]
    ended = sum(stopped(state, task_id) for change in answer.changes for task_id in change.archive)
    return ", ".join([*parts, *([f"{ended} stopped"] if ended else []), f"{kept} kept"])
