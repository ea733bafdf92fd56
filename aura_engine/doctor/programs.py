"""The worker programs: found or not, which version, and whether each starts, outside and inside the containment."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aura_engine.config.settings import Settings
from aura_engine.core.backends import BACKENDS
from aura_engine.core.text import clean, one_line
from aura_engine.doctor.brains import Seat
from aura_engine.doctor.findings import Fact, Finding, Level, Section, Tell, found, tell_in_order
from aura_engine.errors import AuraError, MissingProgram, RuntimeFault
from aura_engine.runtimes.containment import NONE, Containment
from aura_engine.runtimes.environment import worker_env
from aura_engine.verify.process import run_command
from aura_engine.workers.base import Backend, RoleSettings
from aura_engine.workers.table import COMMANDS, find_program, make_backend

finding = partial(found, Section.BACKENDS)
LIMIT = 10.0
"""Seconds in which a program says its version."""
MAX_OUTPUT = 1_000_000
AT_ONCE = 2
"""Programs tried at the same time: most are a whole Node to load."""
VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?(?:[-+][\w.]+)?")
CANNOT_RUN = frozenset({126, 127})
LOOK = ("/bin/sh", "-c", 'test -x "$0"')
"""What is asked of a program that is no CLI that we know: `--version` might set it to work."""
PYTHON = ("-I", "-S", "-c", "import platform; print(platform.python_version())")


@dataclass(frozen=True)
class Program:
    """One program of the table."""

    backend: Backend
    path: str
    """Empty where it was not found."""
    wanted: tuple[str, ...]
    """Who uses it; nobody need."""
    missing: AuraError | None = None
    """Why it was not found."""

    @property
    def question(self) -> tuple[str, ...]:
        """The command line that it is tried with."""
        if self.backend.name in COMMANDS:
            return (*LOOK, self.path)
        return (self.path, *PYTHON) if self.backend.program is None else (self.path, "--version")


@dataclass(frozen=True)
class Trial:
    """One start of it."""

    trouble: str
    """Why it did not work, in words that go on from “it”; empty where it did."""
    said: str
    """The end of its output, cleaned."""


def programs(settings: Settings, seats: Sequence[Seat], environ: Mapping[str, str]) -> list[Program]:
    """Every program of the table, those that are used first; each once."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for seat in seats:
        chosen = seat.chosen
        command = chosen.command if chosen.backend in COMMANDS else ""
        wanted.setdefault((chosen.backend, chosen.program, command), []).append(seat.who)
    used = {name for name, _, _ in wanted}
    for name in BACKENDS:
        if name not in used and name not in COMMANDS:
            wanted[name, str(getattr(settings, f"{name.replace('_', '')}_bin", "")), ""] = []
    return [
        _looked_up(RoleSettings(name, program=program, command=command), tuple(who), environ)
        for (name, program, command), who in wanted.items()
    ]


def _looked_up(role: RoleSettings, who: tuple[str, ...], environ: Mapping[str, str]) -> Program:
    backend = make_backend(role.backend)
    try:
        path = find_program(backend, role, environ).program or sys.executable
    except AuraError as error:
        return Program(backend, "", who, error)
    return Program(backend, path, who)


