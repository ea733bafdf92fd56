"""Parsers for streams that were written earlier: for whoever reads a worker's output and runs none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aura_engine.errors import AuraError
from aura_engine.workers.base import Job, RoleSettings, StreamParser
from aura_engine.workers.table import make_backend

ParserMaker = Callable[[], StreamParser | None]


def parser_maker(backend: str) -> ParserMaker:
    """Makes fresh parsers of a backend's stream; they are None where the backend is not known here."""
    nowhere = Path("/nonexistent")
    settings = RoleSettings(backend=backend)
    job = Job("", nowhere, nowhere, nowhere, settings, session="", max_turns=1, budget=1.0)

    def make() -> StreamParser | None:
        try:
            return make_backend(backend).parser(job)
        except AuraError:
            return None

    return make
