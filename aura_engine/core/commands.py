"""The requests: what somebody asks for. The engine checks each against the state before anything happens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aura_engine.core.model import Frozen, TaskStatus
from aura_engine.core.state import RunState


class Pause(Frozen):
    """Start nothing new; running workers go on."""

    kind: Literal["pause"] = "pause"
    actor: str = "person"


class Resume(Frozen):
    """Undo a pause."""

    kind: Literal["resume"] = "resume"
    actor: str = "person"


class Kill(Frozen):
    """Stop a task's worker and leave the task stopped."""

    kind: Literal["kill"] = "kill"
    task: str
    actor: str = "person"


class Escalate(Frozen):
    """The task's next attempt runs as Pro."""

    kind: Literal["escalate"] = "escalate"
    task: str
    actor: str = "person"


class RetryTask(Frozen):
    """Run a failed, blocked or killed task again."""

    kind: Literal["retry"] = "retry"
    task: str
    instructions: str = ""
    actor: str = "person"


class Answer(Frozen):
    """Answer a question of the planner's."""

    kind: Literal["answer"] = "answer"
    question: str
    answer: str
    actor: str = "person"


class Stop(Frozen):
    """End the engine now; workers go on and are collected by the next start."""

    kind: Literal["stop"] = "stop"
    actor: str = "person"


Command = Annotated[
    Pause | Resume | Kill | Escalate | RetryTask | Answer | Stop,
    Field(discriminator="kind"),
]


def refusal(state: RunState, command: Command) -> str:
    """Why a command cannot be taken now, in a sentence; empty when it can."""
    task_id = getattr(command, "task", None)
    if task_id is not None and (task_id not in state.tasks or state.tasks[task_id].spec.group):
        return f"there is no task “{task_id}” that runs"
    status = state.tasks[task_id].status if task_id else None
    match command:
        case Kill() if status not in (TaskStatus.IN_PROGRESS, TaskStatus.PENDING, TaskStatus.BLOCKED):
            return f"{task_id} is {status}: there is nothing to stop"
        case RetryTask() if status not in (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED):
            return f"{task_id} is {status}: only failed, blocked or killed tasks can be retried"
        case Escalate() if status in (TaskStatus.COMPLETED, TaskStatus.ARCHIVED):
            return f"{task_id} is {status}"
        case Answer() if command.question not in state.questions:
            return f"there is no question {command.question}"
        case Answer() if state.questions[command.question].answer is not None:
            return f"the question {command.question} was answered already"
        case Pause() if state.paused:
            return "the run is paused already"
        case Resume() if not state.paused:
            return "the run is not paused"
        case _:
            return ""
