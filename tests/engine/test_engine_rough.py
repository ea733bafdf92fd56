"""Rough handling: workers that end from outside, forge their stream, leave things behind; pauses at bad moments."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from aura_engine import watching
from aura_engine.core import commands
from aura_engine.core.model import EndKind, RunStatus, TaskStatus
from aura_engine.demo.brains import task
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes.inbox import Inbox

GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}
TWO = {
    "tasks": [task("Greet", "grep -q hello greeting.txt"), task("Next", "test -s next.txt", needs=["Greet"])],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}


def limited(words: str) -> dict:
    return {"end": {"is_error": True, "api_error_status": 429, "result": words}}


def is_started(event) -> bool:
    return event.kind == "attempt_started"


def is_adopted(event) -> bool:
    return event.kind == "notice" and "adopted" in event.text


def shim_of(play) -> int:
    folder = play.engine.options.paths.attempt("A1", 1)
    return json.loads((folder / "process.json").read_text())["shim"]["pid"]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# ---- ends from outside


async def test_a_worker_that_somebody_kills_ran_out_of_memory_as_far_as_one_can_tell(stage):
    program = stage.program("cli", [{"sh": "kill -9 $PPID"}, {"nap": 5}], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    first = play.state.tasks["A1"].attempts[0]
    assert first.ending.kind is EndKind.OUT_OF_MEMORY
    assert "ran out of memory" in first.reason


async def test_a_worker_that_a_shutdown_ended_goes_on_in_its_session(stage):
    program = stage.program("cli", [{"sh": "touch half"}, {"nap": 60}], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        await stage.eventually(lambda: (play.engine.options.paths.workspace("A1", 1) / "half").exists())
    os.kill(shim_of(play), signal.SIGTERM)
    await stage.eventually(lambda: gone(shim_of(play)))
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert play.state.tasks["A1"].attempts[0].ending.kind is EndKind.LOST
    assert [start["resumed"] for start in stage.starts("cli")] == [False, True]


@pytest.mark.parametrize("full", [False, True])
async def test_what_it_did_stands_when_it_had_to_be_ended_after_its_last_word(stage, monkeypatch, full):
    def no_room(_):
        raise RuntimeFault("There is no room on the disk.")

    if full:  # its input cannot even be closed
        monkeypatch.setattr(Inbox, "close_input", no_room)
    monkeypatch.setattr(watching, "LIMITS", dataclasses.replace(watching.LIMITS, post_result=0.1))
    program = stage.folder / "cli"
    program.write_text(
        "#!/bin/bash\nread -r line; trap 'exit 1' INT TERM; echo hello > greeting.txt\n"
        'echo \'{"type":"system","subtype":"init","session_id":"s","model":"m"}\'\n'
        'echo \'{"type":"result","subtype":"success","is_error":false,"result":"done","usage":{}}\'\n'
        "while :; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert play.of("worker_ended")[0].ending.kind is EndKind.FINISHED


# ---- what its stream can do


@pytest.mark.parametrize(
    "line",
    [
        {"type": "system", "subtype": "api_retry", "retry_delay_ms": 10**400},
        {
            "type": "result",
            "subtype": "success",
            "result": "x",
            "modelUsage": {"claude-x": {}},
            "total_cost_usd": 1e999,
        },
        {"type": "result", "is_error": True, "api_error_status": 429, "result": "limit resets at 0001-01-01 00:00"},
    ],
)
async def test_no_line_of_a_worker_s_ends_the_engine_or_spoils_the_journal(stage, line):
    program = stage.program("cli", [GREET, {"say": line}, END], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "worker_ended")
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED


async def test_refusals_that_a_tool_forges_stop_nothing(stage):
    retry = {"say": {"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 401}}
    program = stage.program("cli", [retry, retry, retry, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert not play.of("role_parked")


async def test_a_time_that_was_said_is_kept(stage):
    program = stage.program("cli", [limited("Usage limit reached. Try again in 5 hours")])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        parked = await play.until(lambda event: event.kind == "role_parked")
    assert 0 <= parked.until - time.time() - 5 * 3600 + 30 < 60


# ---- what it leaves


@pytest.mark.parametrize("wall", ["none", "bubblewrap"])
async def test_what_outlives_its_worker_reaches_no_other_task(stage, monkeypatch, wall):
    """A job that hides that it was handed over, and would write into whatever becomes of its folder."""
    monkeypatch.setattr(watching, "JOB_LOOK", 0.05)
    stay = "while :; do sleep 0.02; [ -e marker ] && echo evil > evil.txt; done"
    script = f"""case "$(cat)" in
