"""Whole runs that go deeper: what a clean checkout lacks, judges, proofs, a person at work, a model that is away."""

from __future__ import annotations

import subprocess
import sys

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import Ask, Say, call

DONE = Claim("Done.")


def test_prepared_and_shared_paths_are_there_for_workers_and_checks_and_never_land(bench):
    bench.write({"lock.txt": "one\n", "data/big.csv": "1,2,3\n", ".gitignore": "data/\n.deps/\n"})
    bench.write(
        {
            "task.md": '# Use deps\n\n```prepare\nrun = "mkdir .deps && cp lock.txt .deps/built"\nfrom = ["lock.txt"]\n'
            'makes = [".deps"]\nshare = ["data/"]\n```\n'
        }
    )
    bench.git("init", "-q")
    bench.git("add", "-A")
    bench.git("commit", "-qm", "start")
    uses = "grep -q one .deps/built && grep -q 1,2,3 data/big.csv"
    both = f"{uses} && test -s out.txt"
    plan = {"tasks": [task("Use", both)], "checks": [{"name": "used", "run": both}]}
    done = bench.run(plan_brain(plan, {"Use": [f"{uses} && echo ok > out.txt", DONE]}))
    assert done.status == "achieved"
    files = bench.git("ls-tree", "-r", "--name-only", "aura/task").splitlines()
    assert "out.txt" in files
    assert not [path for path in files if path.startswith((".deps", "data"))]


def test_a_prepare_that_fails_is_the_machinery_s_fault_and_says_so(bench):
    bench.write({"task.md": '# Use deps\n\n```prepare\nrun = "echo no such package; exit 3"\nmakes = [".deps"]\n```\n'})
    plan = {"tasks": [task("Use", "test -s out.txt")], "checks": [{"name": "out", "file": "out.txt"}]}
    done = bench.run(plan_brain(plan, {"Use": [DONE]}))
    assert (done.status, done.exit) == ("failed", 1)
    assert {event["outcome"] for event in done.of("attempt_ended")} == {"infrastructure"}
    assert "no such package" in done.events[-1]["reason"]


def test_a_judge_is_believed_only_as_far_as_its_citations_are_found(bench):
    bench.write({"task.md": '# Report\n\n```check\nname = "tone"\njudge = "It is polite."\nfile = "report.md"\n```\n'})
    asked: list[str] = []

    def judge(ask: Ask):
        asked.append(ask.prompt("# Rubric"))
        line = 2 if "Dear reader" in asked[-1] else 9
        quote = "Dear reader," if line == 2 else "a line that is nowhere"
        citation = {"file": "report.md", "line": line, "quote": quote}
        return {"verdict": "pass", "reason": "polite", "citations": [citation]}

    plan = {"tasks": [{**task("Write"), "checks": ["tone"]}], "checks": ["tone"]}
    rude, polite = "# Report\nGo away.\n", "# Report\nDear reader,\nall is well.\n"
    workers = {"Write": [[write("report.md", rude), DONE], [write("report.md", polite), DONE]]}
    done = bench.run(plan_brain(plan, workers, judge=judge), AURA_MAX_ATTEMPTS_PER_ROLE="2")
    assert done.status == "achieved"
    assert [event["failed_check"] for event in done.of("attempt_ended")] == ["tone"]
    assert "nothing that could be found" in done.of("attempt_ended")[0]["reason"]
    assert all("It is polite." in rubric for rubric in asked)


def test_work_that_nothing_proves_is_asked_about_once_and_ends_as_unproven(bench):
    bench.write({"task.md": "# Greet\n", "already.txt": "here\n"})
    vacuous = task("Greet", "test -s already.txt")
    plan = {"tasks": [vacuous], "checks": [{"name": "there", "file": "already.txt"}]}
    brain = plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]})
    done = bench.run(brain)
    assert (done.status, done.exit) == ("achieved", 0)
    assert brain.triggers == ["goal_new", "unproven", "unproven", "all_landed"]
    assert done.of("landed")[0]["proven"] is False
    assert "unproven: A1, the goal itself" in done.events[-1]["reason"]
    assert "all is well" in bench.ask("fsck")


def test_a_probe_makes_it_proven_and_can_send_it_back(bench):
    bench.write({"task.md": "# Greet\n", "already.txt": "here\n"})
    vacuous = task("Greet", "test -s already.txt")
    goal = {"name": "greeting", "file": "greeting.txt", "matches": "hello"}
    probe = {"name": "says hello", "run": "grep -q hello greeting.txt", "part": "the greeting"}
    reaction = {"unproven": [call("add_probe", task="A1", check=probe)]}
    workers = {"Greet": [[write("greeting.txt", "bye"), DONE], [write("greeting.txt", "hello"), DONE]]}
    brain = plan_brain({"tasks": [vacuous], "checks": [goal]}, workers, on=reaction)
    done = bench.run(brain, AURA_MAX_ATTEMPTS_PER_ROLE="2")
    assert done.status == "achieved"
    assert [event["failed_check"] for event in done.of("attempt_ended")] == ["says hello"]
    assert done.of("landed")[0].get("proven", True)
    prompts = "".join(path.read_text() for path in done.data.glob("attempts/*/*/prompt.md"))
    assert "the greeting" in prompts
    assert "grep -q hello" not in prompts


