"""A cap that is raised in the settings' files while the run goes on: noticed, journaled, resumed from."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from aura_engine import raising
from aura_engine.clock import SystemClock
from aura_engine.core.events_planner import CapReached
from aura_engine.core.model import EndKind, RunStatus
from aura_engine.journal.store import Journal
from aura_engine.recorder import Recorder

MILLION = 1_000_000
WAIT = {"hear": "never"}
GREET = [{"sh": "echo hello > greeting.txt"}, {"end": {}}]


def step(number: int) -> dict[str, Any]:
    """One message of a worker that used a million tokens."""
    message = {"id": f"m{number}", "usage": {"input_tokens": MILLION, "output_tokens": 0}, "content": []}
    return {"say": {"type": "assistant", "message": message}}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raising, "EVERY", 0.05)
    monkeypatch.setattr(raising, "EVERY_CAPPED", 0.05)
    monkeypatch.setattr(raising, "REST", 0.05)


def capped_at(stage: Any, tokens: int) -> Path:
    return written(stage, f"AURA_MAX_TOKENS={tokens}\n")


def written(stage: Any, text: str) -> Path:
    """The project's `.env`, in one step."""
    path, fresh = stage.project / ".env", stage.folder / "fresh"
    fresh.touch(0o600)
    fresh.write_text(text)
    return fresh.replace(path)


async def test_a_cap_raised_while_the_run_waits_at_it_resumes_it_to_its_goal(stage) -> None:
    program = stage.program("claude", [step(1), step(2), WAIT], GREET)
    capped_at(stage, 2 * MILLION + 500_000)
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        ended = await play.until(lambda event: event.kind == "worker_ended")
        assert ended.ending.kind is EndKind.RUN_CAPPED
        told = await play.until(lambda event: event.kind == "notice" and "raise the cap" in event.text)
        assert f"AURA_MAX_TOKENS=5000000 into {stage.project / '.env'}" in told.text
        assert play.of("run_ended") == []
        capped_at(stage, 9 * MILLION)
        assert await play.end() is RunStatus.ACHIEVED
        (changed,) = play.of("caps_changed")
        assert changed.caps.run.tokens == 9 * MILLION
        journal, here = play.engine.options.paths.journal, play.state.caps
    first, second = stage.starts("claude")
    assert (second["resumed"], second["session"]) == (True, first["session"])
    again = Journal.open(journal)
    try:
        recorder = Recorder(again, SystemClock())
        recorder.replay()
        assert recorder.state.caps == here
        assert recorder.state.capped is None
    finally:
        await again.close()


async def test_without_a_screen_a_cap_raised_in_time_is_no_end_either(stage) -> None:
    """The worker is still being stopped when the cap is raised: nobody has to start the run again."""
    program = stage.program("claude", [step(1), step(2), WAIT], GREET)
    capped_at(stage, 2 * MILLION + 500_000)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_starting")
        play.engine.recorder.subscribe(
            lambda done: capped_at(stage, 9 * MILLION) if done.event.kind == "cap_reached" else None
        )
        assert await play.end() is RunStatus.ACHIEVED


async def test_a_planner_that_had_no_room_is_asked_once_there_is_some(stage) -> None:
    program = stage.program("claude", GREET)
    capped_at(stage, 100)
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        failed = await play.until(lambda event: event.kind == "planner_failed")
        assert failed.failure == "budget"
        capped_at(stage, 9 * MILLION)
        assert await play.end() is RunStatus.ACHIEVED


async def test_a_cap_of_the_command_line_stays_and_says_so(stage) -> None:
    program = stage.program("claude", [step(1), step(2), WAIT])
    async with stage.play(CLAUDE_BIN=str(program), attended=True, MAX_TOKENS=str(2 * MILLION + 500_000)) as play:
        told = await play.until(lambda event: event.kind == "notice" and "raise the cap" in event.text)
        assert "start it again with -O AURA_MAX_TOKENS=5000000" in told.text
        capped_at(stage, 9 * MILLION)
        told = await play.until(lambda event: event.kind == "notice" and "goes before" in event.text)
        assert told.text.startswith(f"AURA_MAX_TOKENS is {9 * MILLION} in {stage.project / '.env'} now, but")
        assert play.of("caps_changed") == []


