"""The files that settings are read from, each as plain names and texts."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aura_engine.config.dotenv import parse_env
from aura_engine.config.fields import PREFIX
from aura_engine.config.settings import INFOS
from aura_engine.errors import ConfigError

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Source:
    """Where settings come from, as said after “from”, and what it says."""

    label: str
    values: Mapping[str, str]
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """The screen's keys: action → key."""
    prices: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The person's own prices by model, as written."""


def project_env(project: Path, notes: list[str]) -> list[Source]:
    """The project's `.env`; other programs' names in it are left alone. ConfigError when it cannot be read."""
    return _env_source(project / ".env", notes)


def files(project: Path, environ: Mapping[str, str], config_file: Path | None) -> list[Path]:
    """Where settings may be written, those that need not be there too."""
    own = [config_file] if config_file else [config_folder(environ) / "config.toml", _older(environ)]
    return [project / ".env", *own]


def user_files(environ: Mapping[str, str], config_file: Path | None, notes: list[str]) -> list[Source]:
    """`config_file` alone, or the user's `config.toml` and below it the `config.env` of older versions.

    Raises ConfigError for a file that is named and not there, cannot be read, or is no TOML.
    """
    if config_file:
        if not config_file.is_file():
            raise ConfigError(f"There is no configuration file {config_file}.", cure="Correct --config.")
        return (_toml_source if config_file.suffix == ".toml" else _env_source)(config_file, notes)
    return [*_toml_source(config_folder(environ) / "config.toml", notes), *_env_source(_older(environ), notes)]


def _older(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home()) / ".aura" / "config.env"


def config_folder(environ: Mapping[str, str]) -> Path:
    """Where a person's own configuration lies: `$XDG_CONFIG_HOME/aura`, else `~/.config/aura`."""
    xdg = environ.get("XDG_CONFIG_HOME", "")
    home = Path(environ.get("HOME") or Path.home())
    return (Path(xdg) if xdg.startswith("/") else home / ".config") / "aura"


def _env_source(path: Path, notes: list[str]) -> list[Source]:
    text = _read(path, notes)
    if text is None:
        return []
    found = parse_env(text)
    for number, line in found.bad_lines:
        what = f"{path} line {number} is not KEY=VALUE"
        if PREFIX in line:
            raise ConfigError(f"{what}.", cure="Write it as AURA_NAME=value, on one line, quotes closed.")
        notes.append(f"{what}; it is left out.")
    values = {name: value for name, value in found.values.items() if name.startswith(PREFIX)}
    _warn_if_open(path, values, notes)
    return [Source(str(path), values)]


def _toml_source(path: Path, notes: list[str]) -> list[Source]:
    text = _read(path, notes)
    if text is None:
        return []
    # Imported here: 20 ms that a person without such a file need not wait for.
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", cure="Correct it and start again.") from None
    keys = table.pop("keys", {})
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in cast("dict[str, Any]", keys).values()):
        raise ConfigError(f"{path}: [keys] must be a table of keys.", cure='Such as: "worker.kill" = "K"')
    prices: Any = table.pop("prices") if isinstance(table.get("prices"), dict) else {}  # a text names a file
    if isinstance(table.get("hooks"), dict):
        table["hook"] = table.pop("hooks")  # AURA_HOOK_…: one each
    values = _flat(path, table, "")
    _warn_if_open(path, values, notes)
    return [Source(str(path), values, cast("dict[str, str]", keys), cast("dict[str, Any]", prices))]


def _flat(path: Path, table: dict[str, Any], prefix: str) -> dict[str, str]:
    """`[pro]` with `model = …` is AURA_PRO_MODEL, as are `pro_model` and `AURA_PRO_MODEL` outside a table."""
    values: dict[str, str] = {}
    for key, value in table.items():
        name = (prefix + key).upper().replace("-", "_")
        full = name if name.startswith(PREFIX) else PREFIX + name
        match value:
            case dict():
                values |= _flat(path, cast("dict[str, Any]", value), f"{name}_")
            case bool():
                values[full] = "1" if value else "0"
            case str() | int() | float():
                values[full] = str(value)
            case _:
                raise ConfigError(f"{path}: {name.lower()} must be a text, a number or true or false.")
    return values


def _read(path: Path, notes: list[str]) -> str | None:
    """The file's text; None when there is none. A folder called `.env` (a virtual environment) is none."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):  # a pipe would block, and some password tools put one there
            notes.append(f"{path} is not a regular file and is not read.")
            return None
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than 1 MiB.", cure="Is it a configuration file?")
        return raw.decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", cure=f"chmod u+r '{path}'") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.", cure="Save it as UTF-8.") from None


def _warn_if_open(path: Path, values: Mapping[str, str], notes: list[str]) -> None:
    holds_keys = any(values[name] and name in INFOS and INFOS[name].secret for name in values)
    if holds_keys and os.name == "posix" and _others_read(path):
        notes.append(f"{path} holds keys and other users may read it: chmod 600 '{path}'")


def _others_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except FileNotFoundError:  # it has just been taken away
        return False
