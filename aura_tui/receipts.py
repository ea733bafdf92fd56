"""Checks with their receipts in words: what ran, on what, what came of it, what it proves. No Textual here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aura_engine.core.duration import span
from aura_engine.core.model import Check, Phase, Receipt, TaskStatus, Verdict
from aura_engine.core.plan import id_key
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.report.words import UNICODE, clock_time, count, date_time, short, verdict_symbol
from aura_tui.history import History
from aura_tui.sheet import Para, Part, Prose, Section

GOAL = ""
"""Stands for the goal where else a task's id does."""
TONES = {Verdict.GREEN: "good", Verdict.FLAKY: "ask", Verdict.RED: "bad", Verdict.ERROR: "ask"}
PHASES = {
    Phase.BEFORE: "before the work",
    Phase.TASK: "on the task's work",
    Phase.RATCHET: "again after a later landing",
    Phase.GOAL: "on the head, for the goal",
}
WHEN, TOOK, RESULT = 8, 7, 9


@dataclass(frozen=True, slots=True)
class Tested:
    """A check of the goal or of a task, and the last that is known of it."""

    task: str
    check: Check
    receipt: Receipt | None
    time: float = 0.0
    """When the receipt was written; 0 where that is not known."""
    before: Verdict | None = None
    n: int = 0
    """The attempt that it judged; 0: none in particular."""

    @property
    def key(self) -> str:
        """Names it among all."""
        return f"check/{self.task}/{self.check.name}"


def of_task(state: RunState, history: History, task_id: str) -> list[Tested]:
    """The checks that decide a task: its own, and the goal's that it must turn green."""
    task = state.tasks[task_id]
    names = [name for name in task.spec.goal_checks if name in state.goal_checks]
    checks = [*task.spec.checks, *(state.goal_checks[name] for name in names)]
    return [_tested(history, task_id, check, task.receipts.get(check.name)) for check in checks]


def of_goal(state: RunState, history: History) -> list[Tested]:
    """The goal's own checks."""
    return [
        _tested(history, GOAL, check, state.goal_receipts.get(name), f"{GOAL}/{name}" in state.broken)
        for name, check in state.goal_checks.items()
    ]


def of_landed(state: RunState, history: History) -> list[Tested]:
    """The checks of landed tasks, which later landings may not break."""
    landed = [task for task in state.tasks.values() if task.status is TaskStatus.COMPLETED and not task.spec.group]
    return [
        each
        for task in sorted(landed, key=lambda task: id_key(task.spec.id))
        for each in of_task(state, history, task.spec.id)
    ]


def _tested(history: History, task: str, check: Check, receipt: Receipt | None, broken: bool = False) -> Tested:
    ran = history.ran.get((task, check.name))
    before = history.before.get((task, check.name))
    if ran is None or (receipt is None and task == GOAL):
        return Tested(task, check, receipt, before=before)
    # A later run of the same check, as the ratchet's, is newer than the receipt that the task landed with.
    return Tested(task, check, ran.receipt, ran.time, before, ran.n)


def fits(tested: Tested, words: str) -> bool:
    """Whether a filter's words are all found: in names, task, command, verdict, who wrote it."""
    verdict = tested.receipt.verdict.value if tested.receipt else "not run"
    check = tested.check
    parts = [tested.task or "goal", check.name, check.describe(), verdict]
    parts += ["held out"] if check.hidden else []
    parts += ["yours"] if check.person else []
    haystack = " ".join(parts).casefold()
    return all(word in haystack for word in words.casefold().split())


def section(tested: Tested, *, depth: int = 0, body: bool = True, task: bool = False) -> Section:
    """A check as a section, unfolded when it is not green."""
    receipt, check = tested.receipt, tested.check
    tone = TONES[receipt.verdict] if receipt else "dim"
    tags: list[Part] = [("  held out", "ask")] if check.hidden else []
    tags += [("  yours", "key")] if check.person else []
    tags += [(f"  {one_line(check.describe(), 200)}", "dim")] if body else []
    return Section(
        tested.key,
        (
            (f"{UNICODE[verdict_symbol(receipt)]} ", tone),
            (f"{tested.task} " if task else "", "dim"),
            (one_line(check.name, 120), "say"),
            *tags,
        ),
        _result(tested, when=body),
        Prose(tuple(paras(tested))) if body else None,
        depth,
        open=receipt is not None and not receipt.green,
    )


