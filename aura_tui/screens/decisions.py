"""What the planner decided: when, why, what changed, what it cost, and the prompt of its last call."""

from __future__ import annotations

import time
from collections.abc import Sequence

from textual import work

from aura_engine.errors import AuraError
from aura_tui import decisions
from aura_tui.history import Decision
from aura_tui.screens.pair import Pair
from aura_tui.sheet import Para, Section, prose
from aura_tui.widgets.title import Title

PROMPT = 200_000
"""Characters of a prompt that are shown."""


class Decisions(Pair):
    """Newest at the top."""

    CSS_PATH = "pair.tcss"
    HINTS = ("view.filter", "view.next", "run.answer", "run.wake", "view.goal", "view.timeline")
    NAME = "Decisions"

    def __init__(self) -> None:
        super().__init__()
        self._prompt = ""
        self._seen = -1
        """Which state of the history is shown."""

    def frame(self) -> None:
        """See Place."""
        history = self.model.history
        if self._seen != history.decided:
            self._seen = history.decided
            self.show()
            totals = decisions.totals(self.model.state, history.decisions)
            self.query_one("#pair-title", Title).set([(self.NAME, "title")], totals)
            self._fetch()
        super().frame()

    def tick(self) -> None:
        """See Place."""
        super().tick()
        if self.model.history.open_call is not None:
            self.show()

    def entries(self) -> Sequence[Section]:
        """See Pair."""
        found = decisions.heads(self.model.history.decisions, time.time())
        return found or [Section("none", (("Nothing has been decided yet.", "dim"),))]

    def pages(self, key: str) -> Sequence[Section]:
        """See Pair."""
        number = int(key.rpartition("/")[2]) if key.startswith("decision/") else 0
        decision = next((each for each in self.model.history.decisions if each.number == number), None)
        if decision is None:
            return ()
        return [*decisions.pages(decision, self.model.state, time.time()), *self._prompt_section(decision)]

    def _prompt_section(self, decision: Decision) -> list[Section]:
        if not decision.call:
            return []
        last = next(each for each in reversed(self.model.history.decisions) if each.call)
        if decision is not last:
            return [Section("prompt", (("Prompt", "title"), ("  only that of the last call is kept", "dim")))]
        body = prose(Para(self._prompt))
        size = f"  {len(self._prompt):,} characters" if body else "  it cannot be had from here"
        return [Section("prompt", (("Prompt", "title"), (size, "dim")), (), body, open=False)]

    @work(exclusive=True, group="prompt", exit_on_error=False)
    async def _fetch(self) -> None:
        try:
            self._prompt = (await self.aura.link.prompt())[:PROMPT]
        except (AuraError, OSError, UnicodeError):
            self._prompt = ""
        if self.children:  # it may have been left meanwhile
            self.show_page()
