"""All that is known of one task, as sections: what it is for, how it stands, its checks, attempts and messages.

No Textual here.
"""

from __future__ import annotations

from aura_engine.core.duration import span
from aura_engine.core.model import Outcome, TaskStatus
from aura_engine.core.state import Attempt, RunState, Task
from aura_engine.core.text import one_line
from aura_engine.report.words import STATUS_SYMBOL, UNICODE, amount, clock_time
from aura_tui.figures import ticking
from aura_tui.history import History
from aura_tui.receipts import of_task, section, summary
from aura_tui.sheet import Para, Part, Prose, Section, prose

OUTCOMES = {
    Outcome.PASSED: ("done", "good"),
    Outcome.CAPABILITY: ("bad", "bad"),
    Outcome.INFRASTRUCTURE: ("again", "ask"),
    Outcome.RESOURCE: ("bad", "ask"),
    Outcome.BUDGET: ("held", "ask"),
    Outcome.CONFLICT: ("again", "live"),
    Outcome.INTERRUPTED: ("stopped", "ask"),
}
"""Symbol and tone of an outcome, the same wherever attempts are shown."""
SHORT = 400
"""Characters up to which instructions are unfolded."""
NAMED, LISTED = 4, 40
"""Other tasks named in a line, and below each other."""
TONES = {
    TaskStatus.COMPLETED: "good",
    TaskStatus.IN_PROGRESS: "live",
    TaskStatus.VERIFYING: "live",
    TaskStatus.FAILED: "bad",
    TaskStatus.BLOCKED: "ask",
    TaskStatus.KILLED: "ask",
    TaskStatus.ARCHIVED: "dim",
}


def dossier(state: RunState, history: History, task_id: str, now: float) -> list[Section]:
    """The sections of a task or a group at `now` (wall time), its diff left out."""
    task = state.tasks[task_id]
    found = [_about(state, task)]
    if task.spec.group:
        found += _below(state, task_id)
    else:
        found += _checks(state, history, task_id)
        found += _attempts(task, now)
        found += _messages(history, task)
    for key, title, text in (
        ("instructions", "Instructions", task.spec.instructions),
        ("extra", "Instructions for the next attempt", task.extra),
    ):
        body = prose(Para(text))
        if body is not None:
            found.insert(1, Section(key, ((title, "title"),), (), body, open=len(text) <= SHORT))
    return found


def _about(state: RunState, task: Task) -> Section:
    """One line that says how it stands among the others; unfolded, their titles."""
    spec = task.spec
    needs = _needs(state, task)
    wanted_by = [other for other, found in state.tasks.items() if spec.id in found.spec.needs]
    status = _status(state, spec.id)
    words = {TaskStatus.COMPLETED: "done", TaskStatus.ARCHIVED: "dropped"}.get(status, status.value.replace("_", " "))
    why = task.reason if status in _SAID else f"unproven: {task.reason}" if not task.proven else ""
    left: list[Part] = [(f"{UNICODE[STATUS_SYMBOL[status]]} {words}", f"{TONES.get(status, 'wait')} bold")]
    for label, ids in (("needs", needs), ("wanted by", wanted_by)):
        if ids:
            left += [(f"   {label}", "dim"), *(part for other in ids[:NAMED] for part in _short(state, other))]
            left += [(f" and {len(ids) - NAMED} more", "dim")] if len(ids) > NAMED else []
    left += [("   the next attempt runs as pro", "ask")] if task.forced_role else []
    body = prose(
        Para(why, TONES.get(status, "ask") if task.proven else "ask", "why"),
        Para(_named(state, needs), "say", "needs"),
        Para(_named(state, wanted_by), "say", "wanted by"),
        Para(", ".join(spec.makes), "say", "makes"),
        Para("" if spec.group else spec.difficulty.value, "dim", "difficulty"),
    )
    return Section("about", tuple(left), (), body, open=bool(why))


def _status(state: RunState, task_id: str) -> TaskStatus:
    task = state.tasks[task_id]
    return state.group_status(task_id) if task.spec.group else task.status


def _short(state: RunState, task_id: str) -> list[Part]:
    """` A2.2 ✓`."""
    if task_id not in state.tasks:
        return []
    status = _status(state, task_id)
    return [(f" {task_id} ", "say"), (UNICODE[STATUS_SYMBOL[status]], TONES.get(status, "wait"))]


_SAID = (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED, TaskStatus.ARCHIVED)


def _needs(state: RunState, task: Task) -> list[str]:
    """What it needs, and what the groups above it need."""
    found: list[str] = []
    above: Task | None = task
    while above is not None:
        found += [need for need in above.spec.needs if need not in found]
        above = state.tasks.get(above.spec.parent)
    return found


def _named(state: RunState, ids: list[str]) -> str:
    """`✓ A2.2 Vectorised engine`, one a line."""
    lines: list[str] = []
    for task_id in ids[:LISTED]:
        task = state.tasks.get(task_id)
        if task is not None:
            lines.append(
                f"{UNICODE[STATUS_SYMBOL[_status(state, task_id)]]} {task_id} {one_line(task.spec.title, 100)}"
            )
    if len(ids) > LISTED:
        lines.append(f"and {len(ids) - LISTED} more")
    return "\n".join(lines)