def test_what_the_person_changes_meanwhile_is_theirs(bench):
    bench.settings["AURA_CONTAINMENT"] = "none"  # a worker plays the person
    bench.write({"task.md": "# Two files\n", "mine.txt": "old\n", "theirs.txt": "old\n"})
    edit = f"cd {str(bench.project)!r} && echo 'by the person' > mine.txt && echo new > extra.txt"
    first = task("First", "grep -q done theirs.txt")
    all_there = "grep -q 'by the person' mine.txt && grep -q new extra.txt && test -s second.txt"
    second = task("Second", all_there, needs=["First"])
    plan = {"tasks": [first, second], "checks": [{"name": "second", "file": "second.txt"}]}
    workers = {
        "First": [f"({edit}); echo done > theirs.txt; echo 'by the worker' > mine.txt", DONE],
        "Second": [write("second.txt", "x"), DONE],
    }
    done = bench.run(plan_brain(plan, workers))
    assert done.status == "achieved"
    assert set(done.of("person_landed")[0]["paths"]) == {"extra.txt", "mine.txt"}
    assert (bench.project / "mine.txt").read_text() == "by the person\n"
    assert (bench.project / "theirs.txt").read_text() == "done\n"


def test_a_planner_that_is_away_for_a_while_costs_nothing_but_time(bench):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "test -s greeting.txt")], "checks": [{"name": "g", "file": "greeting.txt"}]}
    inner = plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]})
    away = [Say(parts=(), status=429, retry_after=1), Say(parts=(), status=529, retry_after=1)]

    def brain(ask: Ask) -> Say:
        return away.pop(0) if away else inner(ask)

    done = bench.run(brain)
    assert (done.status, done.exit) == ("achieved", 0)
    assert [event["failure"] for event in done.of("planner_failed")] == ["rate_limit", "overloaded"]


def test_a_planner_without_credit_needs_a_person_at_once_and_the_same_command_goes_on(bench):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "test -s greeting.txt")], "checks": [{"name": "g", "file": "greeting.txt"}]}
    inner = plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]})
    asked: list[Ask] = []

    def refuses(ask: Ask) -> Say:
        asked.append(ask)
        return Say(parts=(), status=401)

    done = bench.run(refuses)
    assert (done.status, done.exit) == ("needs_person", 5)
    assert len(asked) == 1
    assert bench.run(inner).exit == 0


def test_everything_a_run_leaves_is_private_and_nothing_is_left_running(bench, hermetic):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "test -s greeting.txt")], "checks": [{"name": "g", "file": "greeting.txt"}]}
    leaves = "setsid sh -c 'sleep 300; sleep 300' >/dev/null 2>&1 & echo hello > greeting.txt"
    done = bench.run(plan_brain(plan, {"Greet": [leaves, DONE]}), AURA_API_KEY="sk-canary-planner-0123456789")
    assert done.status == "achieved"
    assert done.data.stat().st_mode & 0o077 == 0
    for path in done.data.rglob("*"):
        if path.is_file():
            assert b"sk-canary" not in path.read_bytes(), path
    assert not [path for path in (hermetic / ".local/state/aura").rglob("*") if path.is_file()]
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 300" not in listed
    assert "aura-nursery" not in listed


def test_projections_tell_the_story(bench):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "test -s greeting.txt")], "checks": [{"name": "g", "file": "greeting.txt"}]}
    done = bench.run(plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]}))
    state = done.data / "state"
    assert "A1" in (state / "progress.md").read_text()
    assert "# Why you are asked: all_landed" in (state / "current_prompt.md").read_text()
    assert '"new_status": "completed"' in (state / "decision_log.json").read_text()
    for command in (["status"], ["progress"], ["receipts"], ["receipts", "A1"], ["history"]):
        argv = [sys.executable, "-m", "aura_engine.cli", *command]
        shown = subprocess.run(argv, cwd=bench.project, capture_output=True, text=True, check=True)
        assert shown.stdout.strip()


def test_a_planner_that_first_has_to_ask_waits_for_the_answer(bench):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "test -s greeting.txt")], "checks": [{"name": "g", "file": "greeting.txt"}]}
    workers = {"Greet": [write("greeting.txt", "hello"), DONE]}
    first = plan_brain(plan, workers, on={"goal_new": [call("ask_person", question="In which language?")]})
    done = bench.run(first)
    assert (done.status, done.exit) == ("needs_person", 5)
    assert [event["question"] for event in done.of("question_asked")] == ["In which language?"]
    argv = [sys.executable, "-m", "aura_engine.cli", "answer", "q1", "English"]
    subprocess.run(argv, cwd=bench.project, capture_output=True, check=True)
    opening = plan_brain(plan, workers)
    answered = plan_brain(plan, workers, on={"question": opening._on["goal_new"]})
    assert bench.run(answered).status == "achieved"
