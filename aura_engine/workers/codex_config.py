"""What Codex keeps in its home: the person's own login, provider and model, and settings written for a worker."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aura_engine.errors import ConfigError
from aura_engine.workers.base import Login
from aura_engine.workers.stream import table_of

AUTH = "auth.json"
CONFIG = "config.toml"
KEPT = (
    "model",
    "model_provider",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
    "model_context_window",
    "service_tier",
    "openai_base_url",
    "chatgpt_base_url",
)
"""What of the person's settings says which model answers and how. All else (MCP servers, hooks, programs to notify,
profiles, trusted folders) is theirs alone."""


@dataclass(frozen=True)
class OwnCodex(Login):
    """The person's own Codex."""

    settings: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """What of theirs the worker gets: `KEPT`, and the one provider that is used."""


def own_model(environ: Mapping[str, str]) -> str:
    """The model that the person's own Codex is set to; ConfigError where its settings don't tell."""
    config = _home(environ) / CONFIG
    shown = _shown(config, environ)
    cure = f'Give {shown} a line such as: model = "MODEL"'
    try:
        model = tomllib.loads(config.read_text("utf-8")).get("model")
    except FileNotFoundError:
        raise ConfigError(f"Your own Codex is not configured: there is no {shown}.", cure=cure) from None
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read: {error.strerror}.", cure="Mend its permissions.") from error
    except ValueError as error:
        raise ConfigError(f"{shown} is not valid TOML: {error}.", cure="Mend that line.") from error
    if not isinstance(model, str) or not model.strip():
        raise ConfigError(f"{shown} does not say which model your own Codex uses.", cure=cure)
    return model.strip()


def own_login(environ: Mapping[str, str]) -> OwnCodex | None:
    """How the person's own Codex gets at its model: its login file, or the provider that its settings name.

    None where it cannot: nobody is logged in, the provider's key is not in `environ`, or it is had from a program.
    """
    home = _home(environ)
    try:
        theirs = tomllib.loads((home / CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        theirs = {}
    settings = {name: theirs[name] for name in KEPT if name in theirs}
    provider = str(theirs.get("model_provider", "openai"))
    details = table_of(table_of(theirs.get("model_providers")).get(provider))
    if details:
        settings["model_providers"] = {provider: details}
    if provider == "openai" or details.get("requires_openai_auth"):
        auth = home / AUTH
        words = f"the login in {_shown(auth, environ)}"
        return OwnCodex(words, files={f".codex/{AUTH}": str(auth)}, settings=settings) if auth.is_file() else None
    headers = table_of(details.get("env_http_headers")).values()
    names = [str(name) for name in (details.get("env_key"), *headers) if name]
    if "auth" in details or not all(environ.get(name) for name in names):
        return None
    env = {name: environ[name] for name in names}
    words = f"the provider “{provider}” of {_shown(home / CONFIG, environ)}"
    return OwnCodex(words, env=env, settings=settings)


def to_toml(settings: Mapping[str, Any]) -> str:
    """Settings as a TOML document, a line for each; what Codex reads is text, numbers, switches, lists and tables."""
    return "".join(f"{_toml(name)} = {_toml(value)}\n" for name, value in settings.items())


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case Mapping():
            rows = cast("Mapping[str, Any]", value).items()
            return "{ " + ", ".join(f"{_toml(name)} = {_toml(each)}" for name, each in rows) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, cast("list[Any]", value))) + "]"
        case _:
            # JSON's escapes are TOML's too, but for one that JSON leaves out.
            text = json.dumps(str(value).encode("utf-8", "replace").decode(), ensure_ascii=False)
            return text.replace("\x7f", "\\u007f")


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CODEX_HOME") or Path(environ.get("HOME") or Path.home()) / ".codex").absolute()


def _shown(path: Path, environ: Mapping[str, str]) -> str:
    home = environ.get("HOME")
    return f"~/{path.relative_to(home)}" if home and path.is_relative_to(home) else str(path)
