"""A person's question about the run: a conversation with tools that only read, and an answer with its references."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import Field, ValidationError

from aura_engine.core.state import RunState
from aura_engine.planner import tools
from aura_engine.planner.context import data
from aura_engine.planner.providers.base import ChatRequest, Provider, Text, ToolCall, ToolResult, ToolSpec, Turn

MAX_ROUNDS = 12
ASKS = "# A question about the run"


class ReadEvents(tools.ToolArgs):
    """Read the run's events: those after number `after`, of one task or (empty) of all; 60 at a time."""

    task: str = ""
    after: int = Field(default=0, ge=0)


class Answer(tools.ToolArgs):
    """Answer the question."""

    answer: str = Field(min_length=1, max_length=20_000)
    tasks: list[str] = Field(default=[], max_length=50, description="ids of the tasks it rests on")
    events: list[int] = Field(default=[], max_length=50, description="numbers of the events it rests on")


_TOOLS: dict[str, type[tools.ToolArgs]] = {
    "read_events": ReadEvents,
    "read_file": tools.ReadFile,
    "list_folder": tools.ListFolder,
    "answer": Answer,
}
SPECS = tuple(ToolSpec(name, (cls.__doc__ or "").strip(), tools.schema(cls)) for name, cls in _TOOLS.items())


@dataclass(frozen=True)
class Reading:
    """What may be read. Each raises ValueError for what is not there."""

    events: Callable[[str, int], Awaitable[str]]
    read_file: Callable[[str, int], Awaitable[str]]
    list_folder: Callable[[str], Awaitable[str]]


class NoAnswer(Exception):
    """The model came to no answer; the text says how it went."""


async def inquire(
    provider: Provider,
    state: RunState,
    reading: Reading,
    question: str,
    *,
    system: tuple[str, ...],
    told: str,
    max_tokens: int,
    deadline: float,
) -> Answer:
    """Ask until it answers. `told` is the run as it stands. ProviderError, NoAnswer, and what the provider adds."""
    turns = [Turn("user", (Text(f"{told}\n\n{ASKS}\n{question}"),))]
    for _ in range(MAX_ROUNDS):
        reply = await provider.complete(ChatRequest(system, tuple(turns), SPECS, max_tokens, deadline))
        results: list[Text | ToolResult] = []
        for call in reply.calls:
            found = await _call(call, state, reading)
            if isinstance(found, Answer):
                return found
            results.append(found)
        if not reply.calls:
            if reply.text.strip() and reply.stop_reason != "max_tokens":
                return Answer(answer=reply.text.strip()[:20_000])  # said instead of called: good enough
            results.append(Text("Call answer."))
        turns += [reply.turn if reply.turn.parts else Turn("assistant", (Text("(nothing)"),))]
        turns += [Turn("user", tuple(results))]
    raise NoAnswer(f"the planner came to no answer in {MAX_ROUNDS} messages")


async def _call(call: ToolCall, state: RunState, reading: Reading) -> Answer | ToolResult:
    try:
        if call.error or call.name not in _TOOLS:
            raise ValueError(call.error or f"there is no tool “{call.name}”; there are: {', '.join(_TOOLS)}")
        match args := _TOOLS[call.name].model_validate(call.arguments):
            case ReadEvents():
                text = data(await reading.events(args.task, args.after))
            case tools.ReadFile():
                text = await reading.read_file(args.path, args.offset)
            case tools.ListFolder():
                text = await reading.list_folder(args.path)
            case _:
                assert isinstance(args, Answer)
                return _checked(args, state)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return ToolResult(call.id, f"refused: {first['loc']}: {first['msg']}", is_error=True)
    except ValueError as error:
        return ToolResult(call.id, f"refused: {error}", is_error=True)
    return ToolResult(call.id, text)


def _checked(answer: Answer, state: RunState) -> Answer:
    """ValueError for a reference to what there is not."""
    wrong = [task for task in answer.tasks if task not in state.tasks]
    wrong += [str(number) for number in answer.events if not 0 < number <= state.seq]
    if wrong:
        raise ValueError(f"there is no {', '.join(wrong)} to refer to; leave it out or correct it")
    return answer
