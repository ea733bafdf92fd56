"""Plays one row of the matrix with one backend, for real: local runtime, shim, watch; and says what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lab_rows import Row

from aura_engine.core.model import Ending, EndKind, ExitRecord, Role
from aura_engine.demo.script import Ask, Say, ToolUse, say, shell
from aura_engine.demo.server import ScriptedModel
from aura_engine.hands import Hand
from aura_engine.runtimes import shim
from aura_engine.runtimes.local import LocalRuntime, LocalWorker
from aura_engine.supervisor import Supervisor
from aura_engine.watching import Watch
from aura_engine.workers.base import Job, RoleSettings, Seen
from aura_engine.workers.table import make_backend

HERE = Path(__file__).parent
LIMIT = 45.0
"""Seconds that a row may take on a machine under load."""
SLACK = 2.0
"""Seconds by which a limit's end may be off."""
HASTE = 0.1
"""The graces of the stop ladders are shortened by this."""
ANSWERS: dict[str, Callable[..., Callable[[Ask], Say]]] = {
    "write": lambda name, text: lambda ask: say(shell(ask, f"printf {shlex.quote(text)} > {name}")),
    "turn": lambda text="": lambda ask: say(shell(ask, f"echo 1 failed {text}; false")),
    "loop": lambda: lambda ask: say(shell(ask, "echo 1 failed; false")),
    "orphan": lambda: lambda ask: say(shell(ask, f"setsid sh -c {shlex.quote(ORPHAN)} & wait -n")),
    "finish": lambda text: lambda ask: say(finish(text)),
    "give_up": lambda text: lambda ask: say(finish(text, gave_up=True)),
    "fail": lambda status, text: lambda ask: say(status=status, error_text=text),
    "limit": lambda text, code="": lambda ask: say(status=429, error_text=text, error_type=code),
    "no_login": lambda: lambda ask: say(status=401, error_text="no key"),
    "turns": lambda: lambda ask: say(shell(ask, "true")),
}
"""Verbs that a model's answer can bring about: with these alone the real agent of `builtin` plays."""


def finish(text: str, **more: object) -> ToolUse:
    """A call of the agent's last tool."""
    return ToolUse("finish", {"summary": text, **more})


ORPHAN = 'trap "" TERM INT HUP; (trap "" TERM INT HUP; exec sleep 600) </dev/null >/dev/null 2>&1 & echo $! >> pids'


@dataclass(frozen=True)
class Played:
    """What came of it."""

    ending: Ending
    record: ExitRecord
    seen: Seen
    workspace: Path
    left: tuple[int, ...]
    """Processes of it that still live."""


def wrongs(row: Row, backend: str, played: Played) -> list[str]:
    """What differs from the row, in words; nothing when all is as expected."""
    ending, found = played.ending, []
    if ending.kind is not row.expected(backend):
        found.append(f"ended as {ending.kind}, not as {row.expected(backend)}")
    wait = row.waits(backend, played.record.ended)
    if (wait is None) != (ending.retry_after is None) or abs((wait or 0) - (ending.retry_after or 0)) > SLACK:
        found.append(f"to be waited for {ending.retry_after} s, not {wait} s")
    if row.words and backend not in row.but and row.words not in ending.detail:
        found.append(f"its detail lacks “{row.words}”")
    if not ending.detail and ending.kind is not EndKind.FINISHED:
        found.append("nothing says why")
    if not ending.detail.isprintable():
        found.append("its detail cannot be printed")
    if (played.workspace / "made.txt").exists() != row.makes:
        found.append("its work is not what it was")
    if played.left:
        found.append(f"left processes {played.left}")
    return [f"{backend}: {one} ({ending.detail or 'no detail'})" for one in found]


