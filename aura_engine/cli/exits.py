"""The exit status of a process that showed a run to its end."""

from __future__ import annotations

from aura_engine.core.model import RunStatus

EXIT = {
    RunStatus.ACHIEVED: 0,
    RunStatus.FAILED: 1,
    RunStatus.BUDGET: 3,
    RunStatus.NEEDS_PERSON: 5,
    RunStatus.INTERRUPTED: 130,
}


def exit_status(status: RunStatus) -> int:
    """The process's exit status for the run's end."""
    return EXIT.get(status, 1)
