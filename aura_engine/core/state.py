"""RunState: what is true now. Only `fold.apply` changes it, from the events alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aura_engine.core.budget import Caps, Spent, spent_of
from aura_engine.core.events_docker import WorkersPlaced
from aura_engine.core.events_planner import CapReached
from aura_engine.core.model import (
    Check,
    Ending,
    Outcome,
    Prepare,
    ProcessRecord,
    Receipt,
    Role,
    RunStatus,
    TaskStatus,
    Usage,
)
from aura_engine.core.plan import Brief, TaskSpec, batch_index, batch_letter, id_key

APPROVALS = frozenset({"approve", "approved", "yes", "y", "ok"})
"""Answers that let a plan start; any other is what is wrong with it."""
ALLOWED: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.PENDING: frozenset(
        {TaskStatus.IN_PROGRESS, TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED, TaskStatus.ARCHIVED}
    ),
    TaskStatus.IN_PROGRESS: frozenset({TaskStatus.VERIFYING, TaskStatus.PENDING, TaskStatus.ARCHIVED}),
    TaskStatus.VERIFYING: frozenset({TaskStatus.COMPLETED, TaskStatus.PENDING, TaskStatus.ARCHIVED}),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset({TaskStatus.PENDING, TaskStatus.ARCHIVED}),
    TaskStatus.BLOCKED: frozenset({TaskStatus.PENDING, TaskStatus.ARCHIVED, TaskStatus.KILLED}),
    TaskStatus.KILLED: frozenset({TaskStatus.PENDING, TaskStatus.ARCHIVED}),
    TaskStatus.ARCHIVED: frozenset(),
}
"""The edges along which a task's status moves; anything else is a defect and raises."""

OPEN = frozenset({TaskStatus.PENDING, TaskStatus.IN_PROGRESS, TaskStatus.VERIFYING})


@dataclass(slots=True)
class Attempt:
    """One worker's run at one task."""

    n: int
    role: Role
    backend: str
    base: str
    session: str
    started: float
    fallback: bool = False
    place: int = 0
    """The attempt whose workspace and HOME it works in: itself, or an earlier one whose session it goes on with."""
    messages: tuple[str, ...] = ()
    """A person's messages that it was given with its prompt."""
    idle: float = 0.0
    """Seconds that it was paused: they do not count as work."""
    usage: Usage = field(default_factory=Usage)
    """What it is counted as; nothing while it runs."""
    process: ProcessRecord | None = None
    ending: Ending | None = None
    ended: float | None = None
    """Wall time of the worker's end."""
    outcome: Outcome | None = None
    reason: str = ""
    failed_check: str = ""
    hand_over: str = ""
    snapshot: str = ""

    @property
    def why(self) -> str:
        """Why it ended, with the check that said so."""
        return f"check “{self.failed_check}”: {self.reason}" if self.failed_check else self.reason

    @property
    def live(self) -> bool:
        """No terminal event yet (`landed` or `attempt_ended`)."""
        return self.outcome is None

    def worked(self, now: float) -> float:
        """Seconds that it has worked until `now`, or until its end; pauses left out."""
        return max(0.0, (now if self.ended is None else self.ended) - self.started - self.idle)

    @property
    def resumed(self) -> bool:
        """It went on with an earlier attempt's session."""
        return self.place != self.n


@dataclass(slots=True)
class Task:
    """A node of the tree with all that happened to it."""

    spec: TaskSpec
    status: TaskStatus = TaskStatus.PENDING
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    extra: str = ""
    """The planner's or a person's instructions for the next attempt."""
    forced_role: Role | None = None
    not_before: float = 0.0
    since: int = 0
    """Attempts up to this number no longer count against the caps (a retry was ordered after them)."""
    changed: int = 0
    """Attempts up to this number worked on an older wording of the task."""
    messages: list[str] = field(default_factory=list[str])
    """A person's messages for the next attempt."""
    said: list[str] = field(default_factory=list[str])
    """All messages of a person's so far: a worker that begins afresh hears them all."""
    paused_at: float = 0.0
    """Wall time since which a person keeps it from running; 0: nobody does."""
    receipts: dict[str, Receipt] = field(default_factory=dict[str, Receipt])
    """Latest receipt by check name."""
    reason: str = ""
    proven: bool = True
    probe_asked: bool = False
    stop_asked: bool = False
    """A person wants it stopped; holds across a crash until it has."""
    commit: str = ""
    unmet: int = 0
    rank: int = 0
    """Length of the longest chain of tasks that wait for this one."""

    @property
    def unwanted(self) -> bool:
        """Its worker has to stop."""
        return self.stop_asked or self.status is TaskStatus.ARCHIVED

    @property
    def live(self) -> Attempt | None:
        """The attempt under way, if any."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].live else None

    @property
    def last_left(self) -> Attempt | None:
        """The last attempt whose work was taken, landed or not."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.snapshot), None)

    @property
    def spent(self) -> Spent:
        """What its workers that have ended used, all attempts together."""
        ended = [attempt for attempt in self.attempts if attempt.ending is not None]
        usage = sum((attempt.usage for attempt in ended), Usage())
        return spent_of(usage, sum(attempt.worked(attempt.started) for attempt in ended))

    @property
    def counted(self) -> list[Attempt]:
        """Attempts since the last ordered retry."""
        return [attempt for attempt in self.attempts if attempt.n > self.since]


