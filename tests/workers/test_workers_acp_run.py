"""Backend `acp` at work: a fake agent and real ones under the real shim, with an engine that dies on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from aura_engine.core.model import Ending, EndKind, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.demo.script import Ask, Say, say, shell
from aura_engine.demo.server import ScriptedModel
from aura_engine.runtimes import shim
from aura_engine.runtimes.local import LocalRuntime, LocalWorker
from aura_engine.workers.acp import Acp
from aura_engine.workers.base import Job, RoleSettings, Seen
from aura_engine.workers.tail import Tail

FAKE = f"{sys.executable} {Path(__file__).with_name('fake_acp_agent.py')}"


class Engine:
    """What a supervisor does with a worker, as far as this backend is concerned."""

    def __init__(self, worker: LocalWorker, job: Job) -> None:
        self.worker = worker
        self.seen = Seen()
        self.signals: list[Signal] = []
        self.parser = Acp().parser(job)
        self.news = asyncio.Event()
        self._job = job
        self._sent = worker.sent()
        self._tail = Tail(worker.folder / "output.jsonl", self.parser, self._heard, self._reply)

    def _reply(self, line: str) -> None:
        if line.rstrip("\n") not in self._sent:
            self.worker.send(line)

    def _heard(self, signals: list[Signal]) -> None:
        self.signals += signals
        self.seen.add_all(signals)
        self.news.set()
        if self.seen.finished is not None or self.seen.failed is not None:
            self.worker.close_input()

    async def until(self, kind: SignalKind, then: Callable[[], object] = lambda: None) -> None:
        """Reads on until such a signal came, then does something; the worker goes on without an engine."""
        following = asyncio.create_task(self._tail.follow())
        async with asyncio.timeout(30):
            while not any(signal.kind is kind for signal in self.signals):
                await self.news.wait()
                self.news.clear()
        following.cancel()
        then()

    async def finish(self) -> Ending:
        """Reads on to the end."""
        following = asyncio.create_task(self._tail.follow())
        async with asyncio.timeout(45):
            record = await self.worker.wait()
        following.cancel()
        await self._tail.drain()
        return Acp().ending(record, self.seen, (self.worker.folder / "error.log").read_text())


Start = Callable[..., Awaitable[tuple[LocalWorker, Job]]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts an agent; what still runs at the end is killed."""
    workers: list[LocalWorker] = []

    async def starter(command: str, **role: str) -> tuple[LocalWorker, Job]:
        settings = RoleSettings(backend="acp", command=command, **role)
        folders = {name: tmp_path / name for name in ("workspace", "home", "folder")}
        for folder in folders.values():
            folder.mkdir()
        session = "11111111-2222-4333-8444-555555555555"
        job = Job(prompt="Do it.", settings=settings, session=session, max_turns=50, budget=600.0, **folders)
        launch: LaunchSpec = Acp().launch(job)
        worker = await LocalRuntime().start(launch, job.folder, "A1-1")
        workers.append(worker)
        return worker, job

    yield starter
    for worker in workers:
        shim.send([*shim.descendants(worker.shim.pid), worker.shim.pid], signal.SIGKILL)
        worker.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(worker.shim.pid, 0)  # noqa: ASYNC222 (it was just killed)


async def adopted(worker: LocalWorker, job: Job) -> Engine:
    """The engine that comes after one that is gone."""
    worker.close()
    found = await LocalRuntime().adopt(worker.folder)
    assert isinstance(found, LocalWorker)
    return Engine(found, job)


def prompts_in(worker: LocalWorker) -> int:
    return (worker.folder / "input.jsonl").read_text().count('"method":"session/prompt"')


@pytest.mark.parametrize("how", ["work", "curious"])
async def test_an_agent_does_its_work(start, how):
    worker, job = await start(f"{FAKE} {how}")
    engine = Engine(worker, job)
    found = await engine.finish()
    assert (found.kind, found.claims, found.session) == (EndKind.FINISHED, "I made it.", "s1")
    assert found.usage == Usage(input=100, output=7, cache_read=30)
    assert (job.workspace / "made.txt").read_text() == "Do it.\n"
    assert [s.text for s in engine.signals if s.kind is SignalKind.MESSAGE] == ["I made it."]


