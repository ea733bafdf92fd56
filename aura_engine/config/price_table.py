"""What models cost, as published by their makers (taken from the price data of genai-prices 0.2.3, base tiers).

A name stands for all models whose names begin with it. Who pays other prices writes their own table (`[prices]`).
"""

from __future__ import annotations

from typing import NamedTuple


class Price(NamedTuple):
    """USD per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


PRICES: dict[str, Price] = {
    "claude-fable-5": Price(10, 50, 1, 12.5),
    "claude-opus-5": Price(5, 25, 0.5, 6.25),
    "claude-opus-4-8": Price(5, 25, 0.5, 6.25),
    "claude-opus-4-6": Price(5, 25, 0.5, 6.25),
    "claude-opus-4-5": Price(5, 25, 0.5, 6.25),
    "claude-opus-4": Price(15, 75, 1.5, 18.75),
    "claude-sonnet-5": Price(2, 10, 0.2, 2.5),
    "claude-sonnet-4": Price(3, 15, 0.3, 3.75),
    "claude-haiku-4-5": Price(1, 5, 0.1, 1.25),
    "deepseek-v4-pro": Price(1.74, 3.48, 0.145, 1.74),  # the full price: discounts come and go
    "deepseek-v4-flash": Price(0.15, 0.6, 0.028, 0.15),
    "deepseek-chat": Price(0.28, 0.55, 0.035, 0.28),
    "deepseek-reasoner": Price(0.28, 0.55, 0.035, 0.28),
    "devstral": Price(0.4, 2, 0.04, 0.4),
    "gemini-3-pro": Price(2, 12, 0.2, 2),
    "gemini-3.5-flash": Price(1.5, 9, 0.15, 1.5),
    "gemini-2.5-pro": Price(1.25, 10, 0.125, 1.25),
    "gemini-2.5-flash": Price(0.3, 2.5, 0.03, 0.3),
    "glm-5.1": Price(0.828, 3.31, 0.179, 0.828),
    "glm-5": Price(0.552, 2.483, 0.138, 0.552),
    "glm-4.7": Price(0.276, 1.103, 0.055, 0.276),
    "gpt-5.5": Price(5, 30, 0.5, 5),
    "gpt-5.4": Price(2.5, 15, 0.25, 2.5),
    "gpt-5.4-mini": Price(0.75, 4.5, 0.075, 0.75),
    "gpt-5.4-nano": Price(0.2, 1.25, 0.02, 0.2),
    "gpt-5.3-codex": Price(1.75, 14, 0.175, 1.75),
    "gpt-5.2": Price(1.75, 14, 0.175, 1.75),
    "gpt-5.1": Price(1.25, 10, 0.125, 1.25),
    "gpt-5.1-codex-mini": Price(0.25, 2, 0.025, 0.25),
    "gpt-5": Price(1.25, 10, 0.125, 1.25),
    "gpt-5-mini": Price(0.25, 2, 0.025, 0.25),
    "gpt-5-nano": Price(0.05, 0.4, 0.005, 0.05),
    "gpt-4.1": Price(2, 8, 0.5, 2),
    "gpt-4.1-mini": Price(0.4, 1.6, 0.1, 0.4),
    "grok-4": Price(3, 15, 0.75, 3),
    "grok-code-fast": Price(0.2, 1.5, 0.02, 0.2),
    "kimi-k2.6": Price(0.95, 4, 0.16, 0.95),
    "kimi-k2.5": Price(0.6, 3, 0.1, 0.6),
    "kimi-k2": Price(0.57, 2.3, 0.57, 0.57),
    "minimax-m2": Price(0.3, 1.2, 0.06, 0.375),
    "mistral-large": Price(2, 6, 2, 2),
    "o3": Price(2, 8, 0.5, 2),
    "o4-mini": Price(1.1, 4.4, 0.275, 1.1),
    "demo-": Price(1, 5, 0.1, 1.25),  # the scripted model of `aura demo`: as a small one would cost
}

DEAREST = max(PRICES.values(), key=lambda price: price.output)
"""What a model without a price is counted at: a cap must not fail open."""
