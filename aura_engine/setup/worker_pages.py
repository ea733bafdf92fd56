"""The pages on the workers: who works, how roles are chosen, and each role's program, key, address and model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

from aura_engine.config.roles import RoleSettings, resolve_role, roles_of
from aura_engine.core.backends import BACKENDS
from aura_engine.core.model import Role, WorkerMode
from aura_engine.setup.draft import Draft
from aura_engine.setup.machine import Machine
from aura_engine.setup.page import Choice, Entry, Page
from aura_engine.setup.planner_pages import NO_KEY, SERVER, SERVICES, service_of
from aura_engine.setup.trials import try_role
from aura_engine.workers.table import COMMANDS

NOW, EACH = "now", "each"
PARTS = ("BACKEND", "API_KEY", "BASE_URL", "MODEL")
DEEPSEEK = "https://api.deepseek.com/anthropic"
MODES = {
    WorkerMode.AUTO: "ordinary tasks to Flash, genuinely hard ones to Pro",
    WorkerMode.FLASH_FIRST: "Flash first; Pro when Flash was not able to do it",
    WorkerMode.FLASH_ONLY: "everything to Flash",
    WorkerMode.PRO_ONLY: "everything to Pro",
}
PROGRAMS = {
    "claude": "Claude Code",
    "codex": "Codex CLI",
    "qwencode": "Qwen Code",
    "opencode": "OpenCode",
    "ds_code": "ds-code",
    "builtin": "Aura's own small agent",
    "acp": "any program that speaks the Agent Client Protocol",
    "command": "any program by its command line",
}


def _roles(values: Mapping[Role, Sequence[str]]) -> dict[str, str]:
    """Settings from (backend, key, address, model) of each role."""
    return {f"AURA_{role.upper()}_{part}": row[at] for role, row in values.items() for at, part in enumerate(PARTS)}


def _claude_qwen(draft: Draft, machine: Machine) -> dict[str, str]:
    return _roles({Role.PRO: ("claude", "", "", ""), Role.FLASH: ("qwencode", "", "", "")})


def _builtin(draft: Draft, machine: Machine) -> dict[str, str]:
    return _roles(dict.fromkeys(Role, ("builtin", "", "", "")))


def _server(draft: Draft, machine: Machine) -> dict[str, str]:
    program = "qwencode" if "qwencode" in machine.programs else "builtin"
    here = service_of(draft) == SERVER
    url = draft.of("AURA_API_BASE_URL") if here else SERVICES[SERVER].base_url
    key = draft.of("AURA_API_KEY") if here else NO_KEY
    row = (program, key, url, draft.of("AURA_API_MODEL") if here else "")
    return _roles(dict.fromkeys(Role, row))


def _deepseek(draft: Draft, machine: Machine) -> dict[str, str]:
    program = "claude" if "claude" in machine.programs else "builtin"
    key = draft.of("AURA_API_KEY") if service_of(draft) == "deepseek" else ""
    key = key or (f"env:{machine.keys['deepseek']}" if "deepseek" in machine.keys else "")
    models = {Role.PRO: "deepseek-v4-pro", Role.FLASH: "deepseek-v4-flash"}
    return _roles({role: (program, key, DEEPSEEK, model) for role, model in models.items()})


Preset = Callable[[Draft, Machine], dict[str, str]]
PRESETS: dict[str, tuple[str, str, Preset]] = {
    "claude-qwen": ("Claude Code for hard tasks, Qwen Code for ordinary ones", "two programs", _claude_qwen),
    "builtin": ("Aura's own agent, with the planner's service", "nothing to install", _builtin),
    "server": ("Your own OpenAI-compatible server", "Qwen Code where it is installed, else Aura's agent", _server),
    "deepseek": ("DeepSeek", "Claude Code where it is installed, else Aura's agent", _deepseek),
    EACH: ("Choose each role's program", "", lambda draft, machine: {}),
}


def _is_set(draft: Draft) -> bool:
    return any(draft.given(f"AURA_{role.upper()}_{part}") for role in Role for part in PARTS)


def _presets(draft: Draft, machine: Machine) -> Sequence[Choice]:
    now: list[Choice] = []
    if _is_set(draft):
        programs = ", ".join(f"{role}: {draft.given(f'AURA_{role.upper()}_BACKEND') or 'the other'}" for role in Role)
        now = [Choice(NOW, "As it is now", programs)]
    missing = {"claude-qwen": [name for name in ("claude", "qwencode") if name not in machine.programs]}
    return now + [
        Choice(name, label, f"not installed here: {', '.join(missing[name])}" if missing.get(name) else detail)
        for name, (label, detail, _) in PRESETS.items()
    ]


def _suggested(draft: Draft) -> str:
    return draft.picked.get("workers") or (NOW if _is_set(draft) else "builtin")


def _choose_preset(draft: Draft, machine: Machine, value: str) -> None:
    """Set both roles; choosing the same again leaves what was changed since."""
    if draft.picked.get("workers") == value:
        return
    draft.picked["workers"] = value
    if value == NOW:
        draft.put({name: draft.given(name) for name in _roles(dict.fromkeys(Role, ("", "", "", "")))})
    else:
        draft.put(PRESETS[value][2](draft, machine))


def _in_use(role: Role) -> Callable[[Draft, Machine], bool]:
    return lambda draft, machine: role in roles_of(draft.settings(keys=False))


def _role(draft: Draft, role: Role) -> RoleSettings:
    return resolve_role(draft.settings(keys=False), role)


def _programs(draft: Draft, machine: Machine) -> Sequence[Choice]:
    told: list[Choice] = []
    for name in sorted(BACKENDS, key=list(PROGRAMS).index):
        where = machine.programs.get(name, "")
        if name in COMMANDS:
            detail = ""
        elif name == "builtin":
            detail = "nothing to install"
        else:
            detail = f"installed: {where}" if where else f"not installed. {machine.hints.get(name, '')}".strip()
        told.append(Choice(name, f"{name} · {PROGRAMS[name]}", detail))
    return told


def _entries(role: Role, draft: Draft, machine: Machine) -> Sequence[Entry]:
    backend, prefix = _role(draft, role).backend, f"AURA_{role.upper()}"
    own = {"BASE_URL": "its own service", "API_KEY": "its own login", "MODEL": "its own choice"}
    if backend == "builtin":
        own = dict.fromkeys(own, "the planner's")
    command = f"{prefix}_{'ACP_' if backend == 'acp' else ''}COMMAND"
    rows = [Entry(command, "Command line", "such as: qwen --acp")] if backend in COMMANDS else []
    names = {"BASE_URL": "Address", "API_KEY": "Key", "MODEL": "Model"}
    return (*rows, *(Entry(f"{prefix}_{part}", names[part], f"empty: {own[part]}") for part in names))


def _about(role: Role, draft: Draft, machine: Machine) -> str:
    chosen = _role(draft, role)
    host = urlsplit(chosen.base_url).hostname
    at = f" at {host}" if host else ""
    work = "what is hard" if role is Role.PRO else "ordinary work"
    return f"{role.capitalize()} does {work}, with {chosen.backend}{at}. Then its program and its service are tried."


def _chosen_program(role: Role, draft: Draft) -> str:
    return _role(draft, role).backend


def _choose_program(role: Role, draft: Draft, machine: Machine, value: str) -> None:
    """A key goes with its program."""
    prefix = f"AURA_{role.upper()}"
    if value != draft.of(f"{prefix}_BACKEND"):
        same = value == draft.given(f"{prefix}_BACKEND")
        rest = {f"{prefix}_{part}": draft.given(f"{prefix}_{part}") if same else "" for part in PARTS[1:]}
        draft.put({f"{prefix}_BACKEND": value, **rest})


def _of_role(role: Role) -> tuple[Page, Page]:
    name = role.value.capitalize()
    program = Page(
        id=f"{role}-program",
        title=f"{name}: its program",
        about=lambda draft, machine: f"Which program does {role.value}'s work?",
        choices=_programs,
        chosen=partial(_chosen_program, role),
        choose=partial(_choose_program, role),
        wanted=lambda draft, machine: draft.picked.get("workers") == EACH and _in_use(role)(draft, machine),
    )
    settings = Page(
        id=role.value,
        title=f"{name}: address, key and model",
        about=partial(_about, role),
        entries=partial(_entries, role),
        trial=partial(try_role, role),
        wanted=_in_use(role),
    )
    return program, settings


def _choose_mode(draft: Draft, machine: Machine, value: str) -> None:
    """The default need not be written."""
    usual = value == WorkerMode.AUTO and not draft.given("AURA_WORKER_MODE")
    draft.put({"AURA_WORKER_MODE": "" if usual else value})


WORKERS = Page(
    id="workers",
    title="The workers",
    about=lambda draft, machine: "Workers are coding agents in two roles: Flash for ordinary tasks, Pro for hard ones.",
    choices=_presets,
    chosen=_suggested,
    choose=_choose_preset,
)
MODE = Page(
    id="mode",
    title="Which role gets a task",
    about=lambda draft, machine: "This can be changed for each run: --worker-mode.",
    choices=lambda draft, machine: [Choice(mode.value, mode.value, text) for mode, text in MODES.items()],
    chosen=lambda draft: draft.of("AURA_WORKER_MODE") or WorkerMode.AUTO.value,
    choose=_choose_mode,
)
ROLES = (*_of_role(Role.PRO), *_of_role(Role.FLASH))
