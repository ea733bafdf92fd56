"""`aura history`: the starts and ends of a run, the revisions of its goal and its plans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aura_engine.clock import iso
from aura_engine.core import events as ev
from aura_engine.core.text import one_line
from aura_engine.report.changes import title_of
from aura_engine.report.words import count, date_time, short, why_asked


def history_rows(events: Iterable[tuple[object, float]]) -> list[dict[str, Any]]:
    """Rows ready for JSON out of (event, wall time) pairs, oldest first: `time`, `kind`, `what`, `detail`."""
    rows: list[dict[str, Any]] = []
    revisions: list[str] = []
    landed = 0
    for event, time in events:
        found: tuple[str, str, dict[str, Any]] | None = None
        match event:
            case ev.EngineStarted():
                landed = 0
                detail = {"version": event.version, "mode": event.mode, "workers": event.workers}
                found = "started", f"Aura {event.version} started", detail
            case ev.GoalRead() if not revisions or revisions[-1] != event.revision:
                revisions.append(event.revision)
                word = "goal read" if len(revisions) == 1 else "goal edited"
                detail = {"revision": event.revision, "checks": len(event.checks)}
                found = "goal", f"{word}: revision {short(event.revision)}, “{title_of(event.text)}”", detail
            case ev.PlanChanged():
                found = "plan", _plan(event), {"call": event.call, "reason": event.reason}
            case ev.Landed():
                landed += 1
            case ev.RunEnded():
                reason = f": {one_line(event.reason)}" if event.reason else ""
                what = f"ended, {event.status.value}{reason} ({count(landed, 'task')} landed)"
                found = "ended", what, {"status": event.status.value, "landed": landed}
            case _:
                pass
        if found:
            rows.append({"time": iso(time), "wall": time, "kind": found[0], "what": found[1], "detail": found[2]})
    return rows


def history_text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows of `history_rows` as lines with local dates and times."""
    if not rows:
        return "Nothing has happened yet.\n"
    return "".join(f"{date_time(row['wall'])}  {row['what']}\n" for row in rows)


def _plan(event: ev.PlanChanged) -> str:
    parts = [
        f"{word} {count(number, noun)}"
        for word, number, noun in (
            ("added", sum(not spec.group for spec in event.add), "task"),
            ("changed", len(event.change), "task"),
            ("dropped", len(event.archive), "task"),
            ("ordered again", len(event.retry), "task"),
            ("added", len(event.goal_checks), "goal check"),
        )
        if number
    ]
    what = ", ".join(parts) or ("brief set" if event.brief else "nothing changed in the tree")
    why = why_asked(event.reason) or one_line(event.reason)
    return f"plan: {what}" + (f" — {why}" if why else "")
