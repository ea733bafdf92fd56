"""Is a busy worker looping: the same tool calls over and over, with the same results, and nothing changed by them?

Counted from its stream for next to nothing; the worker is only looked at once a repetition has gone on for long, and
again when it has gone on for as long once more. It is looping when its workspace is then the same and nothing that it
left running has worked meanwhile: who waits for a build in the background asks often, and hears the same each time.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aura_engine.clock import steady
from aura_engine.core.model import Signal, SignalKind
from aura_engine.core.text import one_line
from aura_engine.guard.activity import Limits
from aura_engine.guard.files import contents
from aura_engine.guard.processes import Process, Tree

ROUNDS = 6
"""Rounds until the worker is looked at, and as many again until the verdict: 12 times the same. People and good
agents read a file three times and run a red test five; other tools that stop at 4 are known to stop good work."""
WAITING_ROUNDS = 30
"""The same for calls that take their time: `sleep 60; tail log` may well see nothing new for an hour."""
WAITING = 10.0
"""Seconds that a round takes on average, results awaited, from which on the worker waits rather than spins."""
LONGEST = 3
"""Calls in the longest cycle that is looked for."""
_PENDING = 32
"""Calls made at once whose results are waited for; of one too many no result is expected."""
_NOISE = re.compile(r"\b\d+(?:\.\d+)?\s?(?:ms|s|secs?|seconds?|µs)\b|\b\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\b")
"""How long something took and the time of day: different at each run of the same."""


@dataclass(frozen=True)
class View:
    """What a worker's calls could have changed, at one moment."""

    at: float
    """Monotonic seconds."""
    contents: str
    """See files.contents."""
    processes: tuple[Process, ...]


def view(tree: Tree, workspace: Path) -> View:
    """Looks. Blocks for about 50 ms in 1,000 files."""
    return View(steady(), contents(workspace), tree.look())


def unchanged(before: View, after: View, limits: Limits) -> bool:
    """Whether the workspace holds the same and nothing that ran all the while has worked."""
    return before.contents == after.contents and not _worked(
        before.processes, after.processes, max(after.at - before.at, 1e-9), limits
    )


def _worked(before: Sequence[Process], after: Sequence[Process], elapsed: float, limits: Limits) -> bool:
    known = {(process.pid, process.start): process for process in before}
    for process in after:
        was = known.get((process.pid, process.start))
        if was is None or process.own:  # what the calls themselves start comes and goes
            continue
        cpu = process.cpu + process.reaped - was.cpu - was.reaped
        if cpu >= limits.child_cpu * elapsed or (process.io or 0) - (was.io or 0) >= limits.idle_io * elapsed:
            return True
    return False


@dataclass
class _Cycle:
    """Calls that equal the ones `period` before them."""

    same: int = 0
    seconds: float = 0.0
    """What those took."""


@dataclass
class Loops:
    """Repetition in one worker's stream."""

    rounds: int = ROUNDS
    waiting_rounds: int = WAITING_ROUNDS
    _pending: deque[tuple[Signal, float]] = field(default_factory=deque[tuple[Signal, float]])
    _last: deque[bytes] = field(default_factory=lambda: deque[bytes](maxlen=LONGEST))
    _calls: deque[Signal] = field(default_factory=lambda: deque[Signal](maxlen=LONGEST))
    _cycles: tuple[_Cycle, ...] = field(default_factory=lambda: tuple(_Cycle() for _ in range(LONGEST)))
    _first: tuple[int, int, View] | None = None
    """Period and rounds at the first look, and what it saw."""
    _looking: bool = False

    def feed(self, signal: Signal, now: float) -> None:
        """Takes one signal in, heard at monotonic `now`. All but tool calls and their results are passed over."""
        if signal.kind is SignalKind.TOOL:
            self._pending.append((signal, now))
            if len(self._pending) > _PENDING:
                self._add(*self._pending.popleft(), "", now)
        elif signal.kind is SignalKind.TOOL_RESULT and self._pending:
            call, began = self._pending.popleft()
            self._add(call, began, f"{signal.ok} {_NOISE.sub('…', signal.text)}", now)

    def _add(self, call: Signal, began: float, result: str, now: float) -> None:
        text = "\0".join((call.tool, call.text, result)).encode("utf-8", "replace")
        mark = hashlib.blake2b(text, digest_size=16).digest()
        for period, cycle in enumerate(self._cycles, 1):
            if len(self._last) >= period and self._last[-period] == mark:
                cycle.same += 1
                cycle.seconds += now - began
            else:
                cycle.same, cycle.seconds = 0, 0.0
                if self._first and self._first[0] == period:
                    self._first = None
        self._last.append(mark)
        self._calls.append(call)

    def _longest(self) -> tuple[int, int, int]:
        """Of the shortest cycle that goes on: calls in it, rounds so far, rounds until it is looked at."""
        for period, cycle in enumerate(self._cycles, 1):
            count = cycle.same // period + 1
            if count >= self.rounds:
                waits = cycle.seconds / (count - 1) >= WAITING
                return period, count, self.waiting_rounds if waits else self.rounds
        return 0, 0, self.rounds

    @property
    def due(self) -> bool:
        """Whether a look at the worker is wanted now; see check."""
        if self._looking:
            return False
        period, count, allowed = self._longest()
        return period > 0 and count >= allowed + (self._first[1] if self._first else 0)

    async def check(self, tree: Tree, workspace: Path, limits: Limits) -> str:
        """Looks at the worker: what it does over and over, in words, when it is looping; else "".

        Takes about 50 ms in 1,000 files, in a thread.
        """
        self._looking = True
        try:
            seen = await asyncio.to_thread(view, tree, workspace)
        finally:
            self._looking = False
        return self.saw(seen, limits)

    def saw(self, seen: View, limits: Limits) -> str:
        """See check."""
        period, count, _ = self._longest()
        if not period:
            return ""  # it did something else meanwhile
        if self._first is None or not unchanged(self._first[2], seen, limits):
            self._first = (period, count, seen)
            return ""
        calls = " → ".join(f"“{one_line(f'{call.tool} {call.text}', 80)}”" for call in list(self._calls)[-period:])
        same = "the same call" if period == 1 else f"the same {period} calls in turn"
        return f"{same} {count} times with the same results and no file changed: {calls}"