@pytest.mark.parametrize(
    ("measure", "cap", "used", "named"),
    [
        ("tokens", 2 * MILLION, MILLION, "4000000"),
        ("tokens", 2 * MILLION, 2 * MILLION + 60, "4100000"),
        ("tokens", 100, 0, "200"),
        ("cost", 0.5, 0.37, "1"),
        ("cost", 40.0, 45.0, "90"),
        ("work", 90.0, 91.0, "4m"),
    ],
)
def test_what_is_named_is_twice_what_is_allowed_or_used(measure, cap, used, named) -> None:
    assert raising._twice(CapReached(scope="run", measure=measure, used=used, cap=cap)) == named


async def test_a_cap_set_while_nothing_was_capped_holds(stage) -> None:
    program = stage.program("claude", [step(1), WAIT])
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        capped_at(stage, MILLION + 500_000)
        await play.until(lambda event: event.kind == "cap_reached")


async def test_a_file_that_cannot_be_used_changes_nothing_and_other_settings_wait(stage) -> None:
    program = stage.program("claude", [WAIT])
    capped_at(stage, 9 * MILLION)
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        written(stage, "AURA_MAX_TOKENS=lots\n")
        told = await play.until(lambda event: event.kind == "notice" and "stay in force" in event.text)
        assert "AURA_MAX_TOKENS is “lots”" in told.text
        assert play.state.caps.run.tokens == 9 * MILLION
        written(stage, f"AURA_MAX_TOKENS={9 * MILLION}\nAURA_MAX_TURNS=7\n")
        told = await play.until(lambda event: event.kind == "notice" and "next start" in event.text)
        assert "AURA_MAX_TURNS" in told.text


@pytest.mark.parametrize("gone", [True, False])
async def test_a_file_that_is_emptied_or_away_lifts_no_cap(stage, gone: bool) -> None:
    program = stage.program("claude", [WAIT])
    path = capped_at(stage, 9 * MILLION)
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        if gone:
            path.unlink()
        else:
            written(stage, "")
        await play.until(lambda event: event.kind == "notice" and "set nowhere any more" in event.text)
        assert play.state.caps.run.tokens == 9 * MILLION
        written(stage, "AURA_MAX_TOKENS=0\n")
        changed = await play.until(lambda event: event.kind == "caps_changed")
        assert not changed.caps.run.any


async def test_a_file_is_believed_once_it_stands_still(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stage.program("claude", [WAIT])
    capped_at(stage, 9 * MILLION)
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        sources = play.engine.options.sources
        numbers = iter(range(5))
        moving = lambda: ((next(numbers, 4), 0, 0),)  # noqa: E731
        monkeypatch.setattr(type(sources), "stamp", lambda self: moving())
        loads: list[int] = []
        load = type(sources).load
        monkeypatch.setattr(type(sources), "load", lambda self: loads.append(next(numbers, 4)) or load(self))
        await stage.eventually(lambda: loads)
        assert loads[0] == 4, "it was read while it still changed"


async def test_files_that_never_rest_hold_nobody_up(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stage.program("claude", [WAIT])
    capped_at(stage, 9 * MILLION)
    async with stage.play(CLAUDE_BIN=str(program), attended=True) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        sources = play.engine.options.sources
        numbers = itertools.count()
        monkeypatch.setattr(type(sources), "stamp", lambda self: ((next(numbers), 0, 0),))
        looks: list[int] = []
        look = raising.Raising.look

        async def counted(self: raising.Raising) -> None:
            await look(self)
            looks.append(1)

        monkeypatch.setattr(raising.Raising, "look", counted)
        await stage.eventually(lambda: len(looks) > 2)
        assert not play.of("caps_changed")
