"""What the planner is told: a pure function of the state, the stable part first so that the provider's cache hits.

The text stays small whatever the size of the tree: counts, then only what runs, failed, waits first or was just asked
about; done tasks are one line per group (BASELINES section 7, point 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aura_engine.core.duration import format_duration
from aura_engine.core.memory import MAX_LESSON, full
from aura_engine.core.model import Receipt, TaskStatus
from aura_engine.core.plan import id_key
from aura_engine.core.state import OPEN, RunState, Task
from aura_engine.core.text import clean, one_line

MAX_GOAL = 24_000
MAX_ROWS = 40
MAX_TITLE = 80
MAX_FAILURES = 6
"""Failed tasks that are told in full; further ones by their row alone."""
MAX_RED = 3
MAX_QUESTIONS = 10


@dataclass(frozen=True)
class Trigger:
    """Why the planner is asked; `about` names the tasks or checks concerned, `detail` is shown as data."""

    kind: str
    about: tuple[str, ...] = ()
    detail: str = ""


def goal_text(state: RunState) -> str:
    """The goal as the person wrote it, with the checks found in it; the part of a request that rarely changes."""
    parts = [f"# The goal (task.md, revision {state.revision[:8]})", data(_cap(state.goal_text, MAX_GOAL))]
    person = [check for check in state.goal_checks.values() if check.person]
    if person:
        parts.append("The person's checks, by name: " + ", ".join(f"“{check.name}”" for check in person))
    if state.lessons:
        parts.append("Lessons kept:\n" + "\n".join(f"- {one_line(lesson, MAX_LESSON)}" for lesson in state.lessons))
        if full(state.lessons, share=0.9):
            parts.append("The memory is nearly full: call condense_memory with fewer and shorter lessons.")
    return "\n\n".join(parts)


def situation(state: RunState, triggers: Sequence[Trigger], *, listing: str, diff: str = "", more: str = "") -> str:
    """The user message: the tree as it stands and why the planner is asked now."""
    parts: list[str] = []
    if listing and state.brief is None:
        parts.append(f"The project folder:\n{data(listing)}")
    if state.brief:
        parts.append(_brief(state))
    if state.tasks:
        parts.append(tree(state))
    checks = _goal_checks(state)
    if checks:
        parts.append(checks)
    for question in list(state.questions.values())[-MAX_QUESTIONS:]:
        answer = f"answered: {clean(question.answer)[:2000]}" if question.answer is not None else "not answered yet"
        parts.append(f"You asked the person: {question.question} — {answer}")
    if state.advice:
        parts.append(f"Advice of your last review:\n{state.advice}")
    if diff:
        parts.append(f"What changed in task.md since you last planned:\n{data(_cap(diff, 8000))}")
        parts.append(f"New tasks get ids beginning with {state.batch}.")
    parts += [_reason(state, trigger) for trigger in triggers]
    if more:
        parts.append(more)
    return "\n\n".join(parts)


def _reason(state: RunState, trigger: Trigger) -> str:
    lines = [f"# Why you are asked: {trigger.kind}", _WHY.get(trigger.kind, "")]
    tasks = [state.tasks[task_id] for task_id in trigger.about if task_id in state.tasks]
    lines += [_failure(task) for task in tasks[:MAX_FAILURES]]
    lines += _some([_row(task) for task in tasks[MAX_FAILURES:]], MAX_ROWS)
    if trigger.detail:
        lines.append(data(_cap(trigger.detail, 6000)))
    return "\n".join(line for line in lines if line)


_WHY = {
    "goal_new": "Set the brief (with a goal check for each success criterion) and plan the tasks.",
    "goal_changed": "Change the plan to fit the changed goal: keep done work that is still wanted, archive what is "
    "not, add what is missing. Update the brief if its criteria changed.",
    "task_failed": "These tasks failed for good. Retry with better instructions, change or split, or archive them.",
    "stalled": "Nothing can run any more. Change the plan so that something can, or ask the person.",
    "checks_fail": "All tasks have landed, but goal checks are red. Add tasks that turn them green.",
    "all_landed": "Every task has landed and all goal checks are green. Declare the goal reached or add what lacks.",
    "unproven": "No check of these tasks was ever seen red before the work and green after it, so nothing proves "
    "that the work was done. Add one held-out probe each that fails without the work (add_probe), if there is one.",
    "broken": "A check that landed work passed is red on the head now. Add a task that mends it.",
    "question": "The person answered. Go on with the answer.",
    "review": "A review is due. Stand back: is the plan still the shortest way to the goal, what costs much and brings "
    "little, what goes wrong again and again, what is missing? Read what you need, then call write_review once, and "
    "change the plan only where that clearly pays.",
}


def figures(state: RunState, now: float) -> str:
    """What a review begins with: work, money, landings and how attempts ended."""
    outcomes: dict[str, int] = {}
    for task in state.leaves():
        for attempt in task.attempts:
            if attempt.outcome:
                outcomes[attempt.outcome.value] = outcomes.get(attempt.outcome.value, 0) + 1
    work = state.worked(now)
    landed = sum(task.status is TaskStatus.COMPLETED for task in state.leaves())
    costly = sorted(state.leaves(), key=lambda task: -task.spent.tokens)[:5]
    return "\n".join(
        [
            f"work so far: {format_duration(round(work))}, since the last landing: "
            f"{format_duration(round(max(0.0, work - state.landed_at)))}",
            f"used: {state.usage.tokens} tokens, ${state.usage.cost:.2f}",
            f"landed: {landed} tasks; attempts: {', '.join(f'{n} {name}' for name, n in outcomes.items()) or 'none'}",
            "most used by: " + (", ".join(f"{t.spec.id} {t.spent.tokens}" for t in costly if t.attempts) or "nobody"),
        ]
    )


def tree(state: RunState) -> str:
    """Counts, then the rows that matter now, as `A1.2 [status] Title`."""
    leaves = [task for task in state.leaves() if task.status is not TaskStatus.ARCHIVED]
    counts: dict[str, int] = {}
    for task in leaves:
        counts[task.status.value] = counts.get(task.status.value, 0) + 1
    lines = ["# The tree", ", ".join(f"{count} {status}" for status, count in counts.items())]
    groups: list[str] = []
    for task in sorted((t for t in state.tasks.values() if t.spec.group), key=lambda t: id_key(t.spec.id)):
        below = state.leaves_of(task.spec.id)
        done = sum(state.tasks[leaf].status is TaskStatus.COMPLETED for leaf in below)
        if below:
            title = one_line(task.spec.title, MAX_TITLE)
            groups.append(f"{task.spec.id} [group {done}/{len(below)} done] {title}")
    lines += _some(groups, MAX_ROWS)
    urgent = [t for t in leaves if t.status not in (TaskStatus.PENDING, TaskStatus.COMPLETED)]
    waiting = sorted((t for t in leaves if t.status is TaskStatus.PENDING), key=lambda t: (t.unmet, id_key(t.spec.id)))
    loose = [t for t in leaves if t.status is TaskStatus.COMPLETED and not t.spec.parent]
    rows = [*urgent, *waiting, *loose]
    lines += [_row(task) for task in rows[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        lines.append(f"… and {len(rows) - MAX_ROWS} more")
    return "\n".join(lines)


def _some(lines: list[str], limit: int) -> list[str]:
    return lines if len(lines) <= limit else [*lines[:limit], f"… and {len(lines) - limit} more"]


def _row(task: Task) -> str:
    needs = f" needs {', '.join(task.spec.needs[:6])}" if task.spec.needs and task.status in OPEN else ""
    proof = " (unproven)" if task.status is TaskStatus.COMPLETED and not task.proven else ""
    return f"{task.spec.id} [{task.status.value}] {one_line(task.spec.title, MAX_TITLE)}{needs}{proof}"


def _failure(task: Task) -> str:
    # On one line each: a newline in what a worker said must not begin a section of its own.
    lines = [f"{_row(task)}: {one_line(task.reason, 400)}"]
    for attempt in task.counted[-3:]:
        claims = one_line(attempt.ending.claims, 300) if attempt.ending else ""
        said = f"; it said: “{claims}”" if claims else ""
        why = one_line(attempt.why, 400)
        lines.append(f"  attempt {attempt.n} ({attempt.role}): {attempt.outcome}, {why}{said}")
    red = [receipt_text(receipt) for receipt in task.receipts.values() if not receipt.green]
    return "\n".join([*lines, *_some(red, MAX_RED)])


def receipt_text(receipt: Receipt) -> str:
    """A red check for the planner: verdict, reason and the end of its output as data."""
    held = " (held out: never repeat it to a worker)" if receipt.hidden else ""
    verdict = f"{receipt.verdict}, {one_line(receipt.reason, 400)}"
    return f"  check “{receipt.check}”{held}: {verdict}\n{data(_cap(clean(receipt.tail), 1500))}"


def _brief(state: RunState) -> str:
    brief = state.brief
    assert brief is not None
    lines = ["# The brief", brief.final_goal]
    lines += [f"- {c.text}  (checks: {', '.join(c.checks)})" for c in brief.criteria]
    lines += [f"- constraint: {text}" for text in brief.constraints]
    return "\n".join(lines)


def _goal_checks(state: RunState) -> str:
    lines: list[str] = []
    for check in state.goal_checks.values():
        receipt = state.goal_receipts.get(check.name)
        verdict = "not run yet" if receipt is None else receipt.verdict.value
        lines.append(f"- “{check.name}” [{verdict}]{' held out' if check.hidden else ''}: {check.describe()[:160]}")
    return "# Goal checks\n" + "\n".join(lines) if lines else ""


def data(text: str) -> str:
    """Text that files, workers or tools wrote, fenced so that it cannot pass for an instruction."""
    return f"<data>\n{_FENCE.sub('<∕', text).rstrip()}\n</data>"


_FENCE = re.compile(r"<\s*/(?=\s*data)", re.IGNORECASE)


def _cap(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - limit} characters left out …\n{text[-half:]}"
