"""Whole runs through the real command line: where the work ends up, and what the same command does next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import call
from aura_engine.demo.server import ScriptedModel

DONE = Claim("Done.")
GREETING = task("Greet", "grep -q hello greeting.txt")
GREETS = {"Greet": [write("greeting.txt", "hello"), DONE]}
CHECK = {"name": "greeting", "file": "greeting.txt", "matches": "hello"}
PLAN = {"tasks": [GREETING], "checks": [CHECK]}


def test_a_goal_without_checks_is_planned_with_some_and_delivered(bench):
    bench.write({"task.md": "# Greet\n\nWrite a greeting.\n"})
    done = bench.run(plan_brain(PLAN, GREETS))
    assert (done.status, done.exit) == ("achieved", 0)
    assert (bench.project / "greeting.txt").read_text() == "hello\n"
    brief = done.of("plan_changed")[0]["brief"]
    assert brief["criteria"][0]["checks"] == ["greeting"]
    receipts = [event["receipt"] for event in done.of("check_ran")]
    assert {receipt["phase"] for receipt in receipts} >= {"task", "goal"}
    assert done.of("delivered")[-1]["place"]
    assert len(done.of("planner_asked")) == 2  # the plan, and the declaration


def test_a_brief_without_a_check_for_each_criterion_is_refused(bench):
    bench.write({"task.md": "# Greet\n"})
    bare = {"final_goal": "Greet", "success_criteria": [{"text": "It greets.", "checks": []}]}
    done = bench.run(plan_brain({"tasks": [GREETING], "brief": bare}, GREETS))
    assert done.of("attempt_starting") == []
    assert (done.status, done.exit) == ("needs_person", 5)


def test_a_repository_with_changes_nested_repository_ignored_and_large_files(bench):
    bench.write({"task.md": "# Greet\n", "tracked.txt": "old\n", ".gitignore": "out/\n*.log\n"})
    bench.git("init", "-q")
    bench.git("add", "-A")
    bench.git("commit", "-qm", "start")
    bench.write({"tracked.txt": "changed by me\n", "new.txt": "not added\n", "out/big.log": "x"})
    bench.write({"vendor/lib/code.txt": "nested\n"})
    subprocess.run(["git", "init", "-q", "vendor/lib"], cwd=bench.project, check=True)
    (bench.project / "data.bin").write_bytes(os.urandom(1024) * 60_000)
    seen = "test -f vendor/lib/code.txt && grep -q 'changed by me' tracked.txt && test -f new.txt && test ! -e out"
    workers = {"Greet": [f"({seen}) && echo hello > greeting.txt && mkdir out && echo junk > out/junk.txt", DONE]}
    done = bench.run(plan_brain(PLAN, workers))
    assert (done.status, done.exit) == ("achieved", 0)
    status = bench.git("status", "--porcelain")
    assert " M tracked.txt" in status
    assert "greeting.txt" not in status  # the person's folder is not touched
    files = bench.git("ls-tree", "-r", "--name-only", "aura/task").splitlines()
    assert "greeting.txt" in files
    assert "out/junk.txt" not in files
    assert bench.git("show", "aura/task:greeting.txt") == "hello\n"
    assert "aura/task" in done.of("delivered")[-1]["place"]
    assert any("60 MB" in notice["text"] or "data.bin" in notice["text"] for notice in done.of("notice"))


def test_a_product_that_is_its_own_tests_needs_a_check_it_did_not_write(bench):
    bench.write({"task.md": "# Tests for calc\n", "calc.py": "def add(a, b):\n    return a + b\n"})
    own = f"{sys.executable} -m unittest -q test_calc"
    bites = "sed -i 's/a + b/a - b/' calc.py && ! " + own
    planned = {
        **task("Test calc", own, makes=["test_calc.py"]),
        "checks": [
            {"name": "they pass", "run": own},
            {"name": "they bite", "run": bites, "hidden": True, "part": "tests that notice a wrong sum"},
        ],
    }
    tests = "import unittest\nfrom calc import add\n\n\nclass T(unittest.TestCase):\n    def test(self):\n"
    good, empty = tests + "        self.assertEqual(add(2, 3), 5)\n", tests + "        pass\n"
    plan = {"tasks": [planned], "checks": [{"name": "tests", "file": "test_calc.py"}]}
    workers = {"Test calc": [[write("test_calc.py", empty), DONE], [write("test_calc.py", good), DONE]]}
    done = bench.run(plan_brain(plan, workers), AURA_MAX_ATTEMPTS_PER_ROLE="2")
    assert done.status == "achieved"
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["capability"]
    assert done.of("landed")[0].get("proven", True)
    prompts = "".join(path.read_text() for path in done.data.glob("attempts/*/*/prompt.md"))
    assert "tests that notice a wrong sum" in prompts
    assert "sed -i" not in prompts


def test_two_siblings_that_conflict_both_land(bench):
    bench.write({"task.md": "# Names\n", "names.txt": "names:\n"})

    def adds(name: str):
        def steps(ask, attempt):
            if attempt == 1:
                return [f"sleep 0.5; echo {name} >> names.txt", DONE]
            if attempt == 2:
                return [f"grep -q '<<<<<<< landed' names.txt && grep -q {name} names.txt", DONE]  # resolves nothing
            return [f"printf 'names:\\nada\\nbob\\n' > names.txt; grep -q {name} names.txt", DONE]

        return steps

    plan = {
        "tasks": [task("Ada", "grep -q ada names.txt"), task("Bob", "grep -q bob names.txt")],
        "checks": [{"name": "both", "run": "test $(wc -l < names.txt) -eq 3"}],
    }
    done = bench.run(plan_brain(plan, {"Ada": adds("ada"), "Bob": adds("bob")}), AURA_MAX_ATTEMPTS_PER_ROLE="3")
    assert done.status == "achieved"
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["conflict", "capability"]
    assert "markers" in done.of("attempt_ended")[1]["reason"]
    assert (bench.project / "names.txt").read_text() == "names:\nada\nbob\n"
    prompt = next(done.data.glob("attempts/*/2/prompt.md")).read_text()
    assert "names.txt" in prompt
    assert "<<<<<<<" in prompt


def test_the_same_command_again_in_each_end_state(bench):
    bench.write({"task.md": "# Greet\n"})
    # failed: the worker never does it, the planner has nothing to add
    failed = bench.run(plan_brain(PLAN, {"Greet": [DONE]}))
    assert (failed.status, failed.exit) == ("failed", 1)
    # again: the planner is asked about the failed task, and orders a retry that works
    retry = {"task_failed": [call("retry_task", id="A1", instructions="Write greeting.txt.")]}
    resumed = bench.run(plan_brain(PLAN, GREETS, on=retry))
    assert (resumed.status, resumed.exit) == ("achieved", 0)
    # achieved and unchanged: the checks run again, nobody is asked
    again = bench.run(plan_brain(PLAN, GREETS))
    assert (again.status, again.exit) == ("achieved", 0)
    assert again.of("planner_asked") == []
    assert again.of("goal_checked")
    # achieved, but the folder is not what it was: the goal reopens
    (bench.project / "greeting.txt").write_text("bye\n")
    fix = {"checks_fail": [call("add_tasks", tasks=[task("Greet again", "grep -q hello greeting.txt")])]}
    reopened = bench.run(plan_brain(PLAN, {"*": [write("greeting.txt", "hello"), DONE]}, on=fix))
    assert (reopened.status, reopened.exit) == ("achieved", 0)
    assert reopened.of("person_landed")
    assert (bench.project / "greeting.txt").read_text() == "hello\n"
    # the goal changed: the next batch
    bench.write({"task.md": "# Greet\n\nAnd say bye.\n"})
    bye = {"goal_changed": [call("add_tasks", tasks=[task("Bye", "grep -q bye bye.txt")])]}
    changed = bench.run(plan_brain(PLAN, {"Bye": [write("bye.txt", "bye"), DONE]}, on=bye))
    assert (changed.status, changed.exit) == ("achieved", 0)
    assert changed.of("landed")[0]["task"] == "B1"


def test_a_question_stops_only_when_nothing_else_can_run_and_an_answer_resumes(bench):
    bench.write({"task.md": "# Greet\n"})
    asks = [call("ask_person", question="Which language?", options=["en", "de"], default="en", task="A1")]
    other = task("Other", "test -s other.txt")
    plan = {"tasks": [GREETING, other], "checks": [CHECK]}
    workers = {**GREETS, "Other": [write("other.txt", "x"), DONE]}
    opening = plan_brain(plan, workers)
    opening._on["goal_new"] = [*opening._on["goal_new"], *asks]
    done = bench.run(opening)
    assert (done.status, done.exit) == ("needs_person", 5)
    assert [event["task"] for event in done.of("landed")] == ["A2"]
    assert "Which language?" in done.events[-1]["reason"]
    command = [sys.executable, "-m", "aura_engine.cli", "answer", "q1", "en"]
    subprocess.run(command, cwd=bench.project, check=True, capture_output=True)
    resumed = bench.run(plan_brain(plan, workers))
    assert (resumed.status, resumed.exit) == ("achieved", 0)


def test_an_edit_in_mid_run_is_planned_under_the_next_letter_and_stops_what_is_not_wanted(bench):
    bench.write({"task.md": "# Greet\n"})
    slow = task("Slow", "test -f never.txt")

    def edited(ask):
        return [
            call("archive_tasks", ids=["A2"], reason="no longer wanted"),
            call("add_tasks", tasks=[task("Bye", "grep -q bye bye.txt")]),
        ]

    plan = {"tasks": [GREETING, slow], "checks": [CHECK]}
    workers = {**GREETS, "Slow": ["sleep 60", DONE], "Bye": [write("bye.txt", "bye"), DONE]}
    with ScriptedModel(plan_brain(plan, workers, on={"goal_changed": edited})) as model:
        command = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"]
        env = bench.environment(model.url)
        with subprocess.Popen(command, cwd=bench.project, env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if '"kind": "landed"' in line and len([x for x in lines if '"landed"' in x]) == 1:
                    bench.write({"task.md": "# Greet\n\nSay bye too. Nothing slow.\n"})
            done = bench.read(process.wait(timeout=30), "".join(lines), "")
    assert (done.status, done.exit) == ("achieved", 0)
    assert [event["task"] for event in done.of("landed")] == ["A1", "B1"]
    stopped = [event for event in done.of("attempt_ended") if event["task"] == "A2"]
    assert [event["outcome"] for event in stopped] == ["interrupted"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_outlive_the_engine_and_are_adopted_or_collected(bench, how, tmp_path: Path):
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells its programs when to go on
    go = tmp_path / "go"
    quick = task("Quick", "test -s quick.txt")
    plan = {"tasks": [GREETING, quick], "checks": [CHECK]}
    started = tmp_path / "started"
    waits = f"echo x >> {started}; while [ ! -e {go} ]; do sleep 0.05; done; echo hello > greeting.txt"
    workers = {"Greet": [waits, DONE], "Quick": [write("quick.txt", "x"), DONE]}
    with ScriptedModel(plan_brain(plan, workers)) as model:
        command = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"]
        env = bench.environment(model.url)
        process = subprocess.Popen(command, cwd=bench.project, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if '"landed"' in line:
                break
        until = time.monotonic() + 20
        while not started.exists() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(how)
        process.communicate(timeout=20)
        assert process.returncode in (-9, 130)
        go.touch()
        done = bench.start(model.url)
    assert (done.status, done.exit) == ("achieved", 0)
    assert started.read_text() == "x\n"  # nothing ran twice
    assert [event["n"] for event in done.of("landed") if event["task"] == "A1"] == [1]
    assert (bench.project / "greeting.txt").read_text() == "hello\n"


def test_a_second_engine_is_told_who_owns_the_project(bench, tmp_path: Path):
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells its programs when to go on
    go = tmp_path / "go"
    waits = {"Greet": [f"while [ ! -e {go} ]; do sleep 0.05; done; echo hello > greeting.txt", DONE]}
    with ScriptedModel(plan_brain(PLAN, waits)) as model:
        command = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"]
        env = bench.environment(model.url)
        first = subprocess.Popen(command, cwd=bench.project, env=env, stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        for line in first.stdout:
            if '"attempt_started"' in line:
                break
        second = bench.start(model.url)
        assert second.exit == 4
        assert str(first.pid) in second.stderr
        go.touch()
        first.communicate(timeout=30)
        assert first.returncode == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_finished_work_that_waits_for_its_verdict_survives_the_engine(bench, how, tmp_path: Path):
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells its programs when to go on
    go = tmp_path / "go"
    slow = task("Greet", f"while [ ! -e {go} ]; do sleep 0.05; done; grep -q hello greeting.txt")
    with ScriptedModel(plan_brain({"tasks": [slow], "checks": [CHECK]}, GREETS)) as model:
        command = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"]
        env = bench.environment(model.url)
        with subprocess.Popen(command, cwd=bench.project, env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '"worker_ended"' in line:
                    break
            process.send_signal(how)
            told = process.communicate(timeout=20)[0]
        if how is signal.SIGINT:
            last = json.loads(told.splitlines()[-1])
            assert (last["kind"], last["status"]) == ("run_ended", "interrupted")
        go.touch()
        done = bench.start(model.url)
    assert (done.status, done.exit) == ("achieved", 0)
    assert done.of("attempt_starting") == []  # nothing is done twice
    assert [event["n"] for event in done.of("landed")] == [1]
