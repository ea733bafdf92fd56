"""A second model that plans while the first one is limited or out of credit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from aura_engine.errors import ProviderError, ProviderFailure
from aura_engine.planner.providers.base import ChatReply, ChatRequest, Provider, Reasoning

TAKEN_OVER = frozenset(
    {
        ProviderFailure.CREDENTIALS,
        ProviderFailure.MONEY,
        ProviderFailure.RATE_LIMIT,
        ProviderFailure.OVERLOADED,
        ProviderFailure.UNREACHABLE,
        ProviderFailure.TIMEOUT,
    }
)
"""What says nothing about the question: another provider may answer it."""
PARKED = 300.0
"""Seconds before the first model is tried again, where it did not say when."""
PARKED_FOR_A_PERSON = 3600.0
"""The same for a key or an account that only a person can mend."""


class Fallback:
    """See Provider. Asks the first model; while that one is parked, the second."""

    def __init__(self, first: Provider, second: Provider) -> None:
        self._first = first
        self._second = second
        self.say: Callable[[str], None] = lambda text: None
        """Tells the person of a change."""
        self._until = 0.0
        """Monotonic: the first model is not asked before; 0 while it plans."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See Provider. A failure of the second model while the first is parked is that of the call."""
        # Back to the first only with a new conversation: it would refuse thoughts that are not its own.
        if not self._until or (time.monotonic() >= self._until and len(request.messages) == 1):
            try:
                reply = await self._first.complete(request)
            except ProviderError as error:
                if error.kind not in TAKEN_OVER:
                    raise
                mended_by_person = error.kind in (ProviderFailure.CREDENTIALS, ProviderFailure.MONEY)
                wait = error.retry_after or (PARKED_FOR_A_PERSON if mended_by_person else PARKED)
                self._until = time.monotonic() + wait
                self.say(f"the planner's fallback takes over for {wait / 60:.0f} min: {error}")
            else:
                if self._until:
                    self._until = 0.0
                    self.say("the planner's first model plans again")
                return reply
        return await self._second.complete(_without_reasoning(request))

    async def aclose(self) -> None:
        """See Provider."""
        await self._first.aclose()
        await self._second.aclose()


def _without_reasoning(request: ChatRequest) -> ChatRequest:
    """One model's signed thoughts are refused by another."""
    turns = (
        replace(turn, parts=tuple(part for part in turn.parts if not isinstance(part, Reasoning)))
        for turn in request.messages
    )
    return replace(request, messages=tuple(turns))
