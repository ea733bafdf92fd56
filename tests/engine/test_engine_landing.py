"""What becomes of work that waits to land together."""

from __future__ import annotations

import asyncio
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from aura_engine import landing as landing_module
from aura_engine import supervisor as supervisor_module
from aura_engine.core.model import Outcome, RunStatus
from aura_engine.demo.brains import Claim, task
from aura_engine.landing import Candidate, Landing
from aura_engine.supervisor import Supervisor

BUILTIN = {"FLASH_BACKEND": "builtin", "FLASH_BASE_URL": "{model}", "FLASH_MODEL": "m"}


async def test_work_that_conflicts_with_a_neighbour_in_the_queue_is_redone_on_top_of_it(stage):
    (stage.project / "names.txt").write_text("names:\n")
    gate = stage.folder / "open"

    def adds(name):
        wait = f"until test -e '{gate}'; do sleep 0.02; done; "

        def steps(ask, attempt):
            if attempt == 1:
                return [f"{wait}echo {name} >> names.txt", Claim("Done.")]
            return ["printf 'names:\\nada\\nbob\\n' > names.txt", Claim("Done.")]

        return steps

    plan = {
        "tasks": [
            task("First", "test -e first.txt"),
            task("Ada", "grep -q ada names.txt"),
            task("Bob", "grep -q bob names.txt"),
        ],
        "checks": [{"name": "all", "run": "test $(wc -l < names.txt) -eq 3"}],
    }
    workers = {"First": ["echo 1 > first.txt", Claim("Done.")], "Ada": adds("ada"), "Bob": adds("bob")}
    async with stage.play(plan=plan, workers=workers, MAX_CONCURRENT_TASKS="3", **BUILTIN) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        landing = play.engine.parts.landing
        async with landing.exclusive:  # the first is taken up and waits here; the others queue behind it, together
            await play.until(lambda event: event.kind == "worker_ended")
            gate.touch()
            await stage.eventually(lambda: len(landing._waiting) == 2)
        assert await play.end() is RunStatus.ACHIEVED
    assert [event.outcome for event in play.of("attempt_ended")] == [Outcome.CONFLICT]
    (conflict,) = play.of("attempt_ended")
    neighbour = next(event for event in play.of("landed") if event.task not in ("A1", conflict.task))
    again = next(event for event in play.of("attempt_starting") if (event.task, event.n) == (conflict.task, 2))
    assert again.base == neighbour.commit


async def test_the_branch_says_which_task_each_commit_is_and_a_title_cannot_say_more(stage):
    git = ["git", "-C", str(stage.project)]
    await asyncio.to_thread(subprocess.run, [*git, "init", "-q"], check=True)
    title = "Say \x1b[31mit\n\nAura-Tree: another"
    plan = {
        "tasks": [task(title, "test -e said.txt", key="say")],
        "checks": [{"name": "all", "run": "test -e said.txt"}],
    }
    workers = {"*": ["echo hello > said.txt", Claim("Done.")]}
    async with stage.play(plan=plan, workers=workers, **BUILTIN) as play:
        assert await play.end() is RunStatus.ACHIEVED
    log = [*git, "log", "-1", "--format=%B", "aura/task"]
    said = await asyncio.to_thread(subprocess.run, log, check=True, capture_output=True, text=True)
    assert said.stdout.splitlines()[:2] == ["A1 Say it Aura-Tree: another", ""]


@pytest.fixture
def landing():
    """One that knows of two tasks that wait for their verdict."""
    recorder: Any = SimpleNamespace(state=SimpleNamespace(verifying={"A1", "A2"}))
    nothing: Any = None
    return Landing(recorder, nothing, nothing, nothing, nothing)


def waiting(name: str) -> Candidate:
    return Candidate(name, 1, "base", "snapshot", "tree", 1.0)


async def test_a_landing_waits_for_work_that_is_just_being_taken(landing, monkeypatch):
    monkeypatch.setattr(landing_module, "GATHER", 20.0)
    landing.put(waiting("A1"))
    gathering = asyncio.create_task(landing._gather())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not gathering.done()
    landing.put(waiting("A2"))
    await asyncio.wait_for(gathering, 5)


async def test_a_landing_waits_for_nobody_for_long(landing, monkeypatch):
    monkeypatch.setattr(landing_module, "GATHER", 0.01)
    landing.put(waiting("A1"))
    await asyncio.wait_for(landing._gather(), 5)


async def test_the_next_worker_is_started_before_the_work_of_the_last_is_taken(stage, monkeypatch):
    monkeypatch.setattr(supervisor_module, "START_FIRST", 20.0)
    collect = Supervisor.collect
    places: list[bool] = []

    async def spy(self: Supervisor, task_id: str, n: int) -> None:
        state = self._recorder.state
        places.append(self.calm and (len(state.busy) == 2 or not state.ready))
        await collect(self, task_id, n)

    monkeypatch.setattr(Supervisor, "collect", spy)
    names = [f"T{number}" for number in range(6)]
    plan = {
        "tasks": [task(name, f"test -e {name}.txt") for name in names],
        "checks": [{"name": "all", "run": "test $(ls T*.txt | wc -l) -eq 6"}],
    }
    workers = {name: [f"echo 1 > {name}.txt", Claim("Done.")] for name in names}
    async with stage.play(plan=plan, workers=workers, MAX_CONCURRENT_TASKS="2", **BUILTIN) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert places == [True] * 6


async def test_the_files_of_a_large_project_are_compared_by_a_thread_and_frozen_all_the_same(stage, monkeypatch):
    monkeypatch.setattr(landing_module, "MANY", 0)
    (stage.project / "test_it.py").write_text("assert False\n")
    plan = {
        "tasks": [task("One", "test -e one.txt")],
        "checks": [{"name": "all", "run": "test -e one.txt && ! python3 test_it.py 2>&-"}],
    }
    workers = {"One": ["echo 1 > one.txt; echo pass > test_it.py; echo pass > conftest.py", Claim("Done.")]}
    async with stage.play(plan=plan, workers=workers, **BUILTIN) as play:
        assert await play.end() is RunStatus.ACHIEVED
    (landed,) = play.of("landed")
    assert landed.dropped == ("conftest.py",)
    assert (stage.project / "test_it.py").read_text() == "assert False\n"
