"""The goal's own checks in one line below the tree: what decides whether all this is done."""

from __future__ import annotations

from textual.strip import Strip

from aura_engine.core.model import Verdict
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_tui.logs.wrap import cells
from aura_tui.widgets.painted import Painted, Part

TONES = {Verdict.GREEN: ("done", "good"), Verdict.FLAKY: ("again", "ask")}


class GoalChecks(Painted):
    """Names with their verdicts; how many more there are where the line ends."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._checks: list[tuple[str, str, str]] = []

    def show(self, state: RunState) -> None:
        """Show the verdicts as they are; painted when they changed."""
        checks: list[tuple[str, str, str]] = []
        for name in state.goal_checks:
            receipt = state.goal_receipts.get(name)
            symbol, tone = TONES.get(receipt.verdict, ("bad", "bad")) if receipt else ("waiting", "dim")
            checks.append((one_line(name, 40), symbol, tone))
        # What is red is what is left to do: it comes first.
        checks.sort(key=lambda check: {"bad": 0, "ask": 1, "dim": 2}.get(check[2], 3))
        if checks != self._checks:
            self._checks = checks
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """See Widget."""
        parts: list[Part] = [(" goal checks ", "dim")] if self._checks else [("", "")]
        green = sum(tone == "good" for _, _, tone in self._checks)
        if self._checks:
            parts.append((f"{green}/{len(self._checks)}", "good" if green == len(self._checks) else "say"))
        room = self.size.width - sum(cells(text) for text, _ in parts)
        for index, (name, symbol, tone) in enumerate(self._checks):
            left = len(self._checks) - index
            more = f"  and {left} more"
            needed = cells(name) + 4 + (cells(more) if left > 1 else 0)
            if needed > room:
                parts.append((more if cells(more) <= room else "", "dim"))
                break
            parts += [(f"  {self.glyph(symbol)} ", tone), (name, "say" if tone == "bad" else "dim")]
            room -= cells(name) + 4
        return self.line(parts, self.size.width)
