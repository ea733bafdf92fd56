"""A run at its cap: what it says, its exit status, and how it goes on, with the program as a person has it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_engine.demo.brains import plan_brain, task, write
from aura_engine.demo.server import ScriptedModel

PLAN = {
    "tasks": [task("Greet", "grep -q hello greeting.txt")],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
AURA = (sys.executable, "-m", "aura_engine.cli")


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(plan_brain(PLAN, {"*": write("greeting.txt", "hello")})) as made:
        yield made


def test_it_ends_with_3_and_the_same_command_goes_on_once_the_cap_is_raised(bench, model, tmp_path: Path) -> None:
    bench.write({"task.md": "# Greet\n\nSay hello.\n"})
    own = tmp_path / "own.toml"

    def raised(to: str) -> str:
        words = [*AURA, "config", "set", "AURA_MAX_TOKENS", to, "--config", str(own)]
        done = subprocess.run(words, cwd=bench.project, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "A run that goes on takes it within seconds" in raised("100")
    held = bench.start(model.url, "--config", str(own))
    assert (held.exit, held.status) == (3, "budget")
    (told,) = [each["text"] for each in held.of("notice") if "raise the cap" in each["text"]]
    assert told.endswith(f"aura config set AURA_MAX_TOKENS 200 --config {own}")
    raised("9000000")
    assert bench.start(model.url, "--config", str(own)).status == "achieved"
