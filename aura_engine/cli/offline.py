"""Commands to a run without an engine: they stand in the journal, and the next start goes by them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from aura_engine.clock import SystemClock
from aura_engine.core.commands import Answer, Approve, Command, Reject, RetryTask, answer_of, refusal
from aura_engine.core.events import QuestionAnswered, Requested
from aura_engine.core.state import RunState
from aura_engine.journal.lock import OwnerLock
from aura_engine.journal.store import Journal
from aura_engine.recorder import Recorder

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def note(folder: Path, command: dict[str, Any]) -> str:
    """Journal a command that changes the state alone: "" when taken, else why not. OwnedError: an engine has it."""
    return asyncio.run(_note(folder, _COMMAND.validate_python(command)))


async def _note(folder: Path, command: Command) -> str:
    with OwnerLock.acquire(folder / "lock"):
        recorder = Recorder(Journal.open(folder / "journal.db"), SystemClock())
        try:
            recorder.replay()
            refused = refusal(recorder.state, command)
            if not refused:
                await recorder.record(_event(recorder.state, command))
            return refused
        finally:
            await recorder.journal.close()


def _event(state: RunState, command: Command) -> QuestionAnswered | Requested:
    if isinstance(command, Answer | Approve | Reject):
        return answer_of(state, command)
    text = command.instructions if isinstance(command, RetryTask) else ""
    return Requested(command=command.kind, task=getattr(command, "task", ""), text=text, actor=command.actor)
