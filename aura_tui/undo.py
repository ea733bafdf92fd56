"""What takes a command back, where that can be had."""

from __future__ import annotations

from aura_engine.core.commands import Command, DropTask, EditTask, Kill, Pause, Restore, Resume, RetryTask
from aura_engine.core.state import RunState


def inverse(state: RunState, command: Command) -> Command | None:
    """The command that undoes `command`, made from the state before it; None where nothing does.

    What was dropped comes back under a new id: what is archived stays so.
    """
    match command:
        case Pause():
            return Resume(task=command.task)
        case Resume():
            return Pause(task=command.task)
        case Kill():
            return RetryTask(task=command.task)
        case DropTask():
            return Restore(task=command.task)
        case EditTask():
            spec = state.tasks[command.task].spec
            return EditTask(
                task=command.task,
                instructions=None if command.instructions is None else spec.instructions,
                needs=None if command.needs is None else spec.needs,
                difficulty=None if command.difficulty is None else spec.difficulty,
            )
        case _:
            return None
