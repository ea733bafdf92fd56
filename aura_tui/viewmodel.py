"""What the screen knows of a run: folds the facts, keeps the rows, and remembers what changed since the last frame.

It has no Textual in it, no clock and no loop: facts and the time come in, rows and figures go out. It does not hold
logs, diffs or the text of the goal: those are fetched through the link when somebody looks at them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aura_engine.control.link import Live, Told
from aura_engine.core import events as ev
from aura_engine.core.fold import apply
from aura_engine.core.model import TaskStatus
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.plain import lines
from aura_tui.counts import Counts
from aura_tui.edit import Draft
from aura_tui.figures import Figures, Planner, Said, figures
from aura_tui.history import History
from aura_tui.outline import Outline
from aura_tui.rows import Row, Scene, group_row, leaf_row

STORY = 200
"""Decisions kept for the pane; the journal has them all."""
TOLD = (
    ev.WorkersPlaced,
    ev.GoalRead,
    ev.PlannerFailed,
    ev.PlanChanged,
    ev.QuestionAsked,
    ev.QuestionAnswered,
    ev.GoalDeclared,
    ev.AttemptEnded,
    ev.Landed,
    ev.HeadBroken,
    ev.TaskSettled,
    ev.RoleParked,
    ev.CapReached,
    ev.InquiryAnswered,
    ev.Requested,
    ev.Notice,
    ev.RunEnded,
)
"""What the pane of decisions tells, in the words of the plain view."""
DECISIONS = (ev.PlanChanged, ev.GoalDeclared, ev.QuestionAsked, ev.PlannerFailed, ev.Notice)
"""What the header's second line tells; a notice is also how far the pull of an image is."""
URGENT = (ev.QuestionAsked, ev.RunEnded, ev.CapReached, ev.InquiryAnswered)
"""What is always said in a toast as well."""


@dataclass
class Dirty:
    """What changed since the last frame."""

    rows: set[str] = field(default_factory=set[str])
    structure: bool = True
    """The rows have to be laid out anew."""
    all_rows: bool = True
    """What every row says may have changed, where it stands has not."""
    figures: bool = True
    panes: bool = True
    """Which attempts run has changed."""
    story: bool = True

    @property
    def anything(self) -> bool:
        """There is something to paint."""
        return bool(self.rows) or self.structure or self.all_rows or self.figures or self.panes or self.story


