"""The goal's checks and those of landed tasks, each with its last receipt: what decides whether all this is done."""

from __future__ import annotations

from collections.abc import Sequence

from aura_engine.core.model import TaskStatus
from aura_engine.core.text import one_line
from aura_tui.counts import ROOT
from aura_tui.receipts import Tested, fits, listed, of_goal, of_landed, paras
from aura_tui.screens.pair import Pair
from aura_tui.sheet import Para, Section, prose
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.title import Title


class Receipts(Pair):
    """A filter leaves what fits its words; a landed task's check means its task."""

    CSS_PATH = "pair.tcss"
    HINTS = ("view.filter", "task.detail", "view.goal", "view.decisions", "view.timeline")
    NAME = "Receipts"

    def __init__(self) -> None:
        super().__init__()
        self.filter = ""
        self._tested: dict[str, Tested] = {}
        self._seen: tuple[int, ...] = ()

    @property
    def chosen(self) -> str:
        """See Place: the task whose check it is, else the one selected on the dashboard."""
        tested = self._tested.get(self.list_.key)
        return tested.task if tested and tested.task else self.model.outline.selected

    def frame(self) -> None:
        """See Place."""
        if not self._seen:
            self._look()
        super().frame()

    def tick(self) -> None:
        """See Place: with thousands of landed tasks, once a second is often enough."""
        super().tick()
        self._look()

    def _look(self) -> None:
        state, history = self.model.state, self.model.history
        seen = (history.checked, state.plan, self.model.counts.of(ROOT, TaskStatus.COMPLETED))
        if seen != self._seen:
            first, self._seen = not self._seen, seen
            self.show()
            if first and self._tested:
                self.list_.select(next(iter(self._tested)))

    def entries(self) -> Sequence[Section]:
        """See Pair."""
        state, history = self.model.state, self.model.history
        goal = [each for each in of_goal(state, history) if fits(each, self.filter)]
        landed = [each for each in of_landed(state, history) if fits(each, self.filter)]
        self._tested = {each.key: each for each in (*goal, *landed)}
        found = f"filter “{one_line(self.filter, 30)}”, {len(goal) + len(landed)} found" if self.filter else ""
        self.query_one("#pair-title", Title).set([(self.NAME, "title")], [(found, "ask")] if found else [])
        nothing = "none that fits" if self.filter else "none yet"
        return [
            *listed("The goal", goal, nothing="none that fits" if self.filter else "it has none yet"),
            *listed("Landed tasks", landed, nothing=nothing),
        ]

    def pages(self, key: str) -> Sequence[Section]:
        """See Pair."""
        tested = self._tested.get(key)
        if tested is None:
            return ()
        task = self.model.state.tasks.get(tested.task)
        whose = f"{tested.task}  {one_line(task.spec.title, 100)}" if task else "the goal"
        body = prose(Para(whose, "dim", "check of"), *paras(tested, indent=4))
        return [Section(f"page/{key}", ((one_line(tested.check.name, 120), "title"),), (), body)]

    def view(self, id: str) -> None:
        """See Place."""
        if id == "view.filter" and not self.page.has_focus:
            self.query_one(PromptLine).open("filter", self.filter)
        else:
            super().view(id)

    def opened(self) -> None:
        """See Pair: a landed task's check leads to its task."""
        if (tested := self._tested.get(self.list_.key)) is not None and tested.task:
            self.aura.do("task.detail")
        else:
            super().opened()

    def out(self) -> bool:
        """See Place: out of the filter first."""
        if not self.filter:
            return False
        self.filter = ""
        self.show()
        return True

    def typed(self, message: PromptLine.Typed) -> None:
        """See Pair."""
        if message.purpose != "filter":
            super().typed(message)
            return
        self.filter = message.text.strip()
        self.show()
        if message.done:
            self.list_.focus()