@dataclass(slots=True)
class Question:
    """Something only a person can answer."""

    id: str
    question: str
    options: tuple[str, ...]
    default: str
    task: str
    about: str = ""
    """`plan`: whether the plan may start."""
    answer: str | None = None

    @property
    def approved(self) -> bool:
        """The person lets the plan start."""
        return self.about == "plan" and (self.answer or "").strip().lower().rstrip(".!") in APPROVALS


@dataclass(slots=True)
class Inquiry:
    """Something a person asked the planner about the run."""

    id: str
    question: str
    answer: str | None = None


@dataclass(slots=True)
class RunState:
    """Everything that is true of a run."""

    seq: int = 0
    project: str = ""
    task_file: str = ""
    mode: str = ""
    workers: int = 0
    status: RunStatus = RunStatus.RUNNING
    ended_reason: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    """Wall time of the run's end; one that is only opened again keeps it, until there is something to do."""
    time: float = 0.0
    """Wall time of the last event."""
    left_at: float = 0.0
    """Wall time of the last event before this engine started."""
    paused: bool = False
    disk_full: str = ""
    """What is full while nothing new is started for lack of room."""
    plan_written: bool = False
    """The plan for the goal as it is came from a file of the person's."""
    memory_short: str = ""
    """How much memory is free while nothing new is started since its reserve is not."""

    revision: str = ""
    goal_text: str = ""
    prose: str = ""
    goal_checks: dict[str, Check] = field(default_factory=dict[str, Check])
    goal_prepare: Prepare | None = None
    """The person's, of this revision of the goal."""
    brief_prepare: Prepare | None = None
    """The planner's, of its last brief."""
    told_revision: str = ""
    told_text: str = ""
    asking: tuple[str, str] = ("", "")
    """(revision, text) of the goal that the planner call under way was given."""
    asking_about: tuple[str, ...] = ()
    answered: set[str] = field(default_factory=set[str])
    """Triggers that the planner has answered: it is not asked about the same thing twice."""
    brief: Brief | None = None
    lessons: list[str] = field(default_factory=list[str])
    advice: str = ""
    """Of the last review, to the next planning."""
    reviews: int = 0
    reviewed_at: float = 0.0
    """Seconds of work done by the last review."""
    landed_at: float = 0.0
    """`work` as it was at the last landing."""
    inquiries: dict[str, Inquiry] = field(default_factory=dict[str, Inquiry])

    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    children: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    dependents: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Leaf → leaves that wait for it (needs on a group mean all its leaves)."""
    ready: dict[str, None] = field(default_factory=dict[str, None])
    """Pending leaves with nothing unmet, in no particular order."""
    order: tuple[str, ...] = ()
    """All leaves in the order in which they start: the longest chains of dependents first, then in reading order."""
    busy: set[str] = field(default_factory=set[str])
    """Tasks whose worker was started and has not ended: what capacity counts."""
    verifying: set[str] = field(default_factory=set[str])
    """Tasks whose attempt waits for its verdict."""
    failed: set[str] = field(default_factory=set[str])
    """Tasks that routing gave up."""
    plan: int = 0
    """Counts the changes of the plan and of the goal, for whoever remembers something about the checks."""

    head: str = ""
    head_tree: str = ""
    base_tree: str = ""
    delivered_tree: str = ""
    delivering_tree: str = ""
    place: str = ""
    take: str = ""
    parked: dict[Role, tuple[float | None, str]] = field(default_factory=dict[Role, tuple[float | None, str]])
    """Role → (wall time until which its worker starts nothing, None for until a person acts; why)."""
    placed: WorkersPlaced | None = None
    """Where containers were asked for at this start: whether there are any, and if not, why."""
    images: dict[str, str] = field(default_factory=dict[str, str])
    """Name of a workers' image → the id that it stood for when it was last used."""
    parked_fallbacks: dict[Role, tuple[float | None, str]] = field(default_factory=dict[Role, tuple[float | None, str]])
    fallbacks: frozenset[Role] = frozenset()
    """Roles that have a second worker."""
    questions: dict[str, Question] = field(default_factory=dict[str, Question])
    goal_receipts: dict[str, Receipt] = field(default_factory=dict[str, Receipt])
    goal_seen_red: set[str] = field(default_factory=set[str])
    """Goal checks (by hash) that were red on some earlier tree: those that can prove something."""
    checked: tuple[str, str, tuple[str, ...]] | None = None
    """(tree, revision, red checks) of the last run of all goal checks."""
    declared: str = ""
    """Revision for which the planner declared the goal reached."""
    declared_summary: str = ""
    broken: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Checks of landed tasks that are red on the head itself: `TASK/CHECK` → (the tree it was seen on, why)."""
    calls: int = 0
    planner_requests: int = 0
    planner_usage: Usage = field(default_factory=Usage)
    worker_usage: Usage = field(default_factory=Usage)
    """Of the workers that have ended."""
    caps: Caps = field(default_factory=Caps)
    capped: CapReached | None = None
    """The cap of the run that nothing more may be started for, until it is raised."""
    work: float = 0.0
    """Seconds that the workers that have ended worked, all together."""
    reserved: dict[int, Usage] = field(default_factory=dict[int, Usage])
    """What models that the engine asked and that have not replied yet may cost, by question."""
    counted_usage: Usage = field(default_factory=Usage)
    """What of the conversation under way is in `planner_usage` already."""
    model_calls: int = 0
    planner_failure: tuple[str, str, float | None] | None = None
    """(failure, message, retry at) of the last planner call, None after a good one."""
    planner_failures: int = 0

    @property
    def usage(self) -> Usage:
        """All that was counted so far, the planner's and that of the workers that have ended."""
        return self.planner_usage + self.worker_usage

    @property
    def spent(self) -> Spent:
        """What is settled and what the engine's own open questions to models may cost; not what workers use now."""
        return spent_of(sum(self.reserved.values(), self.usage), self.work)

    def worked(self, now: float) -> float:
        """Seconds of work so far, of the workers that run now too."""
        return self.work + sum(self.tasks[i].attempts[-1].worked(now) for i in self.busy)

    @property
    def no_room(self) -> str:
        """Why nothing new may start for lack of disk or memory; empty when there is room."""
        return self.disk_full or self.memory_short

    @property
    def prepare(self) -> Prepare | None:
        """What makes the things that a clean checkout lacks; the person's goes before the planner's."""
        return self.goal_prepare or self.brief_prepare

    @property
    def batch(self) -> str:
        """Letter for tasks added now: the goal revision's own, a new one when the planner was not told of it yet."""
        used = max((batch_index(task_id) for task_id in self.children.get("", ())), default=-1)
        return batch_letter(used if used >= 0 and self.told_revision == self.revision else used + 1)

    def leaves(self) -> Iterator[Task]:
        """Tasks that can run (not groups)."""
        return (task for task in self.tasks.values() if not task.spec.group)

    def leaves_of(self, task_id: str) -> list[str]:
        """The leaves below a node (itself if it is one), archived ones left out."""
        task = self.tasks[task_id]
        if not task.spec.group:
            return [] if task.status is TaskStatus.ARCHIVED else [task_id]
        return [leaf for child in self.children.get(task_id, ()) for leaf in self.leaves_of(child)]

    def group_status(self, task_id: str) -> TaskStatus:
        """A group's status as its leaves have it: open while one is open, failed if one failed, else completed."""
        statuses = {self.tasks[leaf].status for leaf in self.leaves_of(task_id)}
        if not statuses:
            return TaskStatus.ARCHIVED
        if statuses == {TaskStatus.COMPLETED}:
            return TaskStatus.COMPLETED
        begun = statuses & {TaskStatus.IN_PROGRESS, TaskStatus.VERIFYING}
        if begun or (TaskStatus.COMPLETED in statuses and statuses & OPEN):
            return TaskStatus.IN_PROGRESS
        if TaskStatus.FAILED in statuses:
            return TaskStatus.FAILED
        return TaskStatus.PENDING

    def lasted(self, now: float) -> float:
        """Seconds from its first start to its end, or to `now` while it goes on."""
        end = now if self.status is RunStatus.RUNNING else self.ended_at or self.time
        return max(0.0, end - self.started_at) if self.started_at else 0.0

    def open_questions(self) -> list[Question]:
        """Questions nobody answered yet."""
        return [question for question in self.questions.values() if question.answer is None]

    @property
    def unapproved(self) -> Question | None:
        """The question whether the plan may start, while nobody has answered it."""
        return next((question for question in self.open_questions() if question.about == "plan"), None)

    @property
    def plan_held(self) -> bool:
        """The plan may not start: nobody has said yet that it may, or the planner has still to make another."""
        return any(
            question.about == "plan" and not question.approved and f"question:{question.id}" not in self.answered
            for question in self.questions.values()
        )

    def blocked_by_question(self, task_id: str) -> bool:
        """True while an open question names this task or one of its ancestors."""
        asked = {question.task for question in self.open_questions() if question.task}
        while task_id:
            if task_id in asked:
                return True
            task_id = self.tasks[task_id].spec.parent if task_id in self.tasks else ""
        return False


def tree_order(state: RunState) -> list[tuple[int, Task]]:
    """(depth, task) in the order a person reads the tree."""
    rows: list[tuple[int, Task]] = []

    def walk(parent: str, depth: int) -> None:
        for child in sorted(state.children.get(parent, ()), key=id_key):
            rows.append((depth, state.tasks[child]))
            walk(child, depth + 1)

    walk("", 0)
    return rows
