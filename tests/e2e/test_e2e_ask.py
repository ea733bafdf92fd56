"""`aura ask` on the command line: beside a run, after it, and what it leaves in the journal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aura_engine.demo.brains import plan_brain, task, write
from aura_engine.demo.server import ScriptedModel
from aura_engine.report.models_upkeep import AskOut

PLAN = {
    "tasks": [task("Greet", "grep -q hello greeting.txt")],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
ANSWER = {"answer": "It landed\x1b[31m at once.", "tasks": ["A1"], "events": [2]}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(plan_brain(PLAN, {"*": write("greeting.txt", "hello")}, answer=ANSWER)) as made:
        yield made


def ask(bench, model: ScriptedModel, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aura_engine.cli", "ask", *words],
        cwd=bench.project,
        env=bench.environment(model.url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_question_after_the_run_is_answered_and_journaled(bench, model: ScriptedModel) -> None:
    bench.write({"task.md": "# Greet\n\nSay hello.\n"})
    assert bench.start(model.url).exit == 0
    done = ask(bench, model, "why", "was", "it", "quick?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "It landed at once.\n\n(from A1, event 2; aura events shows them)\n"
    told = json.loads(ask(bench, model, "again?", "--json").stdout)
    assert AskOut.model_validate(told)
    assert told == {"id": "a2", "answer": "It landed at once.", "tasks": ["A1"], "events": [2]}
    events = [json.loads(line) for line in bench.ask("events", "--json").splitlines()]
    kinds = [event["kind"] for event in events if event["kind"] != "notice"][-8:]
    assert kinds == ["inquired", "model_asked", "model_replied", "inquiry_answered"] * 2
    assert bench.start(model.url).status == "achieved"  # the run itself is as it was


def test_a_question_to_nobody_is_told_as_such(bench, model: ScriptedModel) -> None:
    done = ask(bench, model, "why?")
    assert done.returncode == 2
    assert "There is no run" in done.stderr


def test_help_teaches_by_example(bench, model: ScriptedModel) -> None:
    assert 'aura ask "why did A1.2 fail twice?"' in ask(bench, model, "--help").stdout
