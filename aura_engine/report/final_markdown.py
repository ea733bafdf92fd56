"""The final report in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aura_engine.core.duration import span
from aura_engine.core.model import TaskStatus
from aura_engine.report.account_model import Account, CheckAccount, TaskAccount
from aura_engine.report.markdown import cell, fenced, md
from aura_engine.report.usage import total_of
from aura_engine.report.words import STATUS_SYMBOL, UNICODE, amount, count, date_time

VERDICTS = {"green": "✓ green", "red": "✗ red", "flaky": "↻ flaky", "error": "! could not run", "": "○ not run"}
OUTCOMES = {
    "achieved": "The goal is achieved",
    "failed": "Ended without achieving the goal",
    "needs_person": "You are needed",
    "budget": "A budget was reached",
    "interrupted": "Interrupted",
    "running": "It is still running",
}


def final_markdown(account: Account, *, diffs: bool = True) -> str:
    """The whole report, or all of it but the diffs; the same account gives the same text."""
    parts = [
        _head(account),
        _undone(account),
        _criteria(account),
        _goal_checks(account),
        _tree(account),
        *(_task(task, diffs=diffs) for task in account.tasks if not task.group),
        _alone(account),
        _cost(account),
        _goal(account),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def session_markdown(account: Account) -> str:
    """`memory/session.md`: how the run went, without its tasks."""
    parts = [_head(account), _undone(account), _alone(account), _cost(account)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def local(stamp: str | None) -> str:
    """An ISO time as local date and time; "" for none."""
    return date_time(datetime.fromisoformat(stamp).timestamp()) if stamp else ""


def outcome(account: Account) -> str:
    """One sentence."""
    why = account.summary if account.status == "achieved" and account.summary else account.reason
    return OUTCOMES.get(account.status, account.status) + (f": {why}" if why else "")


def figures(account: Account) -> list[tuple[str, str]]:
    """(value, what it counts): what one wants to know first."""
    total = total_of(account.usage)
    found = [
        (f"{account.tasks_done} of {account.tasks_wanted}", "tasks done"),
        (str(account.attempts_made), "attempt" if account.attempts_made == 1 else "attempts"),
        (span(account.seconds), "from start to end" if account.ended else "so far"),
        (amount(total.input + total.output + total.cache_read + total.cache_write), "tokens"),
    ]
    return [*found, (f"${total.cost:.2f}", "cost")] if total.cost else found


def _head(account: Account) -> list[str]:
    place = [f"- result: {md(account.place, 500)}"] if account.place else []
    take = [f"- take it: `{account.take}`"] if account.take else []
    return [
        f"# {md(account.title)}",
        "",
        f"**{md(outcome(account), 1200)}**",
        "",
        f"- {', '.join(f'{value} {what}' for value, what in figures(account))}",
        f"- started {local(account.started)}" + (f", ended {local(account.ended)}" if account.ended else ""),
        *place,
        *take,
    ]


def _undone(account: Account) -> list[str]:
    if not account.undone:
        return []
    rows = [f"- {md(each.what, 400)}: {md(each.why, 500)}" for each in account.undone]
    return ["## What was not done, and why", "", *rows]


def _criteria(account: Account) -> list[str]:
    if not account.criteria:
        return []
    goal = ["", md(account.final_goal, 4000)] if account.final_goal else []
    rows = [
        f"- {'✓' if each.holds else '✗'} {md(each.text, 1000)} ({', '.join(md(name) for name in each.checks)})"
        for each in account.criteria
    ]
    return ["## What was wanted", *goal, "", *rows]


def _checks(checks: Sequence[CheckAccount]) -> list[str]:
    rows = ["| check | verdict | exit | tests | on tree | how |", "| --- | --- | --- | --- | --- | --- |"]
    for check in checks:
        by = " (held out)" if check.held_out else ""
        tests = "" if check.tests is None else str(check.tests)
        code = "" if check.exit_code is None else str(check.exit_code)
        rows.append(
            f"| {cell(check.name)}{by} | {VERDICTS.get(check.verdict, cell(check.verdict))} | {code} | {tests} "
            f"| {check.tree} | {cell(check.how)} |"
        )
    for check in checks:
        if check.reason and check.verdict != "green":
            rows += ["", f"“{md(check.name)}”: {md(check.reason, 500)}"]
            rows += ["", *fenced(check.output)] if check.output.strip() else []
    return rows


def _goal_checks(account: Account) -> list[str]:
    return ["## The goal's checks", "", *_checks(account.goal_checks)] if account.goal_checks else []


def _tree(account: Account) -> list[str]:
    if not account.tasks:
        return []
    rows = [
        f"{'  ' * task.depth}- {symbol(task)} {task.id} {md(task.title)}" + ("" if task.proven else " (unproven)")
        for task in account.tasks
    ]
    more = [f"- … and {count(account.tasks_left_out, 'task')} more"] if account.tasks_left_out else []
    return ["## The tree", "", *rows, *more]


def symbol(task: TaskAccount) -> str:
    """The mark of a task's status."""
    return UNICODE[STATUS_SYMBOL[TaskStatus(task.status)]]


def _task(task: TaskAccount, *, diffs: bool) -> list[str]:
    lines = [f"### {task.id} {md(task.title)}", "", f"{symbol(task)} {task.status.replace('_', ' ')}"]
    if task.reason:
        lines[-1] += f": {md(task.reason, 500)}"
    if task.attempts:
        lines.append("")
    for attempt in task.attempts:
        took = f", {span(attempt.ended - attempt.started)}" if attempt.ended else ""
        tokens = f", {amount(attempt.tokens)} tokens" if attempt.tokens else ""
        why = f": {md(attempt.why, 500)}" if attempt.why and attempt.outcome != "passed" else ""
        how = {"passed": "landed", "": "under way"}.get(attempt.outcome, attempt.outcome)
        lines.append(f"- #{attempt.n} {attempt.role} {md(attempt.backend)}{took}{tokens}: {how}{why}")
    if task.checks:
        lines += ["", *_checks(task.checks)]
    if diffs and task.diff and task.diff.patch:
        lines += ["", *fenced(task.diff.patch, "diff")]
    if diffs and task.diff and task.diff.cut:
        lines += ["", f"All that it changed: `aura diff {task.id}`"]
    return lines


def _alone(account: Account) -> list[str]:
    if not account.alone:
        return []
    rows = [
        f"- {local(each.time)[11:]} {each.who}: {md(each.what, 500)}" + (f" — {md(each.why, 500)}" if each.why else "")
        for each in account.alone
    ]
    return ["## Decided without you", "", *rows]


def _cost(account: Account) -> list[str]:
    rows = ["| who | calls | read | cached | written | cost |", "| --- | --: | --: | --: | --: | --: |"]
    for row in (*account.usage, total_of(account.usage)):
        money = f"${row.cost:.2f}" if row.cost else ""
        rows.append(
            f"| {cell(row.who)} | {row.calls} | {amount(row.input + row.cache_write)} | {amount(row.cache_read)} "
            f"| {amount(row.output)} | {money} |"
        )
    return ["## What it cost", "", *rows]


def _goal(account: Account) -> list[str]:
    revisions = f" (revision {account.revisions})" if account.revisions > 1 else ""
    return [f"## The goal{revisions}", "", *fenced(account.goal, "markdown")] if account.goal else []
