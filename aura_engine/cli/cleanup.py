"""`aura cleanup`: what goals of this folder have left behind: containers, networks, data of goals that are gone."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_engine.cli.options import command, print_json, project_of
from aura_engine.errors import AuraError, RuntimeFault
from aura_engine.paths import RunPaths, data_dir, read_index, scratch_of

if TYPE_CHECKING:
    from aura_engine.runtimes.docker_engine import DockerEngine

BUSY = "stays: an engine runs this goal"


@dataclass(frozen=True)
class Left:
    """One thing that is left."""

    kind: str
    """`container`, `network` or `data`."""
    name: str
    state: str
    run: str
    """The folder's name of the run that it belongs to."""
    kept: str = ""
    """Why it does not go; empty where it can."""
    done: str = ""
    """What became of it."""


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "cleanup",
        "Lists what the goals of this folder have left behind: containers and networks that carry their labels, and\n"
        "the data of goals whose task file is gone. With --force containers and networks are removed, and the data\n"
        "are moved into the vault, where aura recover finds them.",
        "aura cleanup             what could go",
        "aura cleanup --force     have it go",
        closing="Nothing of a goal that an engine runs is touched.",
    )
    made.add_argument("--force", action="store_true", help="do it; without it they are only listed")
    made.add_argument("--data-dir", metavar="DIR", help="where the data of runs lies (default: .aura here)")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(arguments: argparse.Namespace) -> int:
    """List, then remove."""
    data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
    found, trouble = asyncio.run(_in_docker(data, _address(), force=arguments.force, say=not arguments.json))
    gone = _data_of_gone(data)
    if not arguments.json:
        _list(gone)
    if arguments.force:
        gone = [_set_aside(data, left) for left in gone]
    everything = [*found, *gone]
    if arguments.json:
        print_json({"left": [asdict(left) for left in everything], "docker": trouble})
    else:
        _say_outcome(everything, trouble, data, force=arguments.force)
    return 1 if any(left.done.startswith("stays") for left in everything) else 0


# ---- containers and networks


def _address() -> str:
    from aura_engine.config.load import load_settings
    from aura_engine.runtimes.docker_host import address_of

    loaded = load_settings(flags={}, environ=os.environ, project=project_of())
    return address_of(loaded.settings.docker_host, os.environ)


async def _in_docker(data: Path, address: str, *, force: bool, say: bool) -> tuple[list[Left], str]:
    """What containers and networks of these runs there are, removed if so wished; why Docker could not be asked."""
    from aura_engine.runtimes.docker_host import UNIX

    if address.startswith(UNIX) and not Path(address.removeprefix(UNIX)).exists():
        return [], ""  # no Docker here: nothing of ours can be in it
    from aura_engine.runtimes.docker_engine import DockerEngine
    from aura_engine.runtimes.docker_host import greet

    engine = DockerEngine(address)
    try:
        await greet(engine)
        found = [left for name in _names(data) for left in await _of_run(engine, data, name)]
        if say:
            _list(found)  # before anything is removed
        return ([await _removed(engine, left) for left in found] if force else found), ""
    except RuntimeFault as error:
        return [], f"Docker was not asked: {error.line()}"
    finally:
        await engine.aclose()


def _names(data: Path) -> list[str]:
    """The folders' names of all runs that had their data here, those that were begun afresh too."""
    return sorted({*read_index(data)["runs"], *(path.parent.name for path in data.glob("*/journal.db"))})


async def _of_run(engine: DockerEngine, data: Path, name: str) -> list[Left]:
    from aura_engine.journal.lock import owner
    from aura_engine.runtimes.docker_profile import project_of as project_label

    label = {"label": [f"aura.project={project_label(scratch_of(data, data / name))}"]}
    kept = BUSY if owner(data / name / "lock") is not None else ""
    docker: Any = engine.docker
    containers: Any = await engine.call("list containers", docker.containers.list(all=True, filters=json.dumps(label)))
    networks: Any = await engine.call("list networks", docker.networks.list(filters=label))
    return [
        *(Left("container", str(each["Names"][0]).lstrip("/"), str(each["State"]), name, kept) for each in containers),
        *(Left("network", str(each["Name"]), str(each["Driver"]), name, kept) for each in networks),
    ]


async def _removed(engine: DockerEngine, left: Left) -> Left:
    if left.kept:
        return left
    try:
        if left.kind == "container":
            await engine.remove(left.name)
        else:
            network = await engine.call("show a network", engine.docker.networks.get(left.name))
            await engine.call("remove a network", network.delete())
    except RuntimeFault as error:
        return replace(left, done=f"stays: {error}")
    return replace(left, done="removed")


# ---- data


def _data_of_gone(data: Path) -> list[Left]:
    """Runs whose task file is not there any more."""
    from aura_engine.cli.projects import projects_in

    return [
        Left("data", each.run, f"of {each.task_file}, which is gone", each.run, BUSY if each.owned else "")
        for each in projects_in(data)
        if each.task_file and not each.task_file_exists
    ]


def _set_aside(data: Path, left: Left) -> Left:
    from aura_engine.cli.restart import set_aside

    if left.kept:
        return left
    run = data / left.run
    try:
        place = set_aside(RunPaths(run, scratch_of(data, run)), stop_workers=False)
    except (AuraError, OSError) as error:
        return replace(left, done=f"stays: {error.line() if isinstance(error, AuraError) else error}")
    return replace(left, done=f"moved to {place}")


# ---- words


def _list(found: Iterable[Left]) -> None:
    from aura_engine.core.text import one_line

    for left in found:
        print(f"{left.kind:9}  {one_line(left.name)}  {one_line(left.state, 300)}  {left.kept}".rstrip())


def _say_outcome(found: list[Left], trouble: str, data: Path, *, force: bool) -> None:
    from aura_engine.core.text import one_line
    from aura_engine.report.words import count

    going = [left for left in found if not left.kept]
    if trouble:
        print(one_line(trouble, 500))
    if not found:
        print(f"Nothing is left behind by the goals of {data}.")
    elif not going:
        print("Nothing of it can go.")
    elif not force:
        print(f"{count(len(going), 'thing')} could go; nothing was touched. To do it: aura cleanup --force")
    for left in found if force else ():
        print(one_line(f"{left.name}: {left.done or left.kept}", 1000))
