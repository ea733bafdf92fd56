"""What a person does to a running worker, and what becomes of work that was cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import psutil

from aura_engine.cli.main import main
from aura_engine.control.link import GOAL, Live
from aura_engine.core import commands
from aura_engine.core.model import EndKind, Outcome, RunStatus, TaskStatus
from aura_engine.demo.brains import Claim, task, write
from aura_engine.hosting import Hosted
from aura_engine.runtimes import processes

GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}
LIMITED = {"end": {"subtype": "success", "is_error": True, "api_error_status": 429, "result": "Try again in 1 second"}}
POOR = {"end": {"subtype": "success", "is_error": True, "api_error_status": 402, "result": "Credit balance is too low"}}


def is_started(event) -> bool:
    return event.kind == "attempt_started"


async def test_a_parked_attempt_goes_on_in_its_own_session_and_folder(stage):
    program = stage.program("cli", [{"sh": "echo half > half.txt"}, LIMITED], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    first, second = play.of("attempt_starting")
    assert (first.place, second.place, second.session) == (0, 1, first.session)
    one, two = stage.starts("cli")
    assert (one["resumed"], two["resumed"]) == (False, True)
    assert (two["session"], two["cwd"]) == (one["session"], one["cwd"])
    assert "half.txt" in two["files"]
    assert "# Task A1" in one["prompt"]
    assert "You were interrupted" in two["prompt"]
    assert "# Task A1" not in two["prompt"]
    parked = play.of("role_parked")[0]
    assert parked.until is not None
    assert (stage.project / "half.txt").read_text() == "half\n"  # what it had begun landed with the rest


async def test_a_session_outlives_the_engine_that_began_it(stage):
    program = stage.program("cli", [{"sh": "echo half > half.txt"}, POOR], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.NEEDS_PERSON
    async with stage.play(CLAUDE_BIN=str(program)) as play:  # the person has paid
        assert await play.end() is RunStatus.ACHIEVED
    assert [start["resumed"] for start in stage.starts("cli")] == [False, True]


async def test_a_session_that_is_gone_is_begun_afresh(stage):
    unknown = {"end": {"subtype": "error_during_execution", "is_error": True, "result": "No conversation found"}}
    program = stage.program("cli", [LIMITED], [unknown], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert [start["resumed"] for start in stage.starts("cli")] == [False, True, False]
    assert play.state.tasks["A1"].attempts[1].ending.kind is EndKind.BAD_REQUEST


async def test_the_second_worker_takes_over_and_says_so(stage):
    program = stage.program("cli", [POOR])
    workers = {"Greet": [write("greeting.txt", "hello"), Claim("done")]}
    fallback = {
        "FLASH_FALLBACK_BACKEND": "builtin",
        "FLASH_FALLBACK_BASE_URL": "{model}",
        "FLASH_FALLBACK_API_KEY": "k",
        "FLASH_FALLBACK_MODEL": "spare",
    }
    async with stage.play(workers=workers, CLAUDE_BIN=str(program), **fallback) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert [(each.backend, each.fallback) for each in play.of("attempt_starting")] == [
        ("claude", False),
        ("builtin", True),
    ]
    assert any("builtin takes over" in notice.text for notice in play.of("notice"))
    assert not play.of("attempt_starting")[1].place  # another program cannot go on in that session


async def test_without_a_second_worker_a_person_is_needed(stage):
    async with stage.play(CLAUDE_BIN=str(stage.program("cli", [POOR]))) as play:
        assert await play.end() is RunStatus.NEEDS_PERSON


async def test_a_message_is_brought_to_a_running_worker(stage):
    program = stage.program("cli", [{"hear": "in capitals"}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        assert play.engine.command(commands.Message(task="A1", text="Write it in capitals.")) == ""
        assert await play.end() is RunStatus.ACHIEVED
    (given,) = play.of("message_given")
    assert (given.n, given.injected, given.actor) == (1, True, "person")


async def test_a_message_that_cannot_be_brought_goes_with_the_next_attempt(stage):
    plan = {
        "tasks": [task("Greet", "test -s greeting.txt"), task("Next", "test -s next.txt", needs=["Greet"])],
        "checks": [{"name": "g", "file": "greeting.txt"}],
    }
    program = stage.program("cli", [{"hear": "go on"}, GREET, END], [END], [{"sh": "echo n > next.txt"}, END])
    async with stage.play(plan=plan, CLAUDE_BIN=str(program), MAX_ATTEMPTS_PER_ROLE="3") as play:
        await play.until(is_started)
        assert play.engine.command(commands.Message(task="A2", text="The second one counts.")) == ""
        assert play.engine.command(commands.Message(task="A1", text="go on")) == ""
        assert await play.end() is RunStatus.ACHIEVED
    assert [given.injected for given in play.of("message_given")] == [False, True]
    prompts = [start["prompt"] for start in stage.starts("cli")]
    assert ["The second one counts." in prompt for prompt in prompts] == [False, True, True]


async def test_a_paused_worker_is_frozen_and_its_pause_is_no_working_time(stage):
    program = stage.program("cli", [{"sh": "touch begun"}, {"nap": 0.3}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        started = await play.until(is_started)
        worker = psutil.Process(started.process.pid)
        assert play.engine.command(commands.Pause(task="A1")) == ""
        assert "paused already" in play.engine.command(commands.Pause(task="A1"))
        await stage.eventually(lambda: worker.status() == psutil.STATUS_STOPPED)
        assert play.engine.command(commands.Resume(task="A1")) == ""
        assert await play.end() is RunStatus.ACHIEVED
    assert play.state.tasks["A1"].attempts[0].idle > 0


async def test_a_paused_worker_can_be_killed(stage):
    program = stage.program("cli", [{"nap": 60}])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        started = await play.until(is_started)
        play.engine.command(commands.Pause(task="A1"))
        worker = psutil.Process(started.process.pid)
        await stage.eventually(lambda: worker.status() == psutil.STATUS_STOPPED)
        play.engine.command(commands.Kill(task="A1"))
        ended = await play.until(lambda event: event.kind == "attempt_ended")
        assert ended.outcome is Outcome.INTERRUPTED
        assert not psutil.pid_exists(started.process.pid)
        assert play.state.tasks["A1"].status is TaskStatus.KILLED


async def test_a_killed_task_that_is_retried_goes_on_in_its_session(stage):
    program = stage.program("cli", [{"sh": "touch begun"}, {"nap": 60}], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        paths = play.engine._options.paths
        await stage.eventually(lambda: (paths.workspace("A1", 1) / "begun").exists())
        play.engine.command(commands.Kill(task="A1"))
        await play.until(lambda event: event.kind == "task_settled")
        assert play.engine.command(commands.RetryTask(task="A1", instructions="Be quick.")) == ""
        assert await play.end() is RunStatus.ACHIEVED
    one, two = stage.starts("cli")
    assert (two["resumed"], two["session"]) == (True, one["session"])
    assert "Be quick." in two["prompt"]


async def test_tasks_of_the_person_s_own(stage):
    plan = {
        "tasks": [task("Greet", "grep -q hello greeting.txt"), task("Part", "test -s bye.txt", needs=["Greet"])],
        "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
    }
    program = stage.program("cli", [{"hear": "go on"}, GREET, END], [{"sh": "echo a > a.txt; echo bye > bye.txt"}, END])
    async with stage.play(plan=plan, CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        command = play.engine.command
        check = commands.Check(name="mine", run="grep -q a a.txt")
        assert "does not exist" in command(commands.AddTask(title="Mine", needs=("Z9",)))
        assert command(commands.AddTask(title="Mine", instructions="Make a.txt", needs=("A1",), checks=(check,))) == ""
        assert command(commands.EditTask(task="A3", instructions="Make a.txt, with an a in it")) == ""
        assert "needs" in command(commands.DropTask(task="A1"))
        assert command(commands.DropTask(task="A2")) == ""
        assert "nothing of A1 was dropped" in command(commands.Restore(task="A1"))
        assert command(commands.Restore(task="A2")) == ""
        assert (play.state.tasks["A4"].spec.title, play.state.tasks["A4"].spec.needs) == ("Part", ("A1",))
        assert command(commands.DropTask(task="A4")) == ""
        assert "archived" in command(commands.EditTask(task="A2", instructions="x"))
        assert command(commands.Message(task="A1", text="go on")) == ""
        assert await play.end() is RunStatus.ACHIEVED
    state = play.state
    assert state.tasks["A2"].status is TaskStatus.ARCHIVED
    mine = state.tasks["A3"]
    assert (mine.status, mine.spec.title, mine.spec.checks[0].person) == (TaskStatus.COMPLETED, "Mine", True)
    assert "with an a in it" in stage.starts("cli")[1]["prompt"]


async def test_stopping_after_the_running_workers_lands_their_work(stage):
    plan = {
        "tasks": [task("Greet", "test -s greeting.txt"), task("Next", "test -s next.txt", needs=["Greet"])],
        "checks": [{"name": "g", "file": "greeting.txt"}],
    }
    program = stage.program("cli", [{"hear": "go on"}, GREET, END])
    async with stage.play(plan=plan, CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        assert play.engine.command(commands.Stop(drain=True)) == ""
        play.engine.command(commands.Message(task="A1", text="go on"))
        assert await play.end() is RunStatus.INTERRUPTED
    assert play.state.tasks["A1"].status is TaskStatus.COMPLETED
    assert len(stage.starts("cli")) == 1


async def test_a_worker_that_vanished_with_its_shim_goes_on_in_its_session(stage):
    """As after a reboot: nothing of the worker is left but its folder and what it said."""
    program = stage.program("cli", [{"sh": "echo half > half.txt"}, {"nap": 60}], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        paths = play.engine._options.paths
        await stage.eventually(lambda: (paths.workspace("A1", 1) / "half.txt").exists())
    folder = paths.attempt("A1", 1)
    for record in _processes(folder):
        record.send_signal(signal.SIGKILL)
        await stage.eventually(lambda record=record: not record.is_running() or record.status() == psutil.STATUS_ZOMBIE)
    (folder / "bell").unlink(missing_ok=True)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert [start["resumed"] for start in stage.starts("cli")] == [False, True]
    assert play.of("attempt_ended")[0].outcome is Outcome.INTERRUPTED


def _processes(folder) -> list[psutil.Process]:
    found = json.loads((folder / "process.json").read_text())
    return [psutil.Process(found[name]["pid"]) for name in ("shim", "worker")]


async def test_it_is_seen_which_of_the_goals_checks_is_run(stage, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    plan = {
        "tasks": [task("Greet", "grep -q hello greeting.txt")],
        "checks": [
            {"name": "first", "run": "test -e greeting.txt"},
            {"name": "slow", "run": f"cat {gate}; test -e greeting.txt"},
        ],
    }
    program = stage.program("cli", [GREET, END])
    async with stage.play(plan=plan, CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        host = Hosted(play.engine)
        await stage.eventually(lambda: host.telemetry().get(GOAL) == Live(step="slow, 2 of 2"))
        await asyncio.to_thread(gate.write_text, "go")
        assert await play.end() is RunStatus.ACHIEVED
        assert GOAL not in host.telemetry()


async def test_what_a_task_left_can_still_be_seen_once_the_engine_has_ended(stage):
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        host = Hosted(play.engine)
        assert await play.end() is RunStatus.ACHIEVED
    assert "\n+hello\n" in await asyncio.to_thread(host.diff_left, "A1")
    assert host.diff_left("Z9") == ""


async def test_a_worker_that_went_on_alone_can_be_stopped_without_an_engine(stage, monkeypatch, capsys):
    plan = {
        "tasks": [task("Long", "test -e done.txt"), task("Later", "test -e done.txt", needs=["Long"])],
        "checks": [{"name": "done", "run": "test -e done.txt"}],
    }
    program = stage.program("cli", [{"sh": "echo half > half.txt; while :; do sleep 0.05; done"}])
    async with stage.play(plan=plan, CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
    worker = play.state.tasks["A1"].live.process
    monkeypatch.chdir(stage.project)
    assert processes.alive(worker)
    assert await asyncio.to_thread(main, ["kill", "A1"]) == 0
    assert "The worker of A1, which went on alone, is being stopped" in capsys.readouterr().out
    await stage.eventually(lambda: not processes.alive(worker))
    assert await asyncio.to_thread(main, ["kill", "A2"]) == 0
    assert "Noted" in capsys.readouterr().out
    async with stage.play(plan=plan, CLAUDE_BIN=str(program)) as play:
        ended = await play.until(lambda event: event.kind == "attempt_ended")
        await play.until(lambda event: event.kind == "task_settled")
    assert (ended.outcome, ended.reason, bool(ended.snapshot)) == (Outcome.INTERRUPTED, "stopped by you", True)
    assert [play.state.tasks[each].status for each in ("A1", "A2")] == [TaskStatus.KILLED, TaskStatus.KILLED]
    assert len(stage.starts("cli")) == 1
