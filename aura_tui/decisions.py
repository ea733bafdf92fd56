"""The planner's history in words: why it was asked, what it decided, what that cost. No Textual here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aura_engine.core.duration import span
from aura_engine.core.events import PlanChanged
from aura_engine.core.model import Outcome, Usage
from aura_engine.core.plan import TaskChange, TaskSpec, id_key
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.words import WHY_ASKED, amount, clock_time, count, date_time, why_asked
from aura_tui.figures import ticking
from aura_tui.history import Decision
from aura_tui.sheet import Para, Part, Section, prose

LISTED = 200
SHORT_WHY = {
    "goal_new": "new goal",
    "goal_changed": "goal edited",
    "task_failed": "task failed",
    "stalled": "stalled",
    "checks_fail": "goal checks red",
    "all_landed": "all landed",
    "unproven": "unproven work",
    "broken": "head broken",
    "question": "you answered",
    "review": "review",
}


def heads(decisions: Iterable[Decision], now: float) -> list[Section]:
    """One line for each, newest first."""
    return [_head(each, now) for each in reversed(list(decisions))]


def _head(decision: Decision, now: float) -> Section:
    mark, tone = _mark(decision)
    thinks = decision.call and not decision.ended
    took = ticking(now - decision.time) if thinks else ""
    usage = decision.usage
    spent = f"{amount(usage.tokens):>7}{f'${usage.cost:.3f}':>9}" if usage.tokens else took
    left = (
        (f"{clock_time(decision.time)} ", "dim"),
        (f"{mark} ", tone),
        (_short_why(decision), "say"),
        (f"  {outcome(decision)}", tone if tone in ("bad", "ask", "good") else "dim"),
    )
    return Section(f"decision/{decision.number}", left, ((f"  {spent:>16} ", "dim"),))


def _mark(decision: Decision) -> tuple[str, str]:
    if decision.failure is not None:
        return "✗", "bad"
    if (decision.call or decision.asked) and not decision.ended:
        return "◐", "live"
    if decision.questions:
        return "?", "ask"
    if decision.declared:
        return "✓", "good"
    return "▸" if decision.call else "·", "live" if decision.call else "say"


def _short_why(decision: Decision) -> str:
    if not decision.call:
        return "you asked" if decision.asked else "by you"
    kinds = dict.fromkeys(trigger.partition(":")[0] for trigger in decision.triggers)
    return ", ".join(SHORT_WHY.get(kind, one_line(kind, 40)) for kind in kinds)


def outcome(decision: Decision) -> str:
    """What came of it, in a clause: `+2 tasks, 1 dropped`."""
    if decision.failure is not None:
        return one_line(decision.failure.message, 200)
    if (decision.call or decision.asked) and not decision.ended:
        return "thinks …"
    if decision.asked:
        return one_line(decision.answer, 200)
    parts = [part for change in decision.changes for part in changed(change)]
    parts += ["asks you"] * bool(decision.questions)
    parts += ["declares the goal reached"] * bool(decision.declared)
    return ", ".join(parts) or "nothing to change"


def changed(change: PlanChanged) -> list[str]:
    """What a change of the plan did, in figures."""
    leaves = sum(not spec.group for spec in change.add)
    counted = (
        (leaves, f"+{count(leaves, 'task')}"),
        (len(change.change), f"{len(change.change)} changed"),
        (len(change.archive), f"{len(change.archive)} dropped"),
        (len(change.retry), f"{len(change.retry)} again"),
        (len(change.goal_checks), f"+{count(len(change.goal_checks), 'goal check')}"),
        (len(change.lessons), count(len(change.lessons), "lesson")),
    )
    return [words for number, words in counted if number]


def totals(state: RunState, decisions: Sequence[Decision]) -> list[Part]:
    """All calls together."""
    usage, requests = state.planner_usage, state.planner_requests
    calls = count(sum(bool(each.call) for each in decisions), "call")
    words = f"{calls}  {count(requests, 'request')}  {amount(usage.tokens)} tok  ${usage.cost:.3f}"
    return [(words, "dim")]


def pages(decision: Decision, state: RunState, now: float) -> list[Section]:
    """All that is to be told of one decision, but its prompt."""
    if decision.asked:
        return [_inquiry(decision, now)]
    found = [_about(decision, now)]
    for number, change in enumerate(decision.changes):
        found += _plan(change, state, f"plan/{number}")
    for question in decision.questions:
        asked = state.questions.get(question.id)
        options = " / ".join(question.options)
        body = prose(
            Para(question.question),
            Para(options, "say", "options"),
            Para(question.default, "say", "default"),
            Para(question.task, "say", "waits"),
            Para(asked.answer or "not yet" if asked else "", "say", "answer"),
        )
        found.append(Section(f"question/{question.id}", ((f"Question {question.id}", "title"),), (), body))
    return found


def _inquiry(decision: Decision, now: float) -> Section:
    waits = f"it thinks about it, {ticking(now - decision.time)}"
    body = prose(
        Para(decision.asked, "say", "you asked"),
        Para(date_time(decision.time), "dim", "when"),
        Para(decision.answer if decision.ended else waits, "say" if decision.ended else "live", "answer"),
    )
    return Section("inquiry", (("A question to the planner", "title"),), (), body)


def plan_pages(decision: Decision, state: RunState) -> list[Section]:
    """What a decision did to the plan, without the brief."""
    found = [each for number, change in enumerate(decision.changes) for each in _plan(change, state, f"plan/{number}")]
    return [each for each in found if not each.key.endswith("/brief")]


def _about(decision: Decision, now: float) -> Section:
    took = span(decision.ended - decision.time) if decision.ended else ticking(now - decision.time)
    reasons = [change.reason for change in decision.changes if change.reason and not why_asked(change.reason)]
    failure = decision.failure
    retry = ""
    if failure is not None:
        retry = f"next try at {clock_time(failure.retry_at)}" if failure.retry_at else "it needs you"
    body = prose(
        Para(_triggers(decision), "say", "because"),
        Para("\n".join(reasons), "say", "reason"),
        Para(decision.declared, "good", "declares"),
        Para(f"{failure.failure}: {failure.message}; {retry}" if failure else "", "bad", "failed"),
        Para(outcome(decision), "say", "result"),
        Para(decision.summary, "dim", "used"),
        Para(
            f"{date_time(decision.time)}, {'took' if decision.ended else 'for'} {took}" if decision.call else "",
            "dim",
            "when",
        ),
        Para(_spent(decision.requests, decision.usage), "dim", "spent"),
        Para(decision.revision[:12], "dim", "goal"),
    )
    title = f"Call {decision.call}" if decision.call else "Your change"
    return Section("about", ((title, "title"), (f"  {_short_why(decision)}" if decision.call else "", "dim")), (), body)


def _triggers(decision: Decision) -> str:
    lines: list[str] = []
    for trigger in decision.triggers:
        kind, _, what = trigger.partition(":")
        about = f" ({what})" if what[:1].isupper() else ""
        lines.append(WHY_ASKED.get(kind, kind) + about)
    return "\n".join(dict.fromkeys(lines))


def _spent(requests: int, usage: Usage) -> str:
    if not usage.tokens:
        return ""
    cached = f", {amount(usage.cache_read)} from the cache" if usage.cache_read else ""
    tokens = f"{amount(usage.input)} in, {amount(usage.output)} out{cached}"
    return f"{count(requests, 'request')}, {tokens}, ${usage.cost:.4f}"


def _plan(change: PlanChanged, state: RunState, key: str) -> list[Section]:
    """Each kind of change under its own head."""
    retried = [f"{retry.id}  {one_line(retry.instructions, 400)}" for retry in change.retry]
    checks = [f"{check.name}  {one_line(check.describe(), 200)}" for check in change.goal_checks]
    brief = change.brief
    criteria = [f"{item.text} ({', '.join(item.checks)})" for item in brief.criteria] if brief else []
    parts = (
        ("added", "Added", "good", [_added(spec) for spec in sorted(change.add, key=lambda spec: id_key(spec.id))]),
        ("changed", "Changed", "live", [_changed(each) for each in change.change]),
        ("dropped", "Dropped", "ask", [_titled(state, task_id) for task_id in change.archive]),
        ("again", "To run again", "live", retried),
        ("checks", "Goal checks added", "good", checks),
        ("lessons", "Learned", "say", list(change.lessons)),
    )
    found = [
        Section(
            f"{key}/{name}",
            ((title, "title"), (f"  {len(lines)}", "dim")),
            (),
            prose(*(Para(line) for line in lines[:LISTED]), _left_out(lines)),
        )
        for name, title, _, lines in parts
        if lines
    ]
    if brief is not None:
        body = prose(
            Para(brief.final_goal, "say", "goal"),
            Para("\n".join(criteria), "say", "reached if"),
            Para("\n".join(brief.constraints), "say", "limits"),
            Para(brief.environment, "say", "where"),
            Para(brief.notes, "say", "notes"),
        )
        found.append(Section(f"{key}/brief", (("What it makes of the goal", "title"),), (), body, open=False))
    return found


def _left_out(lines: list[str]) -> Para | None:
    return Para(f"and {len(lines) - LISTED} more", "dim") if len(lines) > LISTED else None


def _added(spec: TaskSpec) -> str:
    needs = f"  needs {', '.join(spec.needs)}" if spec.needs else ""
    return f"{spec.id}  {one_line(spec.title, 120)}{needs}"


def _changed(change: TaskChange) -> str:
    fields = (
        ("instructions", change.instructions is not None),
        (f"needs {', '.join(change.needs or ()) or 'nothing'}", change.needs is not None),
        (f"+{count(len(change.add_checks), 'check')}", bool(change.add_checks)),
        (f"makes {', '.join(change.makes or ())}", change.makes is not None),
        (f"difficulty {change.difficulty}", change.difficulty is not None),
    )
    return f"{change.id}  {', '.join(words for words, holds in fields if holds)}"


def _titled(state: RunState, task_id: str) -> str:
    task = state.tasks.get(task_id)
    worker = "  its worker is stopped" if stopped(state, task_id) else ""
    return f"{task_id}  {one_line(task.spec.title, 120)}{worker}" if task else task_id


def stopped(state: RunState, task_id: str) -> bool:
    """A dropped task had a worker at it, which is stopped."""
    task = state.tasks.get(task_id)
    return bool(task and task.attempts and task.attempts[-1].outcome in (None, Outcome.INTERRUPTED))
