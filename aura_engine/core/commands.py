"""The requests: what somebody asks for. The engine checks each against the state before anything happens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aura_engine.core.budget import NOTHING, TASK_SETTINGS, past
from aura_engine.core.events import QuestionAnswered
from aura_engine.core.model import Check, Difficulty, Frozen, TaskStatus
from aura_engine.core.state import RunState


class Pause(Frozen):
    """Start nothing new, running workers go on; or, with a task, freeze its worker and start no other for it."""

    kind: Literal["pause"] = "pause"
    task: str = ""
    actor: str = "person"


class Resume(Frozen):
    """Undo a pause, of the run or of a task."""

    kind: Literal["resume"] = "resume"
    task: str = ""
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


class Message(Frozen):
    """Tell a worker something: now where its program can be told, else with its next attempt."""

    kind: Literal["message"] = "message"
    task: str
    text: str = Field(min_length=1, max_length=20_000)
    actor: str = "person"


class Wake(Frozen):
    """Do not wait any longer: ask the planner and start workers again now, whatever limit they waited for."""

    kind: Literal["wake"] = "wake"
    actor: str = "person"


class AddTask(Frozen):
    """A task of the person's own. Without checks the planner is asked for one that proves it."""

    kind: Literal["add"] = "add"
    title: str = Field(min_length=1, max_length=200)
    instructions: str = Field(default="", max_length=20_000)
    parent: str = ""
    needs: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    difficulty: Difficulty = Difficulty.NORMAL
    actor: str = "person"


class EditTask(Frozen):
    """Change a task that has not landed; None leaves a field as it is. A running worker goes on with the old words."""

    kind: Literal["edit"] = "edit"
    task: str
    instructions: str | None = Field(default=None, max_length=20_000)
    needs: tuple[str, ...] | None = None
    difficulty: Difficulty | None = None
    actor: str = "person"


class DropTask(Frozen):
    """A task, or a group with all below it, is no longer wanted; a running worker is stopped."""

    kind: Literal["drop"] = "drop"
    task: str
    actor: str = "person"


class Restore(Frozen):
    """What was dropped is wanted after all: a task, or a group with all dropped tasks below it, under new ids."""

    kind: Literal["restore"] = "restore"
    task: str
    actor: str = "person"


class Ask(Frozen):
    """Ask the planner something about the run; the answer comes as an event."""

    kind: Literal["ask"] = "ask"
    question: str = Field(min_length=1, max_length=4000)
    actor: str = "person"


class Approve(Frozen):
    """The plan that waits for the person may start."""

    kind: Literal["approve"] = "approve"
    actor: str = "person"


class Reject(Frozen):
    """It may not: the planner is told why and plans again."""

    kind: Literal["reject"] = "reject"
    why: str = Field(min_length=1, max_length=20_000)
    actor: str = "person"


class Stop(Frozen):
    """End the engine: now (workers go on and are collected by the next start), or once the running workers are done."""

    kind: Literal["stop"] = "stop"
    drain: bool = False
    actor: str = "person"


Command = Annotated[
    Pause
    | Resume
    | Kill
    | Escalate
    | RetryTask
    | Answer
    | Message
    | Wake
    | AddTask
    | EditTask
    | DropTask
    | Restore
    | Ask
    | Approve
    | Reject
    | Stop,
    Field(discriminator="kind"),
]


def answer_of(state: RunState, command: Answer | Approve | Reject) -> QuestionAnswered:
    """The answer that a command gives; of one that `refusal` let pass."""
    if isinstance(command, Answer):
        return QuestionAnswered(id=command.question, answer=command.answer)
    asked = state.unapproved
    assert asked is not None
    return QuestionAnswered(id=asked.id, answer="approve" if isinstance(command, Approve) else command.why)


def dropped(state: RunState, task_id: str) -> list[str]:
    """A task that was dropped, with those below it that were, in the order of the plan."""
    below = (each for each in state.tasks if each == task_id or each.startswith(f"{task_id}."))
    return [each for each in below if state.tasks[each].status is TaskStatus.ARCHIVED]


_OVER = (TaskStatus.COMPLETED, TaskStatus.ARCHIVED)


def refusal(state: RunState, command: Command) -> str:
    """Why a command cannot be taken now, in a sentence; empty when it can."""
    of_run = not hasattr(command, "task") or (isinstance(command, Pause | Resume) and not command.task)
    task_id = "" if of_run else str(getattr(command, "task", ""))
    task = state.tasks.get(task_id)
    if not of_run and (task is None or (task.spec.group and not isinstance(command, DropTask | EditTask | Restore))):
        return f"there is no task “{task_id}” that runs"
    status = task.status if task else None
    match command:
        case Kill() if status not in (TaskStatus.IN_PROGRESS, TaskStatus.PENDING, TaskStatus.BLOCKED):
            return f"{task_id} is {status}: there is nothing to stop"
        case RetryTask() if status not in (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED):
            return f"{task_id} is {status}: only failed, blocked or killed tasks can be retried"
        case RetryTask() if task and (measure := past(task.spent, NOTHING, state.caps.task)):
            return f"{task_id} has used up what a task may ({TASK_SETTINGS[measure]}): raise that first"
        case Escalate() | Message() | Pause() | EditTask() | DropTask() if status in _OVER:
            return f"{task_id} is {status}"
        case Restore() if not dropped(state, task_id):
            return f"nothing of {task_id} was dropped"
        case Pause() if task and task.paused_at:
            return f"{task_id} is paused already"
        case Resume() if task and not task.paused_at:
            return f"{task_id} is not paused"
        case Answer() if command.question not in state.questions:
            return f"there is no question {command.question}"
        case Answer() if state.questions[command.question].answer is not None:
            return f"the question {command.question} was answered already"
        case Approve() | Reject() if state.unapproved is None:
            return "no plan waits for your approval"
        case Pause() if not task and state.paused:
            return "the run is paused already"
        case Resume() if not task and not state.paused:
            return "the run is not paused"
        case _:
            return ""
