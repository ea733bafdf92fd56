"""One conversation with the planner: requests, tool calls, corrections, a plan.

Everything it sends is checked (schema, then sense) and a call that is refused goes back with the reason, at most three
times; then the conversation fails and nothing of it is applied.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aura_engine.core.model import Usage
from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner import tools
from aura_engine.planner.draft import Draft, Refused
from aura_engine.planner.providers.base import (
    ChatReply,
    ChatRequest,
    Provider,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Turn,
)

MAX_STRIKES = 3

TOOL_SPECS = tuple(ToolSpec(name, (cls.__doc__ or "").strip(), tools.schema(cls)) for name, cls in tools.TOOLS.items())


@dataclass(frozen=True)
class Hands:
    """What the conversation may do beyond its draft; the engine gives these."""

    read_file: Callable[[str, int], Awaitable[str]]
    list_folder: Callable[[str], Awaitable[str]]
    declare: Callable[[str, Draft], Awaitable[str]]
    """Runs the goal checks; returns "" when the declaration stands, else why not (with the receipts)."""
    ask_person: Callable[[tools.AskPerson, Draft], Awaitable[str]]
    web_fetch: Callable[[str], Awaitable[str]] | None = None
    web_search: Callable[[str], Awaitable[str]] | None = None
    """None: there is no such tool."""

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """Those on offer; the same in every request of a run, so that the provider's cache hits."""
        missing = {name for name in ("web_fetch", "web_search") if getattr(self, name) is None}
        return tuple(spec for spec in TOOL_SPECS if spec.name not in missing)


@dataclass
class Talk:
    """How a conversation went."""

    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    calls: list[str] = field(default_factory=list[str])
    said: str = ""


class PlannerGaveUp(Exception):
    """Three corrections were not enough, or the conversation would not end; the text says on what."""


async def converse(
    provider: Provider,
    request: ChatRequest,
    draft: Draft,
    hands: Hands,
    talk: Talk,
    *,
    new_goal: bool,
    max_rounds: int,
) -> None:
    """Talk until the planner's turn ends; `draft` then holds the plan and `talk` what it took.

    Raises ProviderError when a call fails, PlannerGaveUp when the answers stay wrong.
    """
    turns = list(request.messages)
    strikes = 0
    for _ in range(max_rounds):
        talk.requests += 1
        reply = await provider.complete(
            ChatRequest(request.system, tuple(turns), hands.tools, request.max_tokens, request.deadline)
        )
        talk.usage += reply.usage
        talk.said = reply.text or talk.said
        answer, wrong, ended = await _answer(reply, draft, hands, talk, new_goal=new_goal)
        if ended:
            return
        strikes += wrong
        if strikes > MAX_STRIKES:
            raise PlannerGaveUp(
                f"the planner's answers were refused {strikes} times; the last: {answer[-1].text[:300]}"
            )
        turns += [
            reply.turn if reply.turn.parts else Turn("assistant", (Text("(nothing)"),)),
            Turn("user", tuple(answer)),
        ]
    raise PlannerGaveUp(f"the planner did not come to an end in {max_rounds} messages")


async def _answer(
    reply: ChatReply, draft: Draft, hands: Hands, talk: Talk, *, new_goal: bool
) -> tuple[list[Text | ToolResult], bool, bool]:
    """(what goes back, did something have to be corrected, has the turn ended)."""
    results: list[Text | ToolResult] = []
    wrong = goes_on = False
    for call in reply.calls:
        talk.calls.append(call.name)
        try:
            if call.error:
                raise Refused(f"the arguments are not valid JSON: {call.error}")
            text, wants_more = await _call(call, draft, hands)
        except (Refused, ValueError) as error:
            text, wants_more, wrong = f"refused: {error}", True, True
            results.append(ToolResult(call.id, text, is_error=True))
        else:
            results.append(ToolResult(call.id, text, is_error=False))
        goes_on = goes_on or wants_more
    if reply.stop_reason == "max_tokens":
        results.append(Text("Your message was cut at its length limit. Send less in one message, with more: true."))
        return results, True, False
    if goes_on:
        return results, wrong, False
    problems = draft.problems(new_goal=new_goal)
    if problems:
        results.append(Text("Not finished: " + "; ".join(problems)))
        return results, True, False
    return results, False, True


async def _call(call: ToolCall, draft: Draft, hands: Hands) -> tuple[str, bool]:
    """(the result's text, does the conversation go on for it)."""
    args = tools.parse(call.name, call.arguments)
    match args:
        case tools.ReadFile():
            return await hands.read_file(args.path, args.offset), True
        case tools.ListFolder():
            return await hands.list_folder(args.path), True
        case tools.WebFetch() if hands.web_fetch is not None:
            return await hands.web_fetch(args.url), True
        case tools.WebSearch() if hands.web_search is not None:
            return await hands.web_search(args.query), True
        case tools.WebFetch() | tools.WebSearch():
            raise Refused(f"there is no {call.name} here")
        case tools.DeclareGoalReached():
            refused = await hands.declare(args.summary, draft)
            return (f"not reached: {refused}", True) if refused else ("the goal is reached", False)
        case tools.AskPerson():
            return await hands.ask_person(args, draft), False
        case tools.AddTasks():
            return draft.add_tasks(args), args.more
        case _:
            return getattr(draft, call.name)(args), False


def permanent(error: ProviderError) -> bool:
    """True when waiting will not help and a person is needed."""
    return error.kind in (
        ProviderFailure.CREDENTIALS,
        ProviderFailure.MONEY,
        ProviderFailure.BAD_REQUEST,
        ProviderFailure.CONTEXT_OVERFLOW,
        ProviderFailure.REFUSAL,
    )
