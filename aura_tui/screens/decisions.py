"""What the planner decided: when, why, what changed, what it cost, and the exact prompt."""

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
HELD = 8
"""Prompts at hand; the engine keeps more."""


class Decisions(Pair):
    """Newest at the top."""

    CSS_PATH = "pair.tcss"
    HINTS = ("view.filter", "view.next", "run.answer", "run.wake", "view.goal", "view.timeline")
    NAME = "Decisions"

    def __init__(self) -> None:
        super().__init__()
        self._prompts: dict[int, str] = {}
        """By call; "" for one that is not to be had."""
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
        text = self._prompts.get(decision.call)
        if text is None:
            self._fetch(decision.call)
            return [Section("prompt", (("Prompt", "title"), ("  asking for it", "dim")))]
        size = f"  {len(text):,} characters" if text else "  it is not kept any longer"
        return [Section("prompt", (("Prompt", "title"), (size, "dim")), (), prose(Para(text)), open=False)]

    @work(exclusive=True, group="prompt", exit_on_error=False)
    async def _fetch(self, call: int) -> None:
        try:
            text = (await self.aura.link.prompt(call))[:PROMPT]
        except (AuraError, OSError, UnicodeError):
            text = ""
        if len(self._prompts) >= HELD:
            del self._prompts[next(iter(self._prompts))]
        self._prompts[call] = text
        if self.children:  # it may have been left meanwhile
            self.show_page()
