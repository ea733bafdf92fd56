"""What the person has answered so far, over what is in force already. Nothing is written before the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from aura_engine.config.dotenv import parse_env
from aura_engine.config.load import Gathered, Loaded, gather, load_settings, settled
from aura_engine.config.references import is_reference
from aura_engine.config.settings import INFOS, Settings
from aura_engine.config.sources import config_folder
from aura_engine.config.write import write_settings
from aura_engine.errors import ConfigError

WHO = ("AURA_API_", "AURA_PRO_", "AURA_FLASH_", "AURA_LAYER2_")
"""How the names of settings begin that say who plans and who works."""
HERE = "setup"
"""Where an answer comes from, as errors say it."""


@dataclass(frozen=True)
class Place:
    """Where the person stands, and which file is theirs."""

    environ: Mapping[str, str] = field(repr=False)
    project: Path
    file: Path
    """The configuration to write."""
    named: bool = False
    """They named that file, so it takes the place of their usual ones."""

    @classmethod
    def of(cls, environ: Mapping[str, str], project: Path, file: Path | None = None) -> Place:
        """`file`: in place of the usual one."""
        return cls(environ, project, file or config_folder(environ) / "config.toml", file is not None)

    @property
    def config_file(self) -> Path | None:
        """As `load_settings` takes it; a file that is still to be made does not count."""
        return self.file if self.named and self.file.exists() else None

    @property
    def older(self) -> Path:
        """The file that older versions wrote."""
        return Path(self.environ.get("HOME") or Path.home()) / ".aura" / "config.env"

    def gathered(self) -> Gathered:
        """What is in force here. ConfigError."""
        return gather(flags={}, environ=self.environ, project=self.project, config_file=self.config_file)

    def loaded(self) -> Loaded:
        """The same, checked; keys that are only referred to are left out. ConfigError."""
        return load_settings(
            flags={}, environ=self.environ, project=self.project, config_file=self.config_file, keys=False
        )


class Draft:
    """The answers. Values are texts, as in a file; a key may be a reference."""

    def __init__(self, place: Place) -> None:
        """ConfigError when a configuration that is there cannot be used."""
        self.place = place
        self._loaded = place.loaded()
        self._given = place.gathered().chosen
        self._answers: dict[str, str] = {}
        self.picked: dict[str, str] = {}
        """Page → what was chosen there, for pages that set several things at once."""

    @property
    def untouched(self) -> bool:
        """Neither a planner nor a worker was set up here before: in no file, by no variable."""
        return not any(name.startswith(WHO) for name in self._given)

    def of(self, name: str) -> str:
        """The answer, else what is in force; empty for neither."""
        return self._answers.get(name, self._given.get(name, ("", ""))[0].strip())

    def given(self, name: str) -> str:
        """What is in force, whatever was answered."""
        return self._given.get(name, ("", ""))[0].strip()

    def put(self, values: Mapping[str, str], *, as_they_are: bool = False) -> None:
        """Take answers; an empty one means the default.

        What is the same as before is no change, unless `as_they_are`: then all of them are written.
        """
        for name, value in values.items():
            self._answers[name] = value.strip()
            if not as_they_are and self._answers[name] == self.given(name):
                del self._answers[name]

    def check(self, name: str, value: str) -> str:
        """What is wrong with an answer, in words; empty when nothing is. Fetches no key that is referred to."""
        if not value.strip() or (INFOS[name].secret and is_reference(value)):
            return ""
        try:
            settled({name: (value, HERE)}, self.place.environ)
        except ConfigError as error:
            return str(error).partition(f"(from {HERE}): ")[2] or str(error)
        return ""

    def settings(self, *, keys: bool = True) -> Settings:
        """The settings as they would be. ConfigError. With `keys` it may block: a key may come from a command."""
        return settled(self._merged(), self.place.environ, keys=keys)

    def loaded(self, settings: Settings) -> Loaded:
        """The same with where each value comes from."""
        return replace(self._loaded, settings=settings, origin={name: pair[1] for name, pair in self._merged().items()})

    def _merged(self) -> dict[str, tuple[str, str]]:
        merged = {**self._given, **{name: (value, HERE) for name, value in self._answers.items()}}
        return {name: pair for name, pair in merged.items() if pair[0]}

    def older_values(self) -> dict[str, str]:
        """What the file of older versions says and the person's own does not: it can be taken over."""
        if self.place.named or not self.place.older.is_file():
            return {}
        try:
            found = parse_env(self.place.older.read_text("utf-8", "replace")).values
        except OSError:
            return {}
        label = str(self.place.older)
        return {
            name: value
            for name, value in found.items()
            if name in INFOS and not INFOS[name].obsolete and self._given.get(name) == (value, label)
        }

    def changes(self) -> dict[str, str]:
        """Name → text to write; empty takes it out of the file."""
        taken_over = self.older_values() if self.picked.get("older") == "import" else {}
        return {**taken_over, **self._answers}

    def save(self) -> list[str]:
        """Write; then what keeps an answer from being in force, a sentence each. ConfigError: nothing was written."""
        changes = self.changes()
        if not changes:
            return []
        write_settings(self.place.file, changes)
        now = self.place.gathered().chosen
        return [
            f"{name} stays as {label} has it, which goes before {self.place.file}."
            if wanted
            else f"{name} is still set by {label}."
            for name, wanted in changes.items()
            for value, label in (now.get(name, ("", "")),)
            if label and value.strip() != wanted
        ]
