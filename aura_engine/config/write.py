"""Changes settings in a configuration file and leaves the rest of it as a person wrote it."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from aura_engine.config.dotenv import assignments
from aura_engine.config.fields import PREFIX
from aura_engine.config.load import settled
from aura_engine.config.references import is_reference
from aura_engine.config.settings import INFOS
from aura_engine.errors import ConfigError
from aura_engine.paths import PRIVATE, atomic_write, locked

HEADER = """\
# Aura's settings, one a line: name = value, the name without AURA_ and in small letters.
# `aura config show --all` tells every name, `aura setup` asks for what is needed.
# A key may also be named: "env:NAME" takes it from a variable, "cmd:COMMAND" from what a command prints.
"""
EDIT = "Correct it first: aura config edit"
_INTEGER = re.compile(r"-?\d+")


def write_settings(path: Path, changes: Mapping[str, str]) -> None:
    """Set each name (AURA_…) to its text, or take it out where that is empty; what else is in the file stays.

    A `.toml` file keeps its order and comments; any other is KEY=VALUE lines. The file is replaced as a whole, readable
    by its owner alone; a link stays one. The values were checked before. ConfigError when it cannot be read or written.
    """
    path = path.resolve()
    try:
        with _writing(path):
            text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
            body = (_toml if path.suffix == ".toml" else _env)(text, changes, path)
            replace_file(path, body)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.", cure="Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", cure="Nothing was changed.") from None


def write_tables(path: Path, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the rows of tables, such as `keys` and `prices`, into a `.toml` file beside those there are. ConfigError."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = path.resolve()
    try:
        with _writing(path):
            document = tomlkit.parse(path.read_text("utf-8") if path.exists() else HEADER)
            for name, table in tables.items():
                rows: Any = document.setdefault(name, tomlkit.table())
                if not isinstance(rows, dict):
                    cure = f"Make it a table, [{name}], and run it again; the other settings are in the file."
                    raise ConfigError(f"{path}: {name} is no table there, so its rows have no place.", cure=cure)
                for row, value in table.items():
                    rows[row] = value
            replace_file(path, tomlkit.dumps(document))
    except TOMLKitError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", cure=EDIT) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", cure="Its settings are in it.") from None


def _writing(path: Path) -> AbstractContextManager[None]:
    """Whoever reads the file to write it anew is alone with it. OSError, AuraError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return locked(path.parent, path)


def replace_file(path: Path, body: str) -> None:
    """Put a configuration in place of the one at `path`, making its folder. OSError."""
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "it is no regular file")
    path.parent.mkdir(PRIVATE, parents=True, exist_ok=True)
    atomic_write(path, body)


def _toml(text: str, changes: Mapping[str, str], path: Path) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text or HEADER)
    except TOMLKitError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", cure=EDIT) from None
    for name, value in changes.items():
        places = list(_places(document, name, ""))
        last = places.pop() if value and places else None
        for table, key in places:
            del table[key]
        if last is not None:
            last[0][last[1]] = _typed(name, value)
        elif value and INFOS[name].field in document:
            raise ConfigError(f"{path}: [{INFOS[name].field}] is a table there, so {name} has no place.", cure=EDIT)
        elif value:
            _add(document, INFOS[name].field, tomlkit.item(_typed(name, value)))
    return tomlkit.dumps(document)


def _add(document: Any, key: str, value: Any) -> None:
    """A new line behind the last one of the top level, not behind the comment that stands above the first table."""
    lines = [name for name, item in document.items() if not isinstance(item, dict)]
    if lines:
        document._insert_after(lines[-1], key, value)  # the library offers no public way to a place in the middle
    else:
        document[key] = value


def _places(table: Any, name: str, prefix: str) -> Iterator[tuple[Any, str]]:
    """Where a document sets a name: `pro_model`, `AURA_PRO_MODEL`, or `model` in `[pro]`."""
    for key, value in list(cast("dict[str, Any]", table).items()):
        full = (prefix + key).upper().replace("-", "_")
        if isinstance(value, dict):
            if prefix or key not in ("keys", "prices"):  # no settings, but what only has a place in this file
                yield from _places(value, name, "HOOK_" if full == "HOOKS" else f"{full}_")
        elif (full if full.startswith(PREFIX) else PREFIX + full) == name:
            yield table, key


def _typed(name: str, value: str) -> bool | int | str:
    """The text as TOML has it: a switch as true or false, a whole number bare, all else quoted."""
    if is_reference(value):
        return value
    found = getattr(settled({name: (value, "")}, {}), INFOS[name].field)
    if isinstance(found, bool):
        return found
    return int(value) if isinstance(found, int | float) and _INTEGER.fullmatch(value.strip()) else value.strip()


def _env(text: str, changes: Mapping[str, str], path: Path) -> str:
    """The lines, with the last assignment of a name changed in place and others of it taken out."""
    left = {name: f"{name}={_quoted(value)}" for name, value in changes.items() if value}
    lines = text.splitlines()
    kept: list[str] = []
    for at, name, _, used in reversed(list(assignments(lines))):
        if name not in changes:
            kept[:0] = lines[at : at + used]
        elif name in left:
            kept.insert(0, left.pop(name))
    return "\n".join([*kept, *left.values()]) + "\n"


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w@%+=:,./-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
