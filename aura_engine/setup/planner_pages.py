"""The pages on the planner: whose service, and its address, key and model. And what an older version left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aura_engine.setup.draft import Draft
from aura_engine.setup.machine import Machine
from aura_engine.setup.page import Choice, Entry, Page
from aura_engine.setup.trials import try_planner

OTHER, SERVER = "other", "server"
NO_KEY = "none"
"""The key for a server that asks for none: a planner without any is taken for one that was forgotten."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that many people use, with sensible values."""

    label: str
    detail: str
    provider: str
    base_url: str = ""
    model: str = ""


SERVICES = {
    "deepseek": Service("DeepSeek", "inexpensive, a good planner", "deepseek", model="deepseek-v4-pro"),
    "anthropic": Service("Anthropic", "Claude through the API", "anthropic", model="claude-sonnet-5"),
    "openai": Service("OpenAI", "GPT through the API", "openai", model="gpt-5.4"),
    SERVER: Service("Your own server", "vLLM, Ollama, LM Studio …", "openai", "http://localhost:8000/v1"),
    OTHER: Service("Another service", "anything that speaks Anthropic's or OpenAI's protocol", ""),
}
LOCAL = ("localhost", "127.0.0.1", "::1")


def _older_about(draft: Draft, machine: Machine) -> str:
    names = ", ".join(name.removeprefix("AURA_") for name in list(draft.older_values())[:8])
    return f"{draft.place.older} of an older version was found ({names}). It is read as long as it is there."


def _older_choices(draft: Draft, machine: Machine) -> Sequence[Choice]:
    return (
        Choice("import", "Take its settings over", f"into {draft.place.file}; the old file stays as it is"),
        Choice("leave", "Leave them where they are"),
    )


def _keep(draft: Draft, machine: Machine, value: str) -> None:
    draft.picked["older"] = value


def service_of(draft: Draft) -> str:
    """The service that the settings amount to; empty for none yet."""
    provider, url = draft.of("AURA_API_PROVIDER"), draft.of("AURA_API_BASE_URL")
    host = urlsplit(url).hostname or ""
    if host in LOCAL:
        return SERVER
    for name in ("deepseek", "anthropic", "openai"):
        if (provider == name and not url) or host.endswith(f"{name}.com"):
            return name
    if url:
        return OTHER
    return "deepseek" if draft.of("AURA_API_KEY") else ""


def _services(draft: Draft, machine: Machine) -> Sequence[Choice]:
    return [Choice(name, each.label, f"{each.detail}{_found(name, machine)}") for name, each in SERVICES.items()]


def _found(name: str, machine: Machine) -> str:
    return f"; a key is in {machine.keys[name]}" if name in machine.keys else ""


def _choose(draft: Draft, machine: Machine, value: str) -> None:
    """What is set for that service already stays; a key never goes to another one."""
    if value == service_of(draft):
        return
    each = SERVICES[value]
    key = f"env:{machine.keys[value]}" if value in machine.keys else ""
    draft.put(
        {
            "AURA_API_PROVIDER": each.provider,
            "AURA_API_BASE_URL": each.base_url,
            "AURA_API_MODEL": each.model,
            "AURA_API_KEY": key,
        }
    )
    draft.picked["planner"] = value


def _entries(draft: Draft, machine: Machine) -> Sequence[Entry]:
    service = service_of(draft) or draft.picked.get("planner", "")
    key = "a server without keys needs none" if service == SERVER else "or env:NAME, or cmd:COMMAND"
    protocol = [Entry("AURA_API_PROVIDER", "Protocol", "anthropic or openai; empty: as its address looks")]
    return (
        Entry("AURA_API_BASE_URL", "Address", "" if service in (OTHER, SERVER) else "empty: the service's own"),
        Entry("AURA_API_KEY", "Key", key),
        Entry("AURA_API_MODEL", "Model", "any that the service has"),
        *(protocol if service == OTHER else ()),
    )


def _finish(draft: Draft) -> None:
    if service_of(draft) == SERVER and not draft.of("AURA_API_KEY"):
        draft.put({"AURA_API_KEY": NO_KEY})


OLDER = Page(
    id="older",
    title="Your settings of an older version",
    about=_older_about,
    choices=_older_choices,
    chosen=lambda draft: draft.picked.get("older", "import"),
    choose=_keep,
    wanted=lambda draft, machine: bool(draft.older_values()),
)
SERVICE = Page(
    id="service",
    title="The planner",
    about=lambda draft, machine: (
        "The planner is the model that splits your goal into tasks and judges what came of them. Whose is it?"
    ),
    choices=_services,
    chosen=lambda draft: service_of(draft) or draft.picked.get("planner", "") or "deepseek",
    choose=_choose,
)
PLANNER = Page(
    id="planner",
    title="The planner's address, key and model",
    about=lambda draft, machine: "It is asked for one word at once, which costs next to nothing.",
    entries=_entries,
    finish=_finish,
    trial=try_planner,
)
