"""A second model for the planner."""

from __future__ import annotations

import pytest

from aura_engine.core.model import Usage
from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner.providers import fallback as module
from aura_engine.planner.providers.base import ChatReply, ChatRequest, Reasoning, Text, Turn
from aura_engine.planner.providers.fallback import TAKEN_OVER, Fallback

NEW = ChatRequest(("s",), (Turn("user", (Text("go"),)),))
LATER = ChatRequest(("s",), (*NEW.messages, Turn("assistant", (Reasoning("hm", "sig"), Text("a"))), NEW.messages[0]))


class Model:
    def __init__(self, name: str, *failures: ProviderError) -> None:
        self.name = name
        self.failures = list(failures)
        self.asked: list[ChatRequest] = []
        self.closed = False

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked.append(request)
        if self.failures:
            raise self.failures.pop(0)
        return ChatReply(self.name, (), Usage(), "end_turn", self.name)

    async def aclose(self) -> None:
        self.closed = True


def failed(kind: ProviderFailure, retry_after: float | None = None) -> ProviderError:
    return ProviderError(kind, "no", retry_after=retry_after)


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    return clock


@pytest.mark.parametrize("kind", list(ProviderFailure))
async def test_only_what_another_could_answer_is_taken_over(kind, now):
    both = Fallback(Model("one", failed(kind)), Model("two"))
    if kind in TAKEN_OVER:
        assert (await both.complete(NEW)).model == "two"
    else:
        with pytest.raises(ProviderError):
            await both.complete(NEW)


async def test_the_first_is_asked_again_when_its_limit_is_over_and_with_a_new_conversation(now):
    said: list[str] = []
    one, two = Model("one", failed(ProviderFailure.RATE_LIMIT, 60.0)), Model("two")
    both = Fallback(one, two)
    both.say = said.append
    models = [(await both.complete(NEW)).model]
    now[0] += 59
    models.append((await both.complete(NEW)).model)
    now[0] += 2
    models.append((await both.complete(LATER)).model)
    assert not any(isinstance(part, Reasoning) for turn in two.asked[-1].messages for part in turn.parts)
    models.append((await both.complete(NEW)).model)
    models.append((await both.complete(LATER)).model)
    assert models == ["two", "two", "two", "one", "one"]
    assert [text.partition(" for ")[0] for text in said] == [
        "the planner's fallback takes over",
        "the planner's first model plans again",
    ]
    await both.aclose()
    assert one.closed
    assert two.closed


async def test_when_both_fail_the_second_s_failure_is_that_of_the_call(now):
    both = Fallback(Model("one", failed(ProviderFailure.MONEY)), Model("two", failed(ProviderFailure.OVERLOADED, 7.0)))
    with pytest.raises(ProviderError) as error:
        await both.complete(NEW)
    assert (error.value.kind, error.value.retry_after) == (ProviderFailure.OVERLOADED, 7.0)
