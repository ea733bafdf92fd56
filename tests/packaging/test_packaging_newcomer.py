"""A newcomer's path, timed: a fresh environment, `aura setup --from`, a first task.md, the result in the folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import aura_engine
from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import Ask, Say, say
from aura_engine.demo.server import ScriptedModel

CHECKOUT = Path(aura_engine.__file__).parent.parent
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "aura_engine", "aura_tui", "themes", "docker_scripts")
PROMISED = 120.0
"""Seconds from nothing to a first verified goal, downloads aside: the libraries come from the outer environment."""
GOAL = """\
Write a greeting into greeting.txt.

```check
name = "greeting"
file = "greeting.txt"
matches = "hello"
```
"""
PLAN = {"tasks": [task("Greet", "grep -q hello greeting.txt")], "checks": ["greeting"]}
_brain = plan_brain(PLAN, {"Greet": [write("greeting.txt", "hello"), Claim("Done.")]})


def _answer(ask: Ask) -> Say:
    return say("Yes.") if "Are you there?" in ask.prompt() else _brain(ask)


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it has to succeed, and asks no package index."""
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(folder: Path) -> Path:
    """As `python3 -m venv VENV && VENV/bin/pip install .` in a copy of the checkout; the `aura` that it made."""
    source, venv = folder / "source", folder / "venv"
    source.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, source / name, **({"symlinks": True} if (CHECKOUT / name).is_dir() else {}))
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=folder)
    python = venv / "bin/python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(site) / "zz-outer.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    quick = ("-q", "--no-deps", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "--python", python, "install", *quick, source, cwd=folder)
    return venv / "bin/aura"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_from_nothing_to_a_first_verified_goal(tmp_path: Path, hermetic: Path) -> None:
    with ScriptedModel(_answer) as model:
        steps: dict[str, float] = {}

        def timed(step: str, began: float) -> None:
            steps[step] = time.monotonic() - began

        began = time.monotonic()
        aura = install(tmp_path)
        timed("install", began)

        began = time.monotonic()
        answers = tmp_path / "answers.toml"
        answers.write_text(
            f'api_provider = "openai"\napi_base_url = "{model.url}/v1"\napi_key = "k"\napi_model = "planner"\n'
            'pro_backend = "builtin"\nflash_backend = "builtin"\n'
        )
        answers.chmod(0o600)
        assert "Your configuration is in" in run(aura, "setup", "--from", answers, cwd=tmp_path)
        timed("setup", began)

        began = time.monotonic()
        project = tmp_path / "project"
        project.mkdir()
        (project / "task.md").write_text(GOAL)
        said = run(aura, "task.md", "--no-ui", cwd=project)
        timed("first goal", began)

    assert (project / "greeting.txt").read_text() == "hello\n"
    assert "greeting.txt" in run(aura, "diff", cwd=project)
    assert said
    print({step: round(seconds, 1) for step, seconds in steps.items()})
    assert sum(steps.values()) < PROMISED, steps
