"""The header's figures: is it going well, what is it doing, does it need me, what does it cost. No Textual here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aura_engine.control.link import GOAL, Live
from aura_engine.core.duration import span
from aura_engine.core.events_planner import CAP_SETTINGS
from aura_engine.core.model import RunStatus, TaskStatus
from aura_engine.core.schedule import parked
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.words import amount, checks_of, clock_time
from aura_tui.counts import ROOT, Counts

LONG = 5.0
"""Seconds after which it is said for how long something has been going on."""
ENDED = {
    RunStatus.ACHIEVED: ("done", "good", "achieved"),
    RunStatus.FAILED: ("bad", "bad", "not achieved"),
    RunStatus.NEEDS_PERSON: ("ask", "ask", "needs you"),
    RunStatus.BUDGET: ("held", "ask", "budget reached"),
    RunStatus.INTERRUPTED: ("stopped", "ask", "interrupted"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """One decision for the pane: cleaned text, with its symbol and local time in front."""

    time: float
    text: str
    task: str = ""


@dataclass(slots=True)
class Planner:
    """What the planner is doing; wall times, 0 when it is not."""

    busy_since: float = 0.0
    idle_since: float = 0.0
    decision: Said | None = None


MEASURED: Mapping[str, Callable[[float], str]] = {
    "cost": lambda cap: f"the run's cap of ${cap:g}",
    "tokens": lambda cap: f"the run's cap of {amount(int(cap))} tokens",
    "work": lambda cap: f"the run's cap of {span(cap)} of working time",
}
"""A cap in words, by its measure."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Ready to be shown: cleaned words and texts of steady width."""

    goal: str
    symbol: str
    """A name in `aura_engine.report.words.UNICODE`."""
    tone: str
    state: str
    """`running`, `paused`, `needs you`, `achieved` …"""
    needs_you: str
    """What a person is needed for; "" when nobody is."""
    elapsed: str
    done: int
    wanted: int
    running: int
    failed: int
    busy: int
    workers: int
    tokens: str
    cost: str
    work: str
    """What the engine itself is at: delivering, checking."""
    planner: str
    decision: str


def figures(
    state: RunState,
    counts: Counts,
    planner: Planner,
    now: float,
    telemetry: Mapping[str, Live],
    delivering_since: float = 0.0,
) -> Figures:
    """The figures at `now` (wall time); running workers' tokens come from `telemetry`."""
    usage = state.planner_usage + state.worker_usage
    # Of one that has ended this instant the figures may still come: they are counted already.
    running = [live for name, live in telemetry.items() if _works(state, name)]
    need = needs_you(state, counts, now)
    if state.status is not RunStatus.RUNNING:
        symbol, tone, word = ENDED[state.status]
    elif need:
        symbol, tone, word = "ask", "ask", "needs you"
    elif state.paused:
        symbol, tone, word = "held", "ask", "paused"
    elif state.no_room:
        symbol, tone, word = "held", "ask", "no room"
    else:
        symbol, tone, word = "running", "live", "running" if state.started_at else "starting"
    cost = usage.cost + sum(live.cost for live in running)
    return Figures(
        goal=_named(state),
        symbol=symbol,
        tone=tone,
        state=word,
        needs_you=need,
        elapsed=ticking(now - state.started_at) if state.started_at else "",
        done=counts.of(ROOT, TaskStatus.COMPLETED),
        wanted=counts.wanted(ROOT),
        running=counts.of(ROOT, TaskStatus.IN_PROGRESS, TaskStatus.VERIFYING),
        failed=counts.of(ROOT, TaskStatus.FAILED),
        busy=len(state.busy),
        workers=state.workers,
        tokens=amount(usage.tokens + sum(live.tokens for live in running)),
        cost=f"${cost:.2f}/${cap:g}" if (cap := state.caps.run.cost) else f"${cost:.2f}",
        work=_work(state, telemetry.get(GOAL), delivering_since, now),
        planner=_planner(state, planner, now),
        decision=planner.decision.text if planner.decision else "",
    )


