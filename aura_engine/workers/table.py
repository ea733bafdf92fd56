"""Makes the worker backends of the table, each imported only when it is asked for, and finds their programs."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from aura_engine.core.backends import BACKENDS
from aura_engine.errors import ConfigError, MissingProgram
from aura_engine.workers.base import Backend, RoleSettings

COMMANDS = {
    "acp": "AURA_PRO_ACP_COMMAND or AURA_FLASH_ACP_COMMAND",
    "command": "AURA_PRO_COMMAND or AURA_FLASH_COMMAND",
}
"""Backends whose program is the first word of a command line, and where a person sets that."""


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
    default = command_words(settings)[0] if backend.name in COMMANDS else backend.program
    if default is None:
        return settings
    wanted = settings.program or default
    found = shutil.which(str(Path(wanted).expanduser()) if "/" in wanted else wanted, path=environ.get("PATH", ""))
    if found is None:
        where = "there" if "/" in wanted else "on PATH"
        raise MissingProgram(
            f"The worker program “{wanted}” of the backend “{backend.name}” is not {where}.", cure=backend.install_hint
        )
    return replace(settings, program=str(Path(found).absolute()))


def command_words(settings: RoleSettings) -> list[str]:
    """The words of the role's command line, at least one; ConfigError where there is none or it cannot be read."""
    where = COMMANDS[settings.backend]
    try:
        words = shlex.split(settings.command)
    except ValueError as error:
        text = f"The command line of the backend “{settings.backend}” cannot be read: {error}."
        raise ConfigError(text, cure=f"Mend {where}.") from error
    if not words:
        raise ConfigError(f"The backend “{settings.backend}” has no command line.", cure=f"Set {where}.")
    return words
