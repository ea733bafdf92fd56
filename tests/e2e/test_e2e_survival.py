"""SIGTERM, beginning afresh, having work back, secrets in the log: the real command as a process of its own."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.server import ScriptedModel
from aura_engine.journal.lock import owner

DONE = Claim("Done.")
PLAN = {
    "tasks": [task("Greet", "grep -q hello greeting.txt"), task("Wait", "test -e waited.txt", needs=["greet"])],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
CLI = [sys.executable, "-m", "aura_engine.cli"]
KEY = "zq7-Kx9wTt03pLmAAbb"


def brain(go):
    """A worker that waits until it may say hello, and one that has nothing to wait for."""
    waits = f"until test -e {go}; do sleep 0.05; done"
    work = {"Greet": [[waits, write("greeting.txt", "hello\n"), DONE]], "Wait": [[write("waited.txt", "x"), DONE]]}
    return plan_brain(PLAN, work)


@pytest.fixture
def go(bench):
    """What the first worker waits for; made, it goes on."""
    bench.write({"task.md": "# Greet\n\nSay hello.\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # the file lies outside of what a contained worker may see
    return bench.project.parent / "go"


@pytest.mark.slow
def test_on_sigterm_the_workers_are_left_and_the_next_start_takes_them_up(bench, go):
    with ScriptedModel(brain(go)) as model:
        with bench.running(model.url) as running:
            running.until("attempt_started")
            began = time.monotonic()
            running.engine.send_signal(signal.SIGTERM)
            left = running.end()
        assert time.monotonic() - began < 10.0
        assert left.exit == 130
        told = [json.loads(line) for line in bench.ask("events", "--json").splitlines()]
        assert (told[-1]["kind"], told[-1]["status"]) == ("run_ended", "interrupted")
        assert not any(event["kind"] == "worker_ended" for event in told)
        go.touch()
        done = bench.start(model.url)
    assert (done.exit, done.status) == (0, "achieved")
    assert [event["n"] for event in done.of("worker_ended") if event["task"] == "A1"] == [1]  # the same worker


def test_on_sigterm_it_may_drain_and_then_ends_with_what_runs_landed(bench, go, eventually):
    with ScriptedModel(brain(go)) as model, bench.running(model.url, AURA_ON_TERM="drain") as running:
        running.until("attempt_started")
        running.engine.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # time to do the wrong thing
        assert running.engine.poll() is None
        go.touch()
        left = running.end()
    assert (left.exit, left.status) == (130, "interrupted")
    assert [event["task"] for event in left.of("landed")] == ["A1"]
    assert [event["task"] for event in left.of("attempt_starting")] == ["A1"]  # nothing new


@pytest.mark.slow
def test_who_drains_and_asks_again_is_in_a_hurry(bench, go):
    with ScriptedModel(brain(go)) as model, bench.running(model.url, AURA_ON_TERM="drain") as running:
        running.until("attempt_started")
        running.engine.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        running.engine.send_signal(signal.SIGTERM)
        left = running.end()
        assert left.of("worker_ended") == []
        go.touch()
        assert bench.start(model.url).exit == 0


@pytest.mark.slow
def test_a_goal_is_begun_afresh_and_what_there_was_is_kept(bench, go):
    with ScriptedModel(brain(go)) as model:
        env = bench.environment(model.url)
        aura = [*CLI, "restart", "task.md", "--no-ui", "--json"]
        with bench.running(model.url) as running:
            running.until("attempt_started")
            refused = _call(bench, aura, env)
            assert (refused.returncode, "already run by" in refused.stderr) == (4, True)
            running.engine.send_signal(signal.SIGTERM)
            running.end()
        refused = _call(bench, aura, env)
        assert refused.returncode == 2
        assert "1 of its workers still run (A1#1). Go on with it" in refused.stderr
        unnamed = [word for word in aura if word != "task.md"]
        go_on = _call(bench, [*unnamed, "--stop-workers"], env, then=go)
        assert go_on.returncode == 0, go_on.stderr
        events = [json.loads(line) for line in go_on.stdout.splitlines()]
        assert events[0]["seq"] == 1  # a new journal
        listed = json.loads(_call(bench, [*CLI, "recover", "--json"], env).stdout)
        (name,) = listed["vault"]
        old = json.loads(_call(bench, [*CLI, "recover", "--run", name, "--json"], env).stdout)
        assert [(row["task"], row["n"], row["why"]) for row in old["kept"]] == [("A1", 1, "begun afresh")]
        told = _call(bench, [*CLI, "recover"], env).stdout
        assert name in told
        assert "landed" in told


def test_work_comes_back_into_a_new_folder_and_never_over_anything(bench):
    bench.write({"task.md": "# Greet\n\nSay hello.\n", "data/x.sh": "echo\n"})
    (bench.project / "data/x.sh").chmod(0o755)
    (bench.project / "link").symlink_to("data/x.sh")
    wrong, right = [write("greeting.txt", "goodbye\n"), DONE], [write("greeting.txt", "hello\n"), DONE]
    plan = {**PLAN, "tasks": PLAN["tasks"][:1]}
    done = bench.run(plan_brain(plan, {"Greet": [wrong, right]}), AURA_MAX_ATTEMPTS_PER_ROLE="2")
    assert done.exit == 0
    env = bench.environment("http://127.0.0.1:9")

    def recover(*words):
        return _call(bench, [*CLI, "recover", *words], env)

    rows = json.loads(recover("--json").stdout)["kept"]
    assert [(row["task"], row["n"], row["files"]) for row in rows] == [("A1", 1, 1), ("A1", 2, 1)]
    told = recover("A1#1")
    back = done.data / "recovered/A1-1"
    assert told.stdout.strip() == f"A1#1: 4 files are in {back}"
    assert (back / "greeting.txt").read_text() == "goodbye\n"
    assert (back / "data/x.sh").stat().st_mode & 0o111
    assert (back / "link").readlink().name == "x.sh"
    again = recover("A1#1")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    assert recover(rows[1]["id"], "--to", str(bench.project / "x" / "y")).returncode == 0
    assert (bench.project / "x/y/greeting.txt").read_text() == "hello\n"
    assert "Nothing is kept of Z9" in recover("Z9").stderr


def test_no_secret_reaches_the_log_or_the_screen(bench):
    bench.write({"task.md": "# Greet\n\nSay hello.\n"})
    leak = f"echo {KEY}; env"
    plan = {**PLAN, "tasks": PLAN["tasks"][:1]}
    settings = {"AURA_FLASH_API_KEY": KEY, "AURA_PRO_API_KEY": KEY, "AURA_API_KEY": KEY}
    done = bench.run(plan_brain(plan, {"Greet": [[leak, write("greeting.txt", "hello\n"), Claim(KEY)]]}), **settings)
    assert done.exit == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    leaks = [path for path in done.data.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert leaks == []
    with sqlite3.connect(done.data / "journal.db") as journal:
        assert journal.execute("SELECT count(*) FROM events WHERE payload LIKE '%[secret]%'").fetchone()[0] > 0
    journal.close()


def test_status_says_that_an_engine_is_stalled(bench, go, eventually):
    with ScriptedModel(brain(go)) as model, bench.running(model.url) as running:
        running.until("attempt_started")
        (lock,) = bench.project.glob(".aura/*/lock")
        eventually(lambda: (lock.parent / "state/status.json").exists())
        assert owner(lock) is not None
        (lock.parent / "state/stalled.json").write_text(json.dumps({"since": time.time() - 12}))
        assert "stalled: its engine has not moved for 1" in bench.ask("status")
        assert json.loads(bench.ask("status", "--json"))["stalled"] is True


def _call(bench, argv, env, then=None):
    """Run a command; `then` is made once it has begun."""
    if then is not None:
        then.touch()
    return subprocess.run(argv, cwd=bench.project, env=env, capture_output=True, text=True, timeout=90, check=False)
