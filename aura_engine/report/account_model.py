"""The final report as data (`aura report --json`); the Markdown and the HTML page are written from it alone."""

from __future__ import annotations

from aura_engine.report.models import FileChange, Out, UsageRow


class Criterion(Out):
    """One success criterion of the brief."""

    text: str
    checks: list[str]
    holds: bool
    """All its checks were green when they last ran."""


class CheckAccount(Out):
    """A check and the receipt of its last run; `verdict` is "" where it did not run."""

    name: str
    how: str
    by: str
    """`you` or `planner`."""
    held_out: bool
    verdict: str
    reason: str
    exit_code: int | None
    seconds: float
    tests: int | None
    tree: str
    output_hash: str
    output: str
    """The end of its output, where it is not green."""


class AttemptAccount(Out):
    """One worker's run at a task. Times are seconds since the epoch, cost is in USD."""

    n: int
    role: str
    backend: str
    started: float
    ended: float | None
    outcome: str
    """"" while it is under way."""
    why: str
    said: str
    """What the worker claimed."""
    tokens: int
    cost: float


class DiffAccount(Out):
    """What a task changed."""

    files: list[FileChange]
    patch: str
    cut: bool
    """The patch was longer than the report holds; `aura diff TASK` shows all of it."""


class TaskAccount(Out):
    """A node of the tree, in the order in which a person reads it."""

    id: str
    depth: int
    group: bool
    title: str
    status: str
    reason: str
    proven: bool
    needs: list[str]
    checks: list[CheckAccount]
    attempts: list[AttemptAccount]
    diff: DiffAccount | None
    """None where nothing was changed, or where the report has no room left."""


class Decided(Out):
    """Something that Aura decided without asking."""

    time: str
    who: str
    """`planner` or `engine`."""
    what: str
    why: str


class Undone(Out):
    """Something that was not done, or not fully."""

    what: str
    why: str


class Account(Out):
    """The whole run."""

    title: str
    goal: str
    final_goal: str
    """In the planner's words."""
    task_file: str
    revisions: int
    status: str
    reason: str
    summary: str
    """What the planner said when it declared the goal reached."""
    started: str | None
    ended: str | None
    """None while it runs."""
    seconds: float
    tasks_done: int
    tasks_wanted: int
    attempts_made: int
    mode: str
    workers: int
    place: str
    take: str
    criteria: list[Criterion]
    goal_checks: list[CheckAccount]
    tasks: list[TaskAccount]
    tasks_left_out: int
    usage: list[UsageRow]
    alone: list[Decided]
    undone: list[Undone]
    edits: list[str]
    """When the goal was edited."""
