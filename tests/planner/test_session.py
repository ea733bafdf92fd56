"""A conversation with the planner: corrections, reads, ends, and what it costs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from aura_engine.core import events as ev
from aura_engine.core.fold import fold
from aura_engine.core.model import Check, Usage
from aura_engine.core.state import RunState
from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner import session, tools
from aura_engine.planner.draft import Draft
from aura_engine.planner.providers.base import ChatReply, ChatRequest, Text, ToolCall, ToolResult, Turn

CHECK = {"name": "it works", "run": "true"}
BRIEF = ToolCall("c1", "set_brief", {"final_goal": "g", "success_criteria": [{"text": "Works", "checks": [CHECK]}]})
TASKS = ToolCall("c2", "add_tasks", {"tasks": [{"key": "a", "title": "Make a", "checks": [CHECK]}]})
BAD = ToolCall("c3", "add_tasks", {"tasks": [{"key": "b", "title": "Make b", "needs": ["nobody"], "checks": [CHECK]}]})


def say(*calls: ToolCall, text: str = "", stop: str = "end_turn") -> ChatReply:
    return ChatReply(text, calls, Usage(input=100, output=10, cost=0.25), stop, "model")


class Scripted:
    """A provider that says what it is told to, and remembers what it was asked."""

    def __init__(self, *replies: ChatReply | Exception) -> None:
        self.replies = list(replies)
        self.asked: list[ChatRequest] = []

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def aclose(self) -> None:
        """Nothing is open."""


class Helpers:
    """Hands that record what they were asked for."""

    def __init__(self, refuse: str = "") -> None:
        self.done: list[tuple[Any, ...]] = []
        self.refuse = refuse

    def hands(self) -> session.Hands:
        async def read_file(path: str, offset: int) -> str:
            self.done.append(("read", path, offset))
            return f"text of {path}"

        async def list_folder(path: str) -> str:
            self.done.append(("list", path))
            return "a.py"

        async def declare(summary: str, draft: Draft) -> str:
            self.done.append(("declare", summary))
            return self.refuse

        async def ask_person(args: tools.AskPerson, draft: Draft) -> str:
            self.done.append(("ask", args.question))
            return "asked"

        return session.Hands(read_file, list_folder, declare, ask_person)


@pytest.fixture
def state() -> RunState:
    law = Check(name="unit tests", run="make test", person=True)
    return fold([(ev.GoalRead(revision="r1", text="goal", prose="goal", checks=(law,)), 0.0)])


REQUEST = ChatRequest(("stable", "rare"), (Turn("user", (Text("plan"),)),), max_tokens=500, deadline=7.0)
Converse = Callable[..., Any]


@pytest.fixture
def talk_to(state: RunState) -> Converse:
    async def converse(
        provider: Scripted, helpers: Helpers | None = None, *, new_goal: bool = True, rounds: int = 12
    ) -> tuple[Draft, session.Talk]:
        draft, talk = Draft(state), session.Talk()
        provider.talk, provider.draft = talk, draft
        hands = (helpers or Helpers()).hands()
        await session.converse(provider, REQUEST, draft, hands, talk, new_goal=new_goal, max_rounds=rounds)
        return draft, talk

    return converse


def results(request: ChatRequest) -> list[ToolResult]:
    """What went back in the newest turn."""
    return [part for part in request.messages[-1].parts if isinstance(part, ToolResult)]


async def test_a_plan_that_is_right_takes_one_request(talk_to: Converse) -> None:
    provider = Scripted(say(BRIEF, TASKS, text="Here it is."))
    draft, talk = await talk_to(provider)
    assert list(draft.add) == ["A1"]
    assert (talk.requests, talk.usage, talk.said) == (1, Usage(input=100, output=10, cost=0.25), "Here it is.")
    assert talk.calls == ["set_brief", "add_tasks"]
    asked = provider.asked[0]
    assert (asked.system, asked.max_tokens, asked.deadline) == (REQUEST.system, 500, 7.0)
    assert [tool.name for tool in asked.tools] == [name for name in tools.TOOLS if not name.startswith("web_")]


async def test_web_tools_are_on_offer_only_where_they_can_be_used(talk_to: Converse, state: RunState) -> None:
    """Without a key there is no search; what a page says comes back as a result."""

    async def fetch(url: str) -> str:
        return f"text of {url}"

    hands = dataclasses.replace(Helpers().hands(), web_fetch=fetch)
    fetches = ToolCall("w", "web_fetch", {"url": "https://e.org"})
    searches = ToolCall("s", "web_search", {"query": "q"})
    provider = Scripted(say(fetches, searches), say(BRIEF, TASKS))
    await session.converse(provider, REQUEST, Draft(state), hands, session.Talk(), new_goal=True, max_rounds=4)
    names = [tool.name for tool in provider.asked[0].tools]
    assert "web_fetch" in names
    assert "web_search" not in names
    page, refused = results(provider.asked[1])
    assert (page.text, page.is_error) == ("text of https://e.org", False)
    assert refused.is_error


async def test_a_refused_call_goes_back_with_the_reason_and_the_others_stay(talk_to: Converse) -> None:
    provider = Scripted(
        say(BRIEF, TASKS, BAD),
        say(
            ToolCall(
                "c4",
                "add_tasks",
                {**TASKS.arguments, "tasks": [{"key": "b", "title": "Make b", "needs": ["a"], "checks": [CHECK]}]},
            )
        ),
    )
    draft, talk = await talk_to(provider)
    assert list(draft.add) == ["A1", "A2"]
    back = results(provider.asked[1])
    assert [(result.id, result.is_error) for result in back] == [("c1", False), ("c2", False), ("c3", True)]
    assert "needs “nobody”, which does not exist" in back[2].text
    assert provider.asked[1].messages[1].parts == (BRIEF, TASKS, BAD)
    assert talk.usage == Usage(input=200, output=20, cost=0.5)


async def test_unknown_tools_bad_schemas_and_cut_json_go_back_too(talk_to: Converse) -> None:
    provider = Scripted(
        say(
            ToolCall("x1", "rm_rf", {}),
            ToolCall("x2", "add_tasks", {"tasks": [{"key": "a", "titel": "T"}]}),
            ToolCall("x3", "add_tasks", {}, error="Expecting ',' delimiter: line 1 column 9"),
        ),
        say(BRIEF, TASKS),
    )
    draft, _ = await talk_to(provider)
    texts = [result.text for result in results(provider.asked[1])]
    assert "there is no tool “rm_rf”" in texts[0]
    assert "tasks.0.title" in texts[1]
    assert "titel" in texts[1]
    assert "not valid JSON" in texts[2]
    assert list(draft.add) == ["A1"]


async def test_three_corrections_and_no_more(talk_to: Converse) -> None:
    provider = Scripted(say(BRIEF, TASKS, BAD), say(BAD), say(BAD), say(BAD), say(BRIEF))
    with pytest.raises(session.PlannerGaveUp, match=r"refused 4 times.*does not exist"):
        await talk_to(provider)
    assert len(provider.asked) == 4
    assert provider.talk.usage.input == 400, "what failed is paid for too"


async def test_the_third_correction_may_still_be_right(talk_to: Converse) -> None:
    draft, talk = await talk_to(Scripted(say(BAD), say(BAD), say(BAD), say(BRIEF, TASKS)))
    assert list(draft.add) == ["A1"]
    assert talk.requests == 4


async def test_reads_go_on_and_are_no_mistakes(talk_to: Converse) -> None:
    reads = [say(ToolCall(f"r{i}", "read_file", {"path": f"{i}.py", "offset": i})) for i in range(6)]
    helpers = Helpers()
    provider = Scripted(*reads, say(ToolCall("l", "list_folder", {})), say(BRIEF, TASKS))
    draft, talk = await talk_to(provider, helpers)
    assert helpers.done == [*(("read", f"{i}.py", i) for i in range(6)), ("list", "")]
    assert results(provider.asked[1])[0].text == "text of 0.py"
    assert talk.requests == 8
    assert draft.brief is not None


async def test_a_conversation_has_an_end(talk_to: Converse) -> None:
    read = say(ToolCall("r", "read_file", {"path": "a"}))
    with pytest.raises(session.PlannerGaveUp, match="did not come to an end in 5"):
        await talk_to(Scripted(*[read] * 9), rounds=5)


async def test_more_announces_another_message(talk_to: Converse) -> None:
    more = ToolCall("c2", "add_tasks", {**TASKS.arguments, "more": True})
    last = ToolCall("c5", "add_tasks", {"tasks": [{"key": "b", "title": "Make b", "needs": ["a"], "checks": [CHECK]}]})
    draft, talk = await talk_to(Scripted(say(BRIEF, more), say(last)))
    assert draft.add["A2"].needs == ("A1",)
    assert talk.requests == 2


async def test_a_message_cut_at_its_limit_goes_back(talk_to: Converse) -> None:
    provider = Scripted(say(text="I will now", stop="max_tokens"), say(BRIEF, TASKS))
    draft, _ = await talk_to(provider)
    assert "cut at its length limit" in provider.asked[1].messages[-1].parts[-1].text
    assert list(draft.add) == ["A1"]


async def test_a_new_goal_needs_a_brief_and_a_task(talk_to: Converse) -> None:
    provider = Scripted(say(), say(BRIEF), say(TASKS))
    draft, talk = await talk_to(provider)
    assert provider.asked[1].messages[-2].parts == (Text("(nothing)"),), "an empty turn is not sent back"
    assert "there is no brief" in provider.asked[1].messages[-1].parts[-1].text
    assert "the plan is empty" in provider.asked[2].messages[-1].parts[-1].text
    assert talk.requests == 3
    assert draft.problems(new_goal=True) == []


async def test_any_other_question_may_be_answered_with_nothing(talk_to: Converse) -> None:
    draft, talk = await talk_to(Scripted(say(text="All is well.")), new_goal=False)
    assert draft.event("r", 1, told=False) is None
    assert talk.said == "All is well."


async def test_a_declaration_that_stands_ends_it_and_one_that_does_not_goes_back(talk_to: Converse) -> None:
    declare = ToolCall("d", "declare_goal_reached", {"summary": "done"})
    helpers = Helpers()
    _, talk = await talk_to(Scripted(say(declare)), helpers, new_goal=False)
    assert (helpers.done, talk.requests) == ([("declare", "done")], 1)
    provider = Scripted(say(declare), say(TASKS))
    draft, _ = await talk_to(provider, Helpers(refuse="“unit tests” is red: 1 failed"), new_goal=False)
    assert "1 failed" in results(provider.asked[1])[0].text
    assert list(draft.add) == ["A1"]


async def test_a_question_to_the_person_ends_the_turn(talk_to: Converse) -> None:
    helpers = Helpers()
    _, talk = await talk_to(Scripted(say(ToolCall("q", "ask_person", {"question": "Which?"}))), helpers, new_goal=False)
    assert (helpers.done, talk.requests) == ([("ask", "Which?")], 1)


async def test_a_failed_call_is_the_caller_s(talk_to: Converse) -> None:
    error = ProviderError(ProviderFailure.OVERLOADED, "busy")
    provider = Scripted(say(ToolCall("r", "read_file", {"path": "a"})), error)
    with pytest.raises(ProviderError, match="busy"):
        await talk_to(provider)
    assert provider.talk.requests == 2
    assert provider.talk.usage.input == 100


def test_failures_that_waiting_will_not_help() -> None:
    waiting = {
        ProviderFailure.RATE_LIMIT,
        ProviderFailure.OVERLOADED,
        ProviderFailure.UNREACHABLE,
        ProviderFailure.TIMEOUT,
    }
    assert not any(session.permanent(ProviderError(kind, "x")) for kind in waiting)
    assert session.permanent(ProviderError(ProviderFailure.CREDENTIALS, "x"))
    assert session.permanent(ProviderError(ProviderFailure.MONEY, "x"))


def test_the_tools_fit_into_a_small_prefix() -> None:
    size = len(json.dumps([[tool.name, tool.description, dict(tool.schema)] for tool in session.TOOL_SPECS]))
    assert size < 9000
    assert all(tool.description for tool in session.TOOL_SPECS)
