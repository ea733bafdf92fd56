"""Gathers the settings from their sources: flags, environment, the project's `.env`, the user's files, defaults."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aura_engine.config import references
from aura_engine.config.fields import PREFIX
from aura_engine.config.hook_settings import HOOK
from aura_engine.config.money_settings import MoneySettings
from aura_engine.config.settings import INFOS, Settings
from aura_engine.config.sources import Source, config_folder, project_env, user_files
from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError

FLAGS = "the command line"
DEFAULT = "default"
_OF_CONTAINERS = tuple(f"{PREFIX}DOCKER_{name}" for name in ("HOST", "IMAGE", "EXTRA_ARGS"))
"""What decides where a container runs, what is in it and what it sees."""
OF_MONEY = tuple(PREFIX + name.upper() for name in MoneySettings.model_fields)
"""What decides how much may be spent."""
CAPS = tuple(name for name in OF_MONEY if name != f"{PREFIX}PRICES")
_KEYS_AND_ADDRESSES = (
    *((f"AURA_{role}_API_KEY", f"AURA_{role}_BASE_URL") for role in ("PRO", "FLASH", "PRO_FALLBACK", "FLASH_FALLBACK")),
    ("AURA_API_KEY", "AURA_API_BASE_URL"),
    ("AURA_API_FALLBACK_KEY", "AURA_API_FALLBACK_BASE_URL"),
    ("AURA_DEEPSEEK_API_KEY", "AURA_DSCODE_BASE_URL"),
    ("AURA_DOCKER_CLAUDE_API_KEY", "AURA_DOCKER_CLAUDE_BASE_URL"),
)
"""Each key, and the setting that says where it goes."""
_PROGRAMS = ("_BIN", "_COMMAND")
"""How the names of settings end that name a program to run here."""
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
    prices: Mapping[str, Any]
    """Their own prices by model, as written."""
    notes: tuple[str, ...]
    """What the person should know, a sentence each: unknown and obsolete names, keys that others can read."""
    config_file: Path | None = None
    """The file that took the place of the person's own."""


@dataclass(frozen=True)
class Gathered:
    """What the sources say, as it is written there."""

    chosen: Mapping[str, tuple[str, str]]
    """Name (AURA_…) → its text, and the source that it comes from; names that nobody set are not there."""
    folder: Path
    keys: Mapping[str, str]
    prices: Mapping[str, Any]
    notes: tuple[str, ...]


def load_settings(
    *,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    project: Path,
    config_file: Path | None = None,
    keys: bool = True,
) -> Loaded:
    """Read every source and check the outcome. An empty value counts as unset.

    `flags` maps names (with or without `AURA_`, in any case) to values; an unknown one there is an error, elsewhere a
    note. `config_file` takes the place of the user's own files. Keys that are only referred to are fetched, which may
    run a command, unless `keys` is off: who needs none should not make a password manager ask. Raises ConfigError
    naming the setting, its value, its source and what is allowed.
    """
    found = gather(flags=flags, environ=environ, project=project, config_file=config_file)
    chosen, notes = found.chosen, list(found.notes)
    notes += [
        f"{name} (from {label}) has no effect any more: {INFOS[name].obsolete}."
        for name, (_, label) in chosen.items()
        if INFOS[name].obsolete
    ]
    notes += _from_strangers(chosen, str(project / ".env"))
    origin = {name: _told(*chosen[name]) if name in chosen else DEFAULT for name in INFOS}
    settings = settled(chosen, environ, keys=keys)
    return Loaded(settings, origin, found.folder, found.keys, found.prices, tuple(notes), config_file)


