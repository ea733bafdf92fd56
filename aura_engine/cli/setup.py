"""`aura setup`: asks who plans and who works, tries each answer at once, and writes a configuration at the end."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import command, print_json, project_of
from aura_engine.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from aura_engine.doctor.findings import Finding
    from aura_engine.setup.draft import Draft, Place

NEXT = """\
Next: write your goal into task.md, then: aura task.md
aura doctor --probe also gives each worker a small task (some cents); aura setup changes what you said here."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "setup",
        "Asks who plans and who works, tries each answer at once, and writes all at the end: leaving changes nothing.",
        "aura setup                     line by line, also over SSH",
        "aura setup --ui full           the same as a full screen",
        "aura setup --from team.toml    no questions: the file's settings are tried and taken over",
        closing="exit status: 0 written, 1 left or a trial failed, 2 wrong use",
    )
    made.add_argument("--from", dest="source", metavar="FILE", help="take the answers from this .toml or .env file")
    made.add_argument("--output", "-o", metavar="FILE", help="write this file in place of your own configuration")
    made.add_argument("--force", "-f", action="store_true", help="with --from: write it although a trial fails")
    made.add_argument("--ui", choices=("plain", "full"), default="plain", help="line by line, or a full screen")
    made.add_argument("--json", action="store_true", help="with --from: print JSON")
    return made


def run(arguments: argparse.Namespace) -> int:
    """Ask, or take a file's answers."""
    from aura_engine.setup.draft import Draft, Place

    output = Path(arguments.output).expanduser().absolute() if arguments.output else None
    place = Place.of(dict(os.environ), project_of(), output)
    draft = Draft(place)
    if arguments.source:
        return _from_file(draft, Path(arguments.source).expanduser(), force=arguments.force, as_json=arguments.json)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("aura setup asks questions, and this is no terminal.", cure="Give the answers: --from FILE")
    if arguments.ui == "full":
        return _on_screen(place)
    from aura_engine.cli.form import Form
    from aura_engine.setup.machine import Machine
    from aura_engine.setup.walk import Walk

    try:
        notes = Form(Walk(draft, Machine.look(draft))).ask()
    except (KeyboardInterrupt, EOFError):
        print()
        notes = None
    return _said(place, notes)


def _on_screen(place: Place) -> int:
    notes: list[str] | None = importlib.import_module("aura_tui.run").set_up(place)
    return _said(place, notes)


def _said(place: Place, notes: Sequence[str] | None) -> int:
    """The last lines; `notes` is None where it was left."""
    if notes is None:
        print("Left: nothing was changed.")
        return 1
    print(f"Your configuration is in {place.file}.")
    for note in notes:
        print(f"Mind: {note}")
    print(NEXT)
    return 0


def _from_file(draft: Draft, source: Path, *, force: bool, as_json: bool) -> int:
    """Take over what a file says, tried first."""
    from aura_engine.config.load import did_you_mean
    from aura_engine.config.prices import prices_of
    from aura_engine.config.settings import INFOS
    from aura_engine.config.sources import user_files
    from aura_engine.setup.told import Outcome

    if not source.is_file():
        raise ConfigError(f"There is no configuration file {source}.", cure="Correct --from.")
    remarks: list[str] = []
    sources = user_files(draft.place.environ, source, remarks)
    values = {name: value for each in sources for name, value in each.values.items()}
    tables = {
        name: table for each in sources for name, table in (("keys", each.keys), ("prices", each.prices)) if table
    }
    for name, value in values.items():
        if name not in INFOS:
            raise ConfigError(
                f"{name} (from {source}) is no setting of Aura's.",
                cure=did_you_mean(name) or "aura config show --all lists them.",
            )
        if wrong := draft.check(name, value):
            raise ConfigError(f"{name} (from {source}): {wrong}")
    if not values:
        raise ConfigError(f"{source} names no setting of Aura's.", cure="aura config show --all lists them.")
    if "prices" in tables:
        prices_of(draft.settings(), tables["prices"])  # what no start could read is not written
    draft.put({name: value for name, value in values.items() if not INFOS[name].obsolete}, as_they_are=True)
    findings = asyncio.run(_tried(draft))
    failed = any(finding.level == "problem" for finding in findings)
    written = force or not failed
    notes = draft.save() if written else []
    if written and tables:
        notes += _with_tables(draft.place, tables)
    if as_json:
        outcome = Outcome(
            written=written, file=str(draft.place.file), findings=tuple(findings), notes=(*remarks, *notes)
        )
        print_json(outcome.model_dump(mode="json"))
        return 0 if written else 1
    _tell(findings)
    for remark in remarks:
        print(f"Mind: {remark}")
    if not written:
        print(f"A trial failed: nothing was written. Correct {source}, or give --force.")
        return 1
    return _said(draft.place, notes)


def _with_tables(place: Place, tables: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Take over what only a .toml file has a place for; a sentence where there is none."""
    from aura_engine.config.write import write_tables

    if place.file.suffix != ".toml":
        return [f"[{name}] has no place in {place.file}, and is left out." for name in tables]
    write_tables(place.file, tables)
    return []


async def _tried(draft: Draft) -> list[Finding]:
    from aura_engine.config.roles import roles_of
    from aura_engine.setup.trials import try_docker, try_planner, try_role

    trials = [try_planner(draft), *(try_role(role, draft) for role in roles_of(draft.settings())), try_docker(draft)]
    return [finding for trial in trials for finding in await trial]


def _tell(findings: Sequence[Finding]) -> None:
    from aura_engine.cli.doctor import line

    for finding in findings:
        print(line(finding), flush=True)
