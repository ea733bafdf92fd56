"""`aura status`: where the last run stands, from a projection: it needs neither the models nor the journal."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from aura_engine.cli.options import add_data_options, command, print_json, run_folder
from aura_engine.errors import UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "status",
        "Where the last run of this folder stands.",
        "aura status                         how it goes, what runs, what it needs, what it cost",
        "aura status --task-file other.md    another goal's (aura projects lists them)",
        "aura status --json | jq .tasks      for a script",
    )
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    folder = run_folder(arguments)
    try:
        status: dict[str, Any] = json.loads((folder / "state" / "status.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder.name} has no status yet.", cure="It is written soon after a start.") from error
    from aura_engine.cli.status_text import status_text
    from aura_engine.journal.lock import owner

    owned = owner(folder / "lock") is not None
    stalled = _stalled_since(folder / "state" / "stalled.json") if owned else None
    if arguments.json:
        print_json({**status, "owned": owned, "stalled": stalled is not None})
        return 0
    over = (
        frozenset[str]()
        if owned
        else frozenset(
            f"{row['task']}#{row['n']}"
            for row in status["running"]
            if _is_over(folder / "attempts" / row["task"] / str(row["n"]))
        )
    )
    print(status_text(folder.name, status, now=time.time(), owned=owned, over=over))
    if stalled is not None:
        print(f"  stalled: its engine has not moved for {time.time() - stalled:.0f} s; engine.log says where it hangs")
    return 0


def _is_over(attempt: Path) -> bool:
    """Its worker, which went on alone, has written down that it ended: on this machine or in a container."""
    return any((attempt / place).exists() for place in ("exit.json", "shim/exit.json"))


def _stalled_since(marker: Path) -> float | None:
    """Since when (wall time) the engine's loop is blocked, as its watchdog says; None when it is not."""
    try:
        return float(json.loads(marker.read_text("utf-8"))["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
