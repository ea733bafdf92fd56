"""What `aura config` and `aura setup` say to scripts (`--json`)."""

from __future__ import annotations

from aura_engine.core.model import Frozen
from aura_engine.doctor.findings import Finding


class Row(Frozen):
    """One setting."""

    name: str
    """Such as AURA_MAX_TURNS."""
    value: str
    """As a person would write it; a key is masked unless it was asked for in full."""
    source: str
    """Where it comes from: a file, `the environment`, `default`."""
    about: str


class Shown(Frozen):
    """`aura config show --json`."""

    file: str
    """The person's own configuration; it need not be there."""
    settings: tuple[Row, ...]
    notes: tuple[str, ...]


class Written(Frozen):
    """`aura config set --json` and `unset`."""

    name: str
    value: str
    """Empty where it was taken out."""
    file: str
    overridden_by: str
    """What sets it to something else and goes before, or still sets it; empty where nothing does."""


class Outcome(Frozen):
    """`aura setup --from FILE --json`."""

    written: bool
    file: str
    findings: tuple[Finding, ...]
    """What the trials said."""
    notes: tuple[str, ...]