@pytest.mark.parametrize(
    ("how", "kind"),
    [("limit", EndKind.RATE_LIMIT), ("login", EndKind.CREDENTIALS), ("version", EndKind.BAD_REQUEST)],
)
async def test_an_agent_that_cannot_work_ends(start, how, kind):
    worker, job = await start(f"{FAKE} {how}")
    found = await Engine(worker, job).finish()
    assert found.kind is kind
    assert found.retry_after == (1200 if how == "limit" else None)


async def test_a_worker_that_outlives_its_engine_is_taken_over(start):
    worker, job = await start(f"{FAKE} gate")
    gate = job.workspace / "gate"
    os.mkfifo(gate)
    await Engine(worker, job).until(SignalKind.TOOL)
    engine = await adopted(worker, job)
    await asyncio.to_thread(gate.write_text, "go")
    found = await engine.finish()
    assert (found.kind, found.claims) == (EndKind.FINISHED, "I made it.")
    assert (job.workspace / "made.txt").read_text() == "Do it.\n"
    assert prompts_in(engine.worker) == 1
    assert engine.seen.tools == 2


async def test_a_message_outlives_the_engine_that_sent_it(start):
    """Its answer is waited for, also where the prompt's came first."""
    worker, job = await start(f"{FAKE} steer")
    gate = job.workspace / "gate"
    os.mkfifo(gate)
    first = Engine(worker, job)
    await first.until(SignalKind.TOOL, lambda: worker.send(first.parser.message("And this.")))
    engine = await adopted(worker, job)
    await asyncio.to_thread(gate.write_text, "go")
    found = await engine.finish()
    assert found.kind is EndKind.FINISHED
    assert (job.workspace / "made.txt").read_text() == "And this.\n"
    assert prompts_in(engine.worker) == 2


# ---- real agents


def brain(ask: Ask) -> Say:
    if not any(name in ask.tools for name in ("bash", "run_shell_command")):
        return say("A title")
    done = len(ask.results())
    return say("all done") if done else say("I will write it.", shell(ask, "echo hello >> hello.txt"))


REAL = [
    pytest.param("qwen --acp", marks=pytest.mark.cli("qwen")),
    pytest.param("opencode acp --pure", marks=pytest.mark.cli("opencode")),
]


@pytest.mark.parametrize("command", REAL)
@pytest.mark.timeout(120)
async def test_a_real_agent_works_and_is_taken_over_in_the_middle(start, command):
    async with ScriptedModel(brain) as model:
        role = {"api_key": "key", "base_url": f"{model.url}/v1", "model": "demo-pro", "protocol": "openai"}
        worker, job = await start(command, **role)
        await Engine(worker, job).until(SignalKind.MESSAGE)
        engine = await adopted(worker, job)
        found = await engine.finish()
    assert (found.kind, found.claims) == (EndKind.FINISHED, "all done")
    assert (job.workspace / "hello.txt").read_text() == "hello\n"
    assert prompts_in(engine.worker) == 1
    assert (engine.seen.turns, engine.seen.tools, engine.seen.unknown) == (2, 1, 0)
    assert found.usage.input > 1000


@pytest.mark.parametrize("command", REAL)
@pytest.mark.timeout(120)
async def test_a_real_agent_that_is_refused_says_so(start, command):
    async with ScriptedModel(lambda _: say(status=401, error_text="Incorrect API key provided")) as model:
        role = {"api_key": "key", "base_url": f"{model.url}/v1", "model": "demo-pro", "protocol": "openai"}
        worker, job = await start(command, **role)
        found = await Engine(worker, job).finish()
    assert found.kind is EndKind.CREDENTIALS
    assert "Incorrect API key" in found.detail
