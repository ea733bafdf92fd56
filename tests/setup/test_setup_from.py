"""`aura setup --from FILE`: no questions, tried all the same, and nothing written where a trial fails."""

from __future__ import annotations

import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aura_engine.setup.told import Outcome

KEY = "sk-right-0123456789abcdef"


@pytest.fixture
def set_up(stage, terminal_env):
    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "aura_engine.cli", "setup", *words],
            cwd=stage.project, env={**terminal_env, **environ}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert KEY not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def answers(stage, text: str = "", name: str = "team.toml") -> str:
    path = stage.project / name
    path.write_text(text or stage.answers)
    path.chmod(0o600)
    return str(path)


def test_a_file_is_tried_and_taken_over(set_up, stage):
    done = set_up("--from", answers(stage))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ planner: right-model answers" in done.stdout
    assert "✓ pro: right-model answers" in done.stdout
    assert f"Your configuration is in {stage.config}." in done.stdout
    assert stat.S_IMODE(stage.config.stat().st_mode) == 0o600
    again = set_up("--from", answers(stage), "--json")
    outcome = Outcome.model_validate_json(again.stdout)
    assert (outcome.written, outcome.file) == (True, str(stage.config))
    assert {finding.about for finding in outcome.findings} >= {"planner", "builtin", "pro", "flash"}


def test_keys_and_prices_are_kept(set_up, stage):
    tables = '[keys]\n"worker.kill" = "K"\n\n[prices]\n"my-model" = { input = 0.5, output = 2.0 }\n'
    assert set_up("--from", answers(stage, stage.answers + tables)).returncode == 0
    written = tomllib.loads(stage.config.read_text())
    assert (written["keys"], written["prices"]["my-model"]["output"]) == ({"worker.kill": "K"}, 2.0)
    assert written["api_model"] == "right-model"
    env = stage.project / "other.env"
    done = set_up("--from", answers(stage, stage.answers + tables), "-o", str(env))
    assert "[keys] has no place in" in " ".join(done.stdout.split())


def test_a_persons_own_prices_stay_and_wrong_ones_are_refused_before_anything_is_written(set_up, stage):
    mine = '[prices]\n"mine" = { input = 1.0, output = 1.0 }\n"both" = { input = 1.0, output = 1.0 }\n'
    theirs = '[prices]\n"both" = { input = 2.0, output = 2.0 }\n'
    assert set_up("--from", answers(stage, stage.answers + mine)).returncode == 0
    assert set_up("--from", answers(stage, stage.answers + theirs)).returncode == 0
    before = stage.config.read_text()
    prices = tomllib.loads(before)["prices"]
    assert (prices["mine"]["input"], prices["both"]["input"]) == (1.0, 2.0)
    done = set_up("--from", answers(stage, stage.answers + '[prices]\n"x" = { inptu = 1.0 }\n'))
    assert done.returncode == 2
    assert "[prices]" in done.stderr
    assert stage.config.read_text() == before


def test_a_failing_trial_writes_nothing_unless_forced(set_up, stage, dead_url):
    source = answers(stage, stage.answers.replace(f"{stage.url}/v1", dead_url))
    done = set_up("--from", source)
    assert done.returncode == 1
    assert "✗ planner: right-model did not answer" in done.stdout
    assert f"A trial failed: nothing was written. Correct {source}, or give --force." in done.stdout
    assert not stage.config.exists()
    assert not Outcome.model_validate_json(set_up("--from", source, "--json").stdout).written
    assert set_up("--from", source, "--force").returncode == 0
    assert dead_url in stage.config.read_text()


def test_another_file_is_written_where_it_is_wanted(set_up, stage, tmp_path):
    source = answers(stage, f"AURA_API_KEY={KEY}\nAURA_API_BASE_URL={stage.url}/v1\nAURA_API_MODEL=right-model\n"
                     "AURA_PRO_BACKEND=builtin\nAURA_FILE_CACHE=1\n", "team.env")  # fmt: skip
    output = tmp_path / "out" / "config.env"
    done = set_up("--from", source, "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = output.read_text().splitlines()
    assert f"AURA_API_KEY={KEY}" in lines
    assert not any("FILE_CACHE" in line for line in lines), "what has no effect is left out"
    assert not stage.config.exists()


@pytest.mark.parametrize(("text", "says"), [
    ("max_trns = 3\n", "AURA_MAX_TRNS (from {}) is no setting of Aura's"),
    ('max_turns = "many"\n', "AURA_MAX_TURNS (from {}): it must be a whole number"),
    ("a = [\n", "{} is not valid TOML"),
])  # fmt: skip
def test_wrong_answers_are_told_before_anything_is_tried(set_up, stage, text, says):
    source = answers(stage, text)
    done = set_up("--from", source)
    assert done.returncode == 2
    assert says.format(source) in done.stderr
    assert done.stdout == ""


def test_no_such_file(set_up, stage):
    done = set_up("--from", str(Path("none.toml")))
    assert done.returncode == 2
    assert "There is no configuration file none.toml. Correct --from." in done.stderr