*"# Task A1:"*) (trap '' TERM; sleep 0.4; rm process.json; {stay}) </dev/null >/dev/null 2>&1 &
 echo '{{"managed_subprocesses": [{{"pid": '$!'}}]}}' > process.json; echo hello > greeting.txt;;
*) touch marker; for i in $(seq 40); do [ -e evil.txt ] && break; sleep 0.02; done
 rm marker; cp evil.txt stolen.txt 2>/dev/null; echo n > next.txt;;
esac"""
    settings = {"FLASH_BACKEND": "command", "FLASH_COMMAND": f"sh -c {shlex.quote(script)}", "CONTAINMENT": wall}
    async with stage.play(plan=TWO, **settings) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert not (stage.project / "evil.txt").exists()
    assert not (stage.project / "stolen.txt").exists()
    await stage.eventually(lambda: gone(shim_of(play)))


# ---- pauses at bad moments


async def test_pausing_and_resuming_at_once_leaves_it_running(stage):
    many = {"sh": "for i in $(seq 40); do sleep 30 & done; touch begun"}
    program = stage.program("cli", [many, {"nap": 60}])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        await stage.eventually(lambda: (play.engine.options.paths.workspace("A1", 1) / "begun").exists())
        family = psutil.Process(shim_of(play))
        for _ in range(10):
            play.engine.command(commands.Pause(task="A1"))
            play.engine.command(commands.Resume(task="A1"))

        def none_stopped() -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended
                return all(each.status() != psutil.STATUS_STOPPED for each in family.children(recursive=True))
            return False

        await asyncio.gather(*play.engine.parts.supervisor._background)
        await stage.eventually(none_stopped)
        play.engine.command(commands.Kill(task="A1"))
        await play.until(lambda event: event.kind == "task_settled")


async def test_one_that_was_left_stopped_is_woken_when_it_is_taken_over(stage):
    program = stage.program("cli", [{"sh": "touch begun"}, {"nap": 0.3}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        await stage.eventually(lambda: (play.engine.options.paths.workspace("A1", 1) / "begun").exists())
        await play.engine.parts.supervisor.watched["A1"]._worker.pause()  # and dies before that is on the disk
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_adopted)
        assert await play.end() is RunStatus.ACHIEVED


async def test_a_pause_that_spans_two_engines_is_no_working_time(stage):
    program = stage.program("cli", [{"nap": 0.2}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program), TASK_BUDGET="2s") as play:
        await play.until(is_started)
        play.engine.command(commands.Pause(task="A1"))
        await asyncio.sleep(2.2)
    async with stage.play(CLAUDE_BIN=str(program), TASK_BUDGET="2s") as play:
        await play.until(is_adopted)
        assert [event.text for event in play.of("notice") if "paused" in event.text] == [
            "A1 is paused, as it was left. Undo it: aura resume A1"
        ]
        assert play.engine.command(commands.Resume(task="A1")) == ""
        assert await play.end() is RunStatus.ACHIEVED


async def test_a_run_that_was_left_paused_says_so_when_it_starts_again(stage):
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        assert play.engine.command(commands.Pause()) == ""
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        told = await play.until(lambda event: event.kind == "notice" and "paused" in event.text)
        assert told.text == "The run is paused, as it was left: nothing new starts. Undo it: aura resume"
        await stage.eventually(lambda: play.engine.command(commands.Resume()) == "")  # it may still be starting
        assert await play.end() is RunStatus.ACHIEVED
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
        assert [event.text for event in play.of("notice") if "paused" in event.text] == []


async def test_a_paused_task_keeps_the_run_waiting_for_its_person(stage):
    program = stage.program("cli", [{"hear": "go on"}, GREET, END], [{"sh": "echo n > next.txt"}, END])
    async with stage.play(plan=TWO, CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        assert play.engine.command(commands.Pause(task="A2")) == ""
        assert play.engine.command(commands.Message(task="A1", text="go on")) == ""
        await play.until(lambda event: event.kind == "delivered")
        await asyncio.sleep(0.3)
        assert play.state.tasks["A2"].status is TaskStatus.PENDING
        assert len(play.of("planner_asked")) == 1
        assert play.engine.command(commands.Resume(task="A2")) == ""
        assert await play.end() is RunStatus.ACHIEVED


# ---- sessions and messages


async def test_a_start_that_fails_loses_neither_session_nor_message(stage):
    program = stage.program("cli", [{"sh": "touch half"}, limited("Try again in 1 second")], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "role_parked")
        runtime = play.engine.parts.runtime
        start = runtime.start

        async def fails_once(*args):
            runtime.start = start
            raise RuntimeFault("No process could be started for the worker.")

        runtime.start = fails_once
        play.engine.command(commands.Message(task="A1", text="Use port 8080."))
        assert await play.end() is RunStatus.ACHIEVED
    one, two = stage.starts("cli")
    assert (two["resumed"], two["session"]) == (True, one["session"])
    assert "Use port 8080." in two["prompt"]
    assert [attempt.place for attempt in play.of("attempt_starting")] == [0, 1, 1]


async def test_a_session_is_kept_when_the_engine_dies_before_it_goes_on(stage):
    program = stage.program("cli", [{"sh": "touch half"}, limited("Try again in 1 second")], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:

        async def never(*_args):
            await asyncio.sleep(3600)

        await play.until(is_started)
        play.engine.parts.supervisor._launch = never
        await play.until(lambda event: event.kind == "attempt_starting" and event.n == 2)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert [start["resumed"] for start in stage.starts("cli")] == [False, True]


async def test_what_was_said_to_one_worker_is_said_to_those_after_it(stage):
    program = stage.program("cli", [{"hear": "8080"}, END], [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program), MAX_ATTEMPTS_PER_ROLE="3") as play:
        await play.until(is_started)
        play.engine.command(commands.Message(task="A1", text="Use port 8080."))
        assert await play.end() is RunStatus.ACHIEVED
    assert ["8080" in start["prompt"] for start in stage.starts("cli")] == [False, True]


async def test_nothing_is_brought_behind_the_end_of_its_input(stage):
    again = [
        {"say": {"type": "result", "subtype": "success", "is_error": False, "result": "first", "usage": {}}},
        {"nap": 0.2},
        {"say": {"type": "system", "subtype": "init", "session_id": "x", "model": "m"}},
        {"sh": "touch second"},
        {"nap": 0.5},
        GREET,
        END,
    ]
    program = stage.program("cli", again)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        await stage.eventually(lambda: (play.engine.options.paths.workspace("A1", 1) / "second").exists())
        watch = play.engine.parts.supervisor.watched["A1"]
        await stage.eventually(lambda: watch.seen.finished is None)
        play.engine.command(commands.Message(task="A1", text="late"))
        assert not (await play.until(lambda event: event.kind == "message_given")).injected


async def test_a_home_deeper_than_python_can_recurse_stops_neither_end_nor_start(stage):
    deep = "/".join(["d"] * 1200)
    program = stage.program("cli", [{"sh": f"mkdir -p $HOME/{deep}"}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        left = play.engine.options.paths.work / "A9-1"  # as a killed engine leaves it
        left.mkdir(parents=True)
        subprocess.run(["mkdir", "-p", deep], cwd=left, check=True)  # noqa: ASYNC221
        assert await play.end() is RunStatus.ACHIEVED
        homes = play.engine.options.paths.homes
    assert not left.exists()
    assert not list(homes.glob("*"))


async def test_what_a_snapshot_cannot_take_is_told_and_its_folder_is_kept(stage):
    program = stage.program("cli", [{"sh": "truncate -s 5G model.bin; mkfifo pipe; mkdir .cache"}, GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    (told,) = [event for event in play.of("notice") if "model.bin" in event.text]
    assert told.text == "A1#1 made what cannot be taken, so its folder will be kept: model.bin (larger than 4 GB)"
    assert told.level == "warning"
    (kept,) = play.of("workspace_kept")
    assert (Path(kept.folder) / "model.bin").stat().st_size == 5 * 1024**3


async def test_a_secret_is_taken_out_by_the_next_start_where_the_engine_died_before(stage, monkeypatch):
    key = "sk-" + "a1B2c3D4" * 5
    program = stage.program("cli", [{"sh": f"echo {key} >&2"}, GREET, END])
    monkeypatch.setattr("aura_engine.supervisor._scrubbed", lambda *_: [])  # as one that is killed first
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
        said = play.engine.options.paths.attempt("A1", 1) / "error.log"
    assert key in said.read_text()
    monkeypatch.undo()
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert key not in said.read_text()
    assert "[secret]" in said.read_text()
    assert not (said.parent / "unscrubbed").exists()