class ViewModel:
    """One run as the screen sees it."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self.state = RunState()
        self.counts = Counts()
        self.history = History()
        self.outline = Outline()
        self.dirty = Dirty()
        self.story: deque[Said] = deque(maxlen=STORY)
        self.planner = Planner()
        self.draft: Draft | None = None
        """Kept while its editor is closed."""
        self.ascii_only = ascii_only
        self.seq = 0
        """Number of the last fact taken in: where a new connection goes on."""
        self.paused_at = 0.0
        self.ended_at = 0.0
        self.delivering_since = 0.0
        self.notices: deque[Said] = deque(maxlen=20)
        """What must not be missed, for whoever shows toasts; taken out by them."""

    def take(self, batch: Iterable[Told], *, live: bool = True) -> None:
        """Fold facts in, in order; `live` ones may become notices.

        ValueError, KeyError or IndexError when a fact does not fit the state: nothing after it can be trusted.
        """
        for told in batch:
            if told.seq <= self.seq:
                continue  # told again after a reconnection
            apply(self.state, told.event, told.time)
            self.seq = told.seq
            self.history.note(told.event, told.time)
            self._note(told.event, told.time, live=live)

    def layout(self) -> bool:
        """Lay the rows out anew if need be; True when they were. At most once per frame."""
        if not self.dirty.structure:
            return False
        self.dirty.structure = False
        self.dirty.all_rows = True
        self.outline.rebuild(self.state)
        return True

    def row(self, task_id: str, now: float) -> Row:
        """What the row of a task says at `now` (wall time)."""
        task = self.state.tasks[task_id]
        scene = Scene(self.state, self.counts, self.paused_at, now)
        depth = self.outline.depth.get(task_id, 0)
        if task.spec.group:
            return group_row(scene, task, depth, folded=task_id in self.outline.folded)
        return leaf_row(scene, task, depth)

    def figures(self, now: float, telemetry: Mapping[str, Live]) -> Figures:
        """The header's figures at `now` (wall time)."""
        return figures(self.state, self.counts, self.planner, self.ended_at or now, telemetry, self.delivering_since)

    def running(self) -> list[str]:
        """Tasks whose worker runs, longest running first: a pane each, in a stable order."""
        tasks = self.state.tasks
        return sorted(self.state.busy, key=lambda task_id: (tasks[task_id].attempts[-1].started, task_id))

    def fold(self, task_id: str, folded: bool | None = None) -> None:
        """Fold or unfold a group; None turns it over."""
        task = self.state.tasks.get(task_id)
        if task is None or not task.spec.group:
            return
        fold = task_id not in self.outline.folded if folded is None else folded
        (self.outline.folded.add if fold else self.outline.folded.discard)(task_id)
        self.dirty.structure = True

    def fold_all(self, *, folded: bool) -> None:
        """Fold every group, or none."""
        groups = {task_id for task_id, task in self.state.tasks.items() if task.spec.group}
        self.outline.folded = groups if folded else set()
        self.dirty.structure = True

    def filter(self, text: str) -> None:
        """Show only what fits the words, with the groups above."""
        self.outline.filter = text.strip()
        self.dirty.structure = True

    def _note(self, event: object, time: float, *, live: bool) -> None:
        dirty = self.dirty
        task_id = getattr(event, "task", "")
        if task_id in self.state.tasks:
            dirty.rows.add(task_id)
            dirty.rows.update(self.counts.update(self.state, task_id))
            dirty.panes = True
        match event:
            case ev.PlanChanged() | ev.GoalRead():
                self.counts.rebuild(self.state)
                dirty.structure = dirty.panes = True
            case ev.Landed():
                dirty.rows.update(self.state.dependents.get(event.task, ()))
            case ev.Requested(command="pause" | "resume") if not event.task:
                self.paused_at = time if self.state.paused else 0.0
                dirty.all_rows = True
            case ev.PlannerAsked() | ev.PlannerReplied() | ev.PlannerFailed():
                self.planner.busy_since = time if isinstance(event, ev.PlannerAsked) else 0.0
                self.planner.idle_since = 0.0 if self.planner.busy_since else time
            case ev.RunEnded():
                self.ended_at, dirty.all_rows = self.state.ended_at, True
            case ev.EngineStarted():
                self.ended_at, dirty.all_rows = 0.0, True
            case ev.DeliveryStarted():
                self.delivering_since = time
            case (
                ev.RoleParked()
                | ev.QuestionAsked()
                | ev.QuestionAnswered()
                | ev.CapReached()
                | ev.CapsChanged()
                | ev.DiskHeld()
                | ev.MemoryHeld()
            ):
                dirty.all_rows = True
            case _:
                pass
        dirty.figures = True
        if isinstance(event, TOLD):
            self._tell(event, time, task_id, live=live)

    def _tell(self, event: object, time: float, task_id: str, *, live: bool) -> None:
        told = lines(event, self.state, time, ascii_only=self.ascii_only)
        if not told:
            return
        said = Said(time, one_line(told[0], 300), task_id)
        self.story.append(said)
        self.dirty.story = True
        if isinstance(event, DECISIONS):
            self.planner.decision = said
        urgent = isinstance(event, URGENT) or (
            isinstance(event, ev.TaskSettled) and event.status in (TaskStatus.FAILED, TaskStatus.BLOCKED)
        )
        if live and (urgent or (isinstance(event, ev.RoleParked) and event.until is None)):
            self.notices.append(said)
