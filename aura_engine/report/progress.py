"""`state/progress.md`: the tree and the figures of a run, for a person with any editor."""

from __future__ import annotations

from aura_engine.clock import iso
from aura_engine.core.duration import span
from aura_engine.core.model import TaskStatus
from aura_engine.core.state import RunState, Task, tree_order
from aura_engine.core.text import one_line
from aura_engine.report.markdown import md
from aura_engine.report.words import (
    STATUS_SYMBOL,
    UNICODE,
    amount,
    checks_of,
    count,
    spent,
    status_counts,
    verdict_symbol,
    wanted,
)


def progress_markdown(state: RunState, now: float) -> str:
    """The whole projection as Markdown; `now` is wall time in seconds. Same state and time, same text."""
    parts = [_head(state, now), _questions(state), _tree(state, now), _goal_checks(state), _delivery(state)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(state: RunState, now: float) -> str:
    counts = status_counts(state)
    done = counts.get(TaskStatus.COMPLETED.value, 0)
    rest = ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if name != TaskStatus.COMPLETED.value
    )
    status = "paused" if state.paused and state.status == "running" else state.status.value
    lines = [
        f"# {md(state.task_file.rsplit('/', 1)[-1] or 'Progress')}: {status}",
        "",
        *([f"- why: {md(state.ended_reason)}"] if state.ended_reason else []),
        f"- as of {iso(now)}, {span(now - state.started_at) if state.started_at else '0s'} after the first start",
        f"- {done} of {count(wanted(counts), 'task')} done" + (f" ({rest})" if rest else ""),
        f"- {spent(state)}: workers {amount(state.worker_usage.tokens)}, planner {amount(state.planner_usage.tokens)}"
        f" in {count(state.planner_requests, 'request')}",
    ]
    if state.brief:
        lines.append(f"- goal: {md(state.brief.final_goal, 500)}")
    for role, (until, reason) in state.parked.items():
        if until is None or until > now:
            when = f"until {iso(until)}" if until else "until you act"
            lines.append(f"- {role.value} waits {when}: {md(reason)}")
    return "\n".join(lines)


def _questions(state: RunState) -> str:
    asked = state.open_questions()
    if not asked:
        return ""
    lines = ["## Needs you", ""]
    for question in asked:
        about = f" ({question.task} waits)" if question.task else ""
        options = f" Options: {', '.join(md(option, 80) for option in question.options)}." if question.options else ""
        default = f" Without an answer: {md(question.default, 80)}." if question.default else ""
        lines.append(f"- {question.id}{about}: {md(question.question, 1000)}{options}{default}")
    return "\n".join(lines)


def _tree(state: RunState, now: float) -> str:
    if not state.tasks:
        return ""
    rows = [f"{'  ' * depth}- {_row(state, task, now)}" for depth, task in tree_order(state)]
    return "\n".join(["## Tasks", "", *rows])


def _row(state: RunState, task: Task, now: float) -> str:
    spec = task.spec
    title = md(spec.title, 120)
    if spec.group:
        below = state.leaves_of(spec.id)
        done = sum(state.tasks[leaf].status is TaskStatus.COMPLETED for leaf in below)
        symbol = UNICODE[STATUS_SYMBOL[state.group_status(spec.id)]]
        return f"{symbol} {spec.id} {title} ({done}/{len(below)})"
    facts = [task.status.value.replace("_", " "), *(["paused"] if task.paused_at else [])]
    if task.attempts:
        last = task.attempts[-1]
        facts.append(f"{last.role.value} {last.backend} #{last.n}, {span(last.worked(task.paused_at or now))}")
    green, total = checks_of(state, task)
    if total and task.attempts:
        facts.append(f"checks {green}/{total}")
    if task.status is TaskStatus.PENDING and spec.needs:
        facts.append(f"needs {', '.join(spec.needs[:6])}{' …' if len(spec.needs) > 6 else ''}")
    if task.status is TaskStatus.COMPLETED and not task.proven:
        facts.append(f"unproven: {md(task.reason)}")
    elif task.reason and task.status not in (TaskStatus.COMPLETED, TaskStatus.IN_PROGRESS, TaskStatus.VERIFYING):
        facts.append(md(task.reason))
    return f"{UNICODE[STATUS_SYMBOL[task.status]]} {spec.id} {title} — {'; '.join(facts)}"


def _goal_checks(state: RunState) -> str:
    if not state.goal_checks:
        return ""
    lines = ["## Goal checks", ""]
    for name, check in state.goal_checks.items():
        receipt = state.goal_receipts.get(name)
        verdict = "not run yet" if receipt is None else receipt.verdict.value
        why = f": {md(receipt.reason)}" if receipt and receipt.reason and not receipt.green else ""
        held = ", held out" if check.hidden else ""
        who = "yours" if check.person else "the planner's"
        lines.append(f"- {UNICODE[verdict_symbol(receipt)]} {md(name, 120)} ({who}{held}): {verdict}{why}")
    for name, (_, reason) in state.broken.items():
        lines.append(f"- {UNICODE['bad']} {md(name, 120)}: red on the head itself: {md(reason)}")
    return "\n".join(lines)


def _delivery(state: RunState) -> str:
    if not state.place:
        return ""
    take = f"\n- take it: `{one_line(state.take, 500)}`" if state.take else ""
    return f"## Delivered\n\n- place: {md(state.place, 500)}{take}"
