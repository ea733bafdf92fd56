"""What the commands print with `--json`, as models: a script can rely on these fields. Times are ISO 8601 in UTC."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Out(BaseModel):
    """Base of all of them: no field comes unannounced."""

    model_config = ConfigDict(extra="forbid")


class StatusOut(Out):
    """`aura status`, `state/status.json`: of bounded size; `…_total` says how many a cut list stands for."""

    version: int
    time: str
    seq: int
    """The last event's number."""
    status: str
    """`running`, `achieved`, `failed`, `needs_person`, `budget`, `interrupted`."""
    reason: str
    paused: bool
    task_file: str
    revision: str
    started: str | None
    elapsed: float
    """Seconds since the first start."""
    mode: str
    workers: int
    tasks: dict[str, int]
    """`total`, and how many by status."""
    running_total: int
    running: list[dict[str, Any]]
    goal_checks: dict[str, Any]
    """`total`, `green`, and by name those that are `open`."""
    questions_total: int
    questions: list[dict[str, Any]]
    parked: dict[str, Any]
    """Roles that wait, until when and why."""
    planner: dict[str, Any]
    tokens: int
    cost: float
    decisions: list[dict[str, str]]
    place: str
    take: str
    disk_full: str
    """Why nothing new starts for want of space; "" while there is enough."""
    memory_short: str
    """Why nothing new starts for want of memory; "" while there is enough."""
    owned: bool
    """An engine runs it now."""
    stalled: bool
    """It does, and has not moved for long."""


class ProgressOut(Out):
    """`aura progress`."""

    run: str
    markdown: str
    """The projection state/progress.md, whole."""


class AskedOut(Out):
    """The commands that ask a run for something: `pause`, `kill`, `retry`, `add` …"""

    accepted: bool
    why: str = ""
    """Why it was not."""
    events: list[dict[str, Any]] | None = None
    """What it made happen; null where no engine runs and the next start goes by it."""


class AnsweredOut(Out):
    """`aura answer`."""

    question: str
    answer: str


class Project(Out):
    """`aura projects`: one goal that was started from this folder."""

    run: str
    """The name of its folder below the data folder."""
    task_file: str
    task_file_exists: bool
    started: str | None
    """Its last start."""
    status: str
    """As in `aura status`; `unknown` when the run left none, `stopped_short` when its engine was killed."""
    tasks_done: int
    tasks: int
    owned: bool
    """An engine runs it now."""
    last: bool
    """The one that commands without `--task-file` take."""


class PlanStep(Out):
    """One decision about the tree."""

    time: str
    by: Literal["planner", "person"]
    call: int
    """The planner's call; 0 for a person."""
    reason: str
    added: dict[str, str]
    """Task id → title, groups left out."""
    changed: list[str]
    dropped: list[str]
    again: list[str]
    goal_checks: list[str]
    lessons: list[str]


class GoalRevision(Out):
    """`aura changelog`: one revision of the goal and what it changed in the plan."""

    time: str
    revision: str
    title: str
    added_lines: int
    removed_lines: int
    diff: str
    """Unified, against the revision before; "" for the first."""
    checks_added: list[str]
    checks_removed: list[str]
    checks_changed: list[str]
    plans: list[PlanStep]


class LogStep(Out):
    """`aura logs`: one step of a worker, one object a line."""

    time: str
    """As the worker's program says it, as local clock time; "" where it says none."""
    label: str
    text: str
    tone: Literal["say", "do", "good", "bad", "ask", "dim"]


class FileChange(Out):
    """One file of a diff."""

    path: str
    what: str
    """`new`, `deleted`, `renamed`, `binary`, `mode`, "" for a plain change."""
    added: int
    removed: int


class DiffOut(Out):
    """`aura diff`."""

    of: Literal["run", "landed", "left", "in work"]
    """The whole run against its base; what a task landed, left behind, or has in work."""
    task: str
    attempt: int
    """0 for the whole run, and for what is in work."""
    old: str
    new: str
    """The commits of the run's store that are compared; "" for what is in work."""
    files: list[FileChange]
    patch: str
    cut: bool
    """It was longer than what may be read."""


class DecisionEntry(Out):
    """`aura decisions`, `decision_log.json`: a change of a task's status."""

    time: str
    task_id: str
    old_status: str
    new_status: str
    reason: str
    evidence: dict[str, Any]


class HistoryRow(Out):
    """`aura history`."""

    time: str
    wall: float
    kind: Literal["started", "goal", "plan", "ended"]
    what: str
    detail: dict[str, Any]


class ReceiptRow(Out):
    """`aura receipts`: one check that ran. `tests` and `skipped` are null where nobody counted."""

    time: str
    task: str
    attempt: int
    phase: str
    check: str
    verdict: str
    reason: str
    exit_code: int | None
    signal: int | None
    duration: float
    tests: int | None
    failures: int | None
    skipped: int | None
    tree: str
    check_hash: str
    frozen_hash: str
    output_hash: str
    tail: str
    held_out: bool
    cached: bool


class UsageRow(Out):
    """`aura token-stats`, `aura cache-stats`, a line of `token_stats.jsonl`: who used how many tokens."""

    who: str
    """`planner`, or a role and its backend."""
    calls: int
    """The planner's requests; attempts of workers."""
    input: int
    output: int
    cache_read: int
    cache_write: int
    cost: float
    """USD; 0 where unknown."""
    cached_percent: float
    """Of all that was read, the part that came from a cache."""


class TaskSummary(Out):
    """`aura summaries`: what became of a task."""

    task: str
    title: str
    status: str
    attempts: int
    proven: bool
    summary: str
    """What its last worker said of it, or why it stands where it stands."""
    file: str
    """Its page below the run's folder; "" while it has none."""


class Leftover(Out):
    """`aura clean-workspaces`: a folder that some attempt worked in."""

    run: str
    path: str
    kind: Literal["workspace", "checkout", "home"]
    age_days: float
    bytes: int
    kept: str
    """Why it stays; "" when it goes (or, without `--force`, would go)."""
    removed: bool
