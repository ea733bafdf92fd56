"""One table of everything a person can do: bindings, the line of hints, the palette and the help screen are made of it.

Each row's id names it in the config file's keymap. A row that asks for a screen that is not there is left out: no key
does nothing. Only the dialogs, which show their own keys, have theirs beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.binding import Binding
from textual.keys import format_key

from aura_engine.core.commands import Command, DropTask, Escalate, Kill, Pause, Resume, RetryTask, refusal
from aura_engine.core.state import RunState
from aura_tui.places import PLACES

NAMED = {
    "question_mark": "?",
    "slash": "/",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "shift+left": "⇧←",
    "shift+right": "⇧→",
    "shift+f3": "⇧F3",
}
"""Keys whose names would be long."""
PlainCommand = Callable[[str], Command]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do."""

    id: str
    key: str
    label: str
    help: str
    group: str
    """`move`, `task`, `run`, `view`, `goal` or `app`: a heading of the help screen."""
    hint: bool = True
    """Shown in the line of hints."""
    command: PlainCommand | None = None
    """Makes the command for a task: what is refused now is said to be, with the reason."""
    place: str = ""
    """The screen it opens."""
    asks: str = ""
    """A question that is put before it is done; `{task}` stands for the task."""
    said: str = ""
    """What is said once it was accepted, where little else shows it."""

    @property
    def everywhere(self) -> bool:
        """A key of the whole application; else of the widgets and places that bind it (see `bound`)."""
        return self.group not in ("move", "goal") and self.id != "app.back"


def _pause_task(task: str) -> Command:
    return Pause(task=task)


ACTIONS: tuple[Action, ...] = (
    Action("move.up", "up", "up", "Up", "move"),
    Action("move.down", "down", "down", "Down", "move"),
    Action("move.page_up", "pageup", "page up", "A page up", "move"),
    Action("move.page_down", "pagedown", "page down", "A page down", "move"),
    Action("move.first", "home", "first", "To the beginning", "move"),
    Action("move.last", "end", "last", "To the end; an output is followed again", "move"),
    Action("move.follow", "f", "follow", "In an output: follow the end again", "move"),
    Action("move.fold", "left", "fold", "Fold, or go to the group above; in a timeline, the attempt before", "move"),
    Action("move.unfold", "right", "unfold", "Unfold, or go to the first below; in a timeline, the next", "move"),
    Action("move.before", "left_curly_bracket", "section before", "In a page: the section before", "move"),
    Action("move.next", "right_curly_bracket", "next section", "In a page: the next section", "move"),
    Action("move.pan_left", "shift+left,H", "pan left", "In a page: long lines to the left", "move"),
    Action("move.pan_right", "shift+right,L", "pan right", "In a page: long lines to the right", "move"),
    Action("task.detail", "enter", "detail", "Open the task: attempts, checks, diff, messages", "task", place="detail"),
    Action("task.pause", "space", "pause", "Freeze the task's worker, or let it go on", "task", command=_pause_task),
    Action(
        *("task.kill", "k", "kill", "Stop the task's worker and leave the task stopped", "task"),
        command=lambda task: Kill(task=task),
        asks="Stop the worker of {task}? What it has made so far is kept.",
    ),
    Action(
        *("task.escalate", "e", "escalate", "The task's next attempt runs as Pro", "task"),
        command=lambda task: Escalate(task=task),
        said="{task} goes to Pro next.",
    ),
    Action(
        *("task.retry", "r", "retry", "Run a failed, blocked or stopped task again", "task"),
        command=lambda task: RetryTask(task=task),
    ),
    Action("task.message", "m", "message", "Tell the task's worker something", "task"),
    Action("task.add", "a", "add", "Add a task of your own", "task", hint=False),
    Action("task.edit", "E", "edit", "Change the task's instructions", "task", hint=False),
    Action(
        *("task.drop", "x", "drop", "Drop the task, or the group with all below it", "task"),
        hint=False,
        command=lambda task: DropTask(task=task),
        asks="Drop {task}? A running worker is stopped.",
    ),
    Action("run.undo", "u", "undo", "Take back the last thing that you did here", "run", hint=False),
    Action("run.ask", "i", "ask", "Ask the planner something about the run", "run", hint=False),
    Action("run.answer", "n", "answer", "Answer what you are asked", "run", hint=False),
    Action("run.pause", "P", "pause run", "Start nothing new, or go on", "run", hint=False),
    Action("run.wake", "W", "wake", "Do not wait for limits any longer: try again now", "run", hint=False),
    Action("view.goal", "g", "goal", "Read and edit task.md", "view", place="goal"),
    Action(
        "view.decisions", "d", "decisions", "What the planner decided, why, and what it cost", "view", place="decisions"
    ),
    Action("view.timeline", "t", "timeline", "Attempts over time", "view", place="timeline"),
    Action(
        "view.receipts", "c", "receipts", "The goal's checks and their receipts", "view", hint=False, place="receipts"
    ),
    Action("view.logs", "l", "logs", "Go to the selected task's output, and back", "view"),
    Action("view.filter", "slash", "filter", "Show only tasks that fit; in an output, search", "view"),
    Action("view.next", "N", "next found", "The next place in the output, towards the end", "view", hint=False),
    Action("view.raw", "v", "raw", "The output as steps or as it is", "view", hint=False),
    Action("view.zoom", "z", "zoom", "Give one panel all the room, and back", "view", hint=False),
    Action("view.fold", "o", "fold all", "Fold or unfold all groups", "view", hint=False),
    Action("goal.save", "ctrl+s", "save", "Show what a save would change, then do it or not", "goal"),
    Action("goal.find", "ctrl+f", "find", "Find a text", "goal"),
    Action("goal.next", "f3", "next", "The next place that was found", "goal"),
    Action("goal.previous", "shift+f3", "found before", "The place before that was found", "goal"),
    Action("goal.problem", "f8", "next problem", "The next line with something wrong", "goal"),
    Action("goal.undo", "ctrl+z,super+z", "undo", "Take an edit back", "goal"),
    Action("goal.redo", "ctrl+y,super+y", "redo", "Do it again after all", "goal"),
    Action("goal.start", "ctrl+home", "start", "To the beginning of the text", "goal"),
    Action("goal.end", "ctrl+end", "end", "To the end of the text", "goal"),
    Action("app.theme", "T", "theme", "Choose the colours", "app", hint=False),
    Action("app.setup", "S", "set up", "Ask anew who plans and who works, for the next start", "app", hint=False),
    Action("app.help", "question_mark", "help", "All keys", "app"),
    Action("app.palette", "ctrl+p", "palette", "Find a command by its name", "app"),
    Action("app.back", "escape", "back", "Back out of what is open", "app"),
    Action("app.quit", "q", "quit", "Leave; the run can go on without the screen", "app", hint=False),
)


