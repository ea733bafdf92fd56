"""`aura doctor` as people run it; with --probe against the scripted model."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from aura_engine.demo.brains import Claim, plan_brain
from aura_engine.demo.script import Ask, Brain, Say, say
from aura_engine.demo.server import ScriptedModel
from aura_engine.doctor.findings import Finding, Report

KEY = "sk-canary-doctor-51c0e7d29b8f"


@dataclass
class Told:
    exit: int
    out: str
    err: str

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.out)

    def of(self, section: str) -> dict[str, Finding]:
        return {each.about: each for each in self.report.findings if each.section == section}


@pytest.fixture
def doctor(bench):
    """Runs it with settings that point at the scripted model, if one is given."""

    # Without the worker programs that may be installed: each is a second of Node, twice.
    plain = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))

    def run(
        *options: str, url: str = "http://127.0.0.1:9", encoding: str = "utf-8", path: str = plain, **settings: str
    ) -> Told:
        keys = {f"AURA_{name}_API_KEY": KEY for name in ("PRO", "FLASH")} | {"AURA_API_KEY": KEY}
        env = {**bench.environment(url, **{**keys, **settings}), "PYTHONIOENCODING": encoding, "PATH": path}
        done = subprocess.run(
            [sys.executable, "-m", "aura_engine.cli", "doctor", *options],
            cwd=bench.project,
            env=env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=90,
            check=False,
        )
        assert KEY not in done.stdout + done.stderr, "a key is never told"
        assert "Traceback" not in done.stderr
        assert not list(Path(os.environ["XDG_STATE_HOME"], "aura").glob("doctor-*"))
        assert not (bench.project / ".aura").exists(), "it only looks"
        return Told(done.returncode, done.stdout, done.stderr)

    return run


def works(ask: Ask, attempt: int) -> list[str | Claim]:
    found = re.search(r"this word: (\w+)", ask.prompt("# Task "))
    assert found
    command = f"echo {found[1]} > word.txt"
    return [command, "cat word.txt", "git hash-object word.txt > hash.txt", Claim("Done.")]


def talks(ask: Ask) -> Say:
    return say("I have written the file and run the command; all is well.")


def refuses(ask: Ask) -> Say:
    return say(status=401, error_type="authentication_error", error_text=f"invalid x-api-key {ask.key}")


@pytest.fixture
def probed(doctor):
    """With --probe against a brain."""

    def of(brain: Brain, *options: str, **settings: str) -> Told:
        with ScriptedModel(brain) as model:
            told = doctor("--probe", *options, url=model.url, **settings)
            assert list(model.failures) == []
        return told

    return of


WORKER = plan_brain({"tasks": []}, {"*": works})


def test_a_run_could_start(doctor):
    told = doctor()
    assert told.exit == 0, told.out
    lines = told.out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")][:4] == [
        "Machine",
        "Settings",
        "Containment",
        "Backends",
    ]
    marked = [line for line in lines if line.startswith("  ")]
    assert all(re.match(r"  [✓·!✗] \S", line) for line in marked)
    assert "A run could start." in lines
    assert "--probe" in lines[-1]


def test_something_keeps_a_run_from_starting(doctor):
    told = doctor(AURA_FLASH_BACKEND="claude", AURA_CLAUDE_BIN="/nonexistent/claude")
    assert told.exit == 1
    (line,) = [line for line in told.out.splitlines() if line.startswith("  ✗")]
    assert "claude" in line
    assert "npm install -g @anthropic-ai/claude-code" in line
    assert "One thing keeps a run from starting" in told.out


def test_json_is_the_same_as_data(doctor):
    told = doctor("--json", AURA_FLASH_MODEL="")
    assert told.report.can_start
    assert set(told.of("settings")) >= {"planner", "pro", "flash", "run"}
    assert told.of("backends")["builtin"].facts["starts"] is True


def test_a_terminal_without_unicode(doctor):
    told = doctor(encoding="ascii")
    assert told.out.isascii()
    assert re.search(r"^  \+ git: 2", told.out, re.MULTILINE)
    assert "\\u" not in re.sub(r"\(.*?\)", "", told.out).replace("\\xf6", "")


def test_wrong_options_are_a_wrong_use(doctor):
    assert doctor("--override", "nonsense").exit == 2


def test_workers_that_work(probed):
    told = probed(WORKER, "--json")
    assert told.exit == 0, told.out
    found = told.of("probe")
    assert list(found) == ["costs", "planner", "pro", "flash"]
    assert found["planner"].text.startswith("planner answers: ")
    assert all("can work: it wrote the file and ran the command on it" in found[role].text for role in ("pro", "flash"))
    assert all(int(found[who].facts["tokens"]) > 0 for who in ("planner", "pro", "flash"))
    assert "asks real models" in told.err, "what it costs is told before"


def test_a_model_without_tools_is_no_worker(probed):
    told = probed(talks)
    assert told.exit == 1
    (pro,) = [line for line in told.out.splitlines() if line.startswith("  ✗ pro:")]
    assert "only talked" in pro
    assert "a model without tools is no worker" in pro
    assert "Set AURA_PRO_MODEL to a model that calls tools" in pro


def test_a_wrong_key(probed):
    told = probed(refuses, "--json")
    assert told.exit == 1
    found = told.of("probe")
    assert all(found[who].level == "problem" for who in ("planner", "pro", "flash"))
    assert "refuses the key" in found["pro"].text
    assert found["pro"].cure == "Check AURA_PRO_API_KEY and AURA_PRO_BASE_URL."
    assert "AURA_API_KEY" in found["planner"].cure


@pytest.mark.cli("claude")
@pytest.mark.parametrize(("brain", "level"), [(WORKER, "good"), (talks, "problem"), (refuses, "problem")])
def test_the_real_claude(probed, brain, level):
    told = probed(brain, "--json", AURA_WORKER_MODE="pro-only", AURA_PRO_BACKEND="claude", path=os.environ["PATH"])
    found = told.of("probe")["pro"]
    assert found.level == level, found.text
    assert found.text.startswith("claude pro ")
    claude = told.of("backends")["claude"]
    assert claude.facts["starts"] is True
    assert claude.facts["version"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_told_to_stop_it_leaves_no_worker_behind(bench, tmp_path, how):
    agent, pid = tmp_path / "agent", tmp_path / "pid"
    agent.write_text(f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600\n")
    agent.chmod(0o755)
    settings = {
        f"AURA_{role}_{part}": value
        for role in ("PRO", "FLASH")
        for part, value in {"BACKEND": "command", "COMMAND": str(agent)}.items()
    }
    env = {**bench.environment("http://127.0.0.1:9", AURA_CONTAINMENT="none", **settings), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "aura_engine.cli", "doctor", "--probe"]
    with subprocess.Popen(
        command, cwd=bench.project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as doctor:
        deadline = time.monotonic() + 30
        while not pid.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        doctor.send_signal(how)
        _, err = doctor.communicate(timeout=30)
    assert (doctor.returncode, err) == (130, "")
    worker = int(pid.read_text())
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE
    assert not list(Path(os.environ["XDG_STATE_HOME"], "aura").glob("doctor-*"))
