"""The status projection in words."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from aura_engine.core.duration import span
from aura_engine.core.text import dollars

_MARKS = {
    "running": "▸",
    "paused": "⏸",
    "achieved": "✓",
    "failed": "✗",
    "needs_person": "!",
    "budget": "!",
    "interrupted": "⏸",
}


def status_text(
    run: str, status: dict[str, Any], *, now: float, owned: bool, over: Collection[str] = frozenset()
) -> str:
    """A few lines: how it goes, what runs, what it needs, what it cost.

    `now` is wall time in seconds; `owned` says whether an engine holds the run: a killed one left its last words.
    `over` are the attempts (`A1#2`) whose workers went on without it and have ended since.
    """
    state = status["status"]
    since = max(0.0, now - datetime.fromisoformat(status["time"]).timestamp())
    if state == "running" and not owned:
        state = "stopped short"
        status = {**status, "reason": "no Aura runs it now: its engine was killed; the same command goes on"}
    elif state == "running" and status["paused"]:
        state = "paused"
        status = {**status, "reason": "nothing new starts, running workers go on; undo it: aura resume"}
    tasks = status["tasks"]
    done, total = tasks.get("completed", 0), tasks["total"]
    lines = [f"{_MARKS.get(state, '·')} {run}: {state.replace('_', ' ')}, {done}/{total} tasks done"]
    if status["reason"]:
        lines.append(f"  {status['reason']}")
    if status.get("disk_full"):
        lines.append(f"  DISK_FULL: {status['disk_full']}; nothing new starts until there is room")
    if status.get("memory_short"):
        lines.append(f"  no memory: {status['memory_short']}; nothing new starts until there is more")
    others = [f"{n} {name.replace('_', ' ')}" for name, n in tasks.items() if name not in ("total", "completed") and n]
    if others:
        lines.append(f"  tasks: {', '.join(others)}")
    lines += [_row(row, since, owned=owned, over=over) for row in status["running"]]
    checks = status["goal_checks"]
    if checks["total"]:
        named = ", ".join(f"{name}: {verdict}" for name, verdict in checks["open"].items())
        lines.append(f"  goal checks: {checks['green']}/{checks['total']} green" + (f" ({named})" if named else ""))
    for role, parked in status["parked"].items():
        lines.append(f"  {role} waits until {parked['until'] or 'you act'}: {parked['reason']}")
    for question in status["questions"]:
        lines.append(f"  ? {question['id']}: {question['question']}  (aura answer {question['id']} TEXT)")
    money = f", {dollars(status['cost'])}" if status["cost"] else ""
    calls = status["planner"]["calls"]
    lines.append(f"  {status['tokens']:,} tokens{money}; planner asked {calls} time{'' if calls == 1 else 's'}")
    if status["place"]:
        lines.append(f"  results: {status['place']}" + (f"  ({status['take']})" if status["take"] else ""))
    return "\n".join(lines)


def _row(row: dict[str, Any], since: float, *, owned: bool, over: Collection[str]) -> str:
    """A worker; `since` in seconds is the projection's age."""
    if f"{row['task']}#{row['n']}" in over:
        how = "has ended; the same command takes its work"
    elif row.get("paused"):
        how = f"paused; go on: aura resume {row['task']}"
    else:
        how = span(row["elapsed"] + since) if owned else "left to finish by itself"
    mark = _MARKS["paused" if row.get("paused") else "running"]
    return f"  {mark} {row['task']}#{row['n']} {row['title']} ({row['role']}, {row['backend']}, {how})"
