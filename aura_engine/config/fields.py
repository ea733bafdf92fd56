"""How a setting is declared: its field carries all that the loader, the table and `config show` need to know.

A setting's name is `AURA_` and its field's name in capitals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from aura_engine.core.duration import parse_duration

PREFIX = "AURA_"
_DAY = 86_400.0
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_URL = re.compile(r"https?://[^\s/?#]+\S*")


@dataclass(frozen=True)
class SettingInfo:
    """What people are told about one setting."""

    name: str
    """Such as AURA_WORKER_MODE."""
    field: str
    default: str
    """As a person would write it; empty for none."""
    about: str
    secret: bool
    """Never shown in full."""
    obsolete: str
    """Set for a name that is accepted without effect: what took its place."""


class Group(BaseModel):
    """Base of the parts that the settings are made of."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def setting(default: Any, about: str, *, shown: str | None = None, secret: bool = False, **limits: Any) -> Any:
    """A field with its meaning; `shown` is the default in a person's words, `limits` are pydantic's (ge, le, …)."""
    text = shown if shown is not None else ("1" if default else "0") if isinstance(default, bool) else str(default)
    return Field(default, description=about, json_schema_extra={"shown": text, "secret": secret}, **limits)


def obsolete(instead: str, default: str = "") -> Any:
    """A field of the original's that has no effect any more; any value is accepted."""
    extra: dict[str, Any] = {"shown": default, "secret": False, "obsolete": instead}
    return Field("", description=instead, json_schema_extra=extra)


def describe(model: type[BaseModel]) -> tuple[SettingInfo, ...]:
    """Every setting of `model`, in the order of declaration."""
    found: list[SettingInfo] = []
    for name, field in model.model_fields.items():
        extra = cast("dict[str, Any]", field.json_schema_extra)
        found.append(
            SettingInfo(
                name=PREFIX + name.upper(),
                field=name,
                default=str(extra["shown"]),
                about=field.description or "",
                secret=bool(extra["secret"]),
                obsolete=str(extra.get("obsolete", "")),
            )
        )
    return tuple(found)


def _switch(value: Any) -> Any:
    word = str(value).strip().lower()
    if word not in _ON + _OFF:
        raise ValueError(f"allowed are {', '.join(_ON + _OFF)}")
    return word in _ON


def _minutes(value: Any) -> float:
    seconds = parse_duration(value, unit=60)
    if seconds > 30 * _DAY:
        raise ValueError("it must be at most 30 days")
    return seconds


def _seconds(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds > _DAY:
        raise ValueError("it must be at most a day")
    return seconds


def _url(value: Any) -> str:
    text = str(value).strip()
    if text and not _URL.fullmatch(text):
        raise ValueError("it must be an address that begins with http:// or https://")
    return text


def _key(value: Any) -> str:
    # A key pasted with a line break or a typographic dash would only fail later, inside an HTTP header.
    text = str(value).strip()
    if not text.isascii() or any(char.isspace() or not char.isprintable() for char in text):
        raise ValueError("it has a blank, a line break or a character that no key has")
    return text


Switch = Annotated[bool, BeforeValidator(_switch)]
"""On or off."""
Minutes = Annotated[float, BeforeValidator(_minutes)]
"""Held in seconds; a bare number counts minutes."""
Seconds = Annotated[float, BeforeValidator(_seconds)]
"""Held in seconds; a bare number counts seconds."""
Url = Annotated[str, BeforeValidator(_url)]
Key = Annotated[str, BeforeValidator(_key)]