def gather(
    *, flags: Mapping[str, str], environ: Mapping[str, str], project: Path, config_file: Path | None = None
) -> Gathered:
    """The sources as for `load_settings`, before anything is checked or fetched. ConfigError for one not readable."""
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
            if source.label == str(project / ".env") and (name.startswith(HOOK) or name.endswith(_PROGRAMS)):
                notes.append(f"{name} (from {source.label}) is not taken: a project's file may not name a command.")
                continue
            if name in INFOS:
                chosen.setdefault(name, (value, source.label))
            elif source.label == FLAGS:
                cure = did_you_mean(name) or "aura config show --all lists them."
                raise ConfigError(f"There is no setting {name}.", cure=cure)
            elif name.startswith(_RUNNER):
                notes.append(f"{name} (from {source.label}) has no effect any more.")
            else:
                notes.append(f"{name} (from {source.label}) is no setting of Aura's. {did_you_mean(name)}".strip())
    _refuse_references(chosen, str(project / ".env"))
    keys = next((source.keys for source in sources if source.keys), dict[str, str]())
    folder = config_file.absolute().parent if config_file else config_folder(environ)
    prices = next((source.prices for source in sources if source.prices), dict[str, Any]())
    return Gathered(chosen, folder, keys, prices, tuple(notes))


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


def did_you_mean(name: str) -> str:
    """A question that names the nearest setting; empty when none is near."""
    near = difflib.get_close_matches(name, list(INFOS), 1, 0.75)
    return f"Did you mean {near[0]}?" if near else ""


def settled(chosen: Mapping[str, tuple[str, str]], environ: Mapping[str, str], *, keys: bool = True) -> Settings:
    """The settings that these texts make (see Gathered); with `keys` those referred to are fetched. ConfigError."""
    fetched: dict[str, str] = {}
    values: dict[str, str] = {}
    for name, (value, _) in chosen.items():
        if INFOS[name].secret and references.is_reference(value):
            if not keys:
                continue
            if value not in fetched:
                fetched[value] = references.resolve(name, value, environ)
            values[INFOS[name].field] = fetched[value]
        else:
            values[INFOS[name].field] = value.strip()
    try:
        return Settings.model_validate(values)
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


def _told(value: str, label: str) -> str:
    """Where a value came from; of a key that is referred to also the reference."""
    return f"{label} ({references.shown(value)})" if references.is_reference(value) else label


def _refuse_references(chosen: Mapping[str, tuple[str, str]], dotenv: str) -> None:
    """A stranger's project must neither run a command at once nor send a variable of the person's elsewhere."""
    for name, (value, label) in chosen.items():
        if label == dotenv and INFOS[name].secret and references.is_reference(value):
            raise ConfigError(
                f"{name} (from {label}) refers to a key elsewhere, which a project's .env may not.",
                cure="Write the reference into your own configuration: aura config set " + name,
            )


def _from_strangers(chosen: Mapping[str, tuple[str, str]], dotenv: str) -> list[str]:
    """A project may come from a stranger: its `.env` must not take the person's key, nor the wall away.

    ConfigError for those; notes for what it sets of containers and money.
    """
    for key_name, name in _KEYS_AND_ADDRESSES:
        key, url = chosen.get(key_name), chosen.get(name)
        if not url or url[1] != dotenv or (key and key[1] == dotenv):
            continue
        where = f"{one_line(url[0], 120)}, an address from {dotenv}"
        if key:
            raise ConfigError(
                f"The key from {key[1]} would go to {where}.",
                cure=f"If you trust it, set {name} where the key is set; else take the line out of {dotenv}.",
            )
        raise ConfigError(  # what stands in for a key: another setting's, or a program's own login
            f"No key of its own goes with {where}: another key or login of yours might go there.",
            cure=f"Set {key_name} beside it (any text for a server without keys), or {name} in your own configuration.",
        )
    wall = chosen.get(f"{PREFIX}CONTAINMENT")
    if wall and wall[1] == dotenv and wall[0].strip() == "none":
        raise ConfigError(
            f"{dotenv} takes the wall around workers away, which only you may.",
            cure="If that is what you want: -O AURA_CONTAINMENT=none, or set it in your own configuration.",
        )
    notes: list[str] = []
    made_of = [name for name in (*_OF_CONTAINERS, *OF_MONEY) if name in chosen and chosen[name][1] == dotenv]
    return notes + [f"{name} is set by {dotenv}: {one_line(chosen[name][0], 120)}" for name in made_of]
