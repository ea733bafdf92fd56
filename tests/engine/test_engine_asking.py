"""A person's question to the planner: read-only tools, references that exist, an answer in the journal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aura_engine.core.commands import Ask
from aura_engine.core.events import EngineStarted
from aura_engine.core.fold import fold
from aura_engine.core.model import RunStatus, Usage
from aura_engine.planner.inquiry import SPECS, Answer, NoAnswer, Reading, inquire
from aura_engine.planner.providers.base import ChatReply, ToolCall, ToolResult

STATE = fold([(EngineStarted(version="1", pid=1), 0.0)])


def say(*calls: ToolCall, text: str = "") -> ChatReply:
    return ChatReply(text, calls, Usage(input=1), "end_turn", "m")


class Scripted:
    """See Provider."""

    def __init__(self, *replies: ChatReply) -> None:
        self.replies = list(replies)
        self.asked: list[Any] = []

    async def complete(self, request: Any) -> ChatReply:
        self.asked.append(request)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def aclose(self) -> None:
        """Nothing is open."""


async def ask(*replies: ChatReply) -> tuple[Answer, Scripted]:
    async def events(task: str, after: int) -> str:
        if task:
            raise ValueError(f"there is no task “{task}”")
        return f"events after {after}"

    async def read(path: str, offset: int) -> str:
        return "text"

    async def names(path: str) -> str:
        return "a.py"

    provider = Scripted(*replies)
    found = await inquire(
        provider,
        STATE,
        Reading(events, read, names),
        "why?",
        system=("s",),
        told="how it stands",
        max_tokens=100,
        deadline=5.0,
    )
    return found, provider


async def test_it_reads_then_answers_with_references() -> None:
    reads = say(ToolCall("1", "read_events", {"after": 0}), ToolCall("2", "read_file", {"path": "a.py"}))
    found, provider = await ask(reads, say(ToolCall("3", "answer", {"answer": "so", "events": [1]})))
    assert (found.answer, found.events) == ("so", [1])
    results = provider.asked[1].messages[-1].parts
    assert [type(part) for part in results] == [ToolResult, ToolResult]
    assert "<data>" in results[0].text


async def test_a_reference_to_what_there_is_not_goes_back() -> None:
    wrong = say(ToolCall("1", "answer", {"answer": "so", "tasks": ["Z9"], "events": [99]}))
    found, provider = await ask(wrong, say(ToolCall("2", "answer", {"answer": "so"})))
    assert (found.tasks, found.events) == ([], [])
    (result,) = provider.asked[1].messages[-1].parts
    assert result.is_error
    assert "Z9, 99" in result.text


async def test_nothing_can_be_changed_by_it() -> None:
    assert {spec.name for spec in SPECS} == {"read_events", "read_file", "list_folder", "answer"}
    tries = say(ToolCall("1", "add_tasks", {"tasks": []}), ToolCall("2", "read_events", {"task": "Z9"}))
    _, provider = await ask(tries, say(ToolCall("3", "answer", {"answer": "so"})))
    assert all(part.is_error for part in provider.asked[1].messages[-1].parts)


async def test_an_answer_that_is_only_said_is_taken() -> None:
    found, _ = await ask(say(text="because"))
    assert found.answer == "because"


async def test_one_that_only_reads_comes_to_an_end() -> None:
    with pytest.raises(NoAnswer, match="12 messages"):
        await ask(say(ToolCall("1", "list_folder", {"path": ""})))


async def test_a_question_to_a_run_is_answered_beside_it(stage) -> None:
    """The worker works on meanwhile; the answer is an event with the numbers that it rests on."""
    program = stage.program("claude", [{"hear": "go on"}, {"sh": "echo hello > greeting.txt"}, {"end": {}}])
    answer = {"answer": "It greets.", "tasks": ["A1"], "events": [1]}
    async with stage.play(CLAUDE_BIN=str(program), answer=answer) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        assert play.engine.command(Ask(question="What does A1 do?")) == ""
        answered = await play.until(lambda event: event.kind == "inquiry_answered")
        assert (answered.id, answered.answer, answered.tasks, answered.events) == ("a1", "It greets.", ("A1",), (1,))
        assert play.state.inquiries["a1"].answer == "It greets."
        assert [event.purpose for event in play.of("model_asked")][-1] == "answer"
        assert not play.of("worker_ended")


async def test_a_failing_model_is_told_as_no_answer(stage) -> None:
    program = stage.program("claude", [{"hear": "never"}])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        play.engine.options.provider.complete = _refuse  # type: ignore[method-assign]
        assert play.engine.command(Ask(question="Why?")) == ""
        answered = await play.until(lambda event: event.kind == "inquiry_answered")
        assert answered.failed
        assert "no line" in answered.answer


async def _refuse(request: object) -> ChatReply:
    from aura_engine.errors import ProviderError, ProviderFailure

    raise ProviderError(ProviderFailure.UNREACHABLE, "no line")


async def test_too_many_questions_are_refused(stage) -> None:
    program = stage.program("claude", [{"hear": "never"}])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        waiting = asyncio.Event()

        async def slow(request: object) -> ChatReply:
            await waiting.wait()
            return say(text="so")

        play.engine.options.provider.complete = slow  # type: ignore[method-assign]
        answers = [play.engine.command(Ask(question=f"Why {n}?")) for n in range(6)]
        assert answers[:4] == [""] * 4
        assert "wait for their answers already" in answers[5]
        waiting.set()
        await play.until(lambda event: event.kind == "inquiry_answered" and event.id == "a4")
    assert await play.ended is RunStatus.INTERRUPTED
