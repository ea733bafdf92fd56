"""When the planner is asked and what becomes of its answer.

Triggers are read off the state, never remembered aside: after a crash the same ones come up again, and one that was
answered is not asked about twice. Several that stand at once are one question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aura_engine.core.ending import all_landed, checked, goal_proven
from aura_engine.core.events import GoalDeclared, PlannerAsked, PlannerFailed, PlannerReplied, QuestionAsked
from aura_engine.core.model import TaskStatus, Usage
from aura_engine.core.plan import id_key
from aura_engine.core.routing import backoff
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError, GitError, ProviderError, RuntimeFault
from aura_engine.planner import context, tools
from aura_engine.planner.context import Trigger
from aura_engine.planner.draft import Draft, Rules
from aura_engine.planner.providers.base import ChatRequest, Provider, Text, Turn
from aura_engine.planner.session import Hands, PlannerGaveUp, Talk, converse, permanent
from aura_engine.recorder import Recorder

SETTLE = 0.1
"""Seconds to let triggers that come together become one call."""


def triggers(state: RunState, *, quiet: bool) -> list[str]:
    """What the planner has to be asked about now. `quiet`: nothing runs, lands, waits for a time or can start."""
    found: list[str] = []
    if not state.revision:
        return found
    if not state.told_revision:
        found.append(f"goal_new:{state.revision[:16]}")
    elif state.told_revision != state.revision:
        found.append(f"goal_changed:{state.told_revision[:8]}-{state.revision[:16]}")
    failed = sorted(state.failed, key=id_key)
    found += [f"task_failed:{task_id}#{len(state.tasks[task_id].attempts)}" for task_id in failed]
    held = sorted((task_id for task_id in state.verifying if state.tasks[task_id].probe_asked), key=id_key)
    found += [f"unproven:{task_id}#{len(state.tasks[task_id].attempts)}" for task_id in held]
    found += [f"broken:{label}@{tree[:12]}" for label, (tree, _) in state.broken.items()]
    found += [f"question:{q.id}" for q in state.questions.values() if q.answer is not None]
    # What the planner was told of the goal is in `told_revision`: an edit back and forth is two edits.
    found = [key for key in found if key.startswith("goal_") or key not in state.answered]
    if not found and quiet and state.told_revision:
        found = [key for key in _when_quiet(state) if key not in state.answered]
    return found


def _when_quiet(state: RunState) -> list[str]:
    if state.failed:
        return []  # asked about already: the planner left them as they are
    if not all_landed(state):
        return [f"stalled:{state.head_tree[:12]}-{len(state.tasks)}"]
    if state.checked is None or not checked(state):
        return []  # the goal checks come first
    red = state.checked[2]
    key = f"{state.head_tree[:12]}-{state.revision[:8]}"
    if red:
        return [f"checks_fail:{key}"]
    if state.declared == state.revision:
        return []
    if not goal_proven(state):
        unproven = f"unproven:goal-{key}"
        if unproven not in state.answered:
            return [unproven]
    return [f"all_landed:{key}"]


@dataclass(frozen=True)
class Asking:
    """What the planning needs from the engine and the settings."""

    provider: Provider
    rules: Rules
    listing: Callable[[], Awaitable[str]]
    read_file: Callable[[str, int], Awaitable[str]]
    list_folder: Callable[[str], Awaitable[str]]
    goal_diff: Callable[[str, str], str]
    check_goal: Callable[[], Awaitable[str]]
    """Runs all goal checks on the head; "" when all are green, else the red receipts as text."""
    keep_prompt: Callable[[str], None]
    notes: Callable[[], str]
    """What the person changed in the folder since the last call, in words."""
    priced: Callable[[Usage], Usage]
    """Usage with its cost."""
    system: str
    max_tokens: int = 4096
    timeout: float = 300.0
    max_rounds: int = 20


class Planning:
    """At most one conversation at a time; the engine calls `consider` whenever something changed."""

    def __init__(self, recorder: Recorder, asking: Asking, wake: Callable[[], None]) -> None:
        self._recorder = recorder
        self._asking = asking
        self._wake = wake
        self._task: asyncio.Task[None] | None = None

    @property
    def rules(self) -> Rules:
        """What a plan is held to, whoever makes it."""
        return self._asking.rules

    @property
    def busy(self) -> bool:
        """A conversation is under way."""
        return self._task is not None and not self._task.done()

    def consider(self, group: asyncio.TaskGroup, *, quiet: bool) -> bool:
        """Start a conversation if one is due; True while one is under way or waits for its time."""
        state = self._recorder.state
        if self.busy:
            return True
        keys = triggers(state, quiet=quiet)
        asked = any(not question.task for question in state.open_questions())
        if not keys or (asked and not any(key.startswith("goal_") for key in keys)):
            return False  # nothing to ask, or its own question waits for the person
        failure = state.planner_failure
        if failure and (failure[2] is None or failure[2] > self._recorder.clock.wall()):
            return failure[2] is not None
        self._task = group.create_task(self._ask(quiet=quiet), name="planner")
        return True

    async def _ask(self, *, quiet: bool) -> None:
        await asyncio.sleep(SETTLE)
        state = self._recorder.state
        keys = triggers(state, quiet=quiet)
        if not keys:
            self._wake()
            return
        call = state.calls + 1
        revision, told = state.revision, state.told_text
        await self._recorder.record(PlannerAsked(call=call, triggers=tuple(keys), revision=revision))
        changed = any(key.startswith("goal_changed") for key in keys)
        new_goal = state.brief is None
        listing = await self._asking.listing() if state.brief is None else ""
        message = context.situation(
            state,
            [_trigger(state, key) for key in keys],
            listing=listing,
            diff=self._asking.goal_diff(told, state.goal_text) if changed else "",
            more=self._asking.notes(),
        )
        system = (self._asking.system, context.goal_text(state))
        self._asking.keep_prompt("\n\n---\n\n".join([*system, message]))
        draft, talk = Draft(state, self._asking.rules), Talk()
        request = ChatRequest(
            system=system,
            messages=(Turn("user", (Text(message),)),),
            max_tokens=self._asking.max_tokens,
            deadline=self._asking.timeout,
        )
        hands = self._hands(call, revision)
        try:
            await converse(
                self._asking.provider,
                request,
                draft,
                hands,
                talk,
                new_goal=new_goal,
                max_rounds=self._asking.max_rounds,
            )
            self._apply(draft, talk, call, keys)
        except (ProviderError, PlannerGaveUp, GitError, RuntimeFault, OSError) as error:
            self._failed(error, talk, call)
        self._wake()

    def _apply(self, draft: Draft, talk: Talk, call: int, keys: list[str]) -> None:
        """Journal the plan and the reply together; what was true when it was drawn up may have changed meanwhile."""
        state = self._recorder.state
        reason = one_line(talk.said, 300) or ", ".join(key.partition(":")[0] for key in keys)
        told = any(key.startswith("goal_") for key in keys)
        event = draft.event(reason, call, told=told)
        if event is not None:
            late = {i for i in event.archive if state.tasks[i].status is TaskStatus.COMPLETED}
            event = event.model_copy(
                update={
                    "archive": tuple(i for i in event.archive if i not in late),
                    "change": tuple(c for c in event.change if state.tasks[c.id].status is not TaskStatus.COMPLETED),
                }
            )
            self._recorder.record(event)
        summary = ", ".join(dict.fromkeys(talk.calls)) or one_line(talk.said, 200)
        self._recorder.record(
            PlannerReplied(call=call, requests=talk.requests, usage=self._asking.priced(talk.usage), summary=summary)
        )

    def _failed(self, error: Exception, talk: Talk, call: int) -> None:
        state = self._recorder.state
        retry_at: float | None = None
        kind = "refused"
        if isinstance(error, ProviderError):
            kind = error.kind.value
            if not permanent(error):
                wait = max(1.0, error.retry_after or backoff(state.planner_failures + 1))
                retry_at = self._recorder.clock.wall() + wait
        elif state.planner_failures < 1:
            retry_at = self._recorder.clock.wall() + 1.0  # one fresh conversation before a person is asked
        text = error.line() if isinstance(error, AuraError) else str(error)
        self._recorder.record(
            PlannerFailed(
                call=call,
                failure=kind,
                message=one_line(text, 500),
                requests=talk.requests,
                usage=self._asking.priced(talk.usage),
                retry_at=retry_at,
            )
        )

    def _hands(self, call: int, revision: str) -> Hands:
        recorder = self._recorder

        async def declare(summary: str, draft: Draft) -> str:
            state = recorder.state
            if draft.add or draft.retry:
                return "you add tasks in the same turn: they have to land first"
            open_tasks = [task.spec.id for task in state.leaves() if draft.status(task.spec.id) not in (_DONE, _GONE)]
            if open_tasks:
                return f"these tasks have not landed: {', '.join(open_tasks[:20])}"
            red = await self._asking.check_goal()
            if red:
                return red
            await recorder.record(GoalDeclared(revision=revision, summary=summary))
            return ""

        async def ask_person(args: tools.AskPerson, draft: Draft) -> str:
            task = draft.keys.get(args.task, args.task)
            question = QuestionAsked(
                id=f"q{len(recorder.state.questions) + 1}",
                question=args.question,
                options=tuple(args.options),
                default=args.default,
                task=task if draft.spec(task) else "",
            )
            draft.asked = draft.asked or not question.task
            await recorder.record(question)
            return f"asked as {question.id}; you are told when the person has answered"

        return Hands(self._asking.read_file, self._asking.list_folder, declare, ask_person)


_DONE, _GONE = TaskStatus.COMPLETED, TaskStatus.ARCHIVED


def _trigger(state: RunState, key: str) -> Trigger:
    kind, _, what = key.partition(":")
    task_id = what.partition("#")[0]
    if kind in ("task_failed", "unproven"):
        return Trigger(kind, (task_id,) if task_id in state.tasks else ())
    if kind == "broken":
        name = what.rpartition("@")[0]
        return Trigger(kind, (), f"{name}: {state.broken.get(name, ('', ''))[1]}")
    if kind == "checks_fail":
        red = [receipt for receipt in state.goal_receipts.values() if not receipt.green]
        return Trigger(kind, (), "\n".join(context.receipt_text(receipt) for receipt in red))
    if kind == "question" and what in state.questions:
        question = state.questions[what]
        return Trigger(kind, (), f"{question.question}\nThe person's answer: {question.answer}")
    return Trigger(kind)
