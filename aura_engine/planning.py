"""When the planner is asked and what becomes of its answer.

Triggers are read off the state, never remembered aside: after a crash the same ones come up again, and one that was
answered is not asked about twice. Several that stand at once are one question.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aura_engine.core.events import (
    GoalDeclared,
    Notice,
    PlanChanged,
    PlannerAsked,
    PlannerFailed,
    PlannerReplied,
    QuestionAsked,
)
from aura_engine.core.events_planner import OVER_CAP, Reviewed
from aura_engine.core.model import TaskStatus
from aura_engine.core.routing import backoff
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError, JournalError, OwnedError, ProviderError
from aura_engine.faults import fault
from aura_engine.planner import context, tools
from aura_engine.planner.draft import Draft, Rules
from aura_engine.planner.providers.base import ChatRequest, Provider, Text, Turn
from aura_engine.planner.session import Hands, PlannerGaveUp, Talk, converse, permanent
from aura_engine.planner.triggers import review_due, trigger_of, triggers
from aura_engine.planner.web import Web
from aura_engine.planner.written import WrittenPlan
from aura_engine.recorder import Recorder
from aura_engine.remembering import Memory
from aura_engine.spending import OverCap

log = logging.getLogger(__name__)

PLAN_NAMED = 20
"""Tasks of a plan that its question to the person names."""
SETTLE = 0.1
"""Seconds to let triggers that come together become one call."""


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
    keep_prompt: Callable[[int, str], None]
    """Of a call."""
    notes: Callable[[], str]
    """What the person changed in the folder since the last call, in words."""
    memory: Memory
    web: Web | None
    """None: the planner sees nothing of the web."""
    system: str
    approve: bool = False
    """A plan for a goal waits for the person before it starts."""
    written: WrittenPlan | None = None
    """Takes the place of the planner's first plan."""
    review_every: float = 0.0
    """Seconds of work; 0: never."""
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
        keys = self._triggers(quiet=quiet)
        asked = any(not question.task for question in state.open_questions())
        if state.capped or not keys or (asked and not any(key.startswith("goal_") for key in keys)):
            return False  # nothing to ask or to pay it with, or its own question waits for the person
        failure = state.planner_failure
        if failure and (failure[2] is None or failure[2] > self._recorder.clock.wall()):
            return failure[2] is not None
        self._task = group.create_task(self._ask(quiet=quiet), name="planner")
        return True

    async def _ask(self, *, quiet: bool) -> None:
        await asyncio.sleep(SETTLE)
        state = self._recorder.state
        await self._asking.memory.refresh()
        keys = self._triggers(quiet=quiet)
        if not keys or self._goes_by_the_book(keys):
            self._wake()
            return
        call = state.calls + 1
        revision, told = state.revision, state.told_text
        await self._recorder.record(PlannerAsked(call=call, triggers=tuple(keys), revision=revision))
        fault("planner.asked")
        changed = any(key.startswith("goal_changed") for key in keys)
        new_goal = state.brief is None
        listing = await self._asking.listing() if state.brief is None else ""
        message = context.situation(
            state,
            [trigger_of(state, key, self._recorder.clock.wall()) for key in keys],
            listing=listing,
            diff=self._asking.goal_diff(told, state.goal_text) if changed else "",
            more=self._asking.notes(),
        )
        system = (self._asking.system, context.goal_text(state))
        with contextlib.suppress(OSError):  # a copy for people
            self._asking.keep_prompt(call, "\n\n---\n\n".join([*system, message]))
        review = any(key.startswith("review:") for key in keys)
        draft, talk = Draft(state, self._asking.rules, review_due=review), Talk()
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
            fault("planner.replied")
            self._apply(draft, talk, call, keys)
        except (JournalError, OwnedError):
            raise
        except Exception as error:  # one reply that nobody foresaw must not end the engine
            if not isinstance(error, AuraError | PlannerGaveUp | OSError):
                log.exception("the planner's conversation broke")
            self._failed(error, talk, call)
        else:
            await self._keep(draft, talk, call)
        self._wake()

    def _triggers(self, *, quiet: bool) -> list[str]:
        state = self._recorder.state
        due = review_due(state, self._asking.review_every, self._recorder.clock.wall())
        return triggers(state, quiet=quiet, review=due)

    async def _keep(self, draft: Draft, talk: Talk, call: int) -> None:
        """What the planner remembers and what its review found; one that was not put down is what it said."""
        try:
            fault("planner.applied")
            if draft.review_due:
                said = talk.said[:20_000] or "The planner had nothing to say."
                found = draft.review or tools.WriteReview(report=said)
                work = self._recorder.state.worked(self._recorder.clock.wall())
                self._recorder.record(Reviewed(call=call, report=found.report, advice=found.advice, work=work))
                await self._asking.memory.keep_review(found.report, found.advice)
            if draft.lessons or draft.memory is not None:
                await self._asking.memory.keep()
        except (JournalError, OwnedError):
            raise
        except Exception as error:  # its plan stands: that is no failure of the call
            log.exception("what the planner wanted to be kept was not")
            text = f"what the planner wanted to remember could not be written: {one_line(str(error), 300)}"
            self._recorder.record(Notice(text=text, level="warning"))

    def _apply(self, draft: Draft, talk: Talk, call: int, keys: list[str]) -> None:
        """Journal the plan and the reply together; what was true when it was drawn up may have changed meanwhile."""
        state = self._recorder.state
        reason = one_line(talk.said, 300) or ", ".join(key.partition(":")[0] for key in keys)
        told = any(key.startswith("goal_") for key in keys)
        rejected = any(self._is_about_plan(key) for key in keys)
        event = draft.event(reason, call, told=told)
        if event is None and rejected:
            self._recorder.record(self._question("May the plan start as it was? The planner changes nothing."))
        if event is not None:
            late = {i for i in event.archive if state.tasks[i].status is TaskStatus.COMPLETED}
            event = event.model_copy(
                update={
                    "archive": tuple(i for i in event.archive if i not in late),
                    "change": tuple(c for c in event.change if state.tasks[c.id].status is not TaskStatus.COMPLETED),
                }
            )
            self._record_plan(event, told=told or rejected)
        summary = ", ".join(dict.fromkeys(talk.calls)) or one_line(talk.said, 200)
        self._recorder.record(PlannerReplied(call=call, requests=talk.requests, usage=talk.usage, summary=summary))

    def _is_about_plan(self, key: str) -> bool:
        kind, _, what = key.partition(":")
        question = self._recorder.state.questions.get(what)
        return kind == "question" and question is not None and question.about == "plan"

    def _record_plan(self, event: PlanChanged, *, told: bool) -> None:
        """With the question whether it may start first, where the person wants to be asked: nothing starts between."""
        if told and self._asking.approve and (event.add or event.change or event.archive):
            self._recorder.record(self._question(_plan_in_words(event)), event)
        else:
            self._recorder.record(event)

    def _question(self, text: str) -> QuestionAsked:
        number = len(self._recorder.state.questions) + 1
        return QuestionAsked(id=f"q{number}", question=text, options=("approve", "reject"), about="plan")

    def _goes_by_the_book(self, keys: list[str]) -> bool:
        """What a plan that the person wrote needs no planner for: to be taken over, and to be done when all is."""
        state, written = self._recorder.state, self._asking.written
        if written is not None and not state.told_revision and keys[0].startswith("goal_new:"):
            event = written.drawn(state, self._asking.rules)
            self._recorder.record(event)
            return True
        if state.plan_written and len(keys) == 1 and keys[0].startswith("all_landed:"):
            self._recorder.record(GoalDeclared(revision=state.revision, summary="Every task of your plan has landed."))
            return True
        return False

    def _failed(self, error: Exception, talk: Talk, call: int) -> None:
        state = self._recorder.state
        retry_at: float | None = None
        kind = "refused"
        if isinstance(error, ProviderError):
            kind = error.kind.value
            if not permanent(error):
                wait = max(1.0, error.retry_after or backoff(state.planner_failures + 1))
                retry_at = self._recorder.clock.wall() + wait
        elif isinstance(error, OverCap):
            kind = OVER_CAP
        elif state.planner_failures < 1:
            retry_at = self._recorder.clock.wall() + 1.0  # one fresh conversation before a person is asked
        text = error.line() if isinstance(error, AuraError) else str(error)
        self._recorder.record(
            PlannerFailed(
                call=call,
                failure=kind,
                message=one_line(text, 500),
                requests=talk.requests,
                usage=talk.usage,
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

        web = self._asking.web

        async def fetch(url: str) -> str:
            assert web is not None
            page = await web.fetch(url)
            return f"{one_line(page.url, 300)}\n{context.data(page.text)}{' (cut)' if page.cut else ''}"

        async def search(query: str) -> str:
            assert web is not None
            return context.data(await web.search(query))

        return Hands(
            self._asking.read_file,
            self._asking.list_folder,
            declare,
            ask_person,
            web_fetch=fetch if web else None,
            web_search=search if web and web.can_search else None,
        )


def _plan_in_words(event: PlanChanged) -> str:
    leaves = [spec for spec in event.add if not spec.group]
    parts = [f"{len(leaves)} new task{'s' if len(leaves) > 1 else ''}"] if leaves else []
    parts += [f"{len(event.change)} changed"] if event.change else []
    parts += [f"{len(event.archive)} dropped"] if event.archive else []
    named = "; ".join(f"{spec.id} {spec.title}" for spec in leaves[:PLAN_NAMED])
    more = f"; and {len(leaves) - PLAN_NAMED} more" if len(leaves) > PLAN_NAMED else ""
    return one_line(f"May this plan start? {', '.join(parts)}: {named}{more}", 2000)


_DONE, _GONE = TaskStatus.COMPLETED, TaskStatus.ARCHIVED