async def try_programs(
    all_programs: Sequence[Program],
    containment: Containment | None,
    scratch: Path,
    environ: Mapping[str, str],
    tell: Tell,
) -> None:
    """A finding for each program, in their order. `containment`: None where a run has none to start in."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, program: Program) -> Finding:
        async with slots:
            return await _tried(program, containment, scratch / f"program-{number}", environ)

    await tell_in_order((one(number, program) for number, program in enumerate(all_programs)), tell)


async def _tried(
    program: Program, containment: Containment | None, folder: Path, environ: Mapping[str, str]
) -> Finding:
    name, bad = program.backend.name, Level.PROBLEM if program.wanted else Level.WARNING
    use = f" (used by {', '.join(program.wanted)})" if program.wanted else ""
    facts: dict[str, Fact] = {"found": bool(program.path), "used_by": ", ".join(program.wanted)}
    if program.missing is not None:
        level = bad if program.wanted or not isinstance(program.missing, MissingProgram) else Level.NOTE
        text = f"{str(program.missing).rstrip('.')}{use}" if program.wanted else "not found; no role uses it"
        return finding(level, name, text, program.missing.cure, facts)
    facts["path"] = program.path
    outside = await _start(program, Containment(), folder / "outside", environ)
    version = _version(program.backend, outside.said)
    facts |= {"version": version, "verified": program.backend.verified, "starts": not outside.trouble}
    if outside.trouble:
        text = f"{program.path} {outside.trouble}{use}"
        hint = f" {program.backend.install_hint}" if program.backend.program else ""
        return finding(bad, name, text, f"Run it yourself to see more, or install it anew.{hint}", facts)
    where = ""
    if containment is not None and containment.name != NONE:
        inside = await _start(program, containment, folder / "inside", environ)
        facts["starts_inside"] = not inside.trouble
        where = f"; starts inside {containment.name}"
        if inside.trouble:
            text = (
                f"{_called(program, version)} works, but not inside the containment ({containment.name}), where it "
                f"{inside.trouble}{use}"
            )
            return finding(bad, name, text, _way_in(program), facts)
    level, judged = _judged(program, version)
    return finding(level, name, f"{_called(program, version)}{judged}{where}{use}", "", facts)


def _called(program: Program, version: str) -> str:
    if program.backend.name == "builtin":
        return f"comes with Aura, runs on Python {version} at {program.path}"
    return f"{version} at {program.path}" if version else program.path


def _judged(program: Program, version: str) -> tuple[Level, str]:
    """How the version compares with the one that its backend was tried with."""
    verified, odd = program.backend.verified, Level.WARNING if program.wanted else Level.NOTE
    if not verified or version == verified:
        return Level.GOOD, ", the version that Aura was tried with" if verified else ""
    said = "" if version else ", which says no version"
    return odd, f"{said}; Aura was tried with {verified}: another one may print or behave otherwise"


def _way_in(program: Program) -> str:
    name = program.backend.name.replace("_", "").upper()
    move = "Install it, with the interpreter that it needs, where the system's programs lie or in a folder of PATH"
    setting = f", and point AURA_{name}_BIN there" if program.backend.program else ""
    return f"{move}{setting}; or set AURA_CONTAINMENT={NONE} to let workers run as you, with all your files in reach."


def _version(backend: Backend, said: str) -> str:
    """The version in what a program said: the verified one if that is there, else the first that looks like one."""
    numbers = VERSION.findall(said) if backend.name not in COMMANDS else []
    return backend.verified if backend.verified in numbers else next(iter(numbers), "")


async def _start(program: Program, containment: Containment, folder: Path, environ: Mapping[str, str]) -> Trial:
    """Start it once, with a HOME of its own and none of the person's keys."""
    home, work = folder / "home", folder / "work"
    temp = home / "tmp"
    for each in (temp, work):
        await asyncio.to_thread(each.mkdir, 0o700, parents=True)
    argv = containment.command(program.question, write=(work, home), temp=temp, network=True)
    env = worker_env({**containment.env}, home=home, environ=environ)
    try:
        ran = await run_command(argv, cwd=work, env=env, limit=LIMIT, max_output=MAX_OUTPUT)
    except RuntimeFault as error:
        return Trial(f"cannot be started: {error}", "")
    said = clean(ran.tail)
    last = one_line(next((line for line in reversed(said.splitlines()) if line.strip()), ""), 200)
    tail = f": {last}" if last else ""
    if ran.timed_out:
        return Trial(f"did not say its version within {LIMIT:g} s{tail}", said)
    if ran.overflowed:
        return Trial("says far more than its version when asked for it", "")
    if program.backend.name in COMMANDS:
        return Trial("is not there or may not be run" if ran.code else "", said)
    # Where it is not known that a program can be asked for its version, any answer of its own will do.
    may_refuse = bool(program.backend.program) and not program.backend.verified
    if ran.code == 0 or (may_refuse and ran.code is not None and ran.code not in CANNOT_RUN):
        return Trial("", said)
    how = f"by signal {ran.signal}" if ran.signal else f"with exit status {ran.code}"
    return Trial(f"ended {how} when asked for its version{tail}", said)
