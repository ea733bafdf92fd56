"""The commands that ask a running engine for one thing: what each takes, sends and says is one entry of a table."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_engine.cli.options import add_data_options, command, print_json, run_folder
from aura_engine.control.protocol import STARTING
from aura_engine.errors import AuraError, OwnedError, UsageError

if TYPE_CHECKING:
    from aura_engine.control.client import Connection

Events = list[dict[str, Any]]
Options = tuple[tuple[str, dict[str, Any]], ...]

TASK: Options = (("task", {"metavar": "TASK", "help": "a task's id, as A1.2 (aura progress shows them)"}),)
PERHAPS_TASK: Options = (("task", {"metavar": "TASK", "nargs": "?", "default": "", "help": "only this task"}),)
DIFFICULTY = ("easy", "normal", "hard")
START_LIMIT = 10.0
"""Seconds that a command waits for an engine that is coming up."""
FOR_LATER = frozenset({"retry", "escalate", "resume", "approve", "reject", "kill"})
"""What can be asked of a run whose engine has ended: a task that was stopped, say, is retried by the next start."""
STOP_LIMIT = 30.0
"""Seconds that `stop` waits for the engine to have ended."""


@dataclass(frozen=True)
class Ask:
    """One command. `said` makes the sentence for a person from the options and the events that it made happen."""

    help: str
    options: Options
    said: Callable[[argparse.Namespace, Events], str]
    fields: Callable[[argparse.Namespace], dict[str, Any]]
    """The command's fields besides its kind."""


