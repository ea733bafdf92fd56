"""`aura changelog`: the revisions of the goal and what each changed in the plan."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.model import Check
from aura_engine.core.text import clean, one_line
from aura_engine.report.models import GoalRevision, PlanStep
from aura_engine.report.words import clock_time, count, date_time, short, why_asked

LISTED = 12
MAX_DIFF = 20_000
"""Characters of one revision's difference."""


def revisions(events: Iterable[tuple[object, float]]) -> list[tuple[GoalRevision, float]]:
    """Each revision with the wall time it was read at, oldest first, out of (event, wall time) pairs."""
    found: list[tuple[GoalRevision, float]] = []
    text, checks = "", tuple[Check, ...]()
    for event, time in events:
        match event:
            case ev.GoalRead() if not found or found[-1][0].revision != event.revision:
                found.append((_revision(event, time, text if found else None, checks), time))
                text, checks = event.text, event.checks
            case ev.PlanChanged() if found:
                found[-1][0].plans.append(_step(event, time))
            case _:
                pass
    return found


def changelog_text(
    found: Sequence[tuple[GoalRevision, float]], *, overview: bool = False, paint: Callable[[str, str], str]
) -> str:
    """For a person: a block for each revision, or a line (`overview`). `paint(text, tone)` colours."""
    if not found:
        return "The goal has not been read yet."
    if overview:
        return "\n".join(_overview(revision, wall) for revision, wall in found)
    return "\n\n".join(_block(number, revision, wall, paint) for number, (revision, wall) in enumerate(found, 1))


def _revision(event: ev.GoalRead, time: float, before: str | None, checks: tuple[Check, ...]) -> GoalRevision:
    lines = [] if before is None else _diff(before, event.text)
    was, now = ({check.name: check.hash for check in each} for each in (checks, event.checks))
    return GoalRevision(
        time=iso(time),
        revision=event.revision,
        title=title_of(event.text),
        added_lines=sum(line.startswith("+") for line in lines),
        removed_lines=sum(line.startswith("-") for line in lines),
        diff="\n".join(lines)[:MAX_DIFF],
        checks_added=[one_line(name, 120) for name in now if name not in was],
        checks_removed=[one_line(name, 120) for name in was if name not in now],
        checks_changed=[one_line(name, 120) for name in now if name in was and was[name] != now[name]],
        plans=[],
    )


def _diff(old: str, new: str) -> list[str]:
    """Unified, without the two lines that name the files."""
    lines = difflib.unified_diff(clean(old).splitlines(), clean(new).splitlines(), n=2, lineterm="")
    return [line for number, line in enumerate(lines) if number >= 2]


def _step(event: ev.PlanChanged, time: float) -> PlanStep:
    return PlanStep(
        time=iso(time),
        by="planner" if event.call else "person",
        call=event.call,
        reason=why_asked(event.reason) or one_line(event.reason, 1000),
        added={spec.id: one_line(spec.title) for spec in event.add if not spec.group},
        changed=[change.id for change in event.change],
        dropped=list(event.archive),
        again=[retry.id for retry in event.retry],
        goal_checks=[one_line(check.name, 120) for check in event.goal_checks],
        lessons=[one_line(lesson, 500) for lesson in event.lessons],
    )


def title_of(text: str) -> str:
    """The goal's first line that says something."""
    first = next((line for line in text.splitlines() if line.strip(" #\t")), "")
    return one_line(first.strip(" #"), 80)


def _overview(revision: GoalRevision, wall: float) -> str:
    change = f"+{revision.added_lines} −{revision.removed_lines} lines" if revision.diff else "first read"
    added = sum(len(plan.added) for plan in revision.plans)
    dropped = sum(len(plan.dropped) for plan in revision.plans)
    plan = f"{count(added, 'task')} added" + (f", {dropped} dropped" if dropped else "")
    return f"{date_time(wall)}  {short(revision.revision)}  {change}; {plan}  “{revision.title}”"


def _block(number: int, revision: GoalRevision, wall: float, paint: Callable[[str, str], str]) -> str:
    head = f"Revision {number} ({short(revision.revision)}), {date_time(wall)}: “{revision.title}”"
    lines = [paint(head, "bold")]
    for word, names in (
        ("checks", revision.checks_added),
        ("checks gone", revision.checks_removed),
        ("checks changed", revision.checks_changed),
    ):
        if names:
            lines.append(f"  {word}: {_some(names)}")
    lines += [f"  {paint(line, _tone(line))}" for line in revision.diff.splitlines()]
    for plan in revision.plans:
        who = f"planner, call {plan.call}" if plan.call else "you"
        when = clock_time(datetime.fromisoformat(plan.time).timestamp())
        lines.append(f"  {when} plan by {who}" + (f": {plan.reason}" if plan.reason else ""))
        lines += [f"    + {task}  {title}" for task, title in list(plan.added.items())[:LISTED]]
        if len(plan.added) > LISTED:
            lines.append(f"    … and {len(plan.added) - LISTED} more")
        for word, names in (
            ("changed", plan.changed),
            ("dropped", plan.dropped),
            ("again", plan.again),
            ("goal checks added", plan.goal_checks),
            ("learned", plan.lessons),
        ):
            if names:
                lines.append(f"    {word}: {_some(names)}")
    if not revision.plans:
        lines.append("  no plan was made for it yet")
    return "\n".join(lines)


def _tone(line: str) -> str:
    return {"+": "good", "-": "bad", "@": "key"}.get(line[:1], "say")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
