"""Attempts over time: lanes, boxes, ticks, and the screen with them."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tui_fakes import FakeLink, Run, leaf, story
from tui_pilot import glass, screen, shown, taken, until

from aura_engine.core import events as ev
from aura_engine.core.model import Outcome, Usage
from aura_tui import chart
from aura_tui.history import Bar, History
from aura_tui.screens.detail import Detail
from aura_tui.screens.timeline import Timeline


def history_of(run: Run) -> History:
    history = History()
    for told in run.told:
        history.note(told.event, told.time)
    return history


def state_of(*attempts: tuple[float, float | None, Outcome | None]):
    """A state with one task of these attempts: start, end, outcome; and their bars."""
    found = [
        SimpleNamespace(n=n, started=start, ended=end, outcome=outcome)
        for n, (start, end, outcome) in enumerate(attempts, 1)
    ]
    spec = SimpleNamespace(id="A1", title="Task")
    bars = [Bar("A1", attempt.n, attempt.started) for attempt in found]
    return SimpleNamespace(tasks={"A1": SimpleNamespace(spec=spec, attempts=found)}, started_at=0.0), bars


def test_a_lane_is_taken_again_once_it_is_free() -> None:
    run = Run().plan(leaf("A1"), leaf("A2"), leaf("A3"))
    run.start("A1").start("A2").finish("A1").start("A3")
    lanes = history_of(run).lanes
    assert [[bar.task for bar in lane] for lane in lanes] == [["A1", "A3"], ["A2"]]


def test_an_attempt_that_is_interrupted_frees_its_lane() -> None:
    run = Run().plan(leaf("A1"), leaf("A2")).start("A1")
    run.add(ev.AttemptEnded(task="A1", n=1, outcome=Outcome.INTERRUPTED, reason="stopped"))
    assert len(history_of(run.start("A2")).lanes) == 1


def test_boxes_tell_their_outcome_by_a_mark() -> None:
    state, bars = state_of((0, 30, Outcome.CAPABILITY), (40, 60, Outcome.PASSED), (70, None, None))
    span = chart.Span(0, 100, 100)
    boxes = chart.lane(state, bars, span, 90)
    assert [(box.first, box.last, box.mark) for box in boxes] == [(0, 30, "✗"), (40, 60, "✓"), (70, 90, "◐")]
    line = "".join(text for text, _ in chart.parts(boxes, span, 95, bar="━", chosen=None, over="cursor"))
    assert len(line) == 100
    assert line.startswith("A1 ━━━")
    assert line[30] == "✗"
    assert line[95] == "│"


def test_what_shares_a_cell_shows_the_worst() -> None:
    state, bars = state_of(*((at, at + 0.2, Outcome.PASSED) for at in range(3)), (3.0, 3.2, Outcome.CAPABILITY))
    boxes = chart.lane(state, bars, chart.Span(0, 1000, 10), 1000)
    assert [(box.first, box.last, box.mark, len(box.bars)) for box in boxes] == [(0, 0, "✗", 4)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=40),
    st.integers(1, 300),
    st.floats(0.1, 3000),
)
def test_boxes_never_overlap_and_fill_the_width_exactly(pieces, width, length) -> None:
    at, attempts = 0.0, []
    for gap, long in pieces:
        attempts.append((at + gap, at + gap + long, Outcome.PASSED))
        at += gap + long
    state, bars = state_of(*attempts)
    span = chart.Span(0, length, width)
    boxes = chart.lane(state, bars, span, length)
    taken = [cell for box in boxes for cell in range(box.first, box.last + 1)]
    assert taken == sorted(set(taken))
    assert all(0 <= cell < width for cell in taken)
    assert sum(len(box.bars) for box in boxes) == len(bars)
    for parts in (
        chart.parts(boxes, span, length, bar="━", chosen=None, over=""),
        chart.labels(state, boxes, span, length),
    ):
        assert sum(len(text) for text, _ in parts) == width


@pytest.mark.parametrize("length", [1, 59, 3600, 86_400, 40 * 86_400])
@pytest.mark.parametrize("width", [1, 20, 60, 180])
def test_ticks_are_round_and_apart(length: float, width: int) -> None:
    found = chart.ticks(chart.Span(1_700_000_003.0, 1_700_000_003.0 + length, width))
    cells = [cell for cell, _ in found]
    assert all(b - a >= 9 for a, b in itertools.pairwise(cells))
    assert all(cell + len(words) <= width for cell, words in found)


async def test_the_bars_and_the_one_that_is_looked_at() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.press("t")
        await until(lambda: isinstance(app.place, Timeline))
        await pilot.pause()
        text = glass(app)
        for words in ("8 attempts", "worker 1", "worker 2", "planner", "✓ landed", "✗ not good enough", "◐ running"):
            assert words in text or words == "8 attempts", words
        assert app.place.chosen == "A2.3"
        await pilot.press("left")
        await until(lambda: "A3.2" in glass(app).split("planner")[1] or app.place.chosen != "A2.3")
        await pilot.press("home")
        await pilot.pause()
        first = app.place.bars.chosen
        assert first is app.model.history.lanes[app.place.bars._lane][0]
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        assert app.place.task_id == first.task


async def test_lanes_are_walked_and_the_mouse_chooses() -> None:
    async with shown(FakeLink(story())) as (app, pilot):
        await pilot.press("t")
        await until(lambda: isinstance(app.place, Timeline))
        await pilot.pause()
        bars = app.place.bars
        lane = bars._lane
        await pilot.press("up" if lane else "down")
        assert bars._lane != lane
        line = next(at for at, text in enumerate(screen(app)) if "worker 1" in text)
        row = screen(app)[line]
        x = row.index("━")
        await pilot.hover(bars, offset=(x, line - bars.region.y))
        await until(lambda: bars.chosen is app.model.history.lanes[0][0] or bars._lane == 0)
        assert f"{bars.chosen.task} " in glass(app)


async def test_the_chosen_attempt_stays_when_others_start() -> None:
    run = story()
    link = FakeLink(run)
    async with shown(link) as (app, pilot):
        await pilot.press("t")
        await until(lambda: isinstance(app.place, Timeline))
        await pilot.press("home")
        chosen = app.place.bars.chosen
        run.finish("A3.1").start("A3.2")
        await taken(app, link, pilot)
        assert app.place.bars.chosen == chosen


async def test_the_planner_has_a_lane() -> None:
    run = Run(start=time.time() - 100)
    run.add(ev.PlannerAsked(call=1, triggers=("goal_new:r1",), revision="r1"))
    run.now += 50
    run.add(ev.PlannerReplied(call=1, requests=1, usage=Usage()))
    async with shown(FakeLink(run)) as (app, pilot):
        await pilot.press("t")
        await until(lambda: isinstance(app.place, Timeline))
        await pilot.pause()
        line = next(line for line in screen(app) if line.startswith(" planner"))
        assert line.count("━") > 30
        assert "Nothing has been started yet" in glass(app)
