"""Why the planner has to be asked now. Read off the state alone: after a crash the same reasons come up again. Pure."""

from __future__ import annotations

from aura_engine.core.ending import all_landed, checked, goal_proven
from aura_engine.core.plan import id_key
from aura_engine.core.state import RunState
from aura_engine.planner import context
from aura_engine.planner.context import Trigger


def review_due(state: RunState, every: float, now: float) -> str:
    """The trigger of a review: after so many seconds of work, half as many without a landing; "" when none is due."""
    if not every or not state.told_revision:
        return ""
    work = state.worked(now)
    since, stale = work - state.reviewed_at, work - max(state.reviewed_at, state.landed_at)
    return f"review:{state.reviews + 1}" if since >= every or stale >= every / 2 else ""


def triggers(state: RunState, *, quiet: bool, review: str = "") -> list[str]:
    """What the planner has to be asked about now. `quiet`: nothing runs, lands, waits for a time or can start.

    `review` is the trigger of a review that is due.
    """
    found: list[str] = []
    if not state.revision:
        return found
    if not state.told_revision:
        found.append(f"goal_new:{state.revision[:16]}")
    elif state.told_revision != state.revision:
        found.append(f"goal_changed:{state.told_revision[:8]}-{state.revision[:16]}")
    failed = sorted(state.failed, key=id_key)
    found += [f"task_failed:{task_id}#{len(state.tasks[task_id].attempts)}" for task_id in failed]
    held = sorted((task_id for task_id in state.verifying if state.tasks[task_id].probe_asked), key=id_key)
    found += [f"unproven:{task_id}#{len(state.tasks[task_id].attempts)}" for task_id in held]
    found += [f"broken:{label}@{tree[:12]}" for label, (tree, _) in state.broken.items()]
    found += [f"question:{q.id}" for q in state.questions.values() if q.answer is not None and not q.approved]
    found += [review] if review else []
    # What the planner was told of the goal is in `told_revision`: an edit back and forth is two edits.
    found = [key for key in found if key.startswith("goal_") or key not in state.answered]
    if not found and quiet and state.told_revision:
        found = [key for key in _when_quiet(state) if key not in state.answered]
    return found


def _when_quiet(state: RunState) -> list[str]:
    if state.failed:
        return []  # asked about already: the planner left them as they are
    if not all_landed(state):
        return [f"stalled:{state.head_tree[:12]}-{len(state.tasks)}"]
    if state.checked is None or not checked(state):
        return []  # the goal checks come first
    red = state.checked[2]
    key = f"{state.head_tree[:12]}-{state.revision[:8]}"
    if red:
        return [f"checks_fail:{key}"]
    if state.declared == state.revision:
        return []
    if not goal_proven(state):
        unproven = f"unproven:goal-{key}"
        if unproven not in state.answered:
            return [unproven]
    return [f"all_landed:{key}"]


def trigger_of(state: RunState, key: str, now: float) -> Trigger:
    """A trigger with what the planner is told of it; `now` is wall time."""
    if key.startswith("review:"):
        return Trigger("review", (), context.figures(state, now))
    kind, _, what = key.partition(":")
    task_id = what.partition("#")[0]
    if kind in ("task_failed", "unproven"):
        return Trigger(kind, (task_id,) if task_id in state.tasks else ())
    if kind == "broken":
        name = what.rpartition("@")[0]
        return Trigger(kind, (), f"{name}: {state.broken.get(name, ('', ''))[1]}")
    if kind == "checks_fail":
        red = [receipt for receipt in state.goal_receipts.values() if not receipt.green]
        return Trigger(kind, (), "\n".join(context.receipt_text(receipt) for receipt in red))
    if kind == "question" and what in state.questions:
        question = state.questions[what]
        return Trigger(kind, (), f"{question.question}\nThe person's answer: {question.answer}")
    return Trigger(kind)
