"""Hooks: the person's own command or URL, told once, never in the way."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from aura_engine.core import events as ev
from aura_engine.core.events_planner import CapReached
from aura_engine.core.model import Role, RunStatus, TaskStatus
from aura_engine.core.state import RunState
from aura_engine.hooks import AT_ONCE, WAITING, Hooks
from aura_engine.recorder import Committed

LANDED = ev.Landed(task="A1", n=1, commit="c", tree="t")
EVENTS = [
    ("goal_reached", ev.RunEnded(status=RunStatus.ACHIEVED, reason="all done")),
    ("run_stuck", ev.RunEnded(status=RunStatus.FAILED, reason="checks are red")),
    ("person_needed", ev.RunEnded(status=RunStatus.NEEDS_PERSON, reason="which one?")),
    ("person_needed", ev.QuestionAsked(id="q1", question="which one?")),
    ("person_needed", ev.RoleParked(role=Role.PRO, until=None, reason="out of credit")),
    ("cap_reached", CapReached(scope="run", measure="cost", used=4.9, cap=5.0)),
    ("task_landed", LANDED),
    ("task_failed", ev.TaskSettled(task="A1", status=TaskStatus.FAILED, reason="three attempts failed")),
]


@pytest.fixture
def said() -> list[str]:
    return []


def hooks(targets: dict[str, str], folder: Path, said: list[str], **more: float) -> Hooks:
    return Hooks(targets, RunState(project="/p", task_file="/p/task.md"), folder, said.append, **more)


def tell(made: Hooks, *events: ev.Event) -> None:
    for number, event in enumerate(events, 1):
        made.heard(Committed(number, 1000.0, event))


@pytest.mark.parametrize(("name", "event"), EVENTS)
async def test_a_command_gets_the_facts_as_json(name, event, tmp_path, said) -> None:
    made = hooks({name: "cat > told.json"}, tmp_path, said)
    tell(made, event)
    await made.aclose()
    told = json.loads((tmp_path / "told.json").read_text())
    assert (told["event"], told["seq"], told["project"]) == (name, 1, "/p")
    assert told["time"] == "1970-01-01T00:16:40.000Z"
    assert said == []


async def test_what_is_no_occasion_runs_nothing(tmp_path, said) -> None:
    made = hooks(
        dict.fromkeys(("goal_reached", "run_stuck", "person_needed", "task_failed"), "touch ran"), tmp_path, said
    )
    parked = ev.RoleParked(role=Role.PRO, until=5.0, reason="a limit")
    stopped = ev.RunEnded(status=RunStatus.INTERRUPTED, reason="stopped by you")
    tell(made, LANDED, parked, ev.TaskSettled(task="A1", status=TaskStatus.KILLED, reason="x"), stopped)
    await made.aclose()
    assert list(tmp_path.iterdir()) == []


async def test_a_url_gets_a_post(tmp_path, said) -> None:
    had: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        had.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        made = hooks({"task_landed": f"http://127.0.0.1:{port}/done"}, tmp_path, said)
        tell(made, LANDED)
        await made.aclose()
    head, _, body = had[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /done ")
    assert json.loads(body)["task"] == "A1"
    assert said == []


async def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path, said) -> None:
    made = hooks({"task_landed": "(sleep 60; touch late) & echo $! > pid; wait"}, tmp_path, said, limit=0.5)
    began = time.monotonic()
    tell(made, LANDED)
    assert time.monotonic() - began < 0.1
    await made.aclose()
    assert time.monotonic() - began < 10
    assert "longer than 0.5 s" in said[0]
    assert (
        not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat").exists()
        or "Z" in Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat").read_text()
    )


async def test_a_failure_is_told_of_once(tmp_path, said) -> None:
    made = hooks({"task_landed": "exit 3"}, tmp_path, said)
    tell(made, LANDED, LANDED, LANDED)
    await made.aclose()
    assert said == ["The hook for task_landed failed: it ended with status 3. It is not told of again."]


async def test_the_last_word_of_a_run_stays_its_last(tmp_path, said) -> None:
    made = hooks({"goal_reached": "exit 3"}, tmp_path, said)
    tell(made, ev.RunEnded(status=RunStatus.ACHIEVED))
    await made.aclose()
    assert said == []


async def test_only_some_run_at_once_and_only_some_wait(tmp_path, said) -> None:
    made = hooks({"task_landed": "mkdir ran.$$; sleep 0.2; ls -d ran.* | wc -l >> seen; rmdir ran.$$"}, tmp_path, said)
    tell(made, *[LANDED] * (WAITING + 5))
    assert any("was dropped" in text for text in said)
    await made.aclose()
    counts = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(counts) == WAITING
    assert max(counts) <= AT_ONCE


async def test_a_run_tells_of_its_landing_and_its_end(stage) -> None:
    """Wired: the engine waits for the last hook, and no hook of a project's own file is taken."""
    program = stage.program("claude", [{"sh": "echo hello > greeting.txt"}, {"end": {}}])
    (stage.project / ".env").write_text(f"AURA_HOOK_GOAL_REACHED=touch {stage.folder}/stranger\n")
    target = f"sleep 0.3; cat >> {stage.folder}/told"
    async with stage.play(CLAUDE_BIN=str(program), HOOK_TASK_LANDED=target) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert json.loads((stage.folder / "told").read_text())["title"] == "Greet"
    assert not (stage.folder / "stranger").exists()
