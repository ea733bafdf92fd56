"""What the planner's tokens cost, from the three price settings (USD per million tokens)."""

from __future__ import annotations

from aura_engine.config.planner_settings import PlannerSettings
from aura_engine.core.model import Usage


def priced(settings: PlannerSettings, usage: Usage) -> Usage:
    """The usage with its cost in USD; tokens written to the cache count as read anew."""
    fresh = (usage.input + usage.cache_write) * settings.token_price_cache_miss
    cached = usage.cache_read * settings.token_price_cache_hit
    written = usage.output * settings.token_price_output
    return usage.model_copy(update={"cost": (fresh + cached + written) / 1e6})
