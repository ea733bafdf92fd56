"""`aura events`: what has happened, from the journal; with `--follow` also what happens, from the engine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from aura_engine import garbage
from aura_engine.cli.options import add_data_options, command, run_folder

Row = tuple[int, float, str, dict[str, Any]]
"""Number, wall time, kind, the event itself."""

_FIRST = ("status", "outcome", "command", "role", "backend", "call", "triggers", "check", "level", "injected")
_WORDS = ("reason", "title", "text", "summary", "question", "answer", "message", "place")


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "events",
        "What has happened in a run; with --json as one JSON object per line.",
        "aura events --follow                              what was, and what comes until the run ends",
        "aura events --since 120                           only what came after number 120",
        "aura events --json | jq 'select(.kind==\"landed\")' for a script",
    )
    made.add_argument("--follow", "-f", action="store_true", help="go on until the run ends")
    made.add_argument("--since", metavar="N", type=int, default=0, help="only events after number N")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print them. AuraError when the engine goes away before the run has ended."""
    folder = run_folder(arguments)
    show = _json if arguments.json else _line
    last = max(0, arguments.since)
    for row in _journal(folder, last):
        last = row[0]
        print(show(row))
    if arguments.follow:
        sys.stdout.flush()
        _follow(folder, last, show)
    return 0


def _journal(folder: Path, since: int) -> Iterator[Row]:
    from aura_engine.journal.store import Journal

    for entry in Journal.open(folder / "journal.db", writer=False).read(since):
        yield entry.seq, entry.time, entry.kind, json.loads(entry.payload)


def _follow(folder: Path, since: int, show: Any) -> None:
    """Those of the engine that runs; none does: there is nothing to follow."""
    from aura_engine.control.client import Connection, Lost, NoEngine
    from aura_engine.errors import AuraError

    garbage.begin()
    try:
        with Connection(folder, control=False, since=since) as connection:
            for row in connection.events():
                print(show((row["seq"], row["time"], row["kind"], row["event"])), flush=True)
    except NoEngine:
        return
    except BrokenPipeError:
        raise
    except (Lost, OSError) as error:
        raise AuraError(
            f"The engine has gone: {error.strerror or error}.", cure="aura status says how the run stands."
        ) from error


def _json(row: Row) -> str:
    from aura_engine.clock import iso

    seq, time, kind, event = row
    return json.dumps({"seq": seq, "time": iso(time), "kind": kind, **event})


def _line(row: Row) -> str:
    """For a person: number, local time, kind, and what says the most."""
    from datetime import UTC, datetime

    from aura_engine.core.text import one_line

    seq, time, kind, event = row
    task = str(event.get("task", ""))
    who = f"{task}#{event['n']}" if task and event.get("n") else task
    first = [_value(event[name]) for name in _FIRST if name in event]
    words = next((str(event[name]) for name in _WORDS if event.get(name)), "")
    local = datetime.fromtimestamp(time, UTC).astimezone().strftime("%m-%d %H:%M:%S")
    return one_line(f"{seq:>6} {local} {kind:<17} {' '.join(part for part in (who, *first, words) if part)}", 200)


def _value(value: Any) -> str:
    return ",".join(str(each) for each in cast("list[Any]", value)) if isinstance(value, list) else str(value)
