"""Pictures of every place, so that a change of how it looks is seen: fixed clock, fixed sizes, nothing that moves.

`pytest tests/tui/test_tui_snapshots.py --snapshot-update` takes them anew; look at them before they are kept.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_fakes import STARTED, FakeLink, Run, story
from tui_pilot import glass, until

from aura_engine.core import events as ev
from aura_engine.core.model import Phase, Receipt, Usage, Verdict
from aura_tui.app import AuraApp
from aura_tui.base import Options
from aura_tui.screens.decisions import Decisions
from aura_tui.screens.detail import Detail
from aura_tui.screens.goal import Goal

NOW = STARTED + 5000.25
GOAL = """\
# A page for the keeper

It says what the night will be: moon, tide and *wind*, each with its [source](https://tides.example).

- one module per subject
- `python3 -m almanac` prints it

```check
name = "tests"
run = "python -m pytest -q"
```

```check
name = "sharpe"
rnu = "python backtest.py"
```
"""
DIFF = """\
diff --git a/backtest/slip.py b/backtest/slip.py
--- a/backtest/slip.py
+++ b/backtest/slip.py
@@ -1,4 +1,5 @@ def cost(x):
 def cost(price, size):
-    return price * size * 2
+    fee = 0.001
+    return price * size * (1 + fee)
"""
Before = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands, in a zone that everybody has."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def link() -> FakeLink:
    run = _run()
    made = FakeLink(run)
    made.disk = GOAL
    made.prompts[2] = "You are the planner.\n"
    made.diffs["A2.3"] = DIFF
    return made


def _run() -> Run:
    run = story(ago=4000.0)
    receipt = Receipt(
        check="unit",
        check_hash="h",
        tree="41c9abcdef",
        frozen_hash="2ad2151b6a",
        phase=Phase.TASK,
        verdict=Verdict.RED,
        reason="1 failed, 7 passed",
        exit_code=1,
        duration=0.4,
        tail="E  assert 2.0 == 1.0\n1 failed, 7 passed in 0.31s",
    )
    sharpe = receipt.model_copy(update={"check": "sharpe", "phase": Phase.GOAL, "reason": "1.11 < 1.5"})
    run.add(
        ev.CheckRan(task="A2.3", n=1, receipt=receipt),
        ev.CheckRan(receipt=sharpe),
        ev.MessageGiven(task="A2.3", n=2, text="the fee counts once", injected=True),
        ev.PlannerAsked(call=2, triggers=("task_failed:A3.2",), revision="r1"),
        ev.PlanChanged(reason="smaller steps for the boosting", call=2, lessons=("fees count once",)),
        ev.PlannerReplied(call=2, requests=2, usage=Usage(input=3100, output=420, cost=0.0123)),
    )
    return run


def fetched(place: object) -> bool:
    """What a place asks the engine for is there."""
    if isinstance(place, Detail):
        return bool(place._files)
    if isinstance(place, Goal):
        return bool(place.editor.marks)
    return not isinstance(place, Decisions) or bool(place._prompts)


def before(*keys: str, words: str = "") -> Before:
    """Open a place, press keys, wait until it says so."""

    async def run(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, AuraApp)
        await until(lambda: app.model.seq >= len(app.link.run.told))  # type: ignore[attr-defined]
        app.place.task_tree.reveal("A2.3")  # type: ignore[union-attr]
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        await until(lambda: words in glass(app) and fetched(app.place))
        await pilot.pause()

    return run


PLACES = {
    "dashboard": before(words="cpu "),  # the last to come: with the first tick of the clock
    "detail": before("enter", words="Slippage"),
    "decisions": before("d", words="fees count once"),
    "timeline": before("t", words="worker 2"),
    "receipts": before("c", words="written by"),
    "goal": before("g", words="◂ unknown key"),
}
SIZES = [("aura-dark", (80, 24)), ("aura-light", (120, 40))]


@pytest.mark.parametrize(("theme", "size"), SIZES, ids=[theme for theme, _ in SIZES])
@pytest.mark.parametrize("place", PLACES)
def test_places(snap_compare: Any, place: str, theme: str, size: tuple[int, int]) -> None:
    app = AuraApp(link(), Options(theme=theme, ascii_only=False))
    assert snap_compare(app, terminal_size=size, run_before=PLACES[place])


def test_detail_with_its_diff_beside_it(snap_compare: Any) -> None:
    app = AuraApp(link(), Options(theme="aura-dark", ascii_only=False))
    assert snap_compare(app, terminal_size=(200, 60), run_before=before("enter", words="slip.py"))


def test_a_terminal_with_sixteen_colours_and_no_unicode(snap_compare: Any) -> None:
    app = AuraApp(link(), Options(theme="terminal-16", ascii_only=True))
    assert snap_compare(app, terminal_size=(100, 30), run_before=before("t", words="worker 2"))