def _result(tested: Tested, *, when: bool) -> tuple[Part, ...]:
    """`exit 1     0.4s 14:02:11`, in columns that keep their place."""
    receipt = tested.receipt
    if receipt is None:
        return (("  not run yet ", "dim"),)
    words = "" if receipt.exit_code is None else f"exit {receipt.exit_code}"
    words = f"signal {receipt.signal}" if receipt.signal is not None else words
    words = words or receipt.verdict.value
    clock = f"{clock_time(tested.time) if tested.time else '':>{WHEN}} " if when else ""
    tone = TONES[receipt.verdict]
    return (
        (f"  {words:<{RESULT}}", tone if not receipt.green else "dim"),
        (f"{span(receipt.duration):>{TOOK}} ", "dim"),
        (clock, "dim"),
    )


def paras(tested: Tested, *, indent: int = 6) -> Iterable[Para]:
    """All that is to be said of a check and its receipt."""
    for label, text, tone in (*_what(tested.check), *_came_of_it(tested)):
        if text:
            yield Para(text, tone, label, indent)
    if tested.receipt is not None:
        tail = tested.receipt.tail.strip("\n")
        single = "\n" not in tail
        yield Para((tail or "none") if single else " ", "say" if tail else "dim", "output", indent)
        if not single:
            # As wide as it can be: what was printed suffers most from being broken.
            yield Para(tail, "say", "", indent + 2)


def _what(check: Check) -> list[tuple[str, str, str]]:
    flags = [
        "held out: workers learn only the part it belongs to" if check.hidden else "",
        "with network" if check.network else "",
        "" if check.reproduce else "its file is read as it landed, not made again",
    ]
    kind = {"run": "command", "value": "value", "file": "file", "judge": "judge"}[check.kind]
    counted = f"at least {count(check.min_tests, 'test')} by the runner's own report" if check.min_tests else ""
    return [
        (kind, check.describe(), "say"),
        ("reads", f"{check.file}" if check.judge else "", "say"),
        ("wants", counted, "say"),
        ("part", check.part, "say"),
        ("written by", "you, in the goal" if check.person else "the planner", "dim"),
        ("besides", "; ".join(flag for flag in flags if flag), "ask" if check.hidden else "dim"),
    ]


def _came_of_it(tested: Tested) -> list[tuple[str, str, str]]:
    receipt = tested.receipt
    if receipt is None:
        return [("verdict", "not run yet", "dim")]
    how = f"exit status {receipt.exit_code}" if receipt.exit_code is not None else ""
    how = f"ended by signal {receipt.signal}" if receipt.signal is not None else how
    counts = receipt.counts
    tests = f"{count(counts.tests, 'test')}, {counts.failures} failed, {counts.skipped} skipped" if counts else ""
    if not counts and tested.check.report:
        tests = "unknown: the runner left no report"
    whose = f", attempt {tested.n}" if tested.n else ""
    when = f", {date_time(tested.time)}" if tested.time else ""
    cached = ", remembered from the same files" if receipt.cached else ""
    frozen = f", with the deciding files {short(receipt.frozen_hash)}" if receipt.frozen_hash else ""
    ran = f"{span(receipt.duration)}{',' if how else ''} {how}".rstrip()
    return [
        ("verdict", receipt.verdict.value + (f": {receipt.reason}" if receipt.reason else ""), TONES[receipt.verdict]),
        ("proof", _proof(tested), "dim"),
        ("ran", f"{ran}{cached}", "say"),
        ("when", f"{PHASES[receipt.phase]}{whose}{when}", "dim"),
        ("tests", tests, "say"),
        ("tree", f"{short(receipt.tree)}{frozen}", "dim"),
    ]


def _proof(tested: Tested) -> str:
    if tested.before is Verdict.RED:
        return "it was red before the work"
    if tested.before is Verdict.GREEN:
        return "it was green before the work already: a guard, no proof"
    return ""


def summary(found: Iterable[Tested]) -> tuple[Part, ...]:
    """`4/5 green`."""
    found = list(found)
    green = sum(each.receipt is not None and each.receipt.green for each in found)
    return ((f"{green}/{len(found)} green ", "good" if green == len(found) else "say"),) if found else ()


def listed(title: str, found: list[Tested], *, nothing: str) -> list[Section]:
    """A heading with the checks below it, in one line each."""
    head = Section(f"list/{title}", ((title, "title"), ("" if found else f"  {nothing}", "dim")), summary(found))
    return [head, *(section(each, depth=1, body=False, task=bool(each.task)) for each in found)]
