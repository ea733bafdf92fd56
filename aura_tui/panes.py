"""Which attempts have a log pane, in which slot, under which title: what runs keeps its place. No Textual here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aura_engine.control.link import Live
from aura_engine.core.duration import span
from aura_engine.core.model import Outcome
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.steps import doing
from aura_engine.report.words import amount
from aura_tui.figures import ticking

Attempt = tuple[str, int]
"""(task, number)."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose output a pane shows."""

    task: str
    n: int
    backend: str
    path: Path | None


def output_of(state: RunState, task: str) -> Attempt | None:
    """The attempt whose output is meant by a task: its last one; of a group, the one begun last below it."""
    begun = [
        (attempts[-1].started, name, attempts[-1].n)
        for name, each in state.tasks.items()
        if (name == task or name.startswith(f"{task}.")) and (attempts := each.attempts)
    ]
    return max(begun)[1:] if begun else None


Parts = list[tuple[str, str]]
"""(text, tone)."""


def title_of(state: RunState, source: Source, live: Live | None, now: float) -> tuple[Parts, Parts]:
    """What stands at the left and at the right of a pane's title line at `now` (wall time)."""
    attempt = state.tasks[source.task].attempts[source.n - 1]
    left = [(f"{source.task} ", "title"), (f"{attempt.role.value} {attempt.backend} #{attempt.n}", "dim")]
    if live and live.step and attempt.live:
        left.append((f"  ▸ {one_line(doing(live.step), 120)}", "say"))
    if attempt.outcome:
        left.append((f"  {attempt.outcome.value}", "good" if attempt.outcome is Outcome.PASSED else "bad"))
    elif attempt.ended is not None:
        left.append(("  checking", "live"))
    ended = attempt.ended
    took = ticking(now - attempt.started) if ended is None else span(ended - attempt.started)
    tokens = [(f"{amount(live.tokens)} tok  ", "dim")] if live and live.tokens and attempt.live else []
    return left, [*tokens, (f"{took:>7}", "say" if ended is None else "dim")]


class Slots:
    """A fixed number of slots. Nothing moves unless it must: an attempt keeps its slot for as long as it runs."""

    def __init__(self) -> None:
        self.slots: list[Attempt | None] = []
        self.left_out = 0
        """Running attempts for which there is no slot."""

    def arrange(self, running: Sequence[Attempt], room: int) -> list[Attempt | None]:
        """Place the running attempts (longest running first) into at most `room` slots.

        A slot whose attempt has ended is taken over first by the next attempt of the same task. There are never more
        slots than there have been attempts at once, so that the panes are as large as they can be.
        """
        live = set(running)
        room = max(1, room)
        wanted = min(room, max(len(running), min(len(self.slots), room), 1))
        slots = [*self.slots[:room], *[None] * (wanted - len(self.slots[:room]))]
        for attempt in running:
            if attempt in slots:
                continue
            free = [at for at, held in enumerate(slots) if held not in live]
            if free:
                same = [at for at in free if (held := slots[at]) is not None and held[0] == attempt[0]]
                empty = [at for at in free if slots[at] is None]
                slots[(same or empty or free)[0]] = attempt
        self.left_out = len(live - set(slots))
        self.slots = slots
        return list(slots)

    def put(self, attempt: Attempt, running: Sequence[Attempt]) -> int:
        """Show an attempt that somebody asks for; the slot it got. An ended or empty slot goes first, else the last."""
        if attempt in self.slots:
            return self.slots.index(attempt)
        if not self.slots:
            self.slots = [None]
        free = [at for at, held in enumerate(self.slots) if held not in set(running)]
        at = free[0] if free else len(self.slots) - 1
        self.slots[at] = attempt
        return at


class Credit:
    """Bytes that may be sent unasked, refilled with time: a flood of output must not flood the terminal."""

    def __init__(self, per_second: float, most: float) -> None:
        self._per_second, self._most = per_second, most
        self._left = most
        self._at: float | None = None

    def refill(self, now: float) -> None:
        """Time has passed (monotonic seconds)."""
        if self._at is not None:
            self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now

    def spend(self, count: int) -> None:
        """So many were sent; it may go below nothing and has to recover."""
        self._left -= count

    @property
    def any(self) -> bool:
        """Something may be painted."""
        return self._left > 0
