"""The facts. Every one is journaled before its effects are relied on; `fold` makes the run's state of them.

The envelope (sequence number, wall time) lies beside the payload in the journal. A field may be added with a default;
renaming or removing one needs a new kind, so that old journals always replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field
from pydantic_core import PydanticSerializationError

from aura_engine.core.budget import Caps
from aura_engine.core.events_docker import WorkersPlaced
from aura_engine.core.events_planner import (
    CapReached,
    CapsChanged,
    Inquired,
    InquiryAnswered,
    MemoryEdited,
    ModelAsked,
    ModelReplied,
    Reviewed,
)
from aura_engine.core.events_survival import DiskHeld, MemoryHeld, VaultTrimmed, WorkspaceKept
from aura_engine.core.model import (
    Check,
    Ending,
    ExitRecord,
    Frozen,
    Outcome,
    Prepare,
    ProcessRecord,
    Receipt,
    Role,
    RunStatus,
    TaskStatus,
    Usage,
)
from aura_engine.core.plan import Brief, Retry, TaskChange, TaskSpec


class EngineStarted(Frozen):
    """An engine took the journal."""

    kind: Literal["engine_started"] = "engine_started"
    version: str
    pid: int
    host: str = ""
    mode: str = ""
    workers: int = 0
    project: str = ""
    task_file: str = ""
    fallbacks: tuple[Role, ...] = ()
    """Roles with a second worker that takes over while the first one is parked."""
    containment: str = ""
    """What keeps workers and checks from the person's files: `bubblewrap`, `landlock` or `none`."""
    caps: Caps = Caps()
    """In force from here on."""


class Notice(Frozen):
    """Something the person should know and that changes no state."""

    kind: Literal["notice"] = "notice"
    text: str
    level: Literal["info", "warning", "error"] = "info"


class GoalRead(Frozen):
    """A revision of the task file was read; its checks are law from here on."""

    kind: Literal["goal_read"] = "goal_read"
    revision: str
    text: str
    prose: str
    checks: tuple[Check, ...] = ()
    prepare: Prepare | None = None


class BaseTaken(Frozen):
    """The person's folder as it stood became the first verified tree of the line."""

    kind: Literal["base_taken"] = "base_taken"
    commit: str
    tree: str


class PersonLanded(Frozen):
    """What the person changed in the folder was put on the line, as theirs."""

    kind: Literal["person_landed"] = "person_landed"
    commit: str
    tree: str
    folder: str = ""
    """The tree that the folder now stands for: what was delivered, with their changes."""
    paths: tuple[str, ...] = ()


class PlannerAsked(Frozen):
    """A call to the planner began. `call` numbers the conversation, not each request of it.

    A trigger is `kind` or `kind:what`; once answered, the same one is never asked about again.
    """

    kind: Literal["planner_asked"] = "planner_asked"
    call: int
    triggers: tuple[str, ...]
    revision: str


class PlannerReplied(Frozen):
    """The conversation ended; what it cost and how many requests it took."""

    kind: Literal["planner_replied"] = "planner_replied"
    call: int
    requests: int
    usage: Usage
    summary: str = ""


class PlannerFailed(Frozen):
    """The conversation failed; `retry_at` is wall time, None when a person is needed."""

    kind: Literal["planner_failed"] = "planner_failed"
    call: int
    failure: str
    message: str
    requests: int = 0
    usage: Usage = Usage()
    retry_at: float | None = None


class PlanChanged(Frozen):
    """The planner's (or a person's) decision about the tree, applied as one."""

    kind: Literal["plan_changed"] = "plan_changed"
    reason: str
    call: int = 0
    told: bool = False
    """True when it is the planner's answer to the goal revision it was asked about."""
    brief: Brief | None = None
    add: tuple[TaskSpec, ...] = ()
    change: tuple[TaskChange, ...] = ()
    archive: tuple[str, ...] = ()
    retry: tuple[Retry, ...] = ()
    goal_checks: tuple[Check, ...] = ()
    lessons: tuple[str, ...] = ()
    memory: tuple[str, ...] | None = None
    """The lessons kept so far, condensed to these; `lessons` come on top."""
    prepare: Prepare | None = None
    written: bool = False
    """The whole plan for a goal, from a file of the person's."""


class QuestionAsked(Frozen):
    """A person is needed; only the task named waits (none: the planner's own question)."""

    kind: Literal["question_asked"] = "question_asked"
    id: str
    question: str
    options: tuple[str, ...] = ()
    default: str = ""
    task: str = ""
    about: Literal["", "plan"] = ""
    """`plan`: whether the plan that comes with it may start; nothing starts before the answer."""


class QuestionAnswered(Frozen):
    """The person's answer."""

    kind: Literal["question_answered"] = "question_answered"
    id: str
    answer: str


class GoalDeclared(Frozen):
    """The planner declared the goal reached; true only together with green goal checks."""

    kind: Literal["goal_declared"] = "goal_declared"
    revision: str
    summary: str


class AttemptStarting(Frozen):
    """Intent: a worker is about to be started under a deterministic name."""

    kind: Literal["attempt_starting"] = "attempt_starting"
    task: str
    n: int
    role: Role
    backend: str
    base: str
    """Commit of the line that the workspace was made from."""
    session: str = ""
    """The program's session; with `place` the earlier attempt's, which goes on."""
    fallback: bool = False
    """Run by the role's second worker."""
    place: int = 0
    """The earlier attempt whose workspace, HOME and session it goes on in; 0: it has its own."""


class AttemptStarted(Frozen):
    """The worker runs."""

    kind: Literal["attempt_started"] = "attempt_started"
    task: str
    n: int
    process: ProcessRecord


