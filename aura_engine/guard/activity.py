"""Is a silent worker hung? Two samples of its signs of life and a pure verdict on what lies between them.

It is hung only when all signs agree. The program's own trickle is not one of them: a CLI that tries an API again and
again without a word sends some kilobytes and burns some milliseconds each time. What its children do is, and so is a
steady stream of bytes that comes to it: a long answer of a model, which most CLIs print only once it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aura_engine.core.duration import format_duration
from aura_engine.guard.files import touched
from aura_engine.guard.managed import Job
from aura_engine.guard.processes import Process, Tree, cpu_seconds
from aura_engine.guard.sockets import sockets_of, tcp_bytes


@dataclass(frozen=True)
class Limits:
    """How long a worker may be silent, in seconds, and what counts as doing nothing meanwhile."""

    first_output: float = 300.0
    """Until its very first output. CLIs take 0.2 to 6 s to start; some print nothing before the model's first word,
    which a thinking model may keep for minutes."""
    no_event: float = 600.0
    """Without output and without any other sign of life. Longer than the longest pause a CLI makes between two tries
    (an API time-out of 300 s, then a back-off) and than any of their own limits on a tool (2 to 10 minutes)."""
    post_result: float = 10.0
    """From its final result to its exit: some CLIs hang there. Enough to write a session file on a loaded machine."""
    idle_cpu: float = 0.05
    """Share of a core below which the program itself only waits. While nothing happens claude burns 0.006 of one, codex
    0.004 and opencode 0.02."""
    child_cpu: float = 0.01
    """Share of a core below which all its children together do nothing: idle servers that it started, timers."""
    idle_io: float = 100.0
    """Bytes a second below which the children only keep in touch, as language servers and watchers do (a ping a
    second is 40). A download over the slowest of lines has ten times that."""
    answer: float = 1_000.0
    """Bytes a second that the program must receive to count as listening to its model. 5 tokens a second make that;
    an error page at every retry does not."""
    idle_gpu: float = 5.0
    """Per cent."""

    def allowed(self, *, spoken: bool) -> float:
        """Seconds of silence until it counts as hung, before and after its first output."""
        return self.no_event if spoken else self.first_output


@dataclass(frozen=True, slots=True)
class Sample:
    """The signs of life of one worker at one moment. All figures only grow while it lives."""

    at: float
    """Monotonic seconds."""
    output: dict[str, int]
    """Bytes of each file that it prints to."""
    files: int
    """See files.touched."""
    processes: tuple[Process, ...]
    received: dict[int, int]
    """Bytes received by each TCP connection of the program itself, by inode."""
    moved: dict[int, int]
    """Bytes received and sent by each TCP connection of its children."""
    gpu: float = 0.0
    """Per cent that the GPUs are busy which its processes use."""


@dataclass(frozen=True)
class Verdict:
    """What two samples say."""

    hung: bool
    alive: bool
    """Whether there was any sign of life between them."""
    signals: tuple[str, ...]
    """Each sign in words: those of life, or, without any, what was missing."""

    @property
    def words(self) -> str:
        """All signs, in one line for a person."""
        return ", ".join(self.signals)


@dataclass(frozen=True)
class Place:
    """Where one worker's signs of life are found."""

    tree: Tree
    workspace: Path
    errors: Path
    """The file of its stderr."""
    gpu: Callable[[Collection[int]], float] | None = None
    """Per cent that the GPUs are busy which these processes use; see gauges.Gpus.busy."""


def take(place: Place, at: float, jobs: Iterable[Job] = ()) -> Sample:
    """Looks at a worker now, which is monotonic `at`, and at the logs of its long jobs. Never raises.

    Blocks for some milliseconds: 0.2 ms a process and 5 ms in 1,000 files of the workspace.
    """
    handed = {job.pid: job for job in jobs}
    processes = tuple(
        replace(process, own=False) if process.own and process.pid in handed else process
        for process in place.tree.look()
    )
    logs = [job.log for job in handed.values() if job.log]
    held = {process.pid: sockets_of(process.pid) for process in processes}
    transferred = tcp_bytes() if any(held.values()) else {}
    own = {inode for process in processes if process.own for inode in held[process.pid]}
    others = {inode for inodes in held.values() for inode in inodes} - own
    return Sample(
        at=at,
        output={str(path): _size(path) for path in (place.tree.output, place.errors, *logs)},
        files=touched(place.workspace),
        processes=processes,
        received={inode: transferred[inode][0] for inode in own & transferred.keys()},
        moved={inode: sum(transferred[inode]) for inode in others & transferred.keys()},
        gpu=place.gpu([process.pid for process in processes]) if place.gpu else 0.0,
    )


def judge(before: Sample, after: Sample, quiet: float, limits: Limits, *, spoken: bool = True) -> Verdict:
    """Whether a worker that has said nothing for `quiet` seconds is hung, by what happened between two samples.

    Hung: no sign of life, `quiet` is over the limit, and the samples lie at least half of that apart.
    """
    elapsed = max(after.at - before.at, 1e-9)
    life = _life(before, after, elapsed, limits)
    if life:
        return Verdict(hung=False, alive=True, signals=tuple(life))
    allowed = limits.allowed(spoken=spoken)
    cpu, count = sum(cpu_seconds(before.processes, after.processes)), len(after.processes)
    lasted = format_duration(round(quiet))
    signals = (
        f"no output for {lasted}" if spoken else f"no output at all in {lasted}",
        "no file changed",
        f"{cpu:.1f} s of CPU in {count} process{'' if count == 1 else 'es'}",
        _idle_children(after),
    )
    return Verdict(hung=quiet >= allowed and elapsed >= allowed / 2, alive=False, signals=signals)


def _idle_children(after: Sample) -> str:
    children = [process for process in after.processes if not process.own]
    if any(process.io is None for process in children):
        return "its children's I/O cannot be seen here"
    return "no child doing I/O" if children else "no child"


def _life(before: Sample, after: Sample, elapsed: float, limits: Limits) -> list[str]:
    life: list[str] = []
    printed = _grown(before.output, after.output)
    if printed:
        life.append(f"{_bytes(printed)} of output")
    if before.files != after.files:
        life.append("files changed")
    own, children = cpu_seconds(before.processes, after.processes)
    if own >= limits.idle_cpu * elapsed or children >= limits.child_cpu * elapsed:
        life.append(f"{own + children:.1f} s of CPU")
    moved = _io_between(before, after) + _grown(before.moved, after.moved)
    if moved >= limits.idle_io * elapsed:
        life.append(f"{_bytes(moved)} of I/O by its children")
    if any(process.state == "D" and not process.own for process in after.processes):
        life.append("a child waits for the disk")
    heard = _grown(before.received, after.received)
    if heard >= limits.answer * elapsed:
        life.append(f"{_bytes(heard)} received from its model")
    if after.gpu >= limits.idle_gpu:
        life.append(f"its GPU is {after.gpu:.0f} % busy")
    return life


def _io_between(before: Sample, after: Sample) -> int:
    known = {(process.pid, process.start): process.io or 0 for process in before.processes}
    return sum(
        max(0, (process.io or 0) - known.get((process.pid, process.start), 0))
        for process in after.processes
        if not process.own
    )


def _grown(before: Mapping[Any, int], after: Mapping[Any, int]) -> int:
    """By how much all figures grew; a new one counts whole, a lesser one for nothing."""
    return sum(max(0, figure - before.get(key, 0)) for key, figure in after.items())


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
