"""The settings in force: who plans, who works, at which address, with whose key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from aura_engine.config import roles
from aura_engine.config.load import DEFAULT, Loaded
from aura_engine.config.planner_settings import PlannerApi
from aura_engine.config.settings import INFOS, Settings
from aura_engine.core.duration import format_duration
from aura_engine.core.model import Role
from aura_engine.doctor.findings import Finding, Level, Section, found
from aura_engine.errors import AuraError, ConfigError, MissingProgram
from aura_engine.hands import hire
from aura_engine.workers.base import Backend, Login
from aura_engine.workers.table import COMMANDS, make_backend

finding = partial(found, Section.SETTINGS)
SHOWN = 4
"""Characters of a key that are told, so that two can be told apart."""
LOGINS = {
    "claude": "run `claude setup-token` and set CLAUDE_CODE_OAUTH_TOKEN to what it prints",
    "codex": "run `codex login`",
    "opencode": "run `opencode auth login`",
}
"""Backend → how a person gets the login that it uses without a key."""


@dataclass(frozen=True)
class Seat:
    """One configured worker: a role's, or the one that takes over for it."""

    role: Role
    fallback: bool
    chosen: roles.RoleSettings
    backend: Backend
    login: Login | None
    """What it uses where it has no key."""

    @property
    def who(self) -> str:
        """For people: `pro`, `flash's fallback`."""
        return f"{self.role}'s fallback" if self.fallback else str(self.role)


def seats(settings: Settings, environ: Mapping[str, str]) -> list[Seat]:
    """The workers of the roles in use, each followed by its fallback where one is set; nothing is looked up on PATH."""
    taken: list[Seat] = []
    for role, chosen in roles.roles_of(settings).items():
        second = roles.resolve_fallback(settings, role)
        for fallback, each in ((False, chosen), (True, second)):
            if each is not None:
                backend = make_backend(each.backend)
                login = None if each.api_key else backend.login(environ)
                taken.append(Seat(role, fallback, each, backend, login))
    return taken


def settings_in_force(loaded: Loaded, taken: list[Seat], environ: Mapping[str, str]) -> list[Finding]:
    """The planner's, each role's and the run's, with what is wrong with them."""
    settings = loaded.settings
    told = [finding(Level.WARNING, "configuration", note) for note in loaded.notes]
    told += _planners(loaded)
    for seat in taken:
        told.append(of_seat(loaded, seat))
        if seat.chosen.note:
            told.append(finding(Level.NOTE, seat.who, seat.chosen.note))
    if settings.workers_in_docker:
        try:
            hire(settings, environ)
        except MissingProgram:
            pass  # told with the programs
        except ConfigError as error:
            told.append(finding(Level.PROBLEM, "workers", str(error), error.cure))
    text = (
        f"worker mode {settings.worker_mode}, at most {settings.max_concurrent_tasks} at once, "
        f"{format_duration(settings.task_budget)} and {settings.max_turns} turns for an attempt"
    )
    return [*told, finding(Level.NOTE, "run", text)]


def _planners(loaded: Loaded) -> list[Finding]:
    settings, told = loaded.settings, list[Finding]()
    try:
        told.append(_of_planner(loaded, "planner", settings.planner(), "AURA_API_KEY"))
        if (second := settings.second_planner()) is not None:
            told.append(_of_planner(loaded, "planner's fallback", second, "AURA_API_FALLBACK_KEY"))
    except ConfigError as error:
        told.append(finding(Level.PROBLEM, "planner", str(error), error.cure))
    return told


def _of_planner(loaded: Loaded, who: str, api: PlannerApi, name: str) -> Finding:
    key = _key(loaded, api.api_key, name)
    text = f"{api.model} at {address(api.base_url)} (protocol {api.protocol}); {key}"
    facts = {"model": api.model, "address": address(api.base_url), "protocol": api.protocol}
    return finding(Level.GOOD, who, text, facts=facts)


def of_seat(loaded: Loaded, seat: Seat) -> Finding:
    """Whom a worker works for, and who pays for it."""
    chosen = seat.chosen
    model = f"the model {chosen.model}" if chosen.model else "the model that it chooses itself"
    at = address(chosen.base_url) if chosen.base_url else "its own service"
    level, cure = Level.GOOD, ""
    prefix = f"AURA_{seat.role.upper()}{'_FALLBACK' if seat.fallback else ''}"
    if chosen.api_key:
        paid = _key(loaded, chosen.api_key, f"{prefix}_API_KEY")
    elif seat.login is not None:
        paid = f"no key: {seat.login.words} is used; its usage counts in tokens and limits, not money"
    elif seat.backend.name in COMMANDS:
        paid = "no key is set: the program has to bring its own"
    elif chosen.base_url:
        level, paid, cure = Level.WARNING, "no key is set", f"Set {prefix}_API_KEY, unless that address asks for none."
    else:
        level = Level.PROBLEM
        paid = "neither a key is set nor was a login found that workers can use, so its service will refuse it"
        other = LOGINS.get(seat.backend.name, "")
        cure = f"Set {prefix}_API_KEY{f', or {other}' if other else ''}."
    facts = {"backend": seat.backend.name, "model": chosen.model, "address": address(chosen.base_url)}
    if seat.login is not None:
        facts["login"] = seat.login.words
    return finding(level, seat.who, f"{seat.backend.name} with {model} at {at}; {paid}", cure, facts)


def address(url: str) -> str:
    """An address without the passwords that some people write into it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=host, query="", fragment=""))
    except ValueError:
        return "an address that cannot be read"


def masked(key: str) -> str:
    """Enough of a key to know which it is; nothing of a short one."""
    return f"…{key[-SHOWN:]}" if len(key) >= 4 * SHOWN else "…"


def without(text: str, key: str) -> str:
    """What a service or a program said, without the key in it; no real key is so short that a word could hold it."""
    return text.replace(key, masked(key)) if len(key) >= 2 * SHOWN else text


def _key(loaded: Loaded, key: str, first: str) -> str:
    """Which key it is and where it comes from; `first`: the setting that it should be in."""
    names = [first, *(name for name, info in INFOS.items() if info.secret)]
    name = next((each for each in names if getattr(loaded.settings, INFOS[each].field) == key), first)
    origin = loaded.origin.get(name, DEFAULT)
    return f"key {masked(key)}, {name} from {origin}"


def unreadable(error: AuraError) -> Finding:
    """The settings themselves cannot be used."""
    return finding(Level.PROBLEM, "configuration", str(error), error.cure)
