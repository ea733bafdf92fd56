"""`aura status`: where the last run stands, from a projection: it needs neither the models nor the journal."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from aura_engine.cli.options import add_data_options, print_json, run_folder
from aura_engine.errors import UsageError


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(prog="aura status", description="Where the last run of this folder stands.")
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
    if arguments.json:
        print_json({**status, "owned": owned})
        return 0
    print(status_text(folder.name, status, now=time.time(), owned=owned))
    return 0
