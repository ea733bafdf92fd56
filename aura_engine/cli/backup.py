"""`aura backup [FILE]`: a whole copy of a run's journal, also while its engine writes it."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path

from aura_engine.cli.options import add_data_options, command, print_json, run_folder


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "backup",
        "Copy a run's journal, also while its engine writes it. The copy is looked through and appears "
        "under its name only when it is whole. The work itself lies in store.git beside the journal.",
        "aura backup                  beside the journal, with the time in its name",
        "aura backup /mnt/almanac.db",
    )
    made.add_argument("file", nargs="?", metavar="FILE", help="where to (default: beside the journal, with the time)")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Make it, and say how to go back to it."""
    from aura_engine.journal.backup import back_up, default_name

    folder = run_folder(arguments)
    journal = folder / "journal.db"
    named = Path(arguments.file).expanduser().absolute() if arguments.file else default_name(journal, time.time())
    events = back_up(journal, named)
    if arguments.json:
        print_json({"run": folder.name, "file": str(named), "events": events, "bytes": named.stat().st_size})
        return 0
    place, copy = shlex.quote(str(journal)), shlex.quote(str(named))
    print(f"{named}: {events} events.")
    print(f"To go back to it, with no engine running: rm -f {place}-wal {place}-shm; cp {copy} {place}")
    return 0
