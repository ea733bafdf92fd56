"""Caps on a whole run, on a task and on an attempt: what is stopped, what goes on, what a raised cap resumes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aura_engine.core.model import EndKind, Outcome, RunStatus
from aura_engine.demo.brains import task
from aura_engine.demo.script import call
from aura_engine.runtimes.warden import Warden

MILLION = 1_000_000
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def step(number: int, *, tokens: int = MILLION) -> dict[str, Any]:
    """One message of a worker that says what it used."""
    message = {"id": f"m{number}", "usage": {"input_tokens": tokens, "output_tokens": 0}, "content": []}
    return {"say": {"type": "assistant", "message": message}}


GREET = [{"sh": "echo hello > greeting.txt"}, {"end": {}}]
WAIT = {"hear": "never"}


async def test_a_run_that_reaches_its_cap_pauses_and_a_raised_cap_resumes_it(stage) -> None:
    """The worker is stopped before the step that would not fit, and goes on in its session once there is room."""
    program = stage.program("claude", [step(1), step(2), WAIT], GREET)
    async with stage.play(CLAUDE_BIN=str(program), MAX_TOKENS=str(2 * MILLION + 500_000)) as play:
        assert await play.end() is RunStatus.BUDGET
        (reached,) = play.of("cap_reached")
        assert (reached.scope, reached.measure, reached.cap) == ("run", "tokens", 2_500_000)
        (ended,) = play.of("worker_ended")
        assert ended.ending.kind is EndKind.RUN_CAPPED
        assert play.of("attempt_ended")[0].outcome is Outcome.INTERRUPTED
        assert "AURA_MAX_TOKENS" in play.of("run_ended")[0].reason
        assert ended.charged.tokens == 3 * MILLION  # the step that was broken off is on the bill
    async with stage.play(CLAUDE_BIN=str(program), MAX_TOKENS=str(9 * MILLION)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    first, second = stage.starts("claude")
    assert (second["resumed"], second["session"]) == (True, first["session"])


async def test_starting_again_without_raising_the_cap_starts_nothing(stage) -> None:
    program = stage.program("claude", [step(1), step(2), WAIT])
    for _ in range(2):
        async with stage.play(CLAUDE_BIN=str(program), MAX_TOKENS=str(2 * MILLION)) as play:
            assert await play.end() is RunStatus.BUDGET
    assert len(stage.starts("claude")) == 1


async def test_an_attempt_at_its_cap_goes_to_the_planner(stage) -> None:
    """Which may split the task; a worker's own attempt count is not charged."""
    program = stage.program("claude", [step(1), step(2), WAIT], GREET)
    split = [call("archive_tasks", ids=["A1"], reason="too large")]
    split += [call("add_tasks", tasks=[task("Greet in short", "grep -q hello greeting.txt")])]
    async with stage.play(
        on={"task_failed": split}, CLAUDE_BIN=str(program), ATTEMPT_MAX_TOKENS=str(2 * MILLION)
    ) as play:
        assert await play.end() is RunStatus.ACHIEVED
        (reached,) = play.of("cap_reached")
        assert (reached.scope, reached.task, reached.n) == ("attempt", "A1", 1)
        assert play.of("attempt_ended")[0].outcome is Outcome.BUDGET


async def test_a_task_s_cap_counts_all_its_attempts(stage) -> None:
    """A second attempt has what the first left of it; then the task fails for good, and cannot be retried as it is."""
    gives_up = {"end": {"is_error": True, "subtype": "error_max_turns"}}
    program = stage.program("claude", [step(1), gives_up])
    retry = [call("retry_task", id="A1", instructions="again")]
    async with stage.play(
        on={"task_failed": retry}, CLAUDE_BIN=str(program), TASK_MAX_TOKENS=str(2 * MILLION + 1000)
    ) as play:
        assert await play.end() is not RunStatus.ACHIEVED
        (reached,) = play.of("cap_reached")
        assert (reached.scope, reached.task, reached.used) == ("task", "A1", 2 * MILLION)
        assert len(stage.starts("claude")) == 2


