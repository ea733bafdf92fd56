"""Tries answers for real: a word with the planner's model, a worker's program and its model, the container engine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aura_engine.config.planner_settings import PlannerApi
from aura_engine.config.roles import RoleSettings
from aura_engine.config.settings import Settings
from aura_engine.core.model import Role
from aura_engine.doctor.brains import Seat, of_seat, seats
from aura_engine.doctor.findings import Finding, Level, Section, found
from aura_engine.doctor.probe import call
from aura_engine.doctor.programs import programs, try_programs
from aura_engine.errors import AuraError
from aura_engine.paths import PRIVATE, state_home
from aura_engine.removal import remove_few
from aura_engine.setup.draft import Draft

finding = partial(found, Section.PROBE)
ANTHROPIC = "https://api.anthropic.com"
TALKS = frozenset({"builtin", "claude", "qwencode", "opencode", "ds_code"})
"""Backends whose service answers the protocols that the planner speaks; Codex has one of its own."""


async def try_planner(draft: Draft) -> Sequence[Finding]:
    """One word from its model."""
    try:
        settings = await asyncio.to_thread(draft.settings)
        return [await call("planner", settings.planner(), settings)]
    except AuraError as error:
        return [finding(Level.PROBLEM, "planner", str(error), error.cure)]


async def try_role(role: Role, draft: Draft) -> Sequence[Finding]:
    """Its program's version, whom it works for, and one word from its model where it can be asked directly."""
    try:
        settings = await asyncio.to_thread(draft.settings)
        taken = [seat for seat in seats(settings, draft.place.environ) if not seat.fallback]
        seat = next(seat for seat in taken if seat.role is role)
        told = await _program(settings, seat, draft)
        paid = of_seat(draft.loaded(settings), seat)
        if paid.level is not Level.GOOD:
            return [*told, paid]
        return [*told, await _model(settings, seat)]
    except AuraError as error:
        return [finding(Level.PROBLEM, str(role), str(error), error.cure)]


async def _program(settings: Settings, seat: Seat, draft: Draft) -> list[Finding]:
    """Found or not, and which version. In Docker it is the image's."""
    if settings.workers_in_docker:
        return [finding(Level.NOTE, seat.backend.name, "is taken from the image: Docker is on")]
    environ = draft.place.environ
    scratch = await asyncio.to_thread(_scratch, state_home(environ))
    told: list[Finding] = []
    try:
        # Nothing holds it here: only its version is asked. `aura doctor` also tries it inside the containment.
        found_programs = await asyncio.to_thread(programs, settings, [seat], environ)
        used = [program for program in found_programs if program.wanted]
        await try_programs(used, None, scratch, environ, told.append)
    finally:
        await asyncio.to_thread(remove_few, scratch)
    return told


def _scratch(folder: Path) -> Path:
    try:
        folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="setup-", dir=folder))
    except OSError as error:
        raise AuraError(f"{folder} cannot be written to: {error.strerror}.", cure="Make it writable.") from None


async def _model(settings: Settings, seat: Seat) -> Finding:
    chosen, who = seat.chosen, str(seat.role)
    api = _api(settings, chosen, seat.backend.name)
    if api is None:
        text = "its model is asked when it has work; aura doctor --probe tries it with a small task"
        return finding(Level.NOTE, who, text)
    told = await call(who, api, settings)
    if chosen.note:  # it uses the planner's
        return told
    # What to do is said in the names of the role's own settings.
    own = f"AURA_{who.upper()}"
    cure = told.cure.replace("AURA_API_KEY", f"{own}_API_KEY").replace("AURA_API_BASE_URL", f"{own}_BASE_URL")
    return told.model_copy(update={"cure": cure.replace("AURA_API_MODEL", f"{own}_MODEL")})


def _api(settings: Settings, chosen: RoleSettings, backend: str) -> PlannerApi | None:
    """Where its model can be asked; None where only its program knows."""
    url = chosen.base_url or (ANTHROPIC if backend == "claude" else "")
    if backend not in TALKS or not (url and chosen.api_key and chosen.model):
        return None
    protocol = chosen.protocol or "anthropic"
    return PlannerApi(protocol, chosen.api_key, url, chosen.model, settings.api_max_tokens, settings.api_timeout)


async def try_docker(draft: Draft) -> Sequence[Finding]:
    """Whether the engine answers and has the image; nothing where workers run on this machine."""
    # Only here: it takes half a second to load, and most people never come here.
    from aura_engine.doctor.docker import docker

    told = await docker(draft.settings(keys=False), draft.place.environ)
    # A run could do without; a person who has just asked for it should hear of it before they go on.
    return [
        each.model_copy(update={"level": Level.PROBLEM})
        if each.about == "docker" and each.level is Level.WARNING
        else each
        for each in told
    ]