class WorkerEnded(Frozen):
    """The worker's process ended; nothing is said about its work yet."""

    kind: Literal["worker_ended"] = "worker_ended"
    task: str
    n: int
    ending: Ending
    exit: ExitRecord
    charged: Usage | None = None
    """What it is counted as: priced, with what a step that it was broken off in may have used. None: as it told."""


class AttemptEnded(Frozen):
    """An attempt ended without landing (`Landed` is the other end)."""

    kind: Literal["attempt_ended"] = "attempt_ended"
    task: str
    n: int
    outcome: Outcome
    reason: str
    failed_check: str = ""
    hand_over: str = ""
    snapshot: str = ""
    """Commit of what the worker left; the next attempt builds on it where it merges."""


class CheckRan(Frozen):
    """A receipt. `task` is empty for goal checks."""

    kind: Literal["check_ran"] = "check_ran"
    task: str = ""
    n: int = 0
    receipt: Receipt


class Landed(Frozen):
    """The head moved to a tree that holds this attempt's work; ends the attempt as passed."""

    kind: Literal["landed"] = "landed"
    task: str
    n: int
    commit: str
    tree: str
    paths: int = 0
    """How many paths the work changed."""
    dropped: tuple[str, ...] = ()
    """New deciding files that the plan did not list under `makes`: kept in the snapshot, not landed."""
    proven: bool = True
    unproven_why: str = ""
    snapshot: str = ""


class HeadBroken(Frozen):
    """A landed task's check is red on the head itself: no attempt is charged, the planner is told."""

    kind: Literal["head_broken"] = "head_broken"
    task: str
    check: str
    tree: str
    reason: str


class Delivered(Frozen):
    """The head's tree is in the person's folder or on the branch."""

    kind: Literal["delivered"] = "delivered"
    commit: str
    tree: str
    place: str
    take: str = ""
    """The command that takes it from there."""
    kept: tuple[str, ...] = ()
    """Files that the person had changed meanwhile: theirs stayed."""


class DeliveryStarted(Frozen):
    """Intent of a delivery, so that a half-done one is completed after a crash."""

    kind: Literal["delivery_started"] = "delivery_started"
    tree: str


class TaskSettled(Frozen):
    """Routing's last word on a task that cannot go on by itself."""

    kind: Literal["task_settled"] = "task_settled"
    task: str
    status: TaskStatus
    reason: str


class TaskDelayed(Frozen):
    """The task's next attempt must not start before `until` (wall time): back-off."""

    kind: Literal["task_delayed"] = "task_delayed"
    task: str
    until: float


class RoleParked(Frozen):
    """No attempt of this role starts until `until` (wall time; None: until a person acts)."""

    kind: Literal["role_parked"] = "role_parked"
    role: Role
    until: float | None
    reason: str
    fallback: bool = False
    """It is the role's second worker that is parked."""


class MessageGiven(Frozen):
    """A person's message to a worker: brought to it while it ran, or kept for its next attempt."""

    kind: Literal["message_given"] = "message_given"
    task: str
    n: int
    """The attempt that ran then; 0 for none."""
    text: str
    injected: bool
    actor: str = "person"


class GoalChecked(Frozen):
    """All goal checks were run on a tree."""

    kind: Literal["goal_checked"] = "goal_checked"
    tree: str
    revision: str
    red: tuple[str, ...] = ()
    before: bool = False
    """Run on the base, before any work: says which checks prove something."""


class Requested(Frozen):
    """A command that a person (or script) gave, as accepted."""

    kind: Literal["requested"] = "requested"
    command: str
    task: str = ""
    text: str = ""
    actor: str = "person"


class RunEnded(Frozen):
    """The run ended, or paused for a person."""

    kind: Literal["run_ended"] = "run_ended"
    status: RunStatus
    reason: str = ""


Event = Annotated[
    EngineStarted
    | WorkersPlaced
    | Notice
    | GoalRead
    | BaseTaken
    | PersonLanded
    | PlannerAsked
    | PlannerReplied
    | PlannerFailed
    | PlanChanged
    | QuestionAsked
    | QuestionAnswered
    | GoalDeclared
    | AttemptStarting
    | AttemptStarted
    | WorkerEnded
    | AttemptEnded
    | CheckRan
    | Landed
    | HeadBroken
    | Delivered
    | DeliveryStarted
    | TaskSettled
    | TaskDelayed
    | RoleParked
    | MessageGiven
    | GoalChecked
    | Requested
    | RunEnded
    | ModelAsked
    | ModelReplied
    | CapReached
    | CapsChanged
    | MemoryEdited
    | Reviewed
    | Inquired
    | InquiryAnswered
    | WorkspaceKept
    | VaultTrimmed
    | DiskHeld
    | MemoryHeld,
    Field(discriminator="kind"),
]


def _classes() -> Iterator[tuple[str, type[Frozen]]]:
    for cls in get_args(get_args(Event)[0]):
        yield cls.model_fields["kind"].default, cls


KINDS: dict[str, type[Frozen]] = dict(_classes())


def encode(event: Any) -> str:
    """An event's payload as compact JSON without its kind and defaults.

    Text that is not Unicode (half a surrogate pair out of a worker's stream or a file name) is written with “?”.
    """
    try:
        return event.model_dump_json(exclude_defaults=True, by_alias=True)
    except PydanticSerializationError:
        plain = event.model_dump(mode="python", exclude_defaults=True, by_alias=True)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode("utf-8")


def decode(kind: str, payload: str) -> Any:
    """The event of a journal row; ValueError for an unknown kind or a payload that does not fit."""
    cls = KINDS.get(kind)
    if cls is None:
        raise ValueError(f"unknown event kind “{kind}”: written by a newer Aura?")
    return cls.model_validate_json(payload)
