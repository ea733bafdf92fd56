"""`aura config edit`: a copy in the person's editor, put in place only when it can be used."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.errors import AuraError, ConfigError, MissingProgram, UsageError

if TYPE_CHECKING:
    from aura_engine.setup.draft import Place


def edit(place: Place) -> int:
    """0 when it was taken over or nothing was changed, 1 when the person gave up. ConfigError, UsageError."""
    from aura_engine.config.write import HEADER, replace_file

    if not sys.stdin.isatty():
        raise UsageError("aura config edit needs a terminal.", cure="Without one: aura config set NAME VALUE")
    toml = place.file.suffix == ".toml"
    try:
        before = place.file.read_text("utf-8-sig") if place.file.exists() else HEADER if toml else ""
        with tempfile.TemporaryDirectory(prefix="aura-config-") as folder:  # readable by its owner alone
            copy = Path(folder) / place.file.name
            copy.write_text(before, "utf-8")
            copy.chmod(0o600)
            while True:
                _open(place, copy)
                wrong = _wrong(place, copy)
                if not wrong:
                    break
                print(f"That cannot be used: {wrong}", file=sys.stderr)
                if input("Enter opens it again, g gives up: ").strip().lower() in ("g", "give up"):
                    print(f"{place.file} stays as it was.")
                    return 1
            after = copy.read_text("utf-8-sig")
        if after == before:
            print(f"{place.file} stays as it was.")
            return 0
        replace_file(place.file.resolve(), after)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place.file} cannot be edited: {error}.", cure="It stays as it was.") from None
    print(f"{place.file} is changed; the next start takes it up.")
    return 0


def _open(place: Place, copy: Path) -> None:
    """Wait for the person's editor. MissingProgram."""
    editor = shlex.split(place.environ.get("VISUAL") or place.environ.get("EDITOR") or "vi")
    try:
        subprocess.run([*editor, os.fspath(copy)], check=False)
    except OSError as error:
        raise MissingProgram(
            f"The editor {editor[0]} cannot be started: {error.strerror}.", cure="Set EDITOR to yours."
        ) from None


def _wrong(place: Place, copy: Path) -> str:
    """Why the copy cannot be used, in words; empty when it can."""
    from aura_engine.config.load import load_settings

    try:
        load_settings(flags={}, environ={}, project=copy.parent, config_file=copy, keys=False)
    except AuraError as error:
        return error.line().replace(str(copy), str(place.file))
    return ""
