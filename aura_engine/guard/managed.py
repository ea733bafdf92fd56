"""Long jobs that a worker hands over: `process.json` in its workspace, with a list `managed_subprocesses`.

    {"managed_subprocesses": [{"pid": 4711, "started_at": "…", "kind": "training", "log_path": "train.log"}]}

The worker may end its turn while such a job goes on; the attempt ends only when the last of them does. Nothing in the
file is believed: a job is a process below the worker's shim, other than its main one, that began before the file was
written, and whose start time is remembered. `started_at` is a model's word for that and is not asked.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aura_engine.core.text import one_line
from aura_engine.guard.processes import LINUX, TICK, Process, Tree, namespace_pids

NAME = "process.json"
MOST_BYTES = 64 << 10
MOST_JOBS = 16
SLACK = 2.0
"""Seconds by which the clock of the file system and that of the processes may differ."""


class _Claim(BaseModel):
    """One entry, as a worker wrote it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    pid: int = Field(gt=1, lt=1 << 31)
    kind: str = Field(default="", max_length=200)
    log_path: str = Field(default="", max_length=1000)


@dataclass(frozen=True)
class Job:
    """A job that still runs."""

    pid: int
    """As we see it; the worker may know it by another number."""
    start: float
    """See Process.start."""
    kind: str
    """The worker's word for it, one line."""
    log: Path | None
    """A file of its output inside the workspace; None where it named none that is."""


@dataclass(frozen=True)
class Jobs:
    """What `process.json` says that is true."""

    running: tuple[Job, ...] = ()
    refused: tuple[str, ...] = ()
    """Why entries don't count, in words. Those of jobs that have ended are not named."""


class Managed:
    """The jobs of one worker."""

    def __init__(self, workspace: Path, tree: Tree) -> None:
        self._workspace = workspace
        self._tree = tree
        self._known: dict[int, tuple[int, float]] = {}
        """Processes that were found to be a job, by the number the worker gave: pid as we see it, start."""

    def look(self) -> Jobs:
        """Which jobs run at this moment. Never raises. Some milliseconds with a file there, next to nothing without."""
        read = _read(self._workspace / NAME)
        if read is None:
            return Jobs()
        text, written = read
        claims, refused = _claims(text)
        if not claims:
            return Jobs(refused=tuple(refused))
        found = self._tree.look()[1:]  # the first is the shim
        below = {each.pid: each for each in found if each.pid != self._tree.main.pid and each.state not in "ZX"}
        seen_as = _numbers(below)
        running: list[Job] = []
        for claim in claims:
            process, why = self._process(claim, below, seen_as, written)
            if process is not None:
                log = _inside(self._workspace, claim.log_path)
                running.append(Job(process.pid, process.start, one_line(claim.kind, 80), log))
            if why:
                refused.append(f"process {claim.pid} in {NAME} {why}")
        return Jobs(tuple(running), tuple(refused))

    def _process(
        self, claim: _Claim, below: Mapping[int, Process], seen_as: Mapping[int, int], written: float
    ) -> tuple[Process | None, str]:
        """The process of a claim while it runs, or why it is none of the worker's."""
        if claim.pid in self._known:
            pid, start = self._known[claim.pid]
            process = below.get(pid)
            return (process if process is not None and process.start == start else None), ""
        process = below.get(seen_as.get(claim.pid, 0))
        if process is None:
            return None, "is not one that this worker started, or has ended"
        if _began(process) > written + SLACK:
            return None, "began after the file was written: the number has passed to another process"
        self._known[claim.pid] = (process.pid, process.start)
        return process, ""


def _read(path: Path) -> tuple[bytes, float] | None:
    """The file and when it was last written; None for what is no regular file of a sensible size."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            return None
        return os.read(fd, MOST_BYTES), found.st_mtime
    except OSError:
        return None
    finally:
        os.close(fd)


def _claims(text: bytes) -> tuple[list[_Claim], list[str]]:
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError):
        return [], [f"{NAME} is no JSON"]
    listed: Any = cast("dict[str, Any]", told).get("managed_subprocesses", []) if isinstance(told, dict) else None
    if not isinstance(listed, list):
        return [], [f"{NAME} has no list “managed_subprocesses”"]
    entries = cast("list[Any]", listed)
    refused = [f"{NAME} lists more than {MOST_JOBS} processes"] if len(entries) > MOST_JOBS else []
    claims: list[_Claim] = []
    for entry in entries[:MOST_JOBS]:
        try:
            claims.append(_Claim.model_validate(entry))
        except ValidationError:
            refused.append(f"an entry in {NAME} is not a process with a `pid`")
    return claims, refused


def _numbers(below: Mapping[int, Process]) -> dict[int, int]:
    """By what number the worker may call each of its processes → our pid. In a pid namespace they have several."""
    found: dict[int, int] = {}
    inside = {pid: namespace_pids(pid)[1:] for pid in below}
    for pid, numbers in inside.items():
        for number in numbers:
            found.setdefault(number, pid)
    if not any(inside.values()):
        found.update((pid, pid) for pid in below)
    return found


def _began(process: Process) -> float:
    """Epoch seconds."""
    if not LINUX:
        return process.start
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + process.start / TICK


def _inside(workspace: Path, text: str) -> Path | None:
    """The regular file in the workspace that is meant, links resolved."""
    if not text or "\0" in text:
        return None
    try:
        path = (workspace / text).resolve()
        good = path.is_relative_to(workspace.resolve()) and stat.S_ISREG(path.lstat().st_mode)
    except (OSError, RuntimeError):
        return None
    return path if good else None
