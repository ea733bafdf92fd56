"""Copies of a journal: whole or not there, made beside a writing engine, looked through before they count as made."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from aura_engine.errors import AuraError, JournalError, UsageError
from aura_engine.journal import schema
from aura_engine.journal.fsck import NAMED, examine


def default_name(journal: Path, wall: float) -> Path:
    """Beside the journal, so that the message about a damaged one finds it: `journal.db.2026-11-22T18-46-07.bak`."""
    return journal.with_name(f"{journal.name}.{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime(wall))}.bak")


def back_up(journal: Path, destination: Path) -> int:
    """Write a copy of the journal to `destination`, which must be free; how many events it holds. Blocks.

    UsageError where something is there already, JournalError when the journal or the copy is not sound: a copy of
    damage is no backup, and is removed again.
    """
    if os.path.lexists(destination):
        raise UsageError(f"{destination} is there already.", cure="Name another file: aura backup FILE")
    if not destination.parent.is_dir():
        raise UsageError(f"There is no folder {destination.parent}.", cure="Make it, or name another file.")
    try:
        if not schema.exists(journal):
            raise JournalError(f"There is no journal at {journal}.", cure="Start the goal first: aura TASK.md")
        schema.copy(journal, destination)
    except (OSError, sqlite3.Error) as error:
        raise schema.explain(error, journal) from error
    try:
        told = examine(destination)
        troubles = [trouble for number in sorted(told.troubles) for trouble in told.troubles[number]]
        if troubles:
            raise JournalError(
                f"The copy of {journal} is not sound: {'; '.join(troubles[:NAMED])}.", cure="Look closer: aura fsck"
            )
    except AuraError:
        destination.unlink(missing_ok=True)
        raise
    return told.events
