"""Questions that a person asks about the run: taken one at a time, answered from the journal, journaled themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import resources
from itertools import islice

from aura_engine.clock import iso
from aura_engine.core.events_planner import Inquired, InquiryAnswered
from aura_engine.core.state import RunState
from aura_engine.core.text import clean, one_line
from aura_engine.errors import AuraError
from aura_engine.journal.store import Journal
from aura_engine.planner import context
from aura_engine.planner.inquiry import NoAnswer, Reading, inquire
from aura_engine.planner.providers.base import Provider
from aura_engine.planners_eyes import Eyes
from aura_engine.recorder import Recorder

MAX_WAITING = 4
PAGE = 60
"""Events of one look into the journal."""
MAX_EVENT = 600
"""Characters shown of one."""


class Inquiries:
    """`put` takes a question, `run` answers those that stand open, also those of an engine that died meanwhile."""

    def __init__(self, recorder: Recorder, provider: Provider, eyes: Eyes, *, max_tokens: int, timeout: float) -> None:
        self._recorder = recorder
        self._provider = provider
        self._reading = Reading(self._events, eyes.read_file, eyes.list_folder)
        self._max_tokens = max_tokens
        self._timeout = timeout
        self._asked = asyncio.Event()
        self._system = resources.files("aura_engine.planner").joinpath("prompts/inquiry.md").read_text("utf-8")

    def put(self, question: str, actor: str) -> str:
        """Take a question; why not, or ""."""
        state = self._recorder.state
        if sum(each.answer is None for each in state.inquiries.values()) >= MAX_WAITING:
            return f"{MAX_WAITING} questions wait for their answers already"
        name = f"a{len(state.inquiries) + 1}"
        self._recorder.record(Inquired(id=name, question=clean(question)[:4000], actor=actor))
        self._asked.set()
        return ""

    async def run(self) -> None:
        """Answer; cancel it at the end."""
        while True:
            self._asked.clear()
            await self.answer_all()
            await self._asked.wait()

    async def answer_all(self) -> None:
        """Answer what is open now."""
        for each in [each for each in self._recorder.state.inquiries.values() if each.answer is None]:
            await self._recorder.record(await self._answer(each.id, each.question))

    async def _answer(self, name: str, question: str) -> InquiryAnswered:
        state = self._recorder.state
        told = context.situation(state, [], listing="") + "\n\n" + _stands(state, self._recorder.clock.wall())
        try:
            found = await inquire(
                self._provider,
                state,
                self._reading,
                question,
                system=(self._system, context.goal_text(state)),
                told=told,
                max_tokens=self._max_tokens,
                deadline=self._timeout,
            )
        except (AuraError, NoAnswer, OSError) as error:
            why = error.line() if isinstance(error, AuraError) else str(error)
            return InquiryAnswered(id=name, answer=one_line(why, 500), failed=True)
        return InquiryAnswered(
            id=name, answer=clean(found.answer)[:20_000], tasks=tuple(found.tasks), events=tuple(found.events)
        )

    async def _events(self, task: str, after: int) -> str:
        if task and task not in self._recorder.state.tasks:
            raise ValueError(f"there is no task “{task}”")
        return await asyncio.to_thread(story, self._recorder.journal, task, after)


def story(journal: Journal, task: str, after: int) -> str:
    """A page of the journal: number, time, kind and payload of each event. Blocks."""
    wanted: Callable[[str], bool] = (lambda payload: f'"{task}"' in payload) if task else (lambda payload: True)
    rows = (entry for entry in journal.read(after) if wanted(entry.payload))
    page = list(islice(rows, PAGE))
    lines = [f"{each.seq} {iso(each.time)} {each.kind} {clean(each.payload)[:MAX_EVENT]}" for each in page]
    more = f"\n(more after {page[-1].seq})" if len(page) == PAGE else ""
    return ("\n".join(lines) or "nothing further") + more


def _stands(state: RunState, now: float) -> str:
    return f"# How it stands\nstatus: {state.status}{f', {state.ended_reason}' if state.ended_reason else ''}\n" + (
        f"{context.figures(state, now)}\nThe journal holds {state.seq} events."
    )
