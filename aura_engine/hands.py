"""Who works and who plans: each role's worker, the planner's model, and those that take over while one is parked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aura_engine.config import roles
from aura_engine.config.machine_settings import DockerNetwork
from aura_engine.config.settings import Settings
from aura_engine.core.model import Role
from aura_engine.core.state import Attempt
from aura_engine.errors import ConfigError
from aura_engine.planner.providers.base import Provider, ProviderSettings, make_provider
from aura_engine.planner.providers.fallback import Fallback
from aura_engine.workers.base import Backend, RoleSettings
from aura_engine.workers.table import find_program, make_backend


@dataclass(frozen=True)
class Hand:
    """A role ready to work: its backend and settings."""

    role: Role
    backend: Backend
    settings: RoleSettings


class Hands:
    """The workers of a run."""

    def __init__(self, first: Mapping[Role, Hand], second: Mapping[Role, Hand]) -> None:
        self._first = first
        self._second = second

    def of(self, role: Role, *, fallback: bool = False) -> Hand:
        """The worker of a role that the worker mode uses."""
        return (self._second if fallback else self._first)[role]

    def behind(self, attempt: Attempt) -> Hand:
        """Who runs an attempt: as it was started, also when the settings have changed since."""
        hands = (*([self._second] if attempt.fallback else []), self._first)
        hand = next((found for each in hands if (found := each.get(attempt.role))), None)
        hand = hand or next(iter(self._first.values()))
        if hand.backend.name == attempt.backend:
            return hand
        return Hand(attempt.role, make_backend(attempt.backend), hand.settings)


@dataclass(frozen=True)
class Hired:
    """Who is ready to work, and what the person should know about it."""

    first: dict[Role, Hand]
    second: dict[Role, Hand]
    notes: tuple[str, ...]


def hire(settings: Settings, environ: Mapping[str, str], *, own_codex: bool = False) -> Hired:
    """The workers of the roles in use, each program found. ConfigError, MissingProgram.

    `own_codex`: Pro is the person's own configured Codex, whatever else is set for it.
    """
    refuse_own_codex(settings, own_codex=own_codex)
    first: dict[Role, Hand] = {}
    second: dict[Role, Hand] = {}
    notes: list[str] = []
    wanted = roles.roles_of(settings)
    if own_codex:
        wanted[Role.PRO], said = _own_codex(settings, wanted, environ)
        notes.append(said)
    for role, chosen in wanted.items():
        first[role], said = _hand(settings, chosen, environ)
        notes += said
        if (other := roles.resolve_fallback(settings, role)) is not None:
            second[role], _ = _hand(settings, other, environ)
            notes.append(f"While {role} is parked, {other.backend} {other.model} takes over.".replace("  ", " "))
    return Hired(first, second, tuple(notes))


def refuse_own_codex(settings: Settings, *, own_codex: bool) -> None:
    """ConfigError where the person's own Codex is asked for together with containers."""
    if own_codex and settings.workers_in_docker:
        raise ConfigError(
            "--workerpro-codex uses your own Codex, which no container has, but workers are set to run in Docker.",
            cure="Give --no-docker too.",
        )


def _own_codex(
    settings: Settings, used: Mapping[Role, roles.RoleSettings], environ: Mapping[str, str]
) -> tuple[roles.RoleSettings, str]:
    from aura_engine.workers.codex_config import own_login, own_model

    if Role.PRO not in used:
        raise ConfigError(
            f"--workerpro-codex is about Pro, but the worker mode {settings.worker_mode} uses none.",
            cure="Give --worker-mode auto, flash-first or pro-only.",
        )
    model = own_model(environ)
    if own_login(environ) is None:
        raise ConfigError("Your own Codex is not logged in.", cure="Run: codex login")
    chosen = replace(
        used[Role.PRO], backend="codex", api_key="", base_url="", model="", program=settings.codex_bin, note=""
    )
    return chosen, f"Pro is your own Codex with its model {model}."


def planner_of(settings: Settings) -> Provider:
    """The model that plans, with the one that takes over where one is set. ConfigError; nothing is opened yet."""
    first, second = settings.planner(), settings.second_planner()
    made = [
        make_provider(ProviderSettings(api.protocol, api.api_key, api.base_url, api.model))
        for api in (first, second)
        if api is not None
    ]
    return Fallback(*made) if second is not None else made[0]


def _hand(settings: Settings, chosen: roles.RoleSettings, environ: Mapping[str, str]) -> tuple[Hand, list[str]]:
    backend = make_backend(chosen.backend)
    wanted = RoleSettings(
        backend=chosen.backend,
        api_key=chosen.api_key,
        base_url=chosen.base_url,
        model=chosen.model,
        program=chosen.program,
        protocol=chosen.protocol,
        command=chosen.command,
        max_turns=chosen.max_turns,
        max_output_tokens=settings.qwencode_max_output_tokens,
    )
    notes = [chosen.note] if chosen.note else []
    if settings.workers_in_docker:
        return Hand(chosen.role, backend, _in_docker(settings, backend, wanted, environ, notes)), notes
    if not wanted.api_key and (login := backend.login(environ)) is not None:
        wanted = replace(wanted, login=login)
        notes.append(f"{chosen.role.capitalize()} ({chosen.backend}) has no key: it uses {login.words}.")
    return Hand(chosen.role, backend, find_program(backend, wanted, environ)), notes


def _in_docker(
    settings: Settings, backend: Backend, wanted: RoleSettings, environ: Mapping[str, str], notes: list[str]
) -> RoleSettings:
    """What a role needs where its program is the image's: its name there, no file of the person's."""
    if backend.name == "claude":
        env = {
            "ANTHROPIC_SMALL_FAST_MODEL": settings.docker_claude_small_model,
            "CLAUDE_CODE_SUBAGENT_MODEL": settings.docker_claude_subagent_model,
        }
        wanted = replace(wanted, env={**wanted.env, **{name: value for name, value in env.items() if value}})
    if settings.docker_network is DockerNetwork.NONE and not wanted.base_url:
        if backend.name != "claude":
            raise ConfigError(
                f"AURA_DOCKER_NETWORK is none, but nobody said where the model of {wanted.backend} is.",
                cure="Set AURA_PRO_BASE_URL and AURA_FLASH_BASE_URL, or AURA_DOCKER_NETWORK=bridge.",
            )
        wanted = replace(wanted, base_url="https://api.anthropic.com", protocol="anthropic")
    if not wanted.api_key and (login := backend.login(environ)) is not None:
        if login.files or settings.docker_network is DockerNetwork.NONE:
            notes.append(f"{backend.name} has no key: {login.words} is not given to containers.")
        else:
            wanted = replace(wanted, login=login)
            notes.append(f"{backend.name} has no key: it uses {login.words}.")
    return wanted
