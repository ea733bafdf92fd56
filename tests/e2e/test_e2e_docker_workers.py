"""The real worker programs in containers of the shipped image; and what a run does that cannot have its containers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write

HOST = os.environ.get("AURA_TEST_DOCKER_HOST", "")
IMAGE = os.environ.get("AURA_TEST_DOCKER_IMAGE", "aura-test-base:latest")
WORKERS = os.environ.get("AURA_TEST_DOCKER_WORKERS", "ghcr.io/erickong/aura-claude-cuda:latest")
"""The image that docker_scripts builds."""
INSIDE = "test -f /.dockerenv"
DONE = Claim("It is written.")
CHECK = {"name": "greeting", "run": "grep -q hello greeting.txt"}


def docker(*words: str) -> str:
    """The `docker` command, as a person would give it."""
    done = subprocess.run(["docker", "-H", HOST, *words], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(330)
@pytest.mark.parametrize("network", ["none", "bridge"])
def test_flash_is_qwen_and_pro_is_claude_in_containers(bench, network: str) -> None:
    bench.write({"task.md": "# Greeting\n\nSay hello.\n"})
    bench.limit = 300.0  # two programs of hundreds of megabytes each, and five containers
    plan = {
        "tasks": [
            task("Greet", f"{INSIDE} && grep -q hello greeting.txt"),
            task("Prove", f"{INSIDE} && grep -q '^uid=[1-9]' who.txt", difficulty="hard"),
        ],
        "checks": [{**CHECK, "run": f"{INSIDE} && {CHECK['run']}"}],
    }
    steps = {
        "Greet": [f"{INSIDE} && echo hello > greeting.txt", DONE],
        "Prove": [f"{INSIDE} && id > who.txt", DONE],
    }
    bench.settings = {
        "AURA_WORKERS_IN_DOCKER": "1",
        "AURA_DOCKER_HOST": HOST,
        "AURA_DOCKER_IMAGE": WORKERS,
        "AURA_DOCKER_NETWORK": network,
        "AURA_DOCKER_FALLBACK": "stop",
        "AURA_WORKER_MODE": "auto",
        "AURA_FLASH_BACKEND": "qwencode",
        "AURA_PRO_BACKEND": "claude",
    }
    done = bench.run(plan_brain(plan, steps))
    assert (done.exit, done.status) == (0, "achieved"), done.stderr
    backends = {event["task"]: event["backend"] for event in done.of("attempt_starting")}
    assert backends == {"A1": "qwencode", "A2": "claude"}
    (placed,) = done.of("workers_placed")
    assert placed["docker"]
    assert placed["network"] == network
    assert all(ending["usage"]["input"] > 0 for ending in done.endings)
    for name in ("greeting.txt", "who.txt"):
        assert (bench.project / name).stat().st_uid == os.geteuid()


@pytest.mark.docker
@pytest.mark.timeout(240)
def test_the_shipped_image_has_what_workers_need() -> None:
    """And each program starts as a user of whom the image knows nothing, in a file system that cannot be written."""
    walls = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp:exec", "--user=4711:4711")
    home = ("-e", "HOME=/tmp")
    for program, version in (("claude", "2.1.197"), ("codex", "0.169.0"), ("opencode", "1.18.33")):
        assert version in docker("run", *walls, *home, WORKERS, program, "--version")
    assert docker("run", *walls, *home, WORKERS, "git", "--version").startswith("git version 2.")
    python = "import numpy, pandas, pytest, requests, sys; print(sys.version_info[:2] >= (3, 11))"
    assert docker("run", *walls, *home, WORKERS, "python3", "-c", python) == "True"
    assert docker("inspect", "--format={{.Config.User}}", WORKERS) == "worker"


@pytest.mark.docker
@pytest.mark.timeout(240)
def test_another_image_under_the_name_is_reported(bench) -> None:
    name = f"aura-test-moves:{os.getpid()}"
    bench.write({"task.md": "# Greeting\n\nSay hello.\n"})
    bench.settings = {
        "AURA_WORKERS_IN_DOCKER": "1",
        "AURA_DOCKER_HOST": HOST,
        "AURA_DOCKER_IMAGE": name,
        "AURA_DOCKER_NETWORK": "none",
        "AURA_DOCKER_FALLBACK": "stop",
    }
    plan = {"tasks": [task("Greet", CHECK["run"])], "checks": [CHECK]}
    brain = plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]})
    try:
        docker("tag", IMAGE, name)
        assert bench.run(brain).status == "achieved"
        container = docker("create", IMAGE, "true")
        docker("commit", "--message", "another one", container, name)
        docker("rm", container)
        again = bench.run(brain)
        assert again.status == "achieved"
        said = [event["text"] for event in again.of("notice")]
        assert f"the image {name} is another one than at the last start" in said
    finally:
        docker("rmi", "-f", name)


def test_a_run_without_its_containers_goes_on_here_and_says_so(bench, tmp_path: Path) -> None:
    bench.write({"task.md": "# Greeting\n\nSay hello.\n"})
    bench.settings = {"AURA_WORKERS_IN_DOCKER": "1", "AURA_DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    plan = {"tasks": [task("Greet", CHECK["run"])], "checks": [CHECK]}
    done = bench.run(plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]}))
    assert (done.exit, done.status) == (0, "achieved"), done.stderr
    (placed,) = done.of("workers_placed")
    assert not placed["docker"]
    assert f"No Docker engine runs here: there is no {tmp_path}/none.sock" in placed["fallback"]
    assert done.of("attempt_ended") == []


@pytest.mark.parametrize(
    ("settings", "exit", "said"),
    [
        ({"AURA_DOCKER_FALLBACK": "stop"}, 1, "No Docker engine runs here"),
        ({"AURA_DOCKER_FALLBACK": "ask"}, 5, "give --no-docker to let them run on this machine"),
        ({"AURA_DOCKER_EXTRA_ARGS": "--privileged"}, 2, "--privileged is refused: it opens the host's devices"),
        ({"AURA_DOCKER_GPUS": "some"}, 2, "AURA_DOCKER_GPUS is “some”, which names no GPUs"),
        ({"AURA_DOCKER_HOST": "ssh://somewhere"}, 2, "is no address of a Docker engine"),
        ({"AURA_DOCKER_NETWORK": "host"}, 2, "allowed are bridge, none"),
    ],
)
def test_one_line_says_why_a_run_does_not_start(
    bench, tmp_path: Path, settings: dict[str, str], exit: int, said: str
) -> None:
    bench.write({"task.md": "# Greeting\n\nSay hello.\n"})
    bench.settings = {"AURA_WORKERS_IN_DOCKER": "1", "AURA_DOCKER_HOST": f"unix://{tmp_path}/none.sock", **settings}
    done = bench.run(plan_brain({"tasks": []}, {}))
    assert done.exit == exit, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.events == []


def test_no_docker_for_one_run(bench, tmp_path: Path) -> None:
    bench.write({"task.md": "# Greeting\n\nSay hello.\n"})
    bench.settings = {
        "AURA_WORKERS_IN_DOCKER": "1",
        "AURA_DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "AURA_DOCKER_FALLBACK": "stop",
    }
    plan = {"tasks": [task("Greet", CHECK["run"])], "checks": [CHECK]}
    done = bench.run(plan_brain(plan, {"Greet": [write("greeting.txt", "hello"), DONE]}), "--no-docker")
    assert (done.exit, done.status) == (0, "achieved"), done.stderr
    assert done.of("workers_placed") == []
