"""fold, for the facts of events_survival.py. Pure."""

from __future__ import annotations

from aura_engine.core import events_survival as ev
from aura_engine.core.state import RunState


def vault_trimmed(state: RunState, e: ev.VaultTrimmed, time: float) -> None:
    """See VaultTrimmed: nobody builds on what is gone."""
    gone = set(e.snapshots)
    for task in state.tasks.values():
        for attempt in task.attempts:
            if attempt.snapshot in gone:
                attempt.snapshot = ""


def memory_held(state: RunState, e: ev.MemoryHeld, time: float) -> None:
    """See MemoryHeld."""
    state.memory_short = e.text


def disk_held(state: RunState, e: ev.DiskHeld, time: float) -> None:
    """See DiskHeld."""
    state.disk_full = e.text
