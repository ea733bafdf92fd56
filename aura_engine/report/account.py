"""A run in full, as the final report tells it: made of the journal's events, bounded, every text cleaned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.model import Check, Receipt
from aura_engine.core.state import Attempt, RunState, Task, tree_order
from aura_engine.core.text import clean, one_line
from aura_engine.report.account_model import (
    Account,
    AttemptAccount,
    CheckAccount,
    Criterion,
    DiffAccount,
    TaskAccount,
)
from aura_engine.report.alone import decided_alone, undone
from aura_engine.report.changes import title_of
from aura_engine.report.models import FileChange
from aura_engine.report.patch import files_of
from aura_engine.report.usage import usage_rows
from aura_engine.report.words import status_counts, wanted

GOAL_TEXT = 20_000
TASKS = 1000
"""Tasks that are told of; the rest are counted."""
DIFFS = 200
DIFF_BYTES = 12_000
ALL_DIFFS = 2_000_000
"""Bytes of all diffs together."""
LANDED = "landed"
"""The reason of a task that is done: it says nothing more."""
OUTPUT = 600
"""Characters of a check's output."""

Diffs = Callable[[str, str, int], tuple[str, bool]]
"""(old commit, new commit, most bytes) → (unified diff, whether it was cut)."""


def account_of(state: RunState, events: Sequence[tuple[object, float]], diffs: Diffs, now: float) -> Account:
    """The account at `now` (wall time); `events` are those that `state` is made of, with their wall times."""
    counts = status_counts(state)
    ends = [(event, time) for event, time in events if isinstance(event, ev.RunEnded)]
    over = bool(ends) and events[-1][0] is ends[-1][0]
    ended = state.ended_at or ends[-1][1] if over else now
    tasks = tree_order(state)
    return Account(
        title=title_of(state.goal_text) or one_line(state.task_file.rsplit("/", 1)[-1]),
        goal=clean(state.goal_text)[:GOAL_TEXT],
        final_goal=clean(state.brief.final_goal) if state.brief else "",
        task_file=one_line(state.task_file, 1000),
        revisions=len({event.revision for event, _ in events if isinstance(event, ev.GoalRead)}),
        status=state.status.value if over else "running",
        reason=one_line(state.ended_reason, 1000),
        summary=one_line(state.declared_summary, 1000),
        started=iso(state.started_at) if state.started_at else None,
        ended=iso(ended) if over else None,
        seconds=round(max(0.0, ended - state.started_at), 1) if state.started_at else 0.0,
        tasks_done=counts.get("completed", 0),
        tasks_wanted=wanted(counts),
        attempts_made=sum(len(task.attempts) for task in state.leaves()),
        mode=state.mode,
        workers=state.workers,
        place=one_line(state.place, 1000),
        take=one_line(state.take, 1000),
        criteria=_criteria(state),
        goal_checks=[_check(check, state.goal_receipts.get(name)) for name, check in state.goal_checks.items()],
        tasks=_tasks(state, tasks[:TASKS], diffs),
        tasks_left_out=max(0, len(tasks) - TASKS),
        usage=usage_rows(state),
        alone=decided_alone(events),
        undone=undone(state, events),
        edits=[iso(time) for time in _edits(events)],
    )


def _edits(events: Sequence[tuple[object, float]]) -> list[float]:
    """When the goal was edited."""
    reads = [(event.revision, time) for event, time in events if isinstance(event, ev.GoalRead)]
    return [time for (before, _), (after, time) in pairwise(reads) if before != after]


def _criteria(state: RunState) -> list[Criterion]:
    found: list[Criterion] = []
    for each in state.brief.criteria if state.brief else ():
        verdicts = [state.goal_receipts.get(name) for name in each.checks]
        green = bool(verdicts) and all(receipt is not None and receipt.green for receipt in verdicts)
        found.append(Criterion(text=one_line(each.text, 1000), checks=[one_line(n) for n in each.checks], holds=green))
    return found


def _tasks(state: RunState, rows: Sequence[tuple[int, Task]], diffs: Diffs) -> list[TaskAccount]:
    found: list[TaskAccount] = []
    left, number = ALL_DIFFS, 0
    for depth, task in rows:
        ends = _ends(task)
        diff = None
        if ends and number < DIFFS and left > 0:
            diff = _diff(*diffs(*ends, min(DIFF_BYTES, left)))
            left -= len(diff.patch)
            number += 1
        found.append(_task(state, depth, task, diff))
    return found


def _ends(task: Task) -> tuple[str, str] | None:
    """The commits between which its work lies: what landed, else what was left last."""
    left = task.last_left
    return (left.base, left.snapshot) if left else None


def _diff(patch: str, cut: bool) -> DiffAccount:
    files = [FileChange(path=f.path, what=f.what, added=f.added, removed=f.removed) for f in files_of(patch)]
    return DiffAccount(files=files, patch=clean(patch), cut=cut)


def _task(state: RunState, depth: int, task: Task, diff: DiffAccount | None) -> TaskAccount:
    spec = task.spec
    checks = [*spec.checks, *(state.goal_checks[name] for name in spec.goal_checks if name in state.goal_checks)]
    status = state.group_status(spec.id) if spec.group else task.status
    return TaskAccount(
        id=spec.id,
        depth=depth,
        group=spec.group,
        title=one_line(spec.title),
        status=status.value,
        reason="" if task.reason == LANDED else one_line(task.reason, 500),
        proven=task.proven,
        needs=list(spec.needs),
        checks=[_check(check, task.receipts.get(check.name)) for check in checks] if not spec.group else [],
        attempts=[_attempt(attempt) for attempt in task.attempts],
        diff=diff,
    )


def _attempt(attempt: Attempt) -> AttemptAccount:
    return AttemptAccount(
        n=attempt.n,
        role=attempt.role.value,
        backend=one_line(attempt.backend, 40),
        started=attempt.started,
        ended=attempt.ended,
        outcome=attempt.outcome.value if attempt.outcome else "",
        why=one_line(attempt.why, 500),
        said=one_line(attempt.ending.claims, 500) if attempt.ending else "",
        tokens=attempt.usage.tokens,
        cost=round(attempt.usage.cost, 6),
    )


def _check(check: Check, receipt: Receipt | None) -> CheckAccount:
    counts = receipt.counts if receipt else None
    return CheckAccount(
        name=one_line(check.name, 120),
        how=one_line(check.describe(), 500),
        by="you" if check.person else "planner",
        held_out=check.hidden,
        verdict=receipt.verdict.value if receipt else "",
        reason=one_line(receipt.reason, 500) if receipt else "",
        exit_code=receipt.exit_code if receipt else None,
        seconds=round(receipt.duration, 3) if receipt else 0.0,
        tests=counts.tests if counts else None,
        tree=receipt.tree[:12] if receipt else "",
        output_hash=receipt.output_hash[:12] if receipt else "",
        output=clean(receipt.tail)[-OUTPUT:] if receipt and not receipt.green else "",
    )
