"""Small scripted brains: a planner that submits a given plan, workers that run given commands, a judge."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from aura_engine.demo.script import Ask, Brain, Say, ToolUse, call, done, say, shell

TRIGGER_LINE = "# Why you are asked:"
TRIGGERS = (
    "goal_new",
    "goal_changed",
    "task_failed",
    "unproven",
    "checks_fail",
    "stalled",
    "question",
    "review",
    "all_landed",
)
TASK_LINE = re.compile(r"^# Task (\S+): (.*?)\s*$", re.MULTILINE)
TASK = "# Task "
"""In the prompt that begins a worker's session."""
BEGINNINGS = (TASK, "You were interrupted: ")
"""In the prompts that begin an attempt: a session's first, and the one with which it goes on."""
LISTED = re.compile(
    r"\b([A-Z]+\d+(?:\.\d+)*) \[(\w+)\] (.+?)(?: needs [A-Z]+\d[A-Z0-9., ]*)?(?: \(unproven\))?\s*$", re.MULTILINE
)
"""A row of the planner's tree: id, status, title; what follows the title is not part of it."""


@dataclass(frozen=True)
class Claim:
    """The end of an attempt: what the worker says it did, true or not."""

    words: str


Step = str | Claim | Say | Callable[[Ask], Say]
"""A shell command; the final claim; an answer as it is (a fault, several calls at once); or what a function says."""
Attempt = Sequence[Step]
Worker = str | Attempt | Sequence[Attempt] | Callable[[Ask, int], Attempt]
"""One command; the steps of every attempt; a list of steps per attempt (the last one again and again); or a function
of the request and the attempt's number from 1. One that goes on with an earlier one's session is an attempt too."""
UNSCRIPTED: Mapping[str, Any] = {"verdict": "fail", "reason": "no judge is scripted", "citations": []}
SILENT: Mapping[str, Any] = {"answer": "I am the scripted model: I can plan this example, but I know no answers."}
Reaction = Sequence[ToolUse] | Callable[[Ask], Sequence[ToolUse]]
"""What the planner calls for a trigger. A function is asked again after each round, until it returns nothing."""


def write(path: str, content: str) -> str:
    """The shell command that writes this file (a last newline is added if it lacks one)."""
    folder = str(PurePosixPath(path).parent)
    made = "" if folder == "." else f"mkdir -p {shlex.quote(folder)} && "
    ended = content if content.endswith("\n") else content + "\n"
    return f"{made}cat > {shlex.quote(path)} <<'END_OF_FILE'\n{ended}END_OF_FILE"


def task(title: str, *runs: str, needs: Sequence[str] = (), key: str = "", **more: Any) -> dict[str, Any]:
    """A task for `add_tasks` whose checks are these commands; its key is the title in small letters and dashes."""
    return {
        "key": key or key_of(title),
        "title": title,
        "instructions": f"{title}. Scripted.",
        "needs": [key_of(need) for need in needs],
        "checks": [{"name": run[:100], "run": run} for run in runs],
        **more,
    }


def key_of(title: str) -> str:
    """A title as a key."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def listed(ask: Ask) -> dict[str, tuple[str, str]]:
    """The tasks in the planner's prompt: title to (id, status)."""
    return {title: (task_id, status) for task_id, status, title in LISTED.findall(ask.prompt(TRIGGER_LINE))}


def triggers_of(ask: Ask) -> list[str]:
    """Why the planner is asked; empty if this is no request of the planner's."""
    lines = [line for line in ask.prompt(TRIGGER_LINE).splitlines() if line.startswith(TRIGGER_LINE)]
    return [name for name in TRIGGERS if any(re.search(rf"\b{name}\b", line) for line in lines)]


def paced(brain: Brain, seconds: float) -> Brain:
    """The same brain, taking this long for each answer."""

    async def slow(ask: Ask) -> Say:
        answer = brain(ask)
        given = await answer if inspect.isawaitable(answer) else answer
        return dataclasses.replace(given, delay=given.delay + seconds)

    return slow


def plan_brain(
    plan: Mapping[str, Any],
    workers: Mapping[str, Worker],
    *,
    on: Mapping[str, Reaction] | None = None,
    judge: Mapping[str, Any] | Callable[[Ask], Mapping[str, Any]] | None = None,
    answer: Mapping[str, Any] | None = None,
) -> PlanBrain:
    """A brain for a whole run.

    `plan`: `tasks` (see `task`; groups have nested `tasks`), `checks` (goal checks, or names of the person's) or a
    whole `brief`, and `probes` (`{"task": key, "check": {...}}`). `workers`: title to what that worker does; `*` for
    all others. `on`: trigger to what the planner does then, beside the usual for `goal_new` and `all_landed`. `judge`:
    the arguments of `give_verdict`. `answer`: those of `answer`, to whatever a person asks about the run.
    """
    return PlanBrain(plan, workers, on or {}, judge, answer)


