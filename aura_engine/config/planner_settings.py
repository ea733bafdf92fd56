"""Settings of Layer 1, the planner, and what it makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

from aura_engine.config.fields import Group, Key, Minutes, Seconds, Url, setting
from aura_engine.errors import ConfigError

Provider = Literal["", "anthropic", "openai", "deepseek"]
_DEEPSEEK_MODEL = "deepseek-v4-pro"
_PRICE = "USD per million tokens of AURA_API_MODEL {}"
_BASE_URLS = {
    "": "https://api.deepseek.com/anthropic",
    "deepseek": "https://api.deepseek.com/anthropic",
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
}


class Approvals(StrEnum):
    """What waits for the person's approval."""

    NEVER = "never"
    PLAN = "plan"


@dataclass(frozen=True)
class PlannerApi:
    """A model endpoint, ready to be called."""

    protocol: Literal["anthropic", "openai"]
    api_key: str
    base_url: str
    model: str
    max_tokens: int
    timeout: float
    """Seconds for a whole call."""


class PlannerSettings(Group):
    """Which model plans, and what it costs."""

    api_key: Key = setting("", "key of the planner's model", secret=True)
    api_base_url: Url = setting("", "address of the planner's API", shown="by provider; else DeepSeek's")
    api_model: str = setting("", "the planner's model", shown=_DEEPSEEK_MODEL + " at DeepSeek")
    api_provider: Provider = setting(
        "", "`anthropic`, `openai` or `deepseek` (its Anthropic-compatible endpoint)", shown="by address"
    )
    api_fallback_key: Key = setting(
        "", "key of the model that plans while the first is limited or out of credit", secret=True
    )
    api_fallback_base_url: Url = setting("", "its address", shown="AURA_API_BASE_URL")
    api_fallback_model: str = setting("", "its model", shown="nobody takes over")
    api_fallback_provider: Provider = setting("", "its provider", shown="by address")
    api_max_tokens: int = setting(4096, "longest answer of the planner, in tokens", ge=256, le=1_000_000)
    api_timeout: Seconds = setting(300.0, "limit for one call of the planner", shown="300 s")
    approve: Approvals = setting(
        Approvals.NEVER,
        "when a plan waits for `aura approve`: `never`, or `plan` (the first one, and after each edit of the goal)",
        shown="never",
    )
    search_api_key: Key = setting("", "Tavily key; without it the planner has no web search", secret=True)
    token_price_cache_hit: float = setting(0.145, _PRICE.format("read from the cache"), shown="by model", ge=0)
    token_price_cache_miss: float = setting(1.74, _PRICE.format("read anew"), shown="by model", ge=0)
    token_price_output: float = setting(1.74, _PRICE.format("written"), shown="by model", ge=0)
    deep_reflection_interval: Minutes = setting(7200.0, "working time between two deep reviews", shown="120 min")
    llm_dead_throttle: Seconds = setting(300.0, "pause after repeated API failures", shown="300 s")

    def planner(self) -> PlannerApi:
        """The planner's endpoint with every default filled in. ConfigError when key or model are missing."""
        base_url = self.api_base_url or _BASE_URLS[self.api_provider]
        at_deepseek = (urlsplit(base_url).hostname or "").endswith("deepseek.com")
        model = self.api_model or (_DEEPSEEK_MODEL if at_deepseek else "")
        if not self.api_key:
            raise ConfigError(
                "The planner has no API key.",
                cure="`aura setup` asks for it; or set AURA_API_KEY in the environment or the project's .env "
                "(any text for a server without keys).",
            )
        if not model:
            raise ConfigError(f"The planner has no model for {base_url}.", cure="Set AURA_API_MODEL.")
        protocol = protocol_of(base_url) if not self.api_provider else self.api_provider
        return PlannerApi(
            protocol="openai" if protocol == "openai" else "anthropic",
            api_key=self.api_key,
            base_url=base_url,
            model=model,
            max_tokens=self.api_max_tokens,
            timeout=self.api_timeout,
        )

    def second_planner(self) -> PlannerApi | None:
        """The endpoint that takes over while the planner's own is limited or out of credit; None unless one is set."""
        if not (self.api_fallback_model or self.api_fallback_base_url or self.api_fallback_key):
            return None
        elsewhere = bool(self.api_fallback_base_url or self.api_fallback_provider)
        second = self.model_copy(
            update={
                # A key goes with its address.
                "api_key": self.api_fallback_key or ("" if elsewhere else self.api_key),
                "api_base_url": self.api_fallback_base_url or ("" if elsewhere else self.api_base_url),
                "api_model": self.api_fallback_model,
                "api_provider": self.api_fallback_provider or ("" if elsewhere else self.api_provider),
            }
        )
        try:
            return second.planner()
        except ConfigError as error:
            raise ConfigError(
                f"The planner's fallback: {error}", cure="Set AURA_API_FALLBACK_KEY and AURA_API_FALLBACK_MODEL."
            ) from None


def protocol_of(base_url: str) -> Literal["anthropic", "openai"]:
    """The protocol an address speaks, told by its looks: `…/anthropic` and Anthropic's own hosts, else OpenAI's."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    own = host == "anthropic.com" or host.endswith(".anthropic.com")
    return "anthropic" if own or "anthropic" in parts.path.split("/") else "openai"
