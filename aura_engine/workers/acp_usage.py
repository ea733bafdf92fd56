"""Tokens, money and model calls of an Agent Client Protocol session. Each agent tells them in a place of its own."""

from __future__ import annotations

from collections.abc import Iterator

from aura_engine.core.model import Signal, SignalKind, Usage
from aura_engine.workers.stream import count_of, table_of


def usage_of(value: object) -> Usage:
    """A `Usage` of the protocol as Aura counts: input without what the cache gave, output with the thoughts.

    Agents differ in whether the input holds the cached tokens and the output the thoughts: the total tells.
    """
    told = table_of(value)
    names = ("inputTokens", "outputTokens", "thoughtTokens", "cachedReadTokens", "cachedWriteTokens", "totalTokens")
    fresh, output, thoughts, read, written, total = (count_of(told.get(name)) for name in names)
    if total and total == fresh + output and fresh >= read + written:
        return Usage(input=fresh - read - written, output=output, cache_read=read, cache_write=written)
    if total != fresh + output + read + written:
        output += thoughts
    return Usage(input=fresh, output=output, cache_read=read, cache_write=written)


class Meter:
    """Adds up what an agent told so far."""

    def __init__(self) -> None:
        self.last_step_only = False
        """An answered prompt tells no more than the usage of its last model call."""
        self.paid: float | None = 0.0
        """USD of the session that were counted before, in earlier attempts; None where nobody knows."""
        self._past = Usage()
        self._cost = 0.0
        self._context = 0
        """Tokens that the open prompt's context holds: the least it has cost, until its answer tells."""
        self._calls = 0
        self._rounds = 0
        self._rounds_told = 0
        self._new_round = True
        self._message: str | None = None
        self._last = Signal(kind=SignalKind.USAGE, usage=Usage(), turns=0)

    def speaks(self, message: str | None = None) -> None:
        """The model says something, in a message of that id: after a tool's result it is another of its calls.

        So is another message without one: some agents ask a model again whose answers break off.
        """
        other = message is not None and self._message is not None and message != self._message
        self._message = message or self._message
        self._rounds += self._new_round or other
        self._new_round = False

    def tool_done(self) -> None:
        """A tool gave its result."""
        self._new_round = True

    def call(self, told: object) -> None:
        """The usage of one model call (Qwen Code, on a message of no text)."""
        self._past += usage_of(told)
        self._calls += 1

    def context(self, used: int, cost: float) -> None:
        """Tokens in the context, and USD of the whole session (0: not said)."""
        self._context = max(self._context, used)
        self._cost = max(self._cost, cost)

    def answered(self, told: object, *, last: bool) -> None:
        """A prompt was answered, with or without its usage; `last`: no other one is open."""
        usage = usage_of(told)
        if usage.tokens and not self._calls:
            steps = self._rounds - self._rounds_told if self.last_step_only else 1
            self._past = sum([usage] * steps, self._past)  # the last one is the longest: a little too much, if anything
        elif last and not self._calls:
            self._past += Usage(input=self._context)
        if last or usage.tokens:
            self._context, self._rounds_told = 0, self._rounds
        self._new_round = True

    def news(self) -> Iterator[Signal]:
        """The totals, where they have changed; no cost where nobody knows how much of it is new."""
        cost = 0.0 if self.paid is None else max(0.0, self._cost - self.paid)
        usage = self._past + Usage(input=0 if self._calls else self._context, cost=cost)
        signal = Signal(kind=SignalKind.USAGE, usage=usage, turns=self._calls or self._rounds)
        if signal != self._last:
            self._last = signal
            yield signal
