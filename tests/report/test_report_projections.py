"""progress.md, status.json, the decision log, receipts and history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aura_engine.cli.status_text import status_text
from aura_engine.core import events as ev
from aura_engine.core.duration import span
from aura_engine.core.model import Check, Role, RunStatus, TaskStatus, Verdict
from aura_engine.core.plan import TaskSpec
from aura_engine.core.state import RunState
from aura_engine.report.decisions import KEPT, DecisionLog
from aura_engine.report.history import history_rows, history_text
from aura_engine.report.progress import progress_markdown
from aura_engine.report.receipts import receipt_rows, receipts_table
from aura_engine.report.status import status_json
from aura_engine.report.words import amount


def decided(story: Any) -> DecisionLog:
    """The decision log of a whole story."""
    log = DecisionLog()
    for event, time in story.events:
        log.note(event, time)
    return log


# ---- progress.md


def test_progress_of_a_run_under_way(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    story.finish("A1.1")
    story.fail("A1.1")
    story.start("A1.1")
    story.tell(ev.QuestionAsked(id="q1", question="Which exchange?", options=("NYSE",), task="A2"))
    text = progress_markdown(story.state, story.now + 60)
    for line in (
        "# task.md: running",
        "- 0 of 3 tasks done (2 pending, 1 in progress)",
        "- 13.4k tokens, $0.25: workers 3.4k, planner 10.0k in 2 requests",
        "- goal: A pipeline that makes money.",
        "- q1 (A2 waits): Which exchange? Options: NYSE.",
        "- ◐ A1 Data (0/2)",
        "  - ◐ A1.1 Fetch daily bars — in progress; flash builtin #2, 1m 02s; checks 0/1",
        "  - ○ A1.2 Clean and align — pending; needs A1.1",
        "- ○ A2 Report — pending",
        "- ○ sharpe (yours, held out): not run yet",
    ):
        assert line in text.splitlines(), f"{line!r} in\n{text}"
    assert "## Delivered" not in text


def test_progress_of_a_run_that_ended(story: Any) -> None:
    story.whole()
    text = progress_markdown(story.state, story.now)
    for line in (
        "# task.md: achieved",
        "- why: all goal checks are green",
        "- 3 of 3 tasks done (1 archived)",
        "- ✓ A1 Data (2/2)",
        "  - ✓ A1.1 Fetch daily bars — completed; pro builtin #3, 2.0s; checks 1/1",
        "- · A2 Report — archived; the goal wants a report each month",
        "- ✓ sharpe (yours, held out): green",
        "- place: branch aura/task",
        "- take it: `git merge aura/task`",
    ):
        assert line in text.splitlines(), f"{line!r} in\n{text}"


def test_progress_of_nothing() -> None:
    assert progress_markdown(RunState(), 0.0).startswith("# Progress: running\n")


def test_progress_is_inert(story: Any, nasty: str) -> None:
    story.begin()
    story.tell(
        ev.PlanChanged(reason="r", add=(TaskSpec(id="A3", title=nasty),), goal_checks=(Check(name=nasty, run="true"),)),
        ev.TaskSettled(task="A3", status=TaskStatus.FAILED, reason=nasty),
        ev.QuestionAsked(id="q1", question=nasty, options=(nasty,), default=nasty),
        ev.RoleParked(role=Role.PRO, until=None, reason=nasty),
        ev.Delivered(commit="c", tree="t", place=nasty, take=nasty),
        ev.RunEnded(status=RunStatus.FAILED, reason=nasty),
    )
    text = progress_markdown(story.state, story.now)
    assert "\x1b" not in text
    assert "pwned" not in text
    assert "\u202e" not in text
    assert "\n# Forged" not in text
    assert "<script>" not in text.replace("`", "")[: text.index("## Delivered")]
    assert text.count("Forged") > 7


# ---- status.json


def test_a_paused_task_s_time_stands_still(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    story.tell(ev.Requested(command="pause", task="A1.1", actor="person"))
    worked = story.now - story.state.tasks["A1.1"].attempts[-1].started
    (row,) = status_json(story.state, story.now + 500)["running"]
    assert (row["paused"], row["elapsed"]) == (True, worked)
    assert f"in progress; paused; flash builtin #1, {worked:.1f}s" in progress_markdown(story.state, story.now + 500)
    words = status_text("task", status_json(story.state, story.now), now=story.now + 500, owned=True)
    assert "⏸ A1.1#1 Fetch daily bars (flash, builtin, paused; go on: aura resume A1.1)" in words


def test_a_paused_run_is_not_told_as_running(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    story.tell(ev.Requested(command="pause", actor="person"))
    words = status_text("task", status_json(story.state, story.now), now=story.now + 258, owned=True)
    assert words.startswith(
        "⏸ task: paused, 0/3 tasks done\n  nothing new starts, running workers go on; undo it: aura"
    )
    assert "(flash, builtin, 4m 20s)" in words
    left = status_text("task", status_json(story.state, story.now), now=story.now, owned=False)
    assert left.startswith("· task: stopped short")
    assert "builtin, left to finish by itself)" in left
    status = status_json(story.state, story.now)
    assert "builtin, has ended; the same" in status_text("task", status, now=story.now, owned=False, over={"A1.1#1"})


def test_status(story: Any) -> None:
    story.begin()
    story.start("A1.1")
    log = decided(story)
    found = status_json(story.state, story.now + 10, log.last(5))
    assert found["tasks"] == {"total": 3, "pending": 2, "in_progress": 1}
    assert found["running"] == [
        {
            "task": "A1.1",
            "title": "Fetch daily bars",
            "n": 1,
            "role": "flash",
            "backend": "builtin",
            "elapsed": 11.0,
            "paused": False,
        }
    ]
    assert found["goal_checks"] == {"total": 1, "green": 0, "open": {"sharpe": "not run yet"}}
    assert (found["tokens"], found["cost"], found["status"], found["elapsed"]) == (10_000, 0.2, "running", 18.0)
    assert [decision["to"] for decision in found["decisions"]] == ["in_progress"]
    story.tell(ev.Delivered(commit="c", tree="t", place="here", take="cd here"))
    found = status_json(story.state, story.now)
    assert (found["place"], found["take"], found["decisions"]) == ("here", "cd here", [])


@pytest.mark.parametrize("size", [8, 4000])
def test_status_is_of_bounded_size(story: Any, nasty: str, size: int) -> None:
    long = (nasty + "é" * 500)[:200]
    checks = tuple(Check(name=f"{i} {'n' * 100}", run="true") for i in range(40))
    specs = tuple(TaskSpec(id=f"A{i}", title=long, checks=checks[:1]) for i in range(1, size + 1))
    story.begin()
    story.tell(ev.PlanChanged(reason=long, add=specs[3:], goal_checks=checks))
    tasks = [spec.id for spec in specs[3:]][:100]
    for task in tasks:
        story.start(task)
        story.tell(ev.QuestionAsked(id=f"q-{task}", question=long * 5, options=(long,) * 9, default=long))
    for role in Role:
        story.tell(ev.RoleParked(role=role, until=None, reason=long))
    story.tell(ev.PlannerFailed(call=1, failure="overloaded", message=long * 9))
    body = json.dumps(status_json(story.state, story.now, decided(story).last(5)), ensure_ascii=False)
    assert len(body.encode()) < 8000
    assert "\\u001b" not in body


def test_status_of_an_ordinary_run_is_small(story: Any) -> None:
    story.whole()
    assert len(json.dumps(status_json(story.state, story.now, decided(story).last(5))).encode()) < 2000


# ---- decision_log.json


def test_every_change_of_a_status_is_logged_with_its_evidence(story: Any) -> None:
    story.whole()
    entries = list(decided(story).entries)
    assert [(e["task_id"], e["old_status"], e["new_status"]) for e in entries[:8]] == [
        ("A1.1", "pending", "in_progress"),
        ("A1.1", "in_progress", "verifying"),
        ("A1.1", "verifying", "pending"),
        ("A1.1", "pending", "in_progress"),
        ("A1.1", "in_progress", "verifying"),
        ("A1.1", "verifying", "pending"),
        ("A1.1", "pending", "in_progress"),
        ("A1.1", "in_progress", "verifying"),
    ]
    assert entries[0]["reason"] == "attempt 1 as flash (builtin)"
    assert entries[0]["time"].startswith("2023-11-14T22:13:28")
    assert entries[2]["evidence"]["check"] == {
        "name": "unit tests",
        "verdict": "red",
        "exit_code": 1,
        "tree": "41c9ab12ff",
        "output_hash": "oo",
    }
    assert (entries[2]["reason"], entries[2]["evidence"]["outcome"]) == ("1 failed, 7 passed", "capability")
    assert entries[8]["evidence"]["commit"] == "c1"
    assert entries[8]["evidence"]["checks"][0]["verdict"] == "green"
    archived = next(e for e in entries if e["new_status"] == "archived")
    assert (archived["task_id"], archived["reason"]) == ("A2", "the goal wants a report each month")
    assert all(set(e) == {"time", "task_id", "old_status", "new_status", "reason", "evidence"} for e in entries)
    assert json.loads(json.dumps(entries)) == entries


def test_the_log_follows_every_task_without_a_gap(story: Any) -> None:
    story.whole()
    last: dict[str, str] = {}
    for entry in decided(story).entries:
        assert last.get(entry["task_id"], "pending") == entry["old_status"]
        last[entry["task_id"]] = entry["new_status"]
    assert last == {i: task.status.value for i, task in story.state.tasks.items() if not task.spec.group}


def test_the_log_is_bounded(story: Any) -> None:
    story.begin()
    log = decided(story)
    for _ in range(KEPT):
        for status, event in (
            (TaskStatus.KILLED, ev.TaskSettled(task="A2", status=TaskStatus.KILLED, reason="r")),
            (TaskStatus.PENDING, ev.Requested(command="retry", task="A2")),
        ):
            story.tell(event)
            assert log.note(event, story.now)
            assert story.state.tasks["A2"].status is status
    assert len(log.entries) == KEPT
    assert log.total == 2 * KEPT
    assert not log.note(ev.Notice(text="x"), story.now)


# ---- receipts


def test_receipts(story: Any) -> None:
    story.whole()
    rows = receipt_rows(story.events)
    assert [row["task"] for row in rows] == ["A1.1", "A1.1", "A1.1", "A1.2", "B1", "goal"]
    assert [row["verdict"] for row in rows] == ["red", "red", "green", "green", "green", "green"]
    assert rows[0]["tests"] == 8
    assert rows[-1]["tests"] is None
    assert [row["task"] for row in receipt_rows(story.events, "A1")] == ["A1.1"] * 3 + ["A1.2"]
    assert [row["task"] for row in receipt_rows(story.events, "A1.1")] == ["A1.1"] * 3
    assert [row["check"] for row in receipt_rows(story.events, "goal")] == ["sharpe"]
    table = receipts_table(rows).splitlines()
    assert table[0].split() == ["time", "task", "phase", "verdict", "exit", "took", "tests", "tree", "check"]
    assert table[1].split()[1:] == ["A1.1#1", "task", "red", "1", "2.1s", "8", "41c9ab12", "unit", "tests"]
    assert table[2] == "    1 failed, 7 passed"
    assert table[-1].endswith("unknown  t1        sharpe (held out)")
    assert receipts_table([]) == "No check has run yet.\n"
    json.dumps(rows)


def test_receipts_are_inert(story: Any, nasty: str) -> None:
    story.begin()
    story.start("A2")
    made = receipt_rows([])
    assert made == []
    story.finish("A2")
    story.fail("A2", reason=nasty)
    event, time = story.events[-2]
    bad = event.receipt.model_copy(update={"check": nasty, "tail": nasty, "verdict": Verdict.ERROR})
    rows = receipt_rows([(ev.CheckRan(task="A2", n=1, receipt=bad), time)])
    assert "\x1b" not in receipts_table(rows)
    assert len(receipts_table(rows).splitlines()) == 3
    assert "\x1b" not in rows[0]["tail"]


# ---- history


def test_history(story: Any) -> None:
    story.whole()
    story.tell(ev.EngineStarted(version="0.1.0", pid=1), ev.GoalRead(revision="77aa", text="", prose=""))
    rows = history_rows(story.events)
    assert [row["what"] for row in rows] == [
        "Aura 0.1.0 started",
        "goal read: revision 4f1c9a22, “Quant pipeline”",
        "plan: added 3 tasks — first plan",
        "goal edited: revision 77aa, “Quant pipeline”",
        "plan: added 1 task, dropped 1 task — the goal wants a report each month",
        "ended, achieved: all goal checks are green (3 tasks landed)",
        "Aura 0.1.0 started",
    ]
    assert [row["kind"] for row in rows] == ["started", "goal", "plan", "goal", "plan", "ended", "started"]
    assert len(history_text(rows).splitlines()) == 7
    assert history_text([]) == "Nothing has happened yet.\n"


# ---- words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0s"),
        (0.44, "0.4s"),
        (9.96, "10s"),
        (59.6, "1m 00s"),
        (242, "4m 02s"),
        (11_520, "3h 12m"),
        (190_800, "2d 05h"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("tokens", "words"), [(0, "0"), (999, "999"), (1000, "1.0k"), (999_949, "999.9k"), (1_800_000, "1.8M")]
)
def test_amounts(tokens: int, words: str) -> None:
    assert amount(tokens) == words