def available(actions: Iterable[Action] = ACTIONS) -> list[Action]:
    """The rows that do something here."""
    return [action for action in actions if not action.place or action.place in PLACES]


def action_of(id: str) -> Action:
    """The row of that id. KeyError when there is none."""
    return {action.id: action for action in ACTIONS}[id]


def bindings() -> list[Binding]:
    """The application's bindings; their ids are what a keymap names."""
    return [
        Binding(action.key, f"do('{action.id}')", action.label, show=False, tooltip=action.help, id=action.id)
        for action in available()
        if action.everywhere
    ]


def bound(id: str, action: str, *, priority: bool = False) -> Binding:
    """The row's key for a widget or a place, where `action` is what it does there."""
    row = action_of(id)
    return Binding(row.key, action, row.label, show=False, priority=priority, tooltip=row.help, id=id)


def command_for(action: Action, state: RunState, task: str) -> Command | None:
    """The command that the action is now: what is paused goes on. None for actions that send none by themselves."""
    if action.command is None:
        return None
    found = state.tasks.get(task)
    if action.id == "task.pause" and found is not None and found.paused_at:
        return Resume(task=task)
    return action.command(task)


def why_not(action: Action, state: RunState, task: str) -> str:
    """Why the action cannot be done now on this task; "" when it can."""
    command = command_for(action, state, task)
    if command is None:
        return ""
    return refusal(state, command) if task else "no task is selected"


def shown_key(action: Action, keymap: dict[str, str]) -> str:
    """The key as a person reads it, the config file's own where it has one."""
    key = keymap.get(action.id, action.key).split(",")[0]
    if key.startswith("ctrl+"):
        return f"^{key[5:]}"
    return NAMED.get(key, key.upper() if re.fullmatch(r"f\d+", key) else format_key(key))