def _below(state: RunState, group: str) -> list[Section]:
    children = state.children.get(group, [])
    body = prose(Para(_named(state, children)))
    return [Section("below", (("Tasks", "title"), (f"  {len(children)}", "dim")), (), body)] if body else []


def _checks(state: RunState, history: History, task_id: str) -> list[Section]:
    found = of_task(state, history, task_id)
    if not found:
        return [Section("checks", (("Checks", "title"), ("  none: nothing proves its work yet", "ask")))]
    head = Section("checks", (("Checks", "title"),), summary(found))
    return [head, *(section(each, depth=1) for each in found)]


def _attempts(task: Task, now: float) -> list[Section]:
    if not task.attempts:
        return [Section("attempts", (("Attempts", "title"), ("  none yet", "dim")))]
    total = sum(attempt.usage.tokens for attempt in task.attempts)
    cost = sum(attempt.usage.cost for attempt in task.attempts)
    spent = f"{amount(total)} tok  ${cost:.2f} " if total else ""
    head = Section("attempts", (("Attempts", "title"), (f"  {len(task.attempts)}", "dim")), ((spent, "dim"),))
    last = task.attempts[-1].n
    return [head, *(_attempt(each, now, newest=each.n == last) for each in reversed(task.attempts))]


def attempt_line(attempt: Attempt, now: float) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """(left, right) of an attempt's head: mark, number, role, outcome; time, tokens, cost in columns."""
    if attempt.outcome is not None:
        mark, tone = OUTCOMES[attempt.outcome]
        word = f"{attempt.outcome.value}: {one_line(attempt.why, 160)}" if attempt.why != "landed" else "landed"
    elif attempt.ended is not None:
        mark, tone, word = "running", "live", "its work is being checked"
    else:
        mark, tone, word = "running", "live", "running"
    ended = attempt.ended
    took = ticking(now - attempt.started) if ended is None else span(ended - attempt.started)
    usage = attempt.usage if attempt.ending else None
    tokens = f"{amount(usage.tokens):>7} tok" if usage and usage.tokens else " " * 11
    cost = f"${usage.cost:.2f}" if usage and usage.cost else ""
    left = (
        (f"{UNICODE[mark]} ", tone),
        (f"#{attempt.n} {attempt.role.value} ", "say"),
        (f"{one_line(attempt.backend, 20)}  ", "dim"),
        (word, tone),
    )
    return left, ((f"  {took:>7}", "say"), (f"{tokens}{cost:>8} ", "dim"))


def _attempt(attempt: Attempt, now: float, *, newest: bool) -> Section:
    left, right = attempt_line(attempt, now)
    return Section(f"attempt/{attempt.n}", left, right, Prose(tuple(attempt_paras(attempt))), 1, open=newest)


def attempt_paras(attempt: Attempt, *, indent: int = 6) -> list[Para]:
    """What became of an attempt, and what it handed over."""
    ending = attempt.ending
    times = f"{clock_time(attempt.started)} to {clock_time(attempt.ended)}" if attempt.ended else ""
    times = times or f"since {clock_time(attempt.started)}"
    idle = f", {span(attempt.idle)} of it paused" if attempt.idle else ""
    worker = ending.kind.value.replace("_", " ") + (f": {ending.detail}" if ending.detail else "") if ending else ""
    usage = attempt.usage if ending else None
    tokens = ""
    if usage and usage.tokens:
        cached = f", {amount(usage.cache_read)} from the cache" if usage.cache_read else ""
        tokens = f"{amount(usage.input)} in, {amount(usage.output)} out{cached}"
    tone = OUTCOMES[attempt.outcome][1] if attempt.outcome else "say"
    rows = (
        ("ran", f"{times}{idle}", "dim"),
        ("outcome", attempt.why if attempt.why != "landed" else "", tone),
        ("worker", worker, "say"),
        ("it said", ending.claims if ending else "", "dim"),
        ("session", f"went on with that of attempt {attempt.place}" if attempt.resumed else "", "dim"),
        ("by", "the role's second worker" if attempt.fallback else "", "dim"),
        ("tokens", tokens, "dim"),
        ("was told", "\n".join(attempt.messages), "say"),
        ("hand-over", attempt.hand_over, "say"),
    )
    return [Para(text, tone, label, indent) for label, text, tone in rows if text]


def _messages(history: History, task: Task) -> list[Section]:
    said = history.messages.get(task.spec.id, ())
    if not said and not task.messages:
        return []
    paras: list[Para] = []
    for each in said:
        waits = not each.injected and each.text in task.messages
        how = "waits for the next attempt" if waits else "given with an attempt"
        how = f"brought to #{each.n} as it ran" if each.injected else how
        paras.append(Para(f"{each.text}\n({how})", "ask" if waits else "say", clock_time(each.time)))
    waiting = f"  {len(task.messages)} for the next attempt" if task.messages else ""
    return [Section("messages", (("Messages", "title"), (waiting, "ask")), (), prose(*paras))]
