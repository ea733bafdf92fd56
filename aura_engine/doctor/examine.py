"""All that doctor looks at, in the order in which it is told."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aura_engine.config.load import Loaded, load_settings
from aura_engine.config.settings import Settings
from aura_engine.doctor import machine
from aura_engine.doctor.brains import Seat, seats, settings_in_force, unreadable
from aura_engine.doctor.docker import docker
from aura_engine.doctor.findings import Finding, Level, Section, Tell
from aura_engine.doctor.logout import logout
from aura_engine.doctor.probe import probe
from aura_engine.doctor.programs import programs, try_programs
from aura_engine.doctor.walls import wall
from aura_engine.errors import ConfigError
from aura_engine.paths import PRIVATE, data_dir, state_home
from aura_engine.removal import remove_few


@dataclass(frozen=True)
class Question:
    """What doctor is asked."""

    project: Path
    flags: Mapping[str, str]
    """As for load_settings."""
    environ: Mapping[str, str]
    config_file: Path | None = None
    probe: bool = False
    """Also ask the models, which costs."""


async def examine(question: Question, tell: Tell) -> None:
    """Look at everything. Changes nothing but a folder of its own, which it takes away again."""
    environ = question.environ
    loaded, taken, configured = await asyncio.to_thread(_configured, question)
    settings = loaded.settings if loaded else Settings()
    data, workspaces = data_dir(question.project, settings.data_dir or None), state_home(environ)
    places = {"project": question.project, "data": data, "workspaces": workspaces}
    containment, walled = await asyncio.to_thread(wall, settings.containment, environ, tuple(places.values()))
    on_disk = await asyncio.to_thread(machine.places, places)
    leaving = await asyncio.to_thread(logout)
    for finding in (machine.system(), await machine.git(), *on_disk, *leaving, *configured, *walled):
        tell(finding)
    docked = await docker(settings, environ)
    for finding in docked:
        tell(finding)
    try:
        scratch = await asyncio.to_thread(_scratch, workspaces)
    except OSError as error:
        tell(_no_scratch(workspaces, error))
        return
    try:
        if not docked or docked[0].level is not Level.GOOD:  # else they are the image's
            all_programs = await asyncio.to_thread(programs, settings, taken, environ)
            await try_programs(all_programs, containment, scratch, environ, tell)
        if question.probe and loaded:
            await probe(settings, taken, containment, scratch, environ, tell)
    finally:
        await asyncio.to_thread(remove_few, scratch)


def _configured(question: Question) -> tuple[Loaded | None, list[Seat], list[Finding]]:
    """The settings in force, whom they make work, and what is to be said of both."""
    try:
        loaded = load_settings(
            flags=question.flags,
            environ=question.environ,
            project=question.project,
            config_file=question.config_file,
        )
    except ConfigError as error:
        return None, [], [unreadable(error)]
    taken = seats(loaded.settings, question.environ)
    return loaded, taken, settings_in_force(loaded, taken, question.environ)


def _scratch(workspaces: Path) -> Path:
    workspaces.mkdir(PRIVATE, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="doctor-", dir=workspaces))


def _no_scratch(workspaces: Path, error: OSError) -> Finding:
    text = f"none can be tried: {workspaces} cannot be written to ({error.strerror})"
    cure = "Make it writable, or set XDG_STATE_HOME to another folder."
    return Finding(section=Section.BACKENDS, level=Level.PROBLEM, about="programs", text=text, cure=cure)
