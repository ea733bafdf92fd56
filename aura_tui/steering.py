"""What each action does: asks where it must, sends the command, says what came of it, remembers how to undo it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aura_engine.core.commands import (
    AddTask,
    Answer,
    Ask,
    Command,
    EditTask,
    Message,
    Pause,
    Resume,
    Stop,
    Wake,
    refusal,
)
from aura_engine.core.model import RunStatus
from aura_engine.core.text import one_line
from aura_engine.report.words import count
from aura_tui.actions import action_of, command_for
from aura_tui.base import BaseApp
from aura_tui.bridge import Bridge
from aura_tui.figures import needs_you
from aura_tui.undo import inverse

REMEMBERED = 50
OTHER = "another answer …"


class Steering:
    """The person's hands. Every method runs in a worker of the application, so that it may wait for an answer."""

    def __init__(self, app: BaseApp, bridge: Bridge) -> None:
        self._app, self._bridge = app, bridge
        self._undo: deque[tuple[str, Command]] = deque(maxlen=REMEMBERED)
        self._own: dict[str, Callable[[str], Awaitable[None]]] = {
            "task.message": self.message,
            "task.add": self.add,
            "task.edit": self.edit,
            "run.pause": self.pause_run,
            "run.wake": self.wake,
            "run.answer": self.answer,
            "run.ask": self.ask,
            "run.undo": self.undo,
            "app.quit": self.quit,
        }

    def knows(self, id: str) -> bool:
        """The action of that id is a matter of this file."""
        return id in self._own or action_of(id).command is not None

    async def do(self, id: str, task: str) -> None:
        """Do what the action says, to this task where it is about one."""
        if id in self._own:
            await self._own[id](task)
            return
        action = action_of(id)
        command = command_for(action, self._app.model.state, task)
        if command is None or not self._may(command, task):
            return
        question = action.asks.format(task=self._named(task)) if action.asks else ""
        if question and not await self._confirmed(question):
            return
        if await self._send(command, f"{action.label} {task}") and action.said:
            self._app.say(action.said.format(task=task))

    async def message(self, task: str) -> None:
        """Tell a worker something."""
        if not self._may(Message(task=task or "?", text="?"), task):
            return
        text = await self._written(f"Message to {self._named(task)}")
        if text and await self._send(Message(task=task, text=text), f"message to {task}"):
            self._app.say(f"{task} is told.")

    async def add(self, task: str) -> None:
        """Add a task: its first line is the title."""
        text = await self._written("A new task: the first line is its title, the rest says what to do")
        if text:
            title, _, rest = text.partition("\n")
            await self._send(AddTask(title=title[:200], instructions=rest.strip()), "add")

    async def edit(self, task: str) -> None:
        """Change a task's instructions."""
        state = self._app.model.state
        if not self._may(EditTask(task=task, instructions=""), task):
            return
        old = state.tasks[task].spec.instructions
        text = await self._written(f"Instructions of {self._named(task)}", old)
        if text is not None and text != old:
            await self._send(EditTask(task=task, instructions=text), f"edit of {task}")

    async def pause_run(self, task: str) -> None:
        """Pause the run or let it go on."""
        paused = self._app.model.state.paused
        await self._send(Resume() if paused else Pause(), "go on" if paused else "pause")

    async def wake(self, task: str) -> None:
        """Wait no longer."""
        await self._send(Wake(), "wake")

    async def answer(self, task: str) -> None:
        """Answer the oldest open question, or go to what needs a person."""
        asked = self._app.model.state.open_questions()
        if not asked:
            self._go_to_need()
            return
        question = asked[0]
        about = f" ({question.task} waits)" if question.task else ""
        title = f"{one_line(question.question, 1000)}{about}"
        answer: str | None = None
        if question.options:
            choices = [(str(at), one_line(option, 200), "") for at, option in enumerate(question.options)]
            default = question.options.index(question.default) if question.default in question.options else 0
            chosen = await self._chosen(title, [*choices, ("other", OTHER, "")], str(default))
            if chosen is None:
                return
            answer = question.options[int(chosen)] if chosen != "other" else None
        if answer is None:
            answer = await self._written(title, "" if question.options else question.default)
        if answer:
            await self._send(Answer(question=question.id, answer=answer), "answer")

    def _go_to_need(self) -> None:
        """To the first task that waits for a person, or say that none does."""
        from aura_tui.widgets.tree import TaskTree

        state = self._app.model.state
        stuck = [
            task_id
            for task_id in self._app.model.outline.depth
            if state.tasks[task_id].status.value in ("blocked", "killed")
        ]
        if not stuck:
            need = needs_you(state, self._app.model.counts, time.time())
            again = f". {self._key('run.wake')} asks it again" if state.planner_failure and need else ""
            self._app.say(f"It needs you: {need}{again}." if need else "Nothing needs you now.")
            return
        for tree in self._app.screen.query(TaskTree):
            tree.reveal(stuck[0])

    async def ask(self, task: str) -> None:
        """Ask the planner something; it decides nothing by the answer."""
        question = await self._written("A question to the planner about the run; it changes nothing")
        if question and await self._send(Ask(question=question[:4000]), "question"):
            self._app.say("Asked: the answer comes as a notice, and stays among the decisions (d).")

    async def undo(self, task: str) -> None:
        """Take the last command back."""
        if not self._undo:
            self._app.say("There is nothing to undo here.")
            return
        what, command = self._undo.pop()
        why = await self._bridge.send(command)
        self._app.say(
            f"Cannot undo “{what}”: {why}." if why else f"Undone: {what}.", "warning" if why else "information"
        )

    async def quit(self, task: str) -> None:
        """Leave: with the run going on, or ending it first. An edit of the goal that is not saved is kept."""
        if not await self._keeps_the_edit():
            return
        if self._app.model.state.status is not RunStatus.RUNNING or self._app.link.read_only:
            self._app.leave()
            return
        busy = len(self._app.model.state.busy)
        done = f"{count(busy, 'worker')} at work now; nothing new starts"
        drain = [("drain", "Stop when the running workers are done", done)] if busy else []
        later = "the next start collects what the workers make" if busy else "the same command goes on with it"
        chosen = await self._chosen(
            "Leave Aura" + ("; your edit of the goal is kept, not saved" if self._app.model.draft else ""),
            [
                ("background", "Leave the run going", "in the background; aura attach brings this screen back"),
                *drain,
                ("now", "Stop now", later),
            ],
        )
        if chosen == "background":
            self._app.leave(background=True)
        elif chosen is not None:
            why = await self._bridge.send(Stop(drain=chosen == "drain"))
            if why:
                self._app.say(f"Not stopped: {why}.", "error")
            else:
                self._app.leave_at_end()

    async def _keeps_the_edit(self) -> bool:
        """False where it cannot be kept and the person wants to stay for it."""
        draft = self._app.model.draft
        if draft is None:
            return True
        try:
            await self._app.link.keep_draft((draft.base, draft.text))
        except (OSError, UnicodeError) as error:
            return await self._confirmed(f"Your edit of the goal cannot be kept ({error}). Leave, and lose it?")
        return True

    # The dialogs' widgets take 50 ms to import: not before somebody is asked something.

    async def _confirmed(self, question: str) -> bool:
        from aura_tui.screens.dialogs import Confirm

        return bool(await self._app.push_screen_wait(Confirm(question)))

    async def _chosen(self, title: str, choices: Sequence[tuple[str, str, str]], default: str = "") -> str | None:
        from aura_tui.screens.dialogs import Choice, Choose

        return await self._app.push_screen_wait(Choose(title, [Choice(*each) for each in choices], chosen=default))

    async def _written(self, title: str, text: str = "") -> str | None:
        from aura_tui.screens.dialogs import Write

        return await self._app.push_screen_wait(Write(title, text))

    def _may(self, command: Command, task: str) -> bool:
        why = refusal(self._app.model.state, command) if task else "no task is selected"
        if why:
            self._app.say(f"{why[0].upper()}{why[1:]}.", "warning")
        return not why

    async def _send(self, command: Command, what: str) -> bool:
        """True when it was accepted; else it has been said why not."""
        back = inverse(self._app.model.state, command)
        why = await self._bridge.send(command)
        if why:
            self._app.say(f"Refused: {why}.", "warning")
            return False
        if back is not None:
            self._undo.append((what, back))
        return True

    def _key(self, id: str) -> str:
        return self._app.keys.get(id) or action_of(id).key

    def _named(self, task: str) -> str:
        found = self._app.model.state.tasks.get(task)
        return f"{task} {one_line(found.spec.title, 80)}" if found else task
