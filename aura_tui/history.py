"""What places look back on and the run's state does not keep: decisions, receipts with their time, who worked when.

Told fact by fact, as the state is; no Textual, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from aura_engine.core import events as ev
from aura_engine.core.model import Phase, Receipt, Usage, Verdict

DECISIONS = 1_000
"""The latest are kept; the journal has them all."""
MESSAGES = 50
"""Per task."""


@dataclass(slots=True)
class Decision:
    """One conversation with the planner, or a change that a person made. Times are wall times."""

    number: int
    """Counts from 1 and never changes."""
    time: float
    call: int = 0
    """0: a person's."""
    triggers: tuple[str, ...] = ()
    revision: str = ""
    ended: float = 0.0
    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    summary: str = ""
    """What the planner used, in its own words."""
    changes: list[ev.PlanChanged] = field(default_factory=list[ev.PlanChanged])
    questions: list[ev.QuestionAsked] = field(default_factory=list[ev.QuestionAsked])
    declared: str = ""
    """Its words when it declared the goal reached."""
    failure: ev.PlannerFailed | None = None
    asked: str = ""
    """What a person asked the planner; nothing is decided by the answer."""
    inquiry: str = ""
    """Its id."""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A person's message to a worker."""

    time: float
    n: int
    """The attempt that ran then; 0 for none."""
    text: str
    injected: bool
    """It was brought to the running worker; else kept for the next attempt."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A receipt, and when it was written."""

    time: float
    n: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt in its lane; all else is said by the state."""

    task: str
    n: int
    start: float


class History:
    """Grows with the run only by what can be looked at."""

    def __init__(self) -> None:
        self.decisions: deque[Decision] = deque(maxlen=DECISIONS)
        self.decided = 0
        """Changes with each change of the decisions."""
        self.messages: dict[str, deque[Said]] = {}
        self.ran: dict[tuple[str, str], Ran] = {}
        """(task or "", check) → the latest receipt of work, whatever phase it is of."""
        self.before: dict[tuple[str, str], Verdict] = {}
        """(task or "", check) → what it said before the work: red proves something."""
        self.checked = 0
        """Changes with each receipt."""
        self.lanes: list[list[Bar]] = []
        """As many as there have been workers at once; each holds attempts that do not overlap, in their order."""
        self.worked = 0
        """Changes with each start and end of an attempt."""
        self._held: dict[tuple[str, int], int] = {}
        self._free: set[int] = set()

    def note(self, event: object, time: float) -> None:
        """Take in a fact."""
        match event:
            case ev.PlannerAsked() | ev.PlannerReplied() | ev.PlannerFailed() | ev.PlanChanged():
                self._decide(event, time)
            case ev.GoalDeclared() | ev.QuestionAsked():
                self._decide(event, time)
            case ev.Inquired() | ev.InquiryAnswered():
                self._inquire(event, time)
            case ev.CheckRan():
                self._check(event, time)
            case ev.AttemptStarting():
                self.worked += 1
                self._start(event, time)
            case ev.WorkerEnded() | ev.AttemptEnded() | ev.Landed():
                self.worked += 1
                self._end(event.task, event.n)
            case ev.MessageGiven():
                kept = self.messages.setdefault(event.task, deque(maxlen=MESSAGES))
                kept.append(Said(time, event.n, event.text, event.injected))
            case _:
                pass

    @property
    def open_call(self) -> Decision | None:
        """The conversation under way."""
        last = next((each for each in reversed(self.decisions) if each.call), None)
        return last if last is not None and not last.ended else None

    def _decide(
        self,
        event: ev.PlannerAsked
        | ev.PlannerReplied
        | ev.PlannerFailed
        | ev.PlanChanged
        | ev.GoalDeclared
        | ev.QuestionAsked,
        time: float,
    ) -> None:
        self.decided += 1
        call = self.open_call
        match event:
            case ev.PlannerAsked():
                if call is not None:
                    call.ended = time  # an engine died over it
                self._add(Decision(0, time, event.call, event.triggers, event.revision))
            case ev.PlannerReplied() if call is not None:
                call.ended, call.requests, call.usage, call.summary = time, event.requests, event.usage, event.summary
            case ev.PlannerFailed() if call is not None:
                call.ended, call.requests, call.usage, call.failure = time, event.requests, event.usage, event
            case ev.PlanChanged():
                whose = next(
                    (each for each in reversed(self.decisions) if event.call and each.call == event.call), None
                )
                if whose is not None:
                    whose.changes.append(event)
                else:
                    self._add(Decision(0, time, event.call, ended=time, changes=[event]))
            case ev.GoalDeclared() if call is not None:
                call.declared = event.summary
            case ev.QuestionAsked() if call is not None:
                call.questions.append(event)
            case _:
                pass

    def _inquire(self, event: ev.Inquired | ev.InquiryAnswered, time: float) -> None:
        self.decided += 1
        if isinstance(event, ev.Inquired):
            self._add(Decision(0, time, asked=event.question, inquiry=event.id))
            return
        for each in reversed(self.decisions):
            if each.inquiry == event.id:
                each.answer, each.ended = event.answer, time
                break

    def _add(self, decision: Decision) -> None:
        decision.number = self.decisions[-1].number + 1 if self.decisions else 1
        self.decisions.append(decision)

    def _check(self, event: ev.CheckRan, time: float) -> None:
        self.checked += 1
        key = (event.task, event.receipt.check)
        if event.receipt.phase is Phase.BEFORE:
            self.before[key] = event.receipt.verdict
        else:
            self.ran[key] = Ran(time, event.n, event.receipt)

    def _start(self, event: ev.AttemptStarting, time: float) -> None:
        lane = min(self._free, default=len(self.lanes))
        self._free.discard(lane)
        if lane == len(self.lanes):
            self.lanes.append([])
        self.lanes[lane].append(Bar(event.task, event.n, time))
        self._held[event.task, event.n] = lane

    def _end(self, task: str, n: int) -> None:
        lane = self._held.pop((task, n), None)
        if lane is not None:
            self._free.add(lane)
