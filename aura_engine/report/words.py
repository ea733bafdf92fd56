"""How figures, times and statuses are written for people; the same words in every report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from aura_engine.core.model import Receipt, TaskStatus, Verdict
from aura_engine.core.state import RunState, Task
from aura_engine.core.text import dollars

UNICODE = {
    "done": "✓",
    "bad": "✗",
    "start": "▸",
    "again": "↻",
    "running": "◐",
    "waiting": "○",
    "held": "⏸",
    "stopped": "⏹",
    "ask": "?",
    "warn": "!",
    "say": "·",
}
ASCII = {
    "done": "ok",
    "bad": "x",
    "start": ">",
    "again": "~",
    "running": "*",
    "waiting": "o",
    "held": "=",
    "stopped": "#",
    "ask": "?",
    "warn": "!",
    "say": "-",
}
_FOLD = str.maketrans({"—": "-", "·": "-", "“": '"', "”": '"', "…": "...", "→": "->", "≥": ">=", "≤": "<="})

STATUS_SYMBOL = {
    TaskStatus.PENDING: "waiting",
    TaskStatus.IN_PROGRESS: "running",
    TaskStatus.VERIFYING: "running",
    TaskStatus.COMPLETED: "done",
    TaskStatus.FAILED: "bad",
    TaskStatus.BLOCKED: "held",
    TaskStatus.KILLED: "stopped",
    TaskStatus.ARCHIVED: "say",
}

WHY_ASKED = {
    "goal_new": "a new goal",
    "goal_changed": "the goal was edited",
    "task_failed": "a task failed for good",
    "stalled": "nothing can run any more",
    "checks_fail": "all tasks have landed, but goal checks are red",
    "all_landed": "all tasks have landed and the goal checks are green",
    "unproven": "nothing proves a task's work yet",
    "broken": "a check of landed work is red on the head",
    "question": "you answered",
    "review": "a review is due",
}


def symbols(*, ascii_only: bool = False) -> Mapping[str, str]:
    """Name to symbol; the plain set is for terminals without Unicode."""
    return ASCII if ascii_only else UNICODE


def fold_ascii(text: str) -> str:
    """Our own typography in ASCII; other people's words keep their letters."""
    return text.translate(_FOLD)


def clock_time(wall: float) -> str:
    """Wall time (seconds since the epoch) as local `14:02:11`."""
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%H:%M:%S")


def date_time(wall: float) -> str:
    """Wall time (seconds since the epoch) as local `2026-01-31 14:02:11`."""
    return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def amount(tokens: int) -> str:
    """A count of tokens: `950`, `12.3k`, `1.8M`."""
    if tokens < 1000:
        return str(tokens)
    return f"{tokens / 1000:.1f}k" if tokens < 999_950 else f"{tokens / 1_000_000:.1f}M"


def spent(state: RunState) -> str:
    """Tokens and, where known, money of the whole run."""
    usage = state.planner_usage + state.worker_usage
    money = f", {dollars(usage.cost)}" if usage.cost else ""
    return f"{amount(usage.tokens)} tokens{money}"


def why_asked(reason: str) -> str:
    """`goal_new, review` in words; "" when `reason` is something else than names of the planner's triggers."""
    names = reason.split(", ")
    return "; ".join(WHY_ASKED[name] for name in names) if all(name in WHY_ASKED for name in names) else ""


def count(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(digest: str) -> str:
    """The first eight digits of a hash."""
    return digest[:8]


def status_counts(state: RunState) -> dict[str, int]:
    """Leaves by status, in a fixed order, zeros left out; `unproven` counts completed ones without a proof."""
    counts = dict.fromkeys(TaskStatus, 0)
    unproven = 0
    for task in state.leaves():
        counts[task.status] += 1
        unproven += task.status is TaskStatus.COMPLETED and not task.proven
    found = {status.value: number for status, number in counts.items() if number}
    return {**found, "unproven": unproven} if unproven else found


def wanted(counts: Mapping[str, int]) -> int:
    """How many leaves are wanted: all of `status_counts` but the archived ones."""
    return sum(number for name, number in counts.items() if name not in ("archived", "unproven"))


def checks_of(state: RunState, task: Task) -> tuple[int, int]:
    """(green, all) checks that decide a task, by their latest receipts."""
    names = [*(check.name for check in task.spec.checks), *task.spec.goal_checks]
    green = sum(name in task.receipts and task.receipts[name].green for name in names)
    return green, len(names)


def verdict_symbol(receipt: Receipt | None) -> str:
    """The symbol's name for a check's latest receipt."""
    if receipt is None:
        return "waiting"
    return {Verdict.GREEN: "done", Verdict.FLAKY: "again"}.get(receipt.verdict, "bad")
