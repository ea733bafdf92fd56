"""The guard in a whole run: what uses too much is stopped, and a start waits for its reserve."""

from __future__ import annotations

import json
from types import SimpleNamespace

import psutil

from aura_engine import patience
from aura_engine.core.model import EndKind, Outcome, RunStatus

GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}
QUICK = {"WORKER_RESOURCE_POLL_SECONDS": "0.1", "WORKER_RESOURCE_AVG_WINDOW_SECONDS": "1"}


async def test_a_worker_that_uses_too_much_is_stopped_and_its_next_attempt_told_to_take_less(stage):
    hog = {"sh": "head -c 300000000 /dev/zero | tail -c 299999999 | (sleep 30; cat > /dev/null)"}
    program = stage.program("cli", [hog, END], [GREET, END])
    limits = {**QUICK, "WORKER_MAX_SYSTEM_MEMORY_GB": "0.2", "WORKER_MAX_CPU_PERCENT": "0"}
    async with stage.play(CLAUDE_BIN=str(program), **limits) as play:
        assert await play.end() is RunStatus.ACHIEVED
    ended = play.of("worker_ended")[0].ending
    assert ended.kind is EndKind.OVER_LIMIT
    assert "GB of memory (0.2 allowed) on average" in ended.detail
    assert play.of("attempt_ended")[0].outcome is Outcome.RESOURCE
    first, second = stage.starts("cli")
    assert "at most: 80 % of the memory, 0.2 GB of memory" in first["prompt"]
    assert "Take smaller steps" not in first["prompt"]
    assert "Take smaller steps" in second["prompt"]


async def test_a_start_waits_for_the_reserve_of_memory_and_the_run_does_not_end_over_it(stage, monkeypatch):
    free = [10**9]
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=real.total, available=free[0]))
    program = stage.program("cli", [GREET, END])
    settings = {**QUICK, "WORKER_MIN_SYSTEM_MEMORY_FREE_GB": "2"}
    async with stage.play(CLAUDE_BIN=str(program), **settings) as play:
        held = await play.until(lambda event: event.kind == "memory_held")
        assert held.text == "only 1 GB of memory are free, 2 are to be (AURA_WORKER_MIN_SYSTEM_MEMORY_FREE_GB)"
        await play.until(lambda event: event.kind == "plan_changed")
        assert play.state.ready
        assert not play.of("attempt_starting")
        free[0] = 3 * 10**9
        assert await play.end() is RunStatus.ACHIEVED
    assert [event.text for event in play.of("memory_held")][1] == ""


async def test_a_reserve_that_never_comes_free_is_not_waited_for_without_end(stage, monkeypatch):
    monkeypatch.setattr(patience, "LONGEST", 0.3)
    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=real.total, available=10**9))
    program = stage.program("cli", [GREET, END])
    reserve = {**QUICK, "WORKER_MIN_SYSTEM_MEMORY_FREE_GB": "2"}
    async with stage.play(CLAUDE_BIN=str(program), **reserve) as play:
        assert await play.end() is RunStatus.NEEDS_PERSON
    reason = play.of("run_ended")[0].reason
    assert reason.startswith("nothing can start: only 1 GB of memory are free, 2 are to be (AURA_WORKER_MIN_SYSTEM_MEM")
    assert play.of("attempt_starting") == []
    async with stage.play(CLAUDE_BIN=str(program), **reserve) as play:
        assert await play.end() is RunStatus.NEEDS_PERSON
    assert play.of("memory_held"), "every start says what it waits for"
    async with stage.play(CLAUDE_BIN=str(program), **QUICK) as play:
        assert await play.end() is RunStatus.ACHIEVED, "a reserve that was taken back holds nobody"


async def test_workers_share_their_gpus_by_the_settings(stage):
    says = "python3 -c \"import json, os; json.dump(dict(os.environ), open('env.json', 'w'))\""
    program = stage.program("cli", [{"sh": says}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program), WORKER_CUDA_VISIBLE_DEVICES="1,3") as play:
        assert await play.end() is RunStatus.ACHIEVED
    env = json.loads((stage.project / "env.json").read_text())
    assert env["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert (env["TF_FORCE_GPU_ALLOW_GROWTH"], env["XLA_PYTHON_CLIENT_PREALLOCATE"]) == ("true", "false")