def _named(state: RunState) -> str:
    """The run's name: the goal's file, or the project's folder where the file has the name that all have."""
    stem = state.task_file.rsplit("/", 1)[-1].removesuffix(".md")
    name = state.project.rstrip("/").rsplit("/", 1)[-1] if stem == "task" else stem
    return one_line(name or stem or "aura", 40)


def needs_you(state: RunState, counts: Counts, now: float) -> str:
    """What a person is needed for, in a clause; "" when nobody is."""
    asked = state.open_questions()
    if asked:
        more = f" (and {len(asked) - 1} more)" if len(asked) > 1 else ""
        return f"{asked[0].id}: {one_line(asked[0].question)}{more}"
    for role in state.parked:
        holds = parked(state, role, now)
        if holds and all(until is None for until, _ in holds):
            return f"{role.value} workers: {one_line(holds[0][1])}"
    if state.capped is not None:
        capped = state.capped
        name = CAP_SETTINGS[capped.measure]
        return f"{MEASURED[capped.measure](capped.cap)} is reached, nothing new starts: raise {name}, or stop"
    if state.planner_failure and state.planner_failure[2] is None:
        return f"the planner: {one_line(state.planner_failure[1])}"
    blocked = counts.of(ROOT, TaskStatus.BLOCKED)
    if blocked:
        return f"{blocked} {'task waits' if blocked == 1 else 'tasks wait'} for you"
    return one_line(state.ended_reason) if state.status is RunStatus.NEEDS_PERSON else ""


def ticking(seconds: float) -> str:
    """A length of time that grows on the screen: whole seconds, then minutes: `4s`, `3m 07s`, `3h 12m`."""
    return f"{int(max(0.0, seconds))}s" if seconds < 10 else span(seconds)


def _works(state: RunState, name: str) -> bool:
    """Whether the worker of an attempt (`A1.2#3`) has not ended."""
    task, _, n = name.partition("#")
    attempts = state.tasks[task].attempts if task in state.tasks else []
    return any(attempt.n == int(n) and attempt.ending is None for attempt in attempts)


def _work(state: RunState, goal: Live | None, delivering_since: float, now: float) -> str:
    """`checking A2.3 1/4 12s, delivering`: what takes long tells how far it is and how long it takes."""
    parts = [one_line(state.no_room, 120)] if state.no_room else []
    if goal:
        parts.append(f"checking the goal: {one_line(goal.step, 60)}")
    if state.verifying:
        first = min(state.verifying, key=lambda task_id: state.tasks[task_id].attempts[-1].ended or now)
        task = state.tasks[first]
        done, total = checks_of(state, task)
        more = f" and {len(state.verifying) - 1} more" if len(state.verifying) > 1 else ""
        parts.append(f"checking {first} {done}/{total}{more}{_since(task.attempts[-1].ended or now, now)}")
    if state.delivering_tree:
        parts.append(f"delivering{_since(delivering_since or now, now)}")
    return ", ".join(parts)


def _since(began: float, now: float) -> str:
    """For how long, once that is worth a word."""
    return f" {ticking(now - began)}" if now - began >= LONG else ""


def _planner(state: RunState, planner: Planner, now: float) -> str:
    if planner.busy_since:
        return f"planner thinks {ticking(now - planner.busy_since)}"
    if state.planner_failure and state.planner_failure[2]:
        return f"planner again at {clock_time(state.planner_failure[2])[:5]}"
    if planner.idle_since and state.status is RunStatus.RUNNING:
        # Minutes do: a second hand that runs for days says nothing.
        minutes = int(now - planner.idle_since) // 60
        hours = f"{minutes // 60}h {minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m"
        return f"planner idle {hours}" if minutes else "planner idle"
    return ""
