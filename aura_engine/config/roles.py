"""The two worker roles drawn from the settings: which fill in for each other, and saying so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from aura_engine.config.planner_settings import protocol_of
from aura_engine.config.settings import Settings
from aura_engine.core.model import Role, WorkerMode


@dataclass(frozen=True)
class RoleSettings:
    """How one role's workers are run. Empty texts leave the choice to the worker's program."""

    role: Role
    backend: str
    api_key: str
    base_url: str
    model: str
    protocol: Literal["anthropic", "openai", ""]
    """What `base_url` speaks; empty without one."""
    program: str
    """Path of the worker's program; empty: looked up on PATH."""
    command: str
    """The command line of the backends `command` and `acp`."""
    max_turns: int
    note: str = ""
    """A sentence for the person when something was taken from elsewhere."""


def roles_of(settings: Settings) -> dict[Role, RoleSettings]:
    """The roles that the worker mode uses, each with its settings."""
    match settings.worker_mode:
        case WorkerMode.PRO_ONLY:
            used: tuple[Role, ...] = (Role.PRO,)
        case WorkerMode.FLASH_ONLY:
            used = (Role.FLASH,)
        case _:
            used = (Role.PRO, Role.FLASH)
    return {role: resolve_role(settings, role) for role in used}


def resolve_role(settings: Settings, role: Role) -> RoleSettings:
    """One role with everything filled in.

    A role without a backend takes what it lacks from the other one; two roles with a backend each never mix.
    """
    own, other = _written(settings, role), _written(settings, Role.FLASH if role is Role.PRO else Role.PRO)
    note = ""
    if not own.backend and other.anything:
        own, note = _lent(own, other)
    return _filled(settings, role, own, note)


def resolve_fallback(settings: Settings, role: Role) -> RoleSettings | None:
    """The role's second worker, which takes over while the first is parked; None unless one is set."""
    own = _written(settings, role, "_fallback")
    if not own.anything:
        return None
    if not own.backend:
        first = resolve_role(settings, role)
        before = _Written(own.name, first.backend, first.api_key, first.base_url, first.model, first.command)
        own, _ = _lent(own, before)
    return _filled(settings, role, own, "")


def _filled(settings: Settings, role: Role, own: _Written, note: str) -> RoleSettings:
    backend = own.backend or settings.layer2_backend or "claude"
    filled = RoleSettings(
        role=role,
        backend=backend,
        api_key=own.api_key,
        base_url=own.base_url,
        model=own.model,
        protocol="",
        program=str(getattr(settings, f"{backend.replace('_', '')}_bin", "")),
        command=own.command,
        max_turns=settings.max_turns,
        note=note,
    )
    filled = _older_names(settings, filled)
    if backend == "builtin" and not filled.api_key and not filled.base_url and settings.api_key:
        return _as_planner(settings, filled)
    return replace(filled, protocol=protocol_of(filled.base_url) if filled.base_url else "")


@dataclass(frozen=True)
class _Written:
    """What the person set for one role."""

    name: str
    backend: str
    api_key: str
    base_url: str
    model: str
    command: str

    @property
    def anything(self) -> bool:
        """The person set something of it."""
        return any((self.backend, self.api_key, self.base_url, self.model))


def _written(settings: Settings, role: Role, which: str = "") -> _Written:
    def field(name: str) -> Any:
        return getattr(settings, f"{role}{name}")

    backend = field(f"{which}_backend")
    return _Written(
        name=role.value.capitalize(),
        backend=backend,
        api_key=field(f"{which}_api_key"),
        base_url=field(f"{which}_base_url"),
        model=field(f"{which}_model"),
        command=field("_acp_command" if backend == "acp" else "_command"),
    )


def _lent(own: _Written, other: _Written) -> tuple[_Written, str]:
    # A key goes with its address: one role's key must never be sent to the address that the other role named.
    filled = replace(
        own,
        backend=other.backend,
        api_key=own.api_key or ("" if own.base_url else other.api_key),
        base_url=own.base_url or ("" if own.api_key else other.base_url),
        model=own.model or other.model,
        command=own.command or other.command,
    )
    if not any((own.api_key, own.base_url, own.model)):
        return filled, f"{own.name} is not configured: it takes the settings of {other.name}."
    return filled, f"{own.name} has no backend of its own: what it lacks is taken from {other.name}."


def _older_names(settings: Settings, role: RoleSettings) -> RoleSettings:
    """The settings that belong to one program rather than to a role fill what the role leaves open."""
    match role.backend:
        case "ds_code":
            # A key goes with its address here too: they may come from two sources, one of them a stranger's.
            return replace(
                role,
                api_key=role.api_key or ("" if role.base_url else settings.deepseek_api_key),
                base_url=role.base_url or ("" if role.api_key else settings.dscode_base_url),
                model=role.model or settings.dscode_model,
                max_turns=settings.dscode_max_turns or role.max_turns,
            )
        case "opencode":
            turns = settings.opencode_max_turns or role.max_turns
            # The default belongs to the default service: the person's own login may be with any other.
            wanted = role.api_key or role.base_url or "opencode_model" in settings.model_fields_set
            model = role.model or (settings.opencode_model if wanted else "")
            return replace(role, model=model, max_turns=turns)
        case "claude" if settings.workers_in_docker:
            # Its older model's own default was the planner's; that name means something where the service is theirs.
            older = not (role.api_key or role.base_url) and bool(
                settings.docker_claude_api_key or settings.docker_claude_base_url
            )
            return replace(
                role,
                api_key=role.api_key or ("" if role.base_url else settings.docker_claude_api_key),
                base_url=role.base_url or ("" if role.api_key else settings.docker_claude_base_url),
                model=role.model or settings.docker_claude_model or (settings.api_model if older else ""),
            )
        case _:
            return role


def _as_planner(settings: Settings, role: RoleSettings) -> RoleSettings:
    """Aura's own loop needs a key and has one at hand: the planner's."""
    planner = settings.planner()
    words = f"{role.role.value.capitalize()} (builtin) has no key of its own: it uses the planner's."
    return replace(
        role,
        api_key=planner.api_key,
        base_url=planner.base_url,
        model=role.model or planner.model,
        protocol=planner.protocol,
        note=f"{role.note} {words}".strip(),
    )
