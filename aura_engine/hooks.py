"""Hooks: the person's own command or URL when something happens, as JSON. Never in the engine's way.

A hook is told at most once, and only of what happened while this engine ran. It has a time limit; some run at once and
some wait, what comes beyond that is dropped. A hook that fails is told of once. Commands are the person's own: they run
as the person, outside of any containment, and come from their own configuration only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.events_planner import CapReached, cap_words
from aura_engine.core.model import RunStatus, TaskStatus
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.recorder import Committed

log = logging.getLogger(__name__)

LIMIT = 30.0
"""Seconds for one hook."""
AT_ONCE = 4
WAITING = 64
_URL = ("http://", "https://")


class Hooks:
    """`targets` maps event names to a command or URL each; `say` tells the person that one failed."""

    def __init__(
        self,
        targets: Mapping[str, str],
        state: RunState,
        folder: Path,
        say: Callable[[str], None],
        *,
        limit: float = LIMIT,
    ) -> None:
        self._targets = targets
        self._state = state
        self._folder = folder
        self._say = say
        self._limit = limit
        self._room = asyncio.Semaphore(AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()
        self._failed: set[str] = set()
        self._over = False

    def heard(self, done: Committed) -> None:
        """A subscriber of the recorder's."""
        if self._targets and (found := _told(done.event)) is not None:
            name, facts = found
            self._over = self._over or done.event.kind == "run_ended"
            if name in self._targets:
                self._put(name, {**facts, "seq": done.seq, "time": iso(done.time)})

    async def aclose(self) -> None:
        """Wait for those under way, each no longer than its limit."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=self._limit + 5.0)
        for call in self._calls:
            call.cancel()

    def _put(self, name: str, facts: dict[str, Any]) -> None:
        if len(self._calls) >= WAITING:
            self._trouble(name, f"{WAITING} hooks wait already: one was dropped")
            return
        task = self._state.tasks.get(facts.get("task", ""))
        body = {
            "event": name,
            **facts,
            **({"title": one_line(task.spec.title)} if task else {}),
            "project": self._state.project,
            "task_file": self._state.task_file,
            "tokens": self._state.usage.tokens,
            "cost": round(self._state.usage.cost, 6),
        }
        call = asyncio.create_task(self._call(name, json.dumps(body).encode()), name=f"hook {name}")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, name: str, body: bytes) -> None:
        target = self._targets[name]
        async with self._room:
            try:
                async with asyncio.timeout(self._limit):
                    await (_post(target, body) if target.startswith(_URL) else self._run(target, body))
            except TimeoutError:
                self._trouble(name, f"it took longer than {self._limit:g} s")
            except Exception as error:  # whatever it is, it is no reason to end a run
                self._trouble(name, str(error) or type(error).__name__)

    async def _run(self, command: str, body: bytes) -> None:
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self._folder,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            start_new_session=True,
        )
        try:
            await process.communicate(body)
        finally:
            # All of it: what it left running would outlive the engine.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.returncode:
            raise OSError(f"it ended with status {process.returncode}")

    def _trouble(self, name: str, why: str) -> None:
        text = f"The hook for {name} failed: {one_line(why, 200)}."
        log.warning("%s", text)
        if name not in self._failed and not self._over:  # the run's last word stays its last
            self._failed.add(name)
            self._say(f"{text} It is not told of again.")


async def _post(url: str, body: bytes) -> None:
    import httpx2

    async with httpx2.AsyncClient(timeout=LIMIT) as client:
        response = await client.post(url, content=body, headers={"content-type": "application/json"})
        if response.status_code >= 400:
            raise OSError(f"it said HTTP {response.status_code}")


def _told(event: ev.Event) -> tuple[str, dict[str, Any]] | None:
    """The hook's event and what is to be told of it; None for what has none."""
    match event:
        case ev.RunEnded(status=RunStatus.ACHIEVED):
            return "goal_reached", {"reason": event.reason}
        case ev.RunEnded(status=RunStatus.FAILED):
            return "run_stuck", {"reason": event.reason}
        case ev.RunEnded(status=RunStatus.NEEDS_PERSON):
            return "person_needed", {"reason": event.reason}
        case ev.QuestionAsked():
            options = list(event.options)
            return "person_needed", {
                "task": event.task,
                "question": event.question,
                "id": event.id,
                "options": options,
                "reason": event.question,
            }
        case ev.RoleParked(until=None):
            return "person_needed", {"reason": f"{event.role}: {event.reason}"}
        case CapReached():
            return "cap_reached", {"scope": event.scope, "task": event.task, "reason": cap_words(event)}
        case ev.Landed():
            return "task_landed", {"task": event.task, "commit": event.commit}
        case ev.TaskSettled(status=TaskStatus.FAILED):
            return "task_failed", {"task": event.task, "reason": event.reason}
        case ev.RunEnded():
            return "", {}  # stopped by the person, who knows
        case _:
            return None