class Bench:
    """Plays rows in a folder; many may run at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: list[LocalWorker] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self._program = folder / "worker"
        self._program.write_text(
            f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(HERE)!r})\nimport fake_worker\n"
        )
        self._program.chmod(0o755)

    async def play(self, row: Row, backend: str) -> Played:
        """One run from its start to the end of its last process."""
        async with asyncio.timeout(LIMIT):
            verbs = [step[0] for step in row.steps]
            if backend == "builtin" and verbs[:1] == ["begin"] and set(verbs[1:]) <= ANSWERS.keys():
                async with ScriptedModel(brain(row)) as model:
                    url = model.url if row.steps[1][:2] != ("fail", 0) else "http://127.0.0.1:9"
                    return await self._play(row, backend, program=sys.executable, base_url=url, protocol="anthropic")
            return await self._play(row, backend, program=str(self._program))

    async def _play(self, row: Row, name: str, **role: str) -> Played:
        role |= {"program": row.program} if row.program else {}
        story = json.dumps({"dialect": name, "steps": row.steps})
        env = {"FAKE_WORKER": story, "AURA_AGENT_MAX_RETRIES": "0"}
        hand = Hand(Role.FLASH, make_backend(name), RoleSettings(name, "key", command="worker", env=env, **role))
        job = self._job(row, hand)
        launch = hand.backend.launch(job)
        ladder = tuple((number, grace * HASTE) for number, grace in launch.stop_signals)
        worker = await LocalRuntime().start(launch.model_copy(update={"stop_signals": ladder}), job.folder, "A1-1")
        self._workers.append(worker)
        watch = Watch(worker, hand, job, ran=0.0, later=self._later)
        running = asyncio.create_task(watch.run())
        if row.stop or row.kind is EndKind.LOST:
            await until((job.workspace / "ready").exists)
        if row.kind is EndKind.LOST:
            running.cancel()
            ending, record = await self._vanish(worker, hand, job)
            return Played(ending, record, watch.seen, job.workspace, living(job.workspace, worker))
        if row.stop:
            watch.stop(EndKind.KILLED, "stopped by you")
        ending, _ = await running
        record = await worker.swept()
        return Played(ending, record, watch.seen, job.workspace, living(job.workspace, worker))

    def _job(self, row: Row, hand: Hand) -> Job:
        session = str(uuid.uuid4())
        root = self._folder / session
        folders = {part: root / part for part in ("workspace", "home", "folder")}
        for folder in folders.values():
            folder.mkdir(parents=True)
        (folders["home"] / "tmp").mkdir()
        return Job(
            prompt="Make made.txt.",
            settings=hand.settings,
            session=session,
            max_turns=row.turns,
            budget=row.budget,
            **folders,
        )

    async def _vanish(self, worker: LocalWorker, hand: Hand, job: Job) -> tuple[Ending, ExitRecord]:
        """All of it dies at once while nobody watches; the next engine finds what is left."""
        self.kill(worker)
        await until(lambda: not living(job.workspace, worker))
        assert await LocalRuntime().adopt(job.folder) is None
        found: list[tuple[Ending, ExitRecord]] = []

        async def ended(_task: str, _n: int, ending: Ending, record: ExitRecord) -> None:
            found.append((ending, record))

        state = SimpleNamespace(tasks={"A1": SimpleNamespace(attempts=[None], stop_asked=False)})
        one: Any = SimpleNamespace(_job=lambda *_: (hand, job), _worker_ended=ended)
        one._recorder = SimpleNamespace(state=state)
        reason = "its worker is gone"
        await Supervisor.collect_exited(one, "A1", 1, ExitRecord(error=reason), lost=reason)
        return found[0]

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def kill(worker: LocalWorker) -> None:
        """End it and its shim, whatever they are at."""
        below = shim.descendants(worker.shim.pid)
        shim.send([worker.shim.pid, *below], signal.SIGKILL)
        worker.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(worker.shim.pid, 0)

    def close(self) -> None:
        """End what is left."""
        for worker in self._workers:
            self.kill(worker)


def brain(row: Row) -> Callable[[Ask], Say]:
    """A model that has the real agent play the row; its last answer comes again and again."""
    answers = [ANSWERS[str(step[0])](*step[1:]) for step in row.steps[1:]]
    return lambda ask: answers[min(ask.rounds(), len(answers) - 1)](ask)


def living(workspace: Path, worker: LocalWorker | None = None) -> tuple[int, ...]:
    """Which of the processes that it started, or is, still live."""
    noted = workspace / "pids"
    pids = [int(word) for word in noted.read_text().split()] if noted.exists() else []
    pids += [worker.record.pid, worker.shim.pid] if worker else []
    return tuple(pid for pid in pids if shim.start_time(pid))


async def until(what: Callable[[], object]) -> None:
    """Waits for something that another process does."""
    while not what():  # noqa: ASYNC110 (other processes do not set events)
        await asyncio.sleep(0.01)
