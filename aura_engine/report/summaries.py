"""`summaries/TASK.md` and `aura summaries`: what became of each task, for those who look for it there."""

from __future__ import annotations

from pathlib import Path

from aura_engine.core.duration import span
from aura_engine.core.model import TaskStatus
from aura_engine.core.state import RunState, Task, tree_order
from aura_engine.core.text import clean, one_line
from aura_engine.report.models import TaskSummary
from aura_engine.report.words import checks_of, count

CLAIM = 1200
"""Characters of what the worker said that a page holds."""


def summary_rows(state: RunState, folder: Path, below: str = "") -> list[TaskSummary]:
    """One for each task (of a group, if `below` names one) in the order of the tree; `folder` is the run's."""
    rows: list[TaskSummary] = []
    for _, task in tree_order(state):
        name = task.spec.id
        if task.spec.group or (below and not f"{name}.".startswith(f"{below}.")):
            continue
        page = Path("summaries") / f"{name}.md"
        rows.append(
            TaskSummary(
                task=name,
                title=one_line(task.spec.title),
                status=task.status.value,
                attempts=len(task.attempts),
                proven=task.proven,
                summary=_sentence(task),
                file=str(page) if (folder / page).is_file() else "",
            )
        )
    return rows


def summary_page(state: RunState, task: Task) -> str:
    """A task's page in Markdown: a few hundred bytes."""
    green, total = checks_of(state, task)
    lines = [
        f"# {task.spec.id} {one_line(task.spec.title)}",
        "",
        f"- {task.status.value}" + (f": {one_line(task.reason, 300)}" if task.reason else ""),
        f"- {count(len(task.attempts), 'attempt')}, checks {green}/{total}",
    ]
    if task.status is TaskStatus.COMPLETED and not task.proven:
        lines.append("- unproven: no check of it was seen red before and green after the work")
    for attempt in task.attempts:
        took = f", {span(attempt.ended - attempt.started)}" if attempt.ended else ""
        why = f": {one_line(attempt.why, 200)}" if attempt.why else ""
        how = attempt.outcome.value if attempt.outcome else "under way"
        lines.append(f"- #{attempt.n} {attempt.role.value} {one_line(attempt.backend, 40)}{took}: {how}{why}")
    said = _claims(task)
    if said:
        lines += ["", "What its worker said (a hint, not a proof):", "", *(f"> {line}" for line in said.split("\n"))]
    return "\n".join(lines) + "\n"


def _sentence(task: Task) -> str:
    if task.status in (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED, TaskStatus.ARCHIVED):
        return one_line(task.reason, 300)
    return one_line(_claims(task), 300)


def _claims(task: Task) -> str:
    """What its last worker said at its end."""
    said = [each.ending.claims for each in task.attempts if each.ending and each.ending.claims.strip()]
    return clean(said[-1]).strip()[:CLAIM] if said else ""