async def test_a_worker_that_has_said_its_last_word_is_let_be(stage) -> None:
    """Nothing more is coming from it: its work is taken, though it went past the cap."""
    story = [{"sh": "echo hello > greeting.txt"}, {"end": {"usage": {"input_tokens": 5 * MILLION, "output_tokens": 0}}}]
    program = stage.program("claude", story)
    async with stage.play(CLAUDE_BIN=str(program), ATTEMPT_MAX_TOKENS=str(2 * MILLION)) as play:
        assert await play.end() is RunStatus.ACHIEVED
        assert play.of("cap_reached") == []


async def test_a_cap_too_small_for_the_planner_asks_nobody(stage) -> None:
    program = stage.program("claude", GREET)
    async with stage.play(CLAUDE_BIN=str(program), MAX_TOKENS="100") as play:
        assert await play.end() is RunStatus.BUDGET
        assert play.of("model_asked") == []
        assert play.of("planner_failed")[0].failure == "budget"
    assert stage.starts("claude") == []


async def test_money_is_counted_from_tokens_where_nobody_tells_it(stage) -> None:
    """At the dearest known price, since nobody knows the model; the person is told once."""
    program = stage.program("claude", [step(1), step(2), WAIT])
    async with stage.play(CLAUDE_BIN=str(program), MAX_COST_USD="40") as play:
        assert await play.end() is RunStatus.BUDGET
        (ended,) = play.of("worker_ended")
        assert ended.charged.cost == 45.0  # two steps of $15, and the one that was broken off
        doubts = [event.text for event in play.of("notice") if "costs" in event.text]
        assert len(doubts) == len(set(doubts))


async def test_working_time_is_capped(stage) -> None:
    program = stage.program("claude", [WAIT])
    async with stage.play(CLAUDE_BIN=str(program), MAX_WORK_TIME="2s") as play:
        assert await play.end() is RunStatus.BUDGET
        (reached,) = play.of("cap_reached")
        assert reached.measure == "work"
        assert 2.0 <= reached.used < 10.0


async def test_what_a_worker_used_before_the_engine_died_is_counted_again(stage) -> None:
    """Its output is read before anything starts: the cap holds across the restart."""
    program = stage.program("claude", [step(1), step(2), {"nap": 3}, step(3), WAIT])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        await stage.eventually(
            lambda: b'"m2"' in next(stage.project.glob(".aura/*/attempts/A1/1/output.jsonl")).read_bytes()
        )
    async with stage.play(CLAUDE_BIN=str(program), MAX_TOKENS=str(2 * MILLION + 500_000)) as play:
        assert await play.end() is RunStatus.BUDGET
        (reached,) = play.of("cap_reached")
        assert reached.used >= 2 * MILLION
    assert len(stage.starts("claude")) == 1


@linux
async def test_with_a_cap_workers_wait_while_no_engine_lives(stage) -> None:
    """Whoever kills the engine does not turn the cap off; the next engine lets them go on."""
    code = (
        "import sys, time; from pathlib import Path; from aura_engine.runtimes.warden import Warden\n"
        "warden = Warden(Path(sys.argv[1])); print('ready', flush=True); time.sleep(60)"
    )
    program = stage.program("claude", [WAIT])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        pid = play.state.tasks["A1"].attempts[0].process.pid
        attempts = play.engine.options.paths.attempts
        engine = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, str(attempts)), stdout=asyncio.subprocess.PIPE
        )
        assert engine.stdout is not None
        await engine.stdout.readline()
        engine.kill()
        await engine.wait()
        await stage.eventually(lambda: "\nState:\tT" in Path(f"/proc/{pid}/status").read_text())
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await stage.eventually(lambda: "\nState:\tT" not in Path(f"/proc/{pid}/status").read_text())


@linux
def test_an_engine_that_ends_as_it_should_freezes_nobody(tmp_path) -> None:
    worker = subprocess.Popen(["/bin/sleep", "60"])
    folder = tmp_path / "A1" / "1"
    folder.mkdir(parents=True)
    start = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    (folder / "process.json").write_text(json.dumps({"shim": {"pid": os.getpid(), "start_time": float(start)}}))
    try:
        Warden(tmp_path).dismiss()
        assert "\nState:\tT" not in Path(f"/proc/{worker.pid}/status").read_text()
    finally:
        worker.kill()
        worker.wait()
