"""`python -m aura_engine.cli`: the same as `aura`."""

from __future__ import annotations

from aura_engine.cli.main import entry

entry()
