"""Attempts over time: who worked on what, how long, and what came of it; no zoom needed."""

from __future__ import annotations

import time

from textual import on
from textual.app import ComposeResult

from aura_engine.core.text import one_line
from aura_engine.report.words import count
from aura_tui import chart
from aura_tui.dossier import attempt_line, attempt_paras
from aura_tui.screens.place import Place
from aura_tui.sheet import Prose, Section
from aura_tui.widgets.sheet import Sheet
from aura_tui.widgets.timeline import Bars
from aura_tui.widgets.title import Title


class Timeline(Place):
    """The bars, and below them what is to be said of the chosen one."""

    CSS_PATH = "timeline.tcss"
    HINTS = (
        *("task.detail", "task.message", "task.pause", "task.kill", "task.retry", "task.escalate"),
        *("view.decisions", "view.receipts"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._worked = -1

    def body(self) -> ComposeResult:
        """See Place."""
        yield Title("Timeline", id="timeline-title")
        yield Bars(self.model, id="bars")
        yield Title(id="attempt-title")
        yield Sheet(id="attempt")

    def on_mount(self) -> None:
        """See Place."""
        self.bars.focus()

    @property
    def bars(self) -> Bars:
        """The lanes."""
        return self.query_one(Bars)

    @property
    def chosen(self) -> str:
        """See Place."""
        bar = self.bars.chosen
        return bar.task if bar is not None else ""

    def frame(self) -> None:
        """See Place: most facts change no bar."""
        if self._worked != self.model.history.worked:
            self._show()
        super().frame()

    def tick(self) -> None:
        """See Place."""
        super().tick()
        self._show()

    def _show(self) -> None:
        self._worked = self.model.history.worked
        self.bars.frame()
        lanes = self.model.history.lanes
        attempts = count(sum(map(len, lanes)), "attempt")
        self.query_one("#timeline-title", Title).set(
            [("Timeline", "title"), (f"  {attempts}", "dim")], chart.legend(self.model.state, lanes)
        )
        self._tell()

    def _tell(self) -> None:
        bar, title, sheet = self.bars.chosen, self.query_one("#attempt-title", Title), self.query_one(Sheet)
        if bar is None:
            title.set([("Nothing has been started yet", "dim")])
            sheet.show(())
            return
        task = self.model.state.tasks[bar.task]
        attempt = task.attempts[bar.n - 1]
        left, right = attempt_line(attempt, time.time())
        title.set([(f"{bar.task} ", "title"), (one_line(task.spec.title, 100), "bold")])
        key = f"{bar.task}#{bar.n}"
        sheet.show([Section(key, left, right, Prose(tuple(attempt_paras(attempt, indent=4))))])

    @on(Bars.Chosen)
    def _chosen(self) -> None:
        self._tell()
        self.show_hints()

    @on(Bars.Opened)
    def _opened(self) -> None:
        self.aura.do("task.detail")
