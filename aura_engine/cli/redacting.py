"""Secrets are taken out of what a command shows, as out of all that a run writes."""

from __future__ import annotations

import os
from pathlib import Path

from aura_engine.cli.options import project_of
from aura_engine.config.load import load_settings
from aura_engine.core.redaction import Redactor
from aura_engine.errors import AuraError


def redactor_here(config: Path | None = None) -> Redactor:
    """One that knows the secrets of the settings in force here; where these cannot be read, what looks like a key."""
    from aura_engine.config.secrets import secrets_in

    try:
        loaded = load_settings(flags={}, environ=os.environ, project=project_of(), config_file=config)
    except (AuraError, OSError):
        return Redactor()
    return Redactor(secrets_in(loaded.settings, os.environ))
