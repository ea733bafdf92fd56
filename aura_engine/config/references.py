"""Keys that a configuration names instead of holding: `env:NAME`, `cmd:COMMAND`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError

LIMIT = 30.0
"""Seconds for a command: a password manager may wait for a touch of its token."""
MAX_OUTPUT = 64 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENV, _CMD = "env:", "cmd:"


def is_reference(value: str) -> bool:
    """Whether it says where a key is, rather than being one."""
    return value.strip().startswith((_ENV, _CMD))


def shown(reference: str) -> str:
    """Where the key comes from, for people; of a command only the program, since its arguments may be private."""
    reference = reference.strip()
    if reference.startswith(_ENV):
        return one_line(reference, 80)
    program, _, rest = reference.removeprefix(_CMD).strip().partition(" ")
    return one_line(f"{_CMD}{program}{' …' if rest else ''}", 80)


def resolve(name: str, reference: str, environ: Mapping[str, str]) -> str:
    """The key that the setting `name` refers to. ConfigError when there is none. A command blocks, up to LIMIT."""
    reference = reference.strip()
    if reference.startswith(_ENV):
        return _of_environment(name, reference.removeprefix(_ENV).strip(), environ)
    return _of_command(name, reference.removeprefix(_CMD).strip(), environ)


def _of_environment(name: str, variable: str, environ: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(variable):
        raise ConfigError(f"{name}: “{one_line(variable, 80)}” is no name of a variable.", cure="Such as: env:MY_KEY")
    value = environ.get(variable, "").strip()
    if not value:
        raise ConfigError(f"{name} is to come from the variable {variable}, which is not set.", cure=f"Set {variable}.")
    return value


def _of_command(name: str, command: str, environ: Mapping[str, str]) -> str:
    what = f"{name} is to come from a command ({shown(_CMD + command)})"
    cure = "Run it yourself to see more; it has to print the key and nothing else."
    if not command:
        raise ConfigError(f"{name}: {_CMD} names no command.", cure="Such as: cmd:pass show aura")
    try:
        ran = subprocess.run(
            ["/bin/sh", "-c", command],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{what}, which did not end within {LIMIT:g} s.", cure=cure) from None
    except OSError as error:
        raise ConfigError(f"{what}, which cannot be run: {error.strerror}.", cure=cure) from None
    said = ran.stderr[-MAX_OUTPUT:].decode("utf-8", "replace").strip().splitlines()
    if ran.returncode:
        last = f": {one_line(said[-1], 160)}" if said else ""
        raise ConfigError(f"{what}, which ended with exit status {ran.returncode}{last}.", cure=cure)
    lines = ran.stdout[:MAX_OUTPUT].decode("utf-8", "replace").strip().splitlines()
    if not lines:
        raise ConfigError(f"{what}, which printed nothing.", cure=cure)
    # Password managers put notes below the password.
    return lines[0].strip()