def _event(events: Events, kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [row["event"] for row in events if row["kind"] == kind]
    return found[0] if found else {}


def _task(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"task": arguments.task}


def _check(run: str) -> dict[str, Any]:
    return {"name": " ".join(run.split())[:120], "run": run}


def _add(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "title": arguments.title,
        "instructions": arguments.instructions,
        "parent": arguments.parent,
        "needs": arguments.needs or [],
        "checks": [_check(run) for run in arguments.check],
        "difficulty": arguments.difficulty or "normal",
    }


def _edit(arguments: argparse.Namespace) -> dict[str, Any]:
    wanted = {name: getattr(arguments, name) for name in ("instructions", "needs", "difficulty")}
    return {"task": arguments.task, **{name: value for name, value in wanted.items() if value is not None}}


def _said_message(arguments: argparse.Namespace, events: Events) -> str:
    given = _event(events, "message_given")
    if given.get("injected"):
        return f"Brought to {arguments.task}#{given['n']}, which works on."
    return f"Kept for the next attempt at {arguments.task}."


def _said_added(arguments: argparse.Namespace, events: Events) -> str:
    added: Events = _event(events, "plan_changed").get("add", [])
    return "\n".join(str(task["id"]) for task in added if not task.get("group"))


def _said_kill(arguments: argparse.Namespace, events: Events) -> str:
    stopped = bool(_event(events, "task_settled"))
    return f"{arguments.task} is stopped." if stopped else f"{arguments.task} is being stopped."


def _said_stop(arguments: argparse.Namespace, events: Events) -> str:
    return "It ends once the running workers are done." if arguments.drain else "It has ended; running workers go on."


def _needs(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


PLANNED: Options = (
    ("--instructions", {"metavar": "TEXT", "help": "what its worker is told"}),
    ("--needs", {"metavar": "TASKS", "type": _needs, "help": "tasks that must be done before, as A1,A2"}),
    ("--difficulty", {"choices": DIFFICULTY}),
)

ASKS: dict[str, Ask] = {
    "pause": Ask(
        "start nothing new; with a task: freeze its worker",
        PERHAPS_TASK,
        lambda a, _: f"{a.task} is paused." if a.task else "Paused: nothing new starts, running workers go on.",
        _task,
    ),
    "resume": Ask(
        "undo a pause, of the run or of a task", PERHAPS_TASK, lambda a, _: f"{a.task or 'The run'} goes on.", _task
    ),
    "kill": Ask("stop a task's worker and leave the task stopped", TASK, _said_kill, _task),
    "escalate": Ask("the task's next attempt runs as Pro", TASK, lambda a, _: f"{a.task} goes to Pro next.", _task),
    "retry": Ask(
        "run a failed, blocked or killed task again",
        (*TASK, ("--instructions", {"metavar": "TEXT", "default": "", "help": "what to do differently"})),
        lambda a, _: f"{a.task} is tried again.",
        lambda a: {"task": a.task, "instructions": a.instructions},
    ),
    "message": Ask(
        "tell a task's worker something",
        (*TASK, ("text", {"metavar": "TEXT", "nargs": "+"})),
        _said_message,
        lambda a: {"task": a.task, "text": " ".join(a.text)},
    ),
    "approve": Ask(
        "let the plan that waits for you start (AURA_APPROVE=plan)", (), lambda _, __: "The plan starts.", lambda _: {}
    ),
    "reject": Ask(
        "say what is wrong with the plan that waits for you; the planner makes another",
        (("why", {"metavar": "WHY", "nargs": "+", "help": "your words"}),),
        lambda _, __: "The planner is told.",
        lambda a: {"why": " ".join(a.why)},
    ),
    "wake": Ask(
        "do not wait for limits: ask the planner and start workers now",
        (),
        lambda _, __: "Nothing waits any longer.",
        lambda _: {},
    ),
    "stop": Ask(
        "end the engine; running workers go on and are collected by the next start",
        (("--drain", {"action": "store_true", "help": "start nothing more, end when the running workers are done"}),),
        _said_stop,
        lambda a: {"drain": a.drain},
    ),
    "add": Ask(
        "add a task of your own to the plan; prints its id",
        (
            ("title", {"metavar": "TITLE"}),
            ("--instructions", {"metavar": "TEXT", "default": "", "help": "what its worker is told"}),
            ("--parent", {"metavar": "TASK", "default": "", "help": "the group that it belongs to"}),
            *PLANNED[1:],
            ("--check", {"metavar": "CMD", "action": "append", "default": [], "help": "must succeed; may be repeated"}),
        ),
        _said_added,
        _add,
    ),
    "edit": Ask("change a task that has not landed", (*TASK, *PLANNED), lambda a, _: f"{a.task} is changed.", _edit),
    "drop": Ask(
        "a task, or a group with all below it, is no longer wanted", TASK, lambda a, _: f"{a.task} is dropped.", _task
    ),
    "restore": Ask(
        "what was dropped is wanted after all: a task, or a group with all that was dropped below it; it has a new id",
        TASK,
        lambda a, _: f"{a.task} is planned again: aura status shows its new id.",
        _task,
    ),
}

EXAMPLES: dict[str, tuple[str, ...]] = {
    "pause": ("aura pause        nothing new starts", "aura pause A1.2   freeze its worker"),
    "resume": ("aura resume        the whole run", "aura resume A1.2   only this task"),
    "kill": ("aura kill A1.2   its work is kept: aura retry A1.2 takes it up again",),
    "escalate": ("aura escalate A1.2   for a task that Flash will not manage",),
    "retry": ('aura retry A1.2 --instructions "use the local file, the site is down"',),
    "message": ("aura message A1.2 the API key is in the environment   the words need no quotes",),
    "approve": ("aura approve   aura progress shows the plan",),
    "reject": ("aura reject split A2: the parser and the tests apart",),
    "wake": ("aura wake   after you have topped up the account, say",),
    "stop": (
        "aura stop           now; aura task.md goes on later",
        "aura stop --drain   when the running workers are done",
    ),
    "add": ('aura add "Write the man page" --needs A1,A2 --check "test -s aura.1"',),
    "edit": ('aura edit A1.2 --difficulty hard --instructions "by hand, without the library"',),
    "drop": ("aura drop A1.2", "aura drop A1   a group, with all below it"),
    "restore": ("aura restore A1.2",),
}


def parser(name: str) -> argparse.ArgumentParser:
    """The options of one of them."""
    ask = ASKS[name]
    made = command(name, f"{ask.help[0].upper()}{ask.help[1:]}.", *EXAMPLES[name])
    for option, settings in ask.options:
        made.add_argument(option, **settings)
    add_data_options(made)
    made.set_defaults(asked=name)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Ask the engine: 0 when it accepted, 1 with the reason when it refused. UsageError (2): nobody to ask."""
    ask = ASKS[arguments.asked]
    fields = ask.fields(arguments)
    if arguments.asked == "edit" and len(fields) == 1:
        raise UsageError("Nothing to change was given.", cure="Give --instructions, --needs or --difficulty.")
    folder = run_folder(arguments)
    try:
        events = _asked(folder, {"kind": arguments.asked, **fields})
    except Refused as refused:
        if not arguments.json:
            raise
        print_json({"accepted": False, "why": str(refused)})
        return refused.exit_status
    stopped = events is None and arguments.asked == "kill" and _stop_left(folder, arguments.task)
    if arguments.json:
        print_json({"accepted": True, "events": events})
    elif stopped:
        print(f"The worker of {arguments.task}, which went on alone, is being stopped. The next start keeps its work.")
    elif events is None:
        print("Noted. No engine runs: start the goal again and it takes effect.")
    else:
        print(ask.said(arguments, events))
    return 0


def _asked(folder: Path, command: dict[str, Any]) -> Events | None:
    """What the running engine made of it; None when none runs and it stands in the journal for the next one."""
    from aura_engine.control.client import NoEngine

    try:
        return request(folder, command)
    except NoEngine:
        if command["kind"] not in FOR_LATER:
            raise
    from aura_engine.cli.offline import note

    try:
        why = note(folder, command)
    except OwnedError as error:
        raise OwnedError(str(error), cure="It is just starting or ending: try again.") from error
    if why:
        raise Refused(_sentence(why))
    return None


def _stop_left(folder: Path, task: str) -> bool:
    from aura_engine.cli.offline import stop_left

    return stop_left(folder, task)


class Refused(AuraError):
    """The engine did not accept a command."""


def request(folder: Path, command: dict[str, Any]) -> Events:
    """Have a command carried out by the run in `folder`: the events that it made happen.

    Raises Refused with the engine's reason, NoEngine, AuraError when the answer does not come.
    """
    from aura_engine.control.client import Connection, Lost

    try:
        with Connection(folder, control=True) as connection:
            answer = _answered(connection, command)
            if answer["why"]:
                raise Refused(_sentence(str(answer["why"])))
            if command["kind"] == "stop" and not command["drain"]:
                _wait_for_end(connection, folder)
    except (Lost, OSError) as error:
        raise AuraError(
            f"The engine did not answer: {error.strerror or error}.", cure="aura status says whether it runs."
        ) from error
    return answer["events"]


def _answered(connection: Connection, command: dict[str, Any]) -> dict[str, Any]:
    """The answer, once the engine has come up far enough to give one."""
    deadline = time.monotonic() + START_LIMIT
    while True:
        answer = connection.ask({"type": "command", "command": command})
        if answer["why"] != STARTING or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)


def _wait_for_end(connection: Connection, folder: Path) -> None:
    """Until the engine has let go of the run, so that the next command can be a start. TimeoutError, OSError."""
    from aura_engine.journal.lock import owner

    deadline = time.monotonic() + STOP_LIMIT
    while (message := connection.receive(deadline - time.monotonic())) is not None and message["type"] != "bye":
        continue
    while owner(folder / "lock") is not None and time.monotonic() < deadline:
        time.sleep(0.01)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
