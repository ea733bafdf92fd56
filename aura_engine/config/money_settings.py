"""Settings of money: prices, and caps for the run, for each task and for each attempt."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from aura_engine.config.fields import Group, setting
from aura_engine.core.budget import Caps, Limit
from aura_engine.core.duration import parse_duration

_OFF = "0 = no cap"
_TOGETHER = "all workers' time together, pauses and waiting left out; a bare number counts minutes"


def _minutes_or_off(value: Any) -> float:
    text = str(value).strip()
    return 0.0 if text in ("0", "0.0") else parse_duration(text, unit=60)


WorkTime = Annotated[float, BeforeValidator(_minutes_or_off)]
"""Held in seconds; a bare number counts minutes; 0 is none."""


class MoneySettings(Group):
    """What may be spent. What an attempt may take in time is AURA_TASK_BUDGET."""

    max_cost_usd: float = setting(0.0, f"USD that the run may cost; {_OFF}", shown="0", ge=0)
    max_tokens: int = setting(0, f"tokens that the run may use, cached ones too; {_OFF}", ge=0)
    max_work_time: WorkTime = setting(0.0, f"working time of the run: {_TOGETHER}; {_OFF}", shown="0")
    task_max_cost_usd: float = setting(0.0, f"USD that a task may cost, all its attempts; {_OFF}", shown="0", ge=0)
    task_max_tokens: int = setting(0, f"tokens that a task may use; {_OFF}", ge=0)
    task_max_work_time: WorkTime = setting(0.0, f"working time of a task; {_OFF}", shown="0")
    attempt_max_cost_usd: float = setting(0.0, f"USD that an attempt may cost; {_OFF}", shown="0", ge=0)
    attempt_max_tokens: int = setting(0, f"tokens that an attempt may use; {_OFF}", ge=0)
    prices: str = setting("", "a TOML file with your own prices by model, beside `[prices]` in config.toml")

    def caps(self) -> Caps:
        """The caps in force."""
        return Caps(
            run=Limit(cost=self.max_cost_usd, tokens=self.max_tokens, work=self.max_work_time),
            task=Limit(cost=self.task_max_cost_usd, tokens=self.task_max_tokens, work=self.task_max_work_time),
            attempt=Limit(cost=self.attempt_max_cost_usd, tokens=self.attempt_max_tokens),
        )
