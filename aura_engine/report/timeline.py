"""The picture of a run for its report: a row for each task, a bar for each attempt, as SVG without any script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from aura_engine.core.duration import span
from aura_engine.report.account_model import Account, TaskAccount
from aura_engine.report.words import clock_time

ROWS = 80
"""Tasks that have a row; in a longer run those that took longest."""
ROW, LABEL, WIDTH, TOP = 22, 200, 960, 26
"""Pixels: height of a row, width of the names, of all of it, and the axis above."""
STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
)


def timeline_svg(account: Account) -> str:
    """The picture; "" where nothing ran."""
    tasks = _rows(account)
    if not tasks or not account.started:
        return ""
    begin = datetime.fromisoformat(account.started).timestamp()
    end = max([begin + account.seconds, *(each.ended or 0.0 for task in tasks for each in task.attempts)])
    scale = _Scale(begin, max(1.0, end - begin))
    height = TOP + ROW * len(tasks) + 8
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="timeline-title">',
        f'<title id="timeline-title">When each task was worked on, over {escape(span(end - begin))}</title>',
        *_axis(scale, height),
        *(_edit(scale, datetime.fromisoformat(edit).timestamp(), height) for edit in account.edits),
    ]
    for number, task in enumerate(tasks):
        parts += _row(scale, TOP + ROW * number, task, end)
    return "\n".join([*parts, "</svg>"])


class _Scale:
    def __init__(self, begin: float, length: float) -> None:
        self.begin, self.length = begin, length

    def x(self, time: float) -> float:
        """Where a wall time lies."""
        return round(LABEL + (WIDTH - LABEL - 8) * min(1.0, max(0.0, (time - self.begin) / self.length)), 1)


def _rows(account: Account) -> list[TaskAccount]:
    tasks = [task for task in account.tasks if task.attempts]
    if len(tasks) <= ROWS:
        return tasks

    def took(task: TaskAccount) -> float:
        return (task.attempts[-1].ended or task.attempts[-1].started) - task.attempts[0].started

    longest = {task.id for task in sorted(tasks, key=took)[-ROWS:]}
    return [task for task in tasks if task.id in longest]


def _axis(scale: _Scale, height: int) -> list[str]:
    step = next((step for step in STEPS if scale.length / step <= 8), STEPS[-1] * (1 + scale.length // STEPS[-1] // 8))
    parts: list[str] = []
    at = 0.0
    while at <= scale.length:
        x = scale.x(scale.begin + at)
        label = "0" if not at else span(at).replace(" 00s", "").replace(" 00m", "").replace(".0s", "s")
        parts.append(f'<line class="grid" x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{height}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{TOP - 12}">{escape(label)}</text>')
        at += step
    return parts


def _edit(scale: _Scale, time: float, height: int) -> str:
    x = scale.x(time)
    title = f"<title>{clock_time(time)} the goal was edited</title>"
    return f'<line class="edit" x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{height}">{title}</line>'


def _row(scale: _Scale, y: int, task: TaskAccount, end: float) -> list[str]:
    name = f"{task.id} {task.title}"
    short = name if len(name) <= 28 else name[:27] + "…"
    parts = [f'<text class="name" x="0" y="{y + 15}">{escape(short)}<title>{escape(name)}</title></text>']
    for attempt in task.attempts:
        left = scale.x(attempt.started)
        width = max(3.0, round(scale.x(attempt.ended or end) - left, 1))
        how = {"passed": "landed", "": "under way"}.get(attempt.outcome, attempt.outcome)
        took = span((attempt.ended or end) - attempt.started)
        words = f"{task.id}#{attempt.n} {attempt.role} {attempt.backend}, {took}: {how}"
        why = f" ({attempt.why})" if attempt.why and attempt.outcome != "passed" else ""
        kind = {"passed": "good", "": "live", "interrupted": "held", "conflict": "held"}.get(attempt.outcome, "bad")
        parts.append(
            f'<rect class="bar {kind} {_class(attempt.role)}" x="{left}" y="{y + 4}" width="{width}" '
            f'height="{ROW - 8}" rx="3"><title>{escape(words + why)}</title></rect>'
        )
    return parts


def _class(role: str) -> str:
    return role if role in ("pro", "flash") else ""


def legend(used: Sequence[str]) -> str:
    """What the colours mean, those that are used."""
    words = {"good": "landed", "bad": "did not land", "held": "stopped or in conflict", "live": "under way"}
    return "".join(f'<span><i class="key {kind}"></i>{words[kind]}</span>' for kind in words if kind in used)
