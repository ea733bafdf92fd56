"""What takes a command back, where that can be had."""

from __future__ import annotations

from aura_engine.core.commands import AddTask, Command, DropTask, EditTask, Kill, Pause, Resume, RetryTask
from aura_engine.core.state import RunState


def inverse(state: RunState, command: Command) -> Command | None:
    """The command that undoes `command`, made from the state before it; None where nothing does.

    A dropped task comes back as a task of the person's own under a new id: what is archived stays so. A group does not.
    """
    match command:
        case Pause():
            return Resume(task=command.task)
        case Resume():
            return Pause(task=command.task)
        case Kill():
            return RetryTask(task=command.task)
        case DropTask():
            spec = state.tasks[command.task].spec
            if spec.group:
                return None
            return AddTask(
                title=spec.title,
                instructions=spec.instructions,
                parent=spec.parent,
                needs=spec.needs,
                checks=spec.checks,
                difficulty=spec.difficulty,
            )
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
