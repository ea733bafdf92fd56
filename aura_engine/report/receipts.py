"""`aura receipts [TASK]`: the proofs that checks ran, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.duration import span
from aura_engine.core.text import clean, one_line
from aura_engine.report.words import clock_time

GOAL = "goal"
"""What stands for a task where the check is the goal's own."""


def receipt_rows(events: Iterable[tuple[object, float]], task: str = "") -> list[dict[str, Any]]:
    """Receipts out of (event, wall time) pairs, oldest first, ready for JSON.

    `task` is an id (a group means all below it) or `goal`; empty for all. Durations are in seconds; `tests` and
    `skipped` are None where the counts are unknown.
    """
    rows: list[dict[str, Any]] = []
    for event, time in events:
        if not isinstance(event, ev.CheckRan):
            continue
        owner = event.task or GOAL
        if task and owner != task and not owner.startswith(f"{task}."):
            continue
        receipt = event.receipt
        counts = receipt.counts
        rows.append(
            {
                "time": iso(time),
                "task": owner,
                "attempt": event.n,
                "phase": receipt.phase.value,
                "check": receipt.check,
                "verdict": receipt.verdict.value,
                "reason": receipt.reason,
                "exit_code": receipt.exit_code,
                "signal": receipt.signal,
                "duration": round(receipt.duration, 3),
                "tests": counts.tests if counts else None,
                "failures": counts.failures if counts else None,
                "skipped": counts.skipped if counts else None,
                "tree": receipt.tree,
                "check_hash": receipt.check_hash,
                "frozen_hash": receipt.frozen_hash,
                "output_hash": receipt.output_hash,
                "tail": clean(receipt.tail),
                "held_out": receipt.hidden,
                "cached": receipt.cached,
            }
        )
    return rows


_HEADINGS = ("time", "task", "phase", "verdict", "exit", "took", "tests", "tree", "check")


def receipts_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of `receipt_rows` as text: one line each, below a red one its reason."""
    if not rows:
        return "No check has run yet.\n"
    cells = [_cells(row) for row in rows]
    widths = [max(len(cell[i]) for cell in [_HEADINGS, *cells]) for i in range(len(_HEADINGS))]
    lines = [_line(_HEADINGS, widths)]
    for row, cell in zip(rows, cells, strict=True):
        lines.append(_line(cell, widths))
        if row["verdict"] != "green" and row["reason"]:
            lines.append(f"    {one_line(row['reason'], 300)}")
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    exit_ = f"signal {row['signal']}" if row["signal"] else "-" if row["exit_code"] is None else str(row["exit_code"])
    skipped = f" ({row['skipped']} skipped)" if row["skipped"] else ""
    notes = [note for note, said in (("held out", row["held_out"]), ("cached", row["cached"])) if said]
    return (
        clock_time(datetime.fromisoformat(row["time"]).timestamp()),
        row["task"] + (f"#{row['attempt']}" if row["attempt"] else ""),
        row["phase"],
        row["verdict"],
        exit_,
        span(row["duration"]),
        "unknown" if row["tests"] is None else f"{row['tests']}{skipped}",
        row["tree"][:8],
        one_line(row["check"], 80) + (f" ({', '.join(notes)})" if notes else ""),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
