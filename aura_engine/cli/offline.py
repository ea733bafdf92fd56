"""Commands to a run without an engine: they stand in the journal, and the next start goes by them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from aura_engine.cli.options import told
from aura_engine.clock import SystemClock
from aura_engine.core.commands import Answer, Approve, Command, Kill, Reject, RetryTask, answer_of, refusal
from aura_engine.core.events import Event, Requested, TaskSettled
from aura_engine.core.model import TaskStatus
from aura_engine.core.state import RunState
from aura_engine.journal.lock import OwnerLock
from aura_engine.journal.store import Journal
from aura_engine.recorder import Recorder
from aura_engine.runtimes import processes, traces

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def note(folder: Path, command: dict[str, Any]) -> str:
    """Journal a command that changes the state alone: "" when taken, else why not. OwnedError: an engine has it."""
    return asyncio.run(_note(folder, _COMMAND.validate_python(command)))


def stop_left(folder: Path, task_id: str) -> bool:
    """Have the worker of a task that is noted as killed end; False where this machine has none.

    No lock is held: an engine that starts meanwhile reads the note and does the same. A container's is left to it.
    """
    live = told(folder)[0].tasks[task_id].live
    found = traces.told_in(folder / "attempts" / task_id / str(live.n)) if live else None
    return found is not None and processes.signal_process(found.shim, signal.SIGTERM)


async def _note(folder: Path, command: Command) -> str:
    with OwnerLock.acquire(folder / "lock"):
        recorder = Recorder(Journal.open(folder / "journal.db"), SystemClock())
        try:
            recorder.replay()
            refused = refusal(recorder.state, command)
            if not refused:
                await recorder.record(*_events(recorder.state, command))
            return refused
        finally:
            await recorder.journal.close()


def _events(state: RunState, command: Command) -> list[Event]:
    if isinstance(command, Answer | Approve | Reject):
        return [answer_of(state, command)]
    text = command.instructions if isinstance(command, RetryTask) else ""
    task_id = getattr(command, "task", "")
    events: list[Event] = [Requested(command=command.kind, task=task_id, text=text, actor=command.actor)]
    if isinstance(command, Kill) and state.tasks[task_id].live is None:
        events.append(TaskSettled(task=task_id, status=TaskStatus.KILLED, reason="stopped by you"))
    return events
