"""`aura config`: what is in force and where it came from; and changing one's own configuration file."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import command, print_json, project_of
from aura_engine.errors import ConfigError

if TYPE_CHECKING:
    from aura_engine.config.load import Gathered
    from aura_engine.setup.draft import Place
    from aura_engine.setup.told import Row


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "config",
        "Shows the settings in force and where each came from, and changes your own configuration file.",
        "aura config show                      what is set, and where",
        "aura config show --all worker_        every setting whose name has that in it",
        "aura config get max_turns             one value, for a script",
        "aura config set max_turns 80          into your own configuration file",
        "aura config set api_key               asks for it: it does not stay in the shell's history",
        "aura config set api_key env:MY_KEY    from a variable; cmd:COMMAND: from what that prints",
        "aura config unset max_turns",
        "aura config edit                      in your editor; taken over only when it can be used",
    )
    verbs = made.add_subparsers(dest="what", required=True, metavar="show | get | set | unset | edit")
    show, get, put, unset, change = (verbs.add_parser(verb) for verb in ("show", "get", "set", "unset", "edit"))
    show.add_argument("name", nargs="?", metavar="PART", help="only settings whose name has this in it")
    show.add_argument("--all", action="store_true", help="also what has its default")
    for each in (get, put, unset):
        each.add_argument("name", metavar="NAME", help="the setting, such as max_turns")
    get.add_argument("--reveal", action="store_true", help="a key in full")
    put.add_argument("value", nargs="?", metavar="VALUE", help="without it you are asked")
    for each in (show, get, put, unset, change):
        each.add_argument("--config", "-c", metavar="FILE", help="in place of your own configuration file")
        if each is not change:
            each.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Do one of them. ConfigError, UsageError."""
    from aura_engine.setup.draft import Place

    file = Path(arguments.config).expanduser().absolute() if arguments.config else None
    place = Place.of(dict(os.environ), project_of(), file)
    if arguments.what == "show":
        return _show(arguments, place)
    if arguments.what == "edit":
        from aura_engine.cli.edit_config import edit

        return edit(place)
    name = _known(arguments.name.partition("=")[0])
    if arguments.what == "get":
        return _get(arguments, place, name)
    value = "" if arguments.what == "unset" else _value(arguments, name)
    return _write(place, name, value, as_json=arguments.json)


def _known(given: str) -> str:
    """The full name. ConfigError with the nearest one for a name that is none."""
    from aura_engine.config.load import did_you_mean, full_name
    from aura_engine.config.settings import INFOS

    name = full_name(given)
    if name not in INFOS:
        raise ConfigError(
            f"There is no setting {name}.", cure=did_you_mean(name) or "aura config show --all lists them."
        )
    return name


def _rows(place: Place, names: Iterable[str]) -> list[Row]:
    """What is told of each setting; keys masked."""
    from aura_engine.config.load import DEFAULT
    from aura_engine.config.settings import INFOS
    from aura_engine.setup.page import shown
    from aura_engine.setup.told import Row

    chosen = place.gathered().chosen
    rows: list[Row] = []
    for name in names:
        value, source = chosen.get(name, (INFOS[name].default, DEFAULT))
        masked = value if source == DEFAULT else shown(name, value.strip())
        rows.append(Row(name=name, value=masked, source=source, about=INFOS[name].about))
    return rows


def _show(arguments: argparse.Namespace, place: Place) -> int:
    from aura_engine.config.load import DEFAULT
    from aura_engine.config.settings import INFOS
    from aura_engine.core.text import one_line
    from aura_engine.setup.told import Shown

    part = (arguments.name or "").upper().replace("-", "_")
    rows = [row for row in _rows(place, INFOS) if part in row.name]
    told = [row for row in rows if arguments.all or (row.source != DEFAULT and not INFOS[row.name].obsolete)]
    loaded = place.loaded()  # ConfigError for what cannot be used
    if arguments.json:
        print_json(Shown(file=str(place.file), settings=tuple(told), notes=loaded.notes).model_dump(mode="json"))
        return 0
    width = max((len(row.name) for row in told), default=0)
    for row in told:
        source = "" if row.source == DEFAULT else f"  (from {row.source})"
        print(f"{row.name:<{width}}  {one_line(row.value, 100)}{source}".rstrip())
    for note in loaded.notes:
        print(f"Mind: {note}")
    if len(told) < len(rows):
        print(f"{len(rows) - len(told)} others have their defaults: aura config show --all")
    print(f"Your own file is {place.file}{'' if place.file.exists() else ', which is not there yet: aura setup'}.")
    return 0


def _get(arguments: argparse.Namespace, place: Place, name: str) -> int:
    (row,) = _rows(place, [name])
    if arguments.reveal:
        row = row.model_copy(update={"value": _plain(place.gathered(), name, place)})
    if arguments.json:
        print_json(row.model_dump(mode="json"))
    else:
        print(row.value)
    return 0


def _plain(found: Gathered, name: str, place: Place) -> str:
    """The value as it is used: a key that is referred to is fetched."""
    from aura_engine.config.references import is_reference, resolve
    from aura_engine.config.settings import INFOS

    value = found.chosen.get(name, (INFOS[name].default, ""))[0].strip()
    return resolve(name, value, place.environ) if INFOS[name].secret and is_reference(value) else value


def _value(arguments: argparse.Namespace, name: str) -> str:
    """The value to set: from the line, `NAME=VALUE` too, else asked for or read from standard input."""
    from aura_engine.config.settings import INFOS

    _, equals, behind = arguments.name.partition("=")
    if equals or arguments.value is not None:
        return str(behind if equals else arguments.value).strip()
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    prompt = f"{name}: "
    return (getpass.getpass(prompt) if INFOS[name].secret else input(prompt)).strip()


def _write(place: Place, name: str, value: str, *, as_json: bool) -> int:
    """Set it in the person's own file, or take it out, and say where something else goes before it."""
    from aura_engine.config.load import CAPS, settled
    from aura_engine.config.references import is_reference
    from aura_engine.config.settings import INFOS
    from aura_engine.config.write import write_settings
    from aura_engine.setup.page import shown
    from aura_engine.setup.told import Written

    if value and not (INFOS[name].secret and is_reference(value)):
        settled({name: (value, "aura config set")}, place.environ)
    write_settings(place.file, {name: value})
    now = place.gathered().chosen.get(name, ("", ""))
    other = now[1] if now[1] and now[0].strip() != value else ""
    if as_json:
        written = Written(name=name, value=shown(name, value), file=str(place.file), overridden_by=other)
        print_json(written.model_dump(mode="json"))
        return 0
    print(f"{name} = {shown(name, value)}, in {place.file}." if value else f"{name} is taken out of {place.file}.")
    if name in CAPS and not other:
        print("A run that goes on takes it within seconds, unless its command line, environment or .env sets it.")
    if other:
        print(f"Mind: {other} sets it too, and goes before." if value else f"Mind: {other} still sets it.")
    return 0
