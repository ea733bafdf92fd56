"""The table of worker backends: a new one is one file and one line here. None is imported before it is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from aura_engine.errors import ConfigError, MissingProgram
from aura_engine.workers.base import Backend, RoleSettings

BACKENDS = {
    "builtin": "aura_engine.workers.builtin:Builtin",
    "claude": "aura_engine.workers.claude:Claude",
}


def make_backend(name: str) -> Backend:
    """The backend of that name; ConfigError for one that is not there."""
    where = BACKENDS.get(name)
    if where is None:
        raise ConfigError(f"There is no worker backend “{name}”.", cure=f"It can be: {', '.join(sorted(BACKENDS))}.")
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)()


def find_program(backend: Backend, settings: RoleSettings, environ: Mapping[str, str]) -> RoleSettings:
    """The settings with the program's full path in them; MissingProgram when it is not installed.

    Absolute, but a link is kept as it is: what it points to may change with the next update of the program.
    """
    if backend.program is None:
        return settings
    wanted = settings.program or backend.program
    found = shutil.which(str(Path(wanted).expanduser()) if "/" in wanted else wanted, path=environ.get("PATH", ""))
    if found is None:
        where = "there" if "/" in wanted else "on PATH"
        raise MissingProgram(
            f"The worker program “{wanted}” of the backend “{backend.name}” is not {where}.", cure=backend.install_hint
        )
    return replace(settings, program=str(Path(found).absolute()))
