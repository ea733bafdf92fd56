"""Whole runs with the real `claude`: more than the tests that all programs share."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import say
from aura_engine.demo.server import ScriptedModel

pytestmark = [pytest.mark.cli("claude"), pytest.mark.timeout(120, func_only=True)]

DONE = Claim("All done, all tests pass.")
GREET = {
    "tasks": [task("Greet", "grep -q hello greeting.txt")],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
GREETS = [write("greeting.txt", "hello"), DONE]


@pytest.fixture(autouse=True)
def claude(bench, keys) -> None:
    """Both roles work with it."""
    bench.settings |= {"AURA_FLASH_BACKEND": "claude", "AURA_PRO_BACKEND": "claude"}
    bench.settings |= {f"AURA_{role.upper()}_API_KEY": key for role, key in keys.items()}


def triggers_of(run) -> list[str]:
    return [trigger.partition(":")[0] for event in run.of("planner_asked") for trigger in event["triggers"]]


def python(code: str) -> str:
    return f"{sys.executable} -c {shlex.quote(code)}"


def test_three_tasks_are_done_checked_and_delivered(bench, keys, traces):
    bench.write({"task.md": '# Calculator\n\n```check\nname = "both"\nrun = "sh both.sh"\n```\n'})
    adding = {
        "name": "adding",
        "part": "sums",
        "hidden": True,
        "run": python("from add import add; assert add(4, 5) == 9"),
    }
    plan = {
        "tasks": [
            task("Add", python("from add import add; assert add(2, 3) == 5")),
            task("Mul", python("from mul import mul; assert mul(2, 3) == 6")),
            task("Both", "sh both.sh", needs=["Add", "Mul"]),
        ],
        "checks": ["both"],
        "probes": [{"task": "add", "check": adding}],
    }
    both = python("from add import add; from mul import mul; assert add(1, mul(2, 3)) == 7")
    workers = {
        "Add": [write("add.py", "def add(a, b):\n    return a + b"), DONE],
        "Mul": [write("mul.py", "def mul(a, b):\n    return a * b"), DONE],
        "Both": [f"test -f add.py && test -f mul.py && {write('both.sh', both)}", DONE],
    }

    with ScriptedModel(plan_brain(plan, workers)) as model:
        done = bench.start(model.url)
        assert list(model.failures) == []
        asked, bill = model.requests, model.bill
    assert (done.status, done.exit) == ("achieved", 0)
    assert {"add.py", "mul.py", "both.sh"} <= {path.name for path in bench.project.iterdir()}

    starts, landed = done.of("attempt_starting"), done.of("landed")
    assert [event["task"] for event in starts] == ["A1", "A2", "A3"]
    assert {event["backend"] for event in starts} == {"claude"}
    assert max(event["seq"] for event in landed[:2]) < starts[2]["seq"]  # what it needs has landed
    assert all(event.get("proven", True) for event in landed)
    assert [event["exit"]["code"] for event in done.of("worker_ended")] == [0, 0, 0]

    receipts = [event["receipt"] for event in done.of("check_ran")]
    verdicts = {phase: [r["verdict"] for r in receipts if r["phase"] == phase] for phase in ("before", "task", "goal")}
    assert set(verdicts["before"]) == {"red"}
    assert set(verdicts["task"]) == set(verdicts["goal"]) == {"green"}
    assert [receipt["phase"] for receipt in receipts if receipt["check"] == "adding"] == ["before", "task"]

    usage = [ending["usage"] for ending in done.endings]
    billed = bill["flash", keys["flash"]]
    assert sum(each["input"] for each in usage) == billed.input > 100_000
    assert sum(each["output"] for each in usage) == billed.output
    assert all(ending["claims"] == DONE.words for ending in done.endings)

    for attempt in done.data.glob("attempts/*/1"):
        prompt = (attempt / "prompt.md").read_text()
        assert any(prompt.strip() == ask.prompt("# Task ") for ask in asked)
        assert "add(4, 5)" not in prompt
        kinds = [json.loads(line)["type"] for line in (attempt / "output.jsonl").read_text().splitlines()]
        assert kinds[0] == "system"
        assert kinds[-1] == "result"

    assert traces.of_keys() == []


def test_a_refused_key_ends_the_run_and_a_good_one_goes_on(bench):
    bench.write({"task.md": "# Greet\n"})
    workers = {"Greet": [say(status=401, error_text="invalid x-api-key")] * 20}
    with ScriptedModel(plan_brain(GREET, workers)) as model:
        refused = bench.start(model.url)
    assert (refused.status, refused.exit) == ("needs_person", 5)
    assert "401" in refused.events[-1]["reason"]
    assert triggers_of(refused) == ["goal_new"]  # a planner cannot mend a key
    with ScriptedModel(plan_brain(GREET, {"Greet": GREETS})) as model:
        again = bench.start(model.url)
    assert (again.status, again.exit) == ("achieved", 0)
    assert triggers_of(again) == ["all_landed"]


def test_a_worker_over_its_time_leaves_its_work(bench):
    bench.write({"task.md": "# Greet\n"})
    with ScriptedModel(plan_brain(GREET, {"Greet": ["echo half > half.txt; sleep 90; sleep 90"]})) as model:
        done = bench.start(model.url, AURA_TASK_BUDGET="10s")
    assert (done.status, done.exit) == ("failed", 1)
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["budget"]
    assert "10s" in done.events[-1]["reason"]
    kept = done.of("attempt_ended")[0]["snapshot"]
    store = ["git", "--git-dir", str(done.data / "store.git")]
    assert subprocess.check_output([*store, "show", f"{kept}:half.txt"]) == b"half\n"


def test_turns_are_limited(bench):
    bench.write({"task.md": "# Greet\n"})
    with ScriptedModel(plan_brain(GREET, {"Greet": [f"echo {n}" for n in range(30)]})) as model:
        done = bench.start(model.url, AURA_MAX_TURNS="3")
        asked = [ask for ask in model.requests if ask.model != "planner"]
    assert len(asked) == 3
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["capability"]
    assert [ending["kind"] for ending in done.endings] == ["out_of_turns"]
    assert done.endings[0]["usage"]["input"] > 50_000  # what it used counts although it was cut
