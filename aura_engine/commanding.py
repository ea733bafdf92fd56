"""What requests set in motion: the engine's answer to the commands of the screen, the command line and the socket."""

from __future__ import annotations

from collections.abc import Callable

from aura_engine.core.commands import (
    AddTask,
    Answer,
    Approve,
    Ask,
    Command,
    DropTask,
    EditTask,
    Kill,
    Message,
    Pause,
    Reject,
    Restore,
    Resume,
    RetryTask,
    Stop,
    answer_of,
    dropped,
)
from aura_engine.core.events import MessageGiven, Requested, TaskSettled
from aura_engine.core.model import TaskStatus
from aura_engine.planner import tools
from aura_engine.planner.draft import Draft, Refused
from aura_engine.recorder import Recorder
from aura_engine.wiring import Parts


class Commanding:
    """Carries out requests on the wired rooms. `stop(drain)` ends the engine, `wake` makes it look at the state.

    The rooms are asked for when they are needed: an engine can be stopped before it has any.
    """

    def __init__(
        self, recorder: Recorder, parts: Callable[[], Parts], wake: Callable[[], None], stop: Callable[[bool], None]
    ) -> None:
        self._recorder = recorder
        self._parts = parts
        self._wake = wake
        self._stop = stop

    def take(self, command: Command) -> str:
        """Carry out a request that the state allows; "" when accepted, else why not. Call it on the engine's loop."""
        recorder = self._recorder
        match command:
            case Answer() | Approve() | Reject():
                recorder.record(answer_of(recorder.state, command))
            case Message():
                self._message(command)
            case Ask():
                return self._parts().inquiries.put(command.question, command.actor)
            case AddTask() | EditTask() | DropTask() | Restore():
                return self._replan(command)
            case _:
                text = command.instructions if isinstance(command, RetryTask) else ""
                task = getattr(command, "task", "")
                recorder.record(Requested(command=command.kind, task=task, text=text, actor=command.actor))
                self._carry_out(command)
        self._wake()
        return ""

    def _carry_out(self, command: Command) -> None:
        """What a request sets in motion beyond the state that it changes."""
        state = self._recorder.state
        match command:
            case Kill():
                stopping = self._parts().supervisor.stop(command.task, "stopped by you")
                if not stopping and state.tasks[command.task].live is None:
                    settled = TaskSettled(task=command.task, status=TaskStatus.KILLED, reason="stopped by you")
                    self._recorder.record(settled)
            case Pause() | Resume() if command.task:
                self._parts().supervisor.freeze(command.task)
            case Stop():
                self._stop(command.drain)
            case _:
                pass

    def _message(self, command: Message) -> None:
        live = self._recorder.state.tasks[command.task].live
        injected = self._parts().supervisor.message(command.task, command.text)
        given = MessageGiven(
            task=command.task,
            n=live.n if live else 0,
            text=command.text,
            injected=injected,
            actor=command.actor,
        )
        self._recorder.record(given)

    def _replan(self, command: AddTask | EditTask | DropTask | Restore) -> str:
        """The person's own hand on the plan, held to the same rules as the planner's; why not, or ""."""
        draft = Draft(self._recorder.state, self._parts().planning.rules, by_person=True)
        try:
            match command:
                case AddTask():
                    task = tools.TaskArgs(
                        key="new",
                        title=command.title,
                        instructions=command.instructions,
                        needs=list(command.needs),
                        checks=list(command.checks),
                        difficulty=command.difficulty,
                    )
                    done = draft.add_tasks(tools.AddTasks(parent=command.parent, tasks=[task]))
                    done = f"{draft.keys['new']} {done.partition(':')[0]}"
                case EditTask():
                    change = command.model_dump(exclude={"kind", "actor", "task"}, exclude_none=True)
                    done = draft.change_task(tools.ChangeTask(id=command.task, **change))
                case DropTask():
                    done = draft.archive_tasks(tools.ArchiveTasks(ids=[command.task], reason="dropped by you"))
                case Restore():
                    done = _restore(draft, command.task)
        except Refused as error:
            return str(error)
        event = draft.event(f"{done} by you", 0, told=False)
        if event is not None:
            self._recorder.record(event)
        self._wake()
        return ""


def _restore(draft: Draft, task_id: str) -> str:
    """Plan anew what was dropped; what it needs of its own kind is what comes back with it. Refused."""
    state = draft.state
    again = {each: f"{each} again" for each in dropped(state, task_id)}
    made: dict[str, tools.TaskArgs] = {}
    tops: dict[str, list[tools.TaskArgs]] = {}
    for each, key in again.items():
        spec = state.tasks[each].spec
        made[each] = tools.TaskArgs(
            key=key,
            title=spec.title,
            instructions=spec.instructions,
            needs=[again.get(need, need) for need in spec.needs],
            checks=[*spec.checks, *spec.goal_checks],
            makes=list(spec.makes),
            difficulty=spec.difficulty,
        )
    for each, task in made.items():
        above = state.tasks[each].spec.parent
        if above in made:
            made[above].tasks.append(task)
        else:
            gone = above in state.tasks and state.tasks[above].status is TaskStatus.ARCHIVED
            tops.setdefault("" if gone else above, []).append(task)
    for parent, tasks in tops.items():
        draft.add_tasks(tools.AddTasks(parent=parent, tasks=tasks))
    return f"{task_id} brought back as {', '.join(draft.keys[task.key] for each in tops.values() for task in each)}"
