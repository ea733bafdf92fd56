"""`state/status.json`: what `aura status` tells, of bounded size whatever the size of the tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aura_engine.clock import iso
from aura_engine.core.plan import id_key
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.words import status_counts, wanted

MAX_RUNNING = 4
MAX_QUESTIONS = 2
MAX_CHECKS = 6
MAX_DECISIONS = 5


def status_json(state: RunState, now: float, decisions: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """The run in one small JSON object: times in seconds, `now` wall time, cost in USD.

    Lists are cut; `…_total` beside one says how many there are. `decisions` are entries of the decision log.
    """
    counts = status_counts(state)
    usage = state.planner_usage + state.worker_usage
    return {
        "version": 1,
        "time": iso(now),
        "seq": state.seq,
        "status": state.status.value,
        "reason": one_line(state.ended_reason),
        "paused": state.paused,
        "disk_full": one_line(state.disk_full),
        "memory_short": one_line(state.memory_short),
        "task_file": state.task_file,
        "revision": state.revision[:8],
        "started": iso(state.started_at) if state.started_at else None,
        "elapsed": round(state.lasted(now), 1),
        "mode": state.mode,
        "workers": state.workers,
        "tasks": {"total": wanted(counts), **counts},
        "running_total": len(state.busy),
        "running": _running(state, now),
        "goal_checks": _goal_checks(state),
        "questions_total": len(state.open_questions()),
        "questions": _questions(state),
        "parked": _parked(state, now),
        "planner": _planner(state),
        "tokens": usage.tokens,
        "cost": round(usage.cost, 4),
        "decisions": [_decision(entry) for entry in list(decisions)[-MAX_DECISIONS:]],
        "place": one_line(state.place),
        "take": one_line(state.take),
    }


def _running(state: RunState, now: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for task_id in sorted(state.busy, key=id_key)[:MAX_RUNNING]:
        task = state.tasks[task_id]
        attempt = task.attempts[-1]
        rows.append(
            {
                "task": task_id,
                "title": one_line(task.spec.title, 40),
                "n": attempt.n,
                "role": attempt.role.value,
                "backend": attempt.backend,
                "elapsed": round(attempt.worked(task.paused_at or now), 1),
                "paused": task.paused_at > 0,
            }
        )
    return rows


def _goal_checks(state: RunState) -> dict[str, Any]:
    """Totals, and by name those that are not green: they are what is left to do."""
    verdicts = {
        name: state.goal_receipts[name].verdict.value for name in state.goal_checks if name in state.goal_receipts
    }
    green = sum(verdict == "green" for verdict in verdicts.values())
    open_ = [name for name in state.goal_checks if verdicts.get(name) != "green"]
    shown = {one_line(name, 60): verdicts.get(name, "not run yet") for name in open_[:MAX_CHECKS]}
    return {"total": len(state.goal_checks), "green": green, "open": shown}


def _questions(state: RunState) -> list[dict[str, Any]]:
    return [
        {
            "id": question.id,
            "task": question.task,
            "question": one_line(question.question, 300),
            "options": [one_line(option, 40) for option in question.options[:4]],
            "default": one_line(question.default, 40),
        }
        for question in state.open_questions()[:MAX_QUESTIONS]
    ]


def _parked(state: RunState, now: float) -> dict[str, Any]:
    return {
        role.value: {"until": iso(until) if until else None, "reason": one_line(reason, 120)}
        for role, (until, reason) in state.parked.items()
        if until is None or until > now
    }


def _planner(state: RunState) -> dict[str, Any]:
    found: dict[str, Any] = {"calls": state.calls, "requests": state.planner_requests}
    if state.planner_failure:
        failure, message, retry_at = state.planner_failure
        found |= {"failure": failure, "message": one_line(message, 160)}
        found["retry_at"] = iso(retry_at) if retry_at else None
    return found


def _decision(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": entry["time"],
        "task": entry["task_id"],
        "to": entry["new_status"],
        "why": one_line(entry["reason"], 60),
    }
