"""Themes from TOML files: ours, and a person's own from the config folder. A bad file is reported, never fatal."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from textual.color import Color, ColorParseError
from textual.theme import Theme

from aura_engine.core.text import one_line

OURS = Path(__file__).with_name("themes")
DEFAULT, PLAINEST = "aura-dark", "terminal-16"
MAX_BYTES = 64 << 10
MAX_FILES = 100
STYLES = frozenset({"none", "bold", "dim", "italic", "underline", "reverse", "strike"})
_COLOUR_AND_ALPHA = re.compile(r"(\S+)(?:\s+\d{1,3}%)?")


def _colour(text: str) -> str:
    try:
        Color.parse(text)
    except ColorParseError:
        raise ValueError(f"“{one_line(text, 40)}” is no colour") from None
    return text


def _variable(text: str) -> str:
    if all(word in STYLES for word in text.split()):
        return text
    match = _COLOUR_AND_ALPHA.fullmatch(text.strip())
    _colour(match.group(1) if match else text)
    return text


Colour = Annotated[str, AfterValidator(_colour)]


class ThemeFile(BaseModel):
    """What a theme file says."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    dark: bool = True
    ansi: bool = False
    """The terminal's own colours: names such as `ansi_green`."""
    primary: Colour
    secondary: Colour | None = None
    accent: Colour | None = None
    foreground: Colour | None = None
    background: Colour | None = None
    surface: Colour | None = None
    panel: Colour | None = None
    boost: Colour | None = None
    success: Colour | None = None
    warning: Colour | None = None
    error: Colour | None = None
    variables: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], Annotated[str, AfterValidator(_variable)]] = (
        Field(default_factory=dict[str, str], max_length=200)
    )

    def theme(self) -> Theme:
        """Textual's form of it."""
        return Theme(**self.model_dump())


@dataclass
class Loaded:
    """The themes found, and what is wrong with the files that are none."""

    themes: dict[str, Theme] = field(default_factory=dict[str, Theme])
    problems: list[str] = field(default_factory=list[str])
    paths: dict[str, Path] = field(default_factory=dict[str, Path])


def load(folders: Iterable[Path | None]) -> Loaded:
    """All themes of the folders; a later one takes the place of an earlier one of its name."""
    loaded = Loaded()
    for folder in folders:
        if folder is None or not folder.is_dir():
            continue
        for path in sorted(folder.glob("*.toml"))[:MAX_FILES]:
            try:
                theme = read(path)
            except ValueError as error:
                loaded.problems.append(f"{path.name}: {error}")
                continue
            loaded.themes[theme.name] = theme
            loaded.paths[theme.name] = path
    return loaded


def read(path: Path) -> Theme:
    """The theme in a file. ValueError with what is wrong, in a sentence."""
    try:
        if not path.is_file():
            raise ValueError("is not a plain file")
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES >> 10} KiB")
        return ThemeFile.model_validate(tomllib.loads(body.decode("utf-8"))).theme()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {one_line(str(error), 120)}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def stamp(folder: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Changes when a theme file of the folder does."""
    if folder is None or not folder.is_dir():
        return ()
    found: list[tuple[str, int, int]] = []
    for path in sorted(folder.glob("*.toml"))[:MAX_FILES]:
        try:
            seen = path.stat()
        except OSError:
            continue
        found.append((path.name, seen.st_mtime_ns, seen.st_size))
    return tuple(found)
