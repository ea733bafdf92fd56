"""What is at hand on this machine: worker programs, keys in the environment, graphics processors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aura_engine.core.backends import BACKENDS
from aura_engine.errors import AuraError
from aura_engine.guard.gauges import Gpus
from aura_engine.setup.draft import Draft
from aura_engine.workers.base import RoleSettings
from aura_engine.workers.table import COMMANDS, find_program, make_backend

KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
}
"""Provider → variables in which people have its key."""


@dataclass(frozen=True)
class Machine:
    """As it was found. Looking for it blocks: asking for GPUs may take a second."""

    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Backend → path of its program; those not found are not there."""
    hints: Mapping[str, str] = field(default_factory=dict[str, str])
    """Backend → how to get a program that was not found."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Provider → variable that holds its key."""
    gpus: tuple[str, ...] = ()
    """Their names, by number."""

    @classmethod
    def look(cls, draft: Draft) -> Machine:
        """Look at this one."""
        environ = draft.place.environ
        programs: dict[str, str] = {}
        hints: dict[str, str] = {}
        for name in BACKENDS:
            if name in COMMANDS:
                continue
            backend = make_backend(name)
            own = draft.of(f"AURA_{name.replace('_', '').upper()}_BIN")
            try:
                programs[name] = find_program(backend, RoleSettings(name, program=own), environ).program
            except AuraError:
                hints[name] = backend.install_hint
        keys = {provider: name for provider, names in KEYS.items() for name in names if environ.get(name)}
        return cls(programs, hints, keys, tuple(gpu.name for gpu in Gpus().read()))
