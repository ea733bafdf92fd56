"""A small task for one worker: the real program with its real model, inside the containment, in a throw-away folder.

Whether it can work is told by the files that it left, never by its word.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import secrets
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from aura_engine.core.model import Ending, EndKind, Usage
from aura_engine.doctor.brains import Seat
from aura_engine.doctor.findings import Level
from aura_engine.errors import AuraError
from aura_engine.hands import Hand
from aura_engine.runtimes.containment import NONE, Containment
from aura_engine.runtimes.local import LocalRuntime, LocalWorker
from aura_engine.verify import inside
from aura_engine.watching import Watch
from aura_engine.workers.base import Job, Seen
from aura_engine.workspace.git import run_git

LIMIT = 180.0
"""Seconds for all of it."""
BUDGET = 130.0
"""Seconds that the worker has; the rest is for its start and its stop."""
PATIENCE = 150.0
MAX_TURNS = 12
MAX_BYTES = 4096
WORD, HASH = "word.txt", "hash.txt"
PROMPT = f"""\
# Task P1: Probe

This is a short test of whether you can work here. In the current folder:

1. Write a file `{WORD}` that holds only this word: {{word}}
2. Read `{WORD}` back.
3. Run this command: git hash-object {WORD} > {HASH}

Do nothing else. When that is done, say so in one sentence.
"""
NO_WORKER = "a model without tools is no worker"
PASSING = frozenset({EndKind.RATE_LIMIT, EndKind.OVERLOADED})
"""What a run waits out."""
WORDS = {
    EndKind.CREDENTIALS: ("cannot work, its service refuses the key", "Check {0}_API_KEY and {0}_BASE_URL."),
    EndKind.MONEY: ("cannot work, it has no credit left", "Top up the account behind {0}_API_KEY."),
    EndKind.RATE_LIMIT: ("is at a limit of its service; a run would wait", "Try again later."),
    EndKind.OVERLOADED: ("found its service overloaded; a run would wait", "Try again later."),
    EndKind.UNREACHABLE: ("could not reach its service", "Check {0}_BASE_URL and this machine's network."),
    EndKind.BAD_REQUEST: ("cannot work, its service refuses the request", "Check {0}_MODEL and {0}_BASE_URL."),
    EndKind.PERMISSION: ("was not permitted to work", "See what it says; run the program by hand to see more."),
    EndKind.OUT_OF_TIME: ("did not get done in time", "Is the model very slow? Try again, or set another {0}_MODEL."),
    EndKind.OUT_OF_TURNS: ("did not get done in a dozen turns", "Set {0}_MODEL to a more able model."),
    EndKind.HUNG: ("hung", "Run the program by hand to see what it waits for."),
}
"""How it ended → what that means, and what to do; {0} begins the names of the role's settings."""


@dataclass(frozen=True)
class Result:
    """What came of it. `text` goes on from the worker's name."""

    level: Level
    text: str
    cure: str = ""
    usage: Usage = field(default_factory=Usage)
    tools: int = 0
    """Calls of tools, where its stream tells them."""


class Errand:
    """One worker's. `folder` need not exist yet."""

    def __init__(self, seat: Seat, hand: Hand, containment: Containment, folder: Path) -> None:
        self.hand = hand
        self._prefix = f"AURA_{seat.role.upper()}{'_FALLBACK' if seat.fallback else ''}"
        self._containment = containment
        self._folder = folder
        self._workspace = folder / "work"
        self._word = secrets.token_hex(8)

    async def run(self) -> Result:
        """Give it the task and judge what it left. Within LIMIT seconds no process of it is left either."""
        job = Job(
            prompt=PROMPT.format(word=self._word),
            workspace=self._workspace,
            home=self._folder / "home",
            folder=self._folder / "attempt",
            settings=self.hand.settings,
            session=str(uuid.uuid4()),
            max_turns=MAX_TURNS,
            budget=BUDGET,
            contained=self._containment.name != NONE,
        )
        seen = Seen()
        try:
            ending, seen = await self._watched(job)
        except TimeoutError:
            ending = Ending(kind=EndKind.OUT_OF_TIME, detail=f"still running after {PATIENCE:g} s")
        except (AuraError, OSError) as error:
            cure = error.cure if isinstance(error, AuraError) else ""
            return Result(Level.PROBLEM, f"could not be started: {error}", cure)
        level, text, cure = await asyncio.to_thread(self._judged, ending, seen)
        return Result(level, text, cure, ending.usage, seen.tools)

    async def _watched(self, job: Job) -> tuple[Ending, Seen]:
        """From its start to its end, as in a run. TimeoutError, AuraError, OSError."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # it would hold keys
        background: set[asyncio.Task[object]] = set()

        def later(work: Coroutine[None, None, object]) -> None:
            background.add(asyncio.create_task(work))

        for path in (job.workspace, job.folder, job.home / "tmp"):
            await asyncio.to_thread(path.mkdir, 0o700, parents=True)
        await run_git(["init", "--quiet", str(job.workspace)], timeout=20)
        worker = await self._started(job)
        watch = Watch(worker, self.hand, job, ran=0.0, later=later)
        try:
            async with asyncio.timeout(PATIENCE):
                ending, _ = await watch.run()
            return ending, watch.seen
        finally:
            for task in background:
                task.cancel()
            await worker.stop()

    async def _started(self, job: Job) -> LocalWorker:
        """The running worker; where we are told to stop while it comes up, it is stopped once it is there."""
        runtime = LocalRuntime(self._containment)
        starting = asyncio.create_task(runtime.start(self.hand.backend.launch(job), job.folder, "doctor"))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await (await starting).stop()
            raise

    def _judged(self, ending: Ending, seen: Seen) -> tuple[Level, str, str]:
        """How good, in words, and what to do."""
        problem = self._problem()
        ended, cure = WORDS.get(ending.kind, ("ended badly", "Run the program by hand to see more."))
        ended, cure = f"{ended}: {ending.detail or ending.kind}", cure.format(self._prefix)
        if not problem:
            if ending.kind is EndKind.FINISHED:
                return Level.GOOD, "can work: it wrote the file and ran the command on it", ""
            return Level.WARNING, f"can work, but {ended}", cure
        if ending.kind in (EndKind.FINISHED, EndKind.GAVE_UP):
            model = f"Set {self._prefix}_MODEL to a model that calls tools"
            if not os.path.lexists(self._workspace / WORD) and not seen.tools:
                talked = f"only talked, {problem}: {NO_WORKER}"
                return Level.PROBLEM, talked, f"{model}, or {self._prefix}_BASE_URL to a service that passes them on."
            return Level.PROBLEM, f"said it was done, but {problem}: it cannot be relied on", f"{model} well."
        return (Level.WARNING if ending.kind in PASSING else Level.PROBLEM), ended, cure

    def _problem(self) -> str:
        """What is wrong with the files, in words; empty when both are as they have to be."""
        try:
            written, hashed = self._read(WORD), self._read(HASH)
        except inside.Unusable as error:
            return str(error)
        if written.strip() != self._word.encode():
            return f"{WORD} does not hold the word that it was given"
        blob = hashlib.sha1(b"blob %d\0" % len(written) + written, usedforsecurity=False).hexdigest()
        return "" if hashed.strip() == blob.encode() else f"{HASH} is not what the command prints"

    def _read(self, name: str) -> bytes:
        with open(inside.open_regular(self._workspace, name), "rb") as stream:  # noqa: PTH123 (a descriptor)
            return stream.read(MAX_BYTES)
