"""A provider that asks for room before every question to its model and counts what the answer cost."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from aura_engine.core.model import Usage
from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner.providers.base import ChatReply, ChatRequest, Provider
from aura_engine.spending import Purpose, Spending

CHARS_PER_TOKEN = 3
"""Fewer than in prose (about 4), since code and JSON are denser: an estimate must not be too small."""
BILLED = frozenset({ProviderFailure.TIMEOUT, ProviderFailure.TRUNCATED, ProviderFailure.MALFORMED})
"""Failures after the model began to answer: they may be on the bill."""


class Metered:
    """See Provider. `complete` also raises OverCap, before anything is asked."""

    def __init__(self, provider: Provider, spending: Spending, purpose: Purpose, model: str) -> None:
        self._provider = provider
        self._spending = spending
        self._purpose: Purpose = purpose
        self._model = model

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See Provider; the reply's usage has its cost."""
        asked = Usage(input=_size(request) // CHARS_PER_TOKEN)
        call = await self._spending.ask(
            self._purpose, asked.model_copy(update={"output": request.max_tokens}), self._model
        )
        usage, model, failure = asked, self._model, "broken off"
        try:
            reply = await self._provider.complete(request)
            # Some servers tell no usage; what was sent and said is not free for that.
            told = reply.usage if reply.usage.tokens else asked + Usage(output=len(reply.text) // CHARS_PER_TOKEN + 1)
            usage, model, failure = told, reply.model or self._model, ""
        except ProviderError as error:
            usage, failure = asked if error.kind in BILLED else Usage(), error.kind.value
            raise
        finally:
            charged = self._spending.answered(call, self._purpose, usage, model, failure=failure)
        return replace(reply, usage=charged)

    async def aclose(self) -> None:
        """See Provider."""
        await self._provider.aclose()


def _size(request: ChatRequest) -> int:
    return len(json.dumps(asdict(request), default=str))
