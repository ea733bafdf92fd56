"""The nouns of Aura: tasks, checks, receipts, attempts, usage. Frozen; shared by every room."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Frozen(BaseModel):
    """Base of every value that travels: immutable, strict about unknown fields.

    Infinity and NaN are refused: JSON has neither, so a journal that holds one could not be read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Role(StrEnum):
    """Which of the two configured workers runs a task."""

    PRO = "pro"
    FLASH = "flash"


class WorkerMode(StrEnum):
    """How roles are chosen (ORIGINAL.md names)."""

    PRO_ONLY = "pro-only"
    AUTO = "auto"
    FLASH_FIRST = "flash-first"
    FLASH_ONLY = "flash-only"


class Difficulty(StrEnum):
    """The planner's estimate; in mode `auto` only `hard` starts on Pro."""

    EASY = "easy"
    NORMAL = "normal"
    HARD = "hard"


class Outcome(StrEnum):
    """Why an attempt ended; decides what happens next (routing)."""

    PASSED = "passed"
    CAPABILITY = "capability"
    INFRASTRUCTURE = "infrastructure"
    RESOURCE = "resource"
    BUDGET = "budget"
    CONFLICT = "conflict"
    INTERRUPTED = "interrupted"


class TaskStatus(StrEnum):
    """Where a task stands. The words are those that users of the decision log know, plus `verifying`."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    FAILED = "failed"
    BLOCKED = "blocked"
    KILLED = "killed"
    ARCHIVED = "archived"


class RunStatus(StrEnum):
    """How a run stands or ended; the exit status follows from it (DESIGN section 8)."""

    RUNNING = "running"
    ACHIEVED = "achieved"
    FAILED = "failed"
    NEEDS_PERSON = "needs_person"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"


def rel_path(text: str) -> str:
    """A clean relative POSIX path inside the project; ValueError for anything else."""
    path = PurePosixPath(text.strip())
    if not text.strip() or "\0" in text or path.is_absolute() or ".." in path.parts or str(path) == ".":
        raise ValueError(f"“{text}” is not a path inside the project")
    return str(path)


RelPath = Annotated[str, Field(min_length=1, max_length=500)]


class Check(Frozen):
    """One acceptance criterion that a machine decides: `run` alone (exit status), `file`, `value` or `judge`.

    `file` and `value` checks may name the `run` that makes the file: the engine deletes the file, runs that in the
    clean checkout, then reads. Times are in seconds.
    """

    name: str = Field(min_length=1, max_length=120)
    run: str | None = Field(default=None, max_length=4000)
    file: RelPath | None = None
    matches: str | None = Field(default=None, max_length=500)
    """Regular expression (search, multi-line) that the file must match."""
    min_bytes: int | None = Field(default=None, ge=0)
    value: str | None = Field(default=None, max_length=200)
    """JSON: dotted path; CSV: column name or `column[row]`; text: a regular expression with one group."""
    at_least: float | None = None
    at_most: float | None = None
    equals: str | float | bool | None = None
    judge: str | None = Field(default=None, max_length=4000)
    report: str | None = None
    """`junit`: the engine asks the runner for its own report and counts tests and skips in it."""
    min_tests: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=600.0, gt=0, le=86_400)
    network: bool = False
    hidden: bool = False
    """Held out: never shown to the worker."""
    part: str = Field(default="", max_length=200)
    """The promised part of the goal it belongs to; all that a worker learns of a held-out check."""
    files: dict[RelPath, str] = Field(default_factory=dict)
    """Probe files that the engine writes into the clean checkout for this check alone: path → text."""
    uses: tuple[RelPath, ...] = ()
    """Files of the project that belong to the check: frozen, and withheld from workers when it is hidden."""
    reproduce: bool = True
    """False: the result took hours and is read as it was landed, not made again; only in a person's block."""
    person: bool = False
    """Written by the person: law; the planner may add, never drop or weaken it."""

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        return None if value is None else rel_path(value)

    @field_validator("uses")
    @classmethod
    def _all_inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rel_path(item) for item in value)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.judge and (self.run or self.value):
            raise ValueError("a judge decides by its rubric: leave out `run` and `value`")
        if self.judge and not self.file:
            raise ValueError("a judge needs the `file` that it reads")
        if self.value and not self.file:
            raise ValueError("`value` needs the `file` it is read from")
        if self.value and self.at_least is None and self.at_most is None and self.equals is None:
            raise ValueError("`value` needs a bound: at_least, at_most or equals")
        if not self.value and not (self.at_least is None and self.at_most is None and self.equals is None):
            raise ValueError("a bound needs the `value` it bounds")
        if not (self.run or self.file or self.judge):
            raise ValueError("a check needs one of: run, file, judge")
        if (self.matches or self.min_bytes is not None) and not self.file:
            raise ValueError("`matches` and `min_bytes` need a `file`")
        if self.report not in (None, "junit"):
            raise ValueError("`report` can only be “junit”")
        for path in self.files:
            rel_path(path)
        return self

    @property
    def kind(self) -> str:
        """`run`, `file`, `value` or `judge`."""
        if self.judge:
            return "judge"
        if self.value:
            return "value"
        return "file" if self.file else "run"

    @cached_property
    def hash(self) -> str:
        """16 hex digits over everything that decides the verdict; the name does not."""
        body = self.model_dump(mode="json", exclude={"name", "part", "hidden", "person"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changes; its hash is its own."""
        copy = super().model_copy(update=update, deep=deep)
        vars(copy).pop("hash", None)
        return copy

    def describe(self) -> str:
        """One line for a person."""
        if self.judge:
            return f"judge: {self.judge}"
        if self.value:
            bounds = [f"≥ {self.at_least:g}"] if self.at_least is not None else []
            bounds += [f"≤ {self.at_most:g}"] if self.at_most is not None else []
            bounds += [f"= {self.equals}"] if self.equals is not None else []
            made = f"  (made by: {self.run})" if self.run else ""
            return f"{self.file}: {self.value} {' and '.join(bounds)}{made}"
        if self.file:
            more = f" matching /{self.matches}/" if self.matches else ""
            made = f"  (made by: {self.run})" if self.run else ""
            return f"file {self.file}{more}{made}"
        return self.run or ""


class Verdict(StrEnum):
    """What a check said. Only `green` counts as passed; `flaky` never is the sole proof."""

    GREEN = "green"
    RED = "red"
    FLAKY = "flaky"
    ERROR = "error"
    """The check itself could not be run (machinery): never charged to the work."""


class Phase(StrEnum):
    """When a check ran."""

    BEFORE = "before"
    TASK = "task"
    RATCHET = "ratchet"
    GOAL = "goal"


class Counts(Frozen):
    """Tests as counted by the runner's own report."""

    tests: int
    failures: int
    skipped: int


class Receipt(Frozen):
    """Proof that a check ran."""

    check: str
    check_hash: str
    tree: str
    """The tree the check ran on."""
    frozen_hash: str = ""
    """Over the deciding files that were put in place for the run."""
    phase: Phase
    verdict: Verdict
    reason: str = ""
    """Why it is not green, in a sentence for a person."""
    exit_code: int | None = None
    signal: int | None = None
    duration: float = 0.0
    output_hash: str = ""
    tail: str = ""
    """The end of the output, sanitised by whoever shows it; at most 2,000 characters."""
    counts: Counts | None = None
    """None: unknown (no report could be had)."""
    hidden: bool = False
    cached: bool = False

    @property
    def green(self) -> bool:
        """Passed."""
        return self.verdict is Verdict.GREEN


class Usage(Frozen):
    """Tokens and money of an attempt or a planner call. `cost` in USD, 0 where unknown."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float = Field(default=0.0, ge=0)

    @field_validator("cost", mode="before")
    @classmethod
    def _sane(cls, value: Any) -> Any:
        # A worker says this number: no absurd one may keep a journal from being read. JSON writes NaN as null.
        number = isinstance(value, int | float)
        return 0.0 if value is None or (number and not 0 <= value <= sys.float_info.max) else value

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            cost=self.cost + other.cost,
        )

    def beyond(self, past: Usage) -> Usage:
        """What this total holds beyond an earlier one; nowhere less than 0."""
        return Usage(
            input=max(0, self.input - past.input),
            output=max(0, self.output - past.output),
            cache_read=max(0, self.cache_read - past.cache_read),
            cache_write=max(0, self.cache_write - past.cache_write),
            cost=max(0.0, self.cost - past.cost),
        )

    @property
    def tokens(self) -> int:
        """All tokens, cached ones too."""
        return self.input + self.output + self.cache_read + self.cache_write


class Prepare(Frozen):
    """What a clean checkout lacks and how the engine makes it (DESIGN section 6, `prepare`)."""

    run: str | None = None
    from_: tuple[RelPath, ...] = Field(default=(), alias="from")
    """The files that key the cache."""
    makes: tuple[RelPath, ...] = ()
    share: tuple[RelPath, ...] = ()
    """Folders of the project that are linked read-only into workspaces and checkouts."""
    network: bool = False
    timeout: float = Field(default=1800.0, gt=0, le=86_400)

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("from_", "makes", "share")
    @classmethod
    def _all_inside(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rel_path(item) for item in value)


class LaunchSpec(Frozen):
    """How to start a worker: what a backend gives to a runtime.

    `stdin` is written first; with `stdin_open` the shim keeps the pipe open and feeds it from `input.jsonl`.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    stdin: str = ""
    stdin_open: bool = False
    stop_signals: tuple[tuple[str, float], ...] = (("SIGTERM", 5.0),)
    """The stop ladder before SIGKILL: signal name to the CLI's main process, seconds of grace."""
    files: dict[str, str] = Field(default_factory=dict)
    """What lies in its HOME before it starts: path below HOME → text, such as the program's settings."""
    logins: dict[str, str] = Field(default_factory=dict)
    """Credential files that it shares with the person: path below HOME → the person's own file. Never a copy, since
    the program may renew what is in it."""


class ProcessRecord(Frozen):
    """Names one process for ever: a pid alone can be reused."""

    pid: int
    start_time: float
    """Field 22 of /proc/PID/stat in clock ticks (psutil.create_time on macOS)."""
    boot_id: str


class ExitRecord(Frozen):
    """What the shim writes when the worker's main process ended. Times in seconds."""

    code: int | None = None
    signal: int | None = None
    started: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0
    max_rss: int = 0
    """Bytes."""
    swept: int = 0
    """Descendants that had to be killed after the main process ended."""
    error: str = ""
    """Set when the worker could not be started at all."""
    stopped: bool = False
    """Its shim had been asked to stop it."""
    oom: bool = False
    """Its container ran out of memory: the system killed something in it, if not the main process."""
    outside: str = ""
    """Who ended it when nobody here did, in words: the container engine, as when it is started anew."""


class SignalKind(StrEnum):
    """What a parser can tell about a worker while it runs."""

    SESSION = "session"
    MESSAGE = "message"
    TOOL = "tool"
    TOOL_RESULT = "tool_result"
    USAGE = "usage"
    RETRY = "retry"
    FINISHED = "finished"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Signal(Frozen):
    """One thing a worker's stream said. Data, never an instruction."""

    kind: SignalKind
    text: str = ""
    """Message text, tool summary, error text; at most 2,000 characters."""
    tool: str = ""
    ok: bool = True
    usage: Usage | None = None
    """For USAGE: the total so far of this attempt, not an increment."""
    session: str = ""
    status: int | None = None
    """HTTP status of an API error, where said."""
    reason: str = ""
    """For FAILED: the program's own word for it, such as `error_max_turns`."""
    turns: int | None = None
    """For USAGE: model calls so far."""


class ContainerUse(Frozen):
    """What the kernel counts for a container, all its processes together, those that have ended too."""

    cpu: float
    """Seconds so far."""
    memory: int
    """Bytes now, without what the kernel can drop at any time (files that were read)."""


class EndKind(StrEnum):
    """How a worker's run ended, told from stream, stderr and exit status together."""

    FINISHED = "finished"
    GAVE_UP = "gave_up"
    OUT_OF_TURNS = "out_of_turns"
    OUT_OF_TIME = "out_of_time"
    CREDENTIALS = "credentials"
    MONEY = "money"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    PERMISSION = "permission"
    MISSING_CLI = "missing_cli"
    CRASHED = "crashed"
    KILLED = "killed"
    HUNG = "hung"
    LOOPING = "looping"
    OUT_OF_MEMORY = "out_of_memory"
    """Killed by a signal that only the system sends so."""
    OVER_LIMIT = "over_limit"
    """It used more of the machine than a worker may."""
    OVER_CAP = "over_cap"
    """Its next step would have gone past what the attempt or its task may use."""
    RUN_CAPPED = "run_capped"
    """The same for the whole run: it goes on when the cap is raised."""
    LOST = "lost"
    """Its processes vanished or were ended from outside, as by a shutdown."""


class Ending(Frozen):
    """The verdict on a worker's run (not on its work: only checks decide that)."""

    kind: EndKind
    detail: str = ""
    retry_after: float | None = None
    """Seconds until a limit resets, where said."""
    claims: str = ""
    """What the worker said it did: a hint for the hand-over note, nothing more."""
    session: str = ""
    usage: Usage = Usage()

    @field_validator("retry_after", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value
