"""The facts about containers."""

from __future__ import annotations

from typing import Literal

from aura_engine.core.model import Frozen


class WorkersPlaced(Frozen):
    """Where workers and checks run from here on, where containers were asked for."""

    kind: Literal["workers_placed"] = "workers_placed"
    docker: bool
    fallback: str = ""
    """Why they run on this machine instead; empty where they run in containers."""
    engine: str = ""
    """Docker's version."""
    image: str = ""
    """Its name, as set."""
    image_id: str = ""
    """What containers are made from, whatever becomes of the name: `sha256:…`."""
    digest: str = ""
    """As the registry knows it; empty for an image that was built here."""
    network: str = ""