@dataclass
class _Running:
    """The attempt at a task that is under way."""

    title: str
    number: int
    began: tuple[int, str]
    """Where in the session its prompt stands, and the prompt."""
    faults: int = 0
    retried: bool = False
    """The last answer was a fault that the client meets by sending the same request again."""


class PlanBrain:
    """See plan_brain. A Brain; `attempts` and `triggers` tell afterwards what it was asked."""

    def __init__(
        self,
        plan: Mapping[str, Any],
        workers: Mapping[str, Worker],
        on: Mapping[str, Reaction],
        judge: Mapping[str, Any] | Callable[[Ask], Mapping[str, Any]] | None,
        answer: Mapping[str, Any] | None = None,
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._on = {"goal_new": _opening(plan), "all_landed": [call("declare_goal_reached", summary="All done.")], **on}
        self._judge = judge
        self._reply = answer or SILENT
        self._running: dict[str, _Running] = {}
        self.triggers: list[str] = []
        """Triggers in the order in which the planner was asked."""

    @property
    def attempts(self) -> dict[str, int]:
        """How often each task was begun, by title."""
        return {running.title: running.number for running in self._running.values()}

    def __call__(self, ask: Ask) -> Say:
        """See Brain."""
        if "add_tasks" in ask.tools:
            return self._planner(ask)
        if "give_verdict" in ask.tools:
            judge = self._judge(ask) if callable(self._judge) else self._judge
            return say(call("give_verdict", **(judge or UNSCRIPTED)))
        if "answer" in ask.tools:
            return say(call("answer", **self._reply))
        return self._work(ask) if ask.tools else say("ok")

    def _planner(self, ask: Ask) -> Say:
        first = ask.rounds(TRIGGER_LINE) == 0
        triggers = triggers_of(ask)
        if first:
            self.triggers += triggers
        if len(triggers) > 1:  # what else happened may have made the end premature; it is asked again then
            triggers = [name for name in triggers if name != "all_landed"]
        calls: list[ToolUse] = []
        for reaction in (self._on[name] for name in triggers if name in self._on):
            if callable(reaction):
                calls += reaction(ask)
            elif first:
                calls += reaction
        return say(*calls) if calls else say("Nothing to change.")

    def _work(self, ask: Ask) -> Say:
        found = TASK_LINE.search(ask.prompt(TASK))
        if found is None:
            return say("ok")
        task_id, title = found.groups()
        running = self._attempt(task_id, title, ask)
        steps = self._steps(title, ask, running.number)
        position = ask.rounds(*BEGINNINGS) + running.faults
        step = steps[position] if position < len(steps) else Claim("Done.")
        answer = _answer(ask, step)
        running.retried = answer.retried
        running.faults += answer.retried
        return answer

    def _attempt(self, task_id: str, title: str, ask: Ask) -> _Running:
        """The attempt that this request belongs to: the first after its prompt begins one, unless it is a retry."""
        running = self._running.get(task_id)
        began = (ask.last_prompt(*BEGINNINGS), ask.prompt(*BEGINNINGS))
        begins = ask.rounds(*BEGINNINGS) == 0
        if running is None or (begins and not (running.retried and running.began == began)):
            running = self._running[task_id] = _Running(title, running.number + 1 if running else 1, began)
        return running

    def _steps(self, title: str, ask: Ask, attempt: int) -> Attempt:
        worker = self._workers.get(title, self._workers.get("*"))
        if worker is None:
            raise LookupError(f"no worker is scripted for “{title}”")
        if callable(worker):
            return worker(ask, attempt)
        if isinstance(worker, str):
            return [worker]
        if worker and all(isinstance(item, list | tuple) for item in worker):
            return cast("Sequence[Attempt]", worker)[min(attempt, len(worker)) - 1]
        return cast("Attempt", worker)


def _answer(ask: Ask, step: Step) -> Say:
    match step:
        case str():
            return say(shell(ask, step))
        case Claim():
            return done(ask, step.words)
        case Say():
            return step
        case _:
            return step(ask)


def _opening(plan: Mapping[str, Any]) -> Sequence[ToolUse]:
    """What the planner does with a new goal."""
    criterion = {"text": "The goal's checks pass.", "checks": list(plan.get("checks", ()))}
    brief = plan.get("brief") or {"final_goal": "The scripted goal.", "success_criteria": [criterion]}
    probes = [call("add_probe", **probe) for probe in plan.get("probes", ())]
    return [call("set_brief", **brief), call("add_tasks", parent="", tasks=list(plan["tasks"])), *probes]
