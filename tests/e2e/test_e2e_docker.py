"""Whole runs whose workers and checks are in containers of a real engine, against the scripted model."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.server import ScriptedModel
from aura_engine.paths import RunPaths, data_dir
from aura_engine.runtimes.docker_profile import project_of

HOST = os.environ.get("AURA_TEST_DOCKER_HOST", "")
IMAGE = os.environ.get("AURA_TEST_DOCKER_IMAGE", "aura-test-base:latest")
INSIDE = "test -f /.dockerenv"
CHECK = {"name": "greeting", "run": f"{INSIDE} && grep -q hello greeting.txt"}
DONE = Claim("It is written.")
pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def docked(bench):
    """A bench whose workers have containers without a network."""
    bench.write({"task.md": "# Greeting\n\nSay hello.\n"})
    bench.settings = {
        "AURA_WORKERS_IN_DOCKER": "1",
        "AURA_DOCKER_HOST": HOST,
        "AURA_DOCKER_IMAGE": IMAGE,
        "AURA_DOCKER_NETWORK": "none",
        "AURA_DOCKER_FALLBACK": "stop",
    }
    yield bench
    names = containers(bench)
    if names:
        docker("rm", "-f", *names)


def docker(*words: str) -> str:
    """The `docker` command, as a person would give it."""
    done = subprocess.run(["docker", "-H", HOST, *words], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def containers(bench, *filters: str) -> list[str]:
    """Names of the run's containers, ended ones too."""
    project = project_of(RunPaths.of(data_dir(bench.project), bench.project / "task.md").scratch)
    words = [word for text in (f"label=aura.project={project}", *filters) for word in ("--filter", text)]
    return docker("ps", "-a", *words, "--format={{.Names}}").split()


def test_a_goal_is_reached_in_containers_and_what_was_made_is_the_persons(docked):
    plan = {"tasks": [task("Greet", f"{INSIDE} && grep -q hello greeting.txt")], "checks": [CHECK]}
    steps = ["test -f /.dockerenv && id -u > who.txt", write("greeting.txt", "hello"), DONE]
    done = docked.run(plan_brain(plan, {"Greet": steps}))
    assert (done.exit, done.status) == (0, "achieved"), done.stderr
    (placed,) = done.of("workers_placed")
    assert placed["docker"]
    assert placed["image_id"].startswith("sha256:")
    assert done.of("engine_started")[0]["containment"] == "docker"
    assert docked.project.joinpath("who.txt").read_text().strip() != "0"
    for path in docked.project.rglob("*"):
        assert path.lstat().st_uid == os.geteuid(), path
    assert containers(docked) == []


def test_with_a_bridge_prepare_and_what_is_shared_are_in_containers_too(docked):
    goal = """# Greeting

Say hello.

```prepare
run = "test -f /.dockerenv && mkdir tools && echo 'echo hello' > tools/greet && chmod +x tools/greet"
makes = ["tools"]
share = ["data"]
```
"""
    docked.write({"task.md": goal, "data/name.txt": "Ada\n", ".gitignore": "data\n"})
    docked.git("init")
    docked.git("add", "-A")
    docked.git("commit", "-m", "begin")
    check = f"{INSIDE} && test \"$(cat greeting.txt)\" = 'hello Ada' && tools/greet && ! touch data/mine"
    plan = {"tasks": [task("Greet", check)], "checks": [{"name": "greeting", "run": check}]}
    steps = ['echo "$(tools/greet) $(cat data/name.txt)" > greeting.txt; touch data/mine; true', DONE]
    done = docked.run(plan_brain(plan, {"Greet": steps}), AURA_DOCKER_NETWORK="bridge")
    assert done.status == "achieved", done.stderr
    assert docked.git("show", "aura/task:greeting.txt") == "hello Ada\n"
    assert [path.name for path in docked.project.joinpath("data").iterdir()] == ["name.txt"]
    assert docker("network", "ls", "-q", "--filter", "label=aura.run=" + done.data.name) == ""


def test_an_engine_that_is_killed_finds_its_workers_again_and_starts_none_twice(docked, eventually):
    plan = {"tasks": [task(name, f"grep -qx ran {name}.txt") for name in ("One", "Two")], "checks": [CHECK]}
    waits = "while [ ! -e ../go ] && [ ! -e go ]; do sleep 0.1; done; echo ran >> {0}.txt"
    workers = {name: [waits.format(name), write("greeting.txt", "hello"), DONE] for name in ("One", "Two")}
    with ScriptedModel(plan_brain(plan, workers)) as model:
        with docked.running(model.url) as running:
            for name in ("A1", "A2"):
                running.until("attempt_started", task=name)
            eventually(lambda: len(containers(docked, "status=running")) == 2)
        assert len(containers(docked, "status=running")) == 2, "they outlive the engine"
        with docked.running(model.url) as running:
            found = running.until("notice", text="workers found after the restart: 2 adopted")
            assert found
            for folder in docked.workspaces().iterdir():
                (folder / "go").touch()
            done = running.end()
    assert done.status == "achieved", done.stderr
    assert [event["n"] for event in done.of("attempt_started")] in ([], [1, 1])
    assert containers(docked) == []


def test_a_person_stops_a_worker_in_its_container(docked, eventually):
    plan = {"tasks": [task("Wait", "test -f waited.txt")], "checks": [CHECK]}
    with ScriptedModel(plan_brain(plan, {"Wait": ["sleep 1000", DONE]})) as model, docked.running(model.url) as running:
        running.until("attempt_started", task="A1")
        started = time.monotonic()
        docked.ask("kill", "A1")
        ended = running.until("worker_ended", task="A1")
        assert ended["ending"]["kind"] == "killed"
        assert time.monotonic() - started < 20
        eventually(lambda: containers(docked) == [])
        assert running.end().status == "needs_person"


def test_no_key_is_in_a_container_or_in_what_a_run_leaves(docked):
    plan = {"tasks": [task("Look", "test -s seen.txt")], "checks": [{**CHECK, "run": "test -s seen.txt"}]}
    looks = "env > seen.txt; cat /proc/1/environ /proc/*/environ /aura/spec.json >> seen.txt 2>/dev/null; true"
    done = docked.run(plan_brain(plan, {"Look": [looks, DONE]}), AURA_FLASH_API_KEY="canary-4711")
    assert done.status == "achieved", done.stderr
    seen = docked.project.joinpath("seen.txt").read_bytes()
    assert b"HOME=" in seen
    assert b"canary-4711" not in seen
    for path in Path(done.data).rglob("*"):
        assert not path.is_file() or b"canary-4711" not in path.read_bytes(), path
