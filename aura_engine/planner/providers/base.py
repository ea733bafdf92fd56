"""A chat with a model, whichever provider: request, reply, and the choice of the provider."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from aura_engine.core.model import Usage
from aura_engine.errors import ConfigError

PROVIDERS = {
    "anthropic": "aura_engine.planner.providers.anthropic:AnthropicProvider",
    "deepseek": "aura_engine.planner.providers.anthropic:AnthropicProvider",
    "openai": "aura_engine.planner.providers.openai:OpenAIProvider",
}
"""Name to class, imported only when asked for. `deepseek` is the anthropic protocol at DeepSeek's address."""

DEEPSEEK_URL = "https://api.deepseek.com/anthropic"


@dataclass(frozen=True)
class Text:
    """Prose."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """The model's wish to use a tool. With `error`, its arguments were not valid JSON and `arguments` is empty."""

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""


@dataclass(frozen=True)
class ToolResult:
    """What the tool said; `id` is the call's."""

    id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Reasoning:
    """A model's thoughts. Kept only because some providers refuse a conversation that does not bring them back."""

    text: str
    signature: str = ""


@dataclass(frozen=True)
class Turn:
    """One turn of the conversation; role `user` or `assistant`. Tool results are in user turns."""

    role: str
    parts: tuple[Text | ToolCall | ToolResult | Reasoning, ...]


@dataclass(frozen=True)
class ToolSpec:
    """A tool on offer; `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class ChatRequest:
    """One request. `deadline` is in seconds and bounds the whole call, whatever the provider sends meanwhile."""

    system: tuple[str, ...]
    """Blocks, the most stable first: each is a prefix that the provider may cache."""
    messages: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 8192
    deadline: float = 300.0
    force_tool: bool = False
    """The model has to call some tool."""


@dataclass(frozen=True)
class ChatReply:
    """A reply that came whole. `stop_reason` is `end_turn`, `tool_use`, `max_tokens` or what else the provider said."""

    text: str
    calls: tuple[ToolCall, ...]
    usage: Usage
    stop_reason: str
    model: str
    reasoning: tuple[Reasoning, ...] = ()

    @property
    def turn(self) -> Turn:
        """The reply as a turn for the next request."""
        prose = (Text(self.text),) if self.text else ()
        return Turn("assistant", (*self.reasoning, *prose, *self.calls))


@dataclass(frozen=True)
class ProviderSettings:
    """Where the planner's model is. `provider` as in PROVIDERS, or empty: told by the URL, then by the model."""

    provider: str = ""
    api_key: str = field(default="", repr=False)
    base_url: str = ""
    model: str = ""


class Provider(Protocol):
    """A model that can be asked."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """One call, no retry. ProviderError for every failure; `max_tokens` is a reply, not a failure."""
        ...

    async def aclose(self) -> None:
        """Closes connections; the provider can be asked again afterwards."""
        ...


def kind_of(settings: ProviderSettings) -> str:
    """The provider's name, by `provider`, else by the base URL, else by the model's name. ConfigError if unknown."""
    if name := settings.provider.strip().lower():
        if name not in PROVIDERS:
            raise ConfigError(
                f"AURA_API_PROVIDER is “{settings.provider}”.",
                cure=f"Allowed are {', '.join(sorted(PROVIDERS))}, or empty to tell it by AURA_API_BASE_URL.",
            )
        return name
    if settings.base_url:
        parts = urlsplit(settings.base_url)
        said = parts.path.rstrip("/").endswith("/anthropic") or "anthropic" in (parts.hostname or "")
        return "anthropic" if said else "openai"
    model = settings.model.lower()
    if model.startswith("deepseek"):
        return "deepseek"
    return "anthropic" if model.startswith("claude") else "openai"


def make_provider(settings: ProviderSettings) -> Provider:
    """The provider for these settings; opens nothing and imports no SDK yet. ConfigError names what is wrong."""
    kind = kind_of(settings)
    url = settings.base_url or (DEEPSEEK_URL if kind == "deepseek" else "")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ConfigError(f"AURA_API_BASE_URL is “{url}”.", cure="It has to be like https://api.example.com/v1.")
    if not settings.model:
        raise ConfigError("No model is set for the planner.", cure="Set AURA_API_MODEL.")
    key = settings.api_key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("AURA_API_KEY holds characters that no key has.", cure="Copy the key again.")
    module, _, name = PROVIDERS[kind].partition(":")
    made = getattr(importlib.import_module(module), name)(api_key=key, base_url=url, model=settings.model)
    return cast("Provider", made)
