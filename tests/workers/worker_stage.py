"""What the tests of the backends share."""

from __future__ import annotations

from pathlib import Path

from aura_engine.workers.base import Job, RoleSettings


def job_for(backend: str, program: str, **settings: object) -> Job:
    """A job for `/bin/<program>`; `settings` are the role's."""
    return Job(
        prompt="Do “it”.\nAll of it.",
        workspace=Path("/w/space"),
        home=Path("/w/home"),
        folder=Path("/w/attempt"),
        settings=RoleSettings(backend=backend, program=f"/bin/{program}", **settings),
        session="0000-1111",
        max_turns=7,
        budget=60,
    )
