"""Gathers the settings from their sources: flags, environment, the project's `.env`, the user's files, defaults."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aura_engine.config.fields import PREFIX
from aura_engine.config.settings import INFOS, Settings
from aura_engine.config.sources import Source, config_folder, project_env, user_files
from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError

FLAGS = "the command line"
DEFAULT = "default"
_RUNNER = PREFIX + "RUNNER_"
_MEANT = {
    "int_parsing": "it must be a whole number",
    "float_parsing": "it must be a number",
    "finite_number": "it must be a number",
    "greater_than_equal": "it must be at least {ge:g}",
    "less_than_equal": "it must be at most {le:g}",
}


@dataclass(frozen=True)
class Loaded:
    """The settings in force."""

    settings: Settings
    origin: dict[str, str]
    """Name (AURA_…) → where its value came from; `default` where nobody set it."""
    folder: Path
    """Where the person's own configuration lies; it need not be there."""
    keys: Mapping[str, str]
    """The screen's keys as the person wants them: action → key."""
    notes: tuple[str, ...]
    """What the person should know, a sentence each: unknown and obsolete names, keys that others can read."""


def load_settings(
    *, flags: Mapping[str, str], environ: Mapping[str, str], project: Path, config_file: Path | None = None
) -> Loaded:
    """Read every source and check the outcome. An empty value counts as unset.

    `flags` maps names (with or without `AURA_`, in any case) to values; an unknown one there is an error, elsewhere a
    note. `config_file` takes the place of the user's own files. Raises ConfigError naming the setting, its value, its
    source and what is allowed.
    """
    notes: list[str] = []
    sources = [
        Source(FLAGS, {full_name(name): value for name, value in flags.items()}),
        Source("the environment", {name: value for name, value in environ.items() if name.startswith(PREFIX)}),
        *project_env(project, notes),
        *user_files(environ, config_file, notes),
    ]
    chosen: dict[str, tuple[str, str]] = {}
    for source in sources:
        for name, value in source.values.items():
            if not value.strip():
                continue
            if name in INFOS:
                chosen.setdefault(name, (value, source.label))
            elif source.label == FLAGS:
                raise ConfigError(f"There is no setting {name}.", cure=_did_you_mean(name))
            elif name.startswith(_RUNNER):
                notes.append(f"{name} (from {source.label}) has no effect any more.")
            else:
                notes.append(f"{name} (from {source.label}) is no setting of Aura's. {_did_you_mean(name)}".strip())
    notes += [
        f"{name} (from {label}) has no effect any more: {INFOS[name].obsolete}."
        for name, (_, label) in chosen.items()
        if INFOS[name].obsolete
    ]
    notes += _from_strangers(chosen, str(project / ".env"))
    origin = {name: chosen[name][1] if name in chosen else DEFAULT for name in INFOS}
    keys = next((source.keys for source in sources if source.keys), dict[str, str]())
    folder = config_file.absolute().parent if config_file else config_folder(environ)
    return Loaded(_validated(chosen), origin, folder, keys, tuple(notes))


def parse_override(text: str) -> tuple[str, str]:
    """`KEY=VALUE` of --override as (full name, value). ConfigError when it has no `=` or no name."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--override “{one_line(text, 80)}” is not KEY=VALUE.", cure="Such as: -O MAX_TURNS=80")
    return full_name(name), value.strip()


def full_name(name: str) -> str:
    """A setting's name as the environment has it: `max_turns` → `AURA_MAX_TURNS`."""
    upper = name.strip().upper().replace("-", "_")
    return upper if upper.startswith(PREFIX) else PREFIX + upper


def _did_you_mean(name: str) -> str:
    near = difflib.get_close_matches(name, list(INFOS), 1, 0.75)
    return f"Did you mean {near[0]}?" if near else ""


def _validated(chosen: Mapping[str, tuple[str, str]]) -> Settings:
    try:
        return Settings.model_validate({INFOS[name].field: value.strip() for name, (value, _) in chosen.items()})
    except ValidationError as error:
        lines = [_complaint(chosen, dict(detail)) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from None


def _complaint(chosen: Mapping[str, tuple[str, str]], detail: dict[str, Any]) -> str:
    name = full_name(str(detail["loc"][0]))
    value, label = chosen[name]
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "literal_error" | "enum":
            allowed = [word for word in re.findall(r"'([^']*)'", str(context["expected"])) if word]
            meant = f"allowed are {', '.join(allowed)}"
        case "value_error":
            meant = str(context["error"])
        case kind:
            meant = _MEANT.get(kind, str(detail["msg"])).format(**context)
    shown = "" if INFOS[name].secret else f" is “{one_line(value, 80)}”"
    return f"{name}{shown} (from {label}): {meant}"


def _from_strangers(chosen: Mapping[str, tuple[str, str]], dotenv: str) -> list[str]:
    """A project may come from a stranger: its `.env` must not quietly take the person's key or name a program."""
    notes: list[str] = []
    for prefix in (PREFIX, PREFIX + "PRO_", PREFIX + "FLASH_"):
        key, url = chosen.get(f"{prefix}API_KEY"), chosen.get(f"{prefix}{'API_' if prefix == PREFIX else ''}BASE_URL")
        if key and url and url[1] == dotenv != key[1]:
            notes.append(f"The key from {key[1]} goes to {one_line(url[0], 120)}, an address from {dotenv}.")
    programs = [name for name, (_, label) in chosen.items() if name.endswith("_BIN") and label == dotenv]
    return notes + [f"{name} is set by {dotenv}: workers run {one_line(chosen[name][0], 120)}." for name in programs]
