"""Fault points: inert unless a test arms them, each in the code exactly once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import aura_engine
from aura_engine import faults
from aura_engine.faults import POINTS, InjectedFault, armed_by, fault

PACKAGE = Path(aura_engine.__file__).parent


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch):
    """Arms points as AURA_FAULT would."""
    return lambda text: monkeypatch.setattr(faults, "_armed", armed_by(text))


def test_every_point_stands_in_the_code_exactly_once():
    used: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        used.update(re.findall(r'\bfault\("([^"]+)"\)', path.read_text("utf-8")))
    assert used == Counter(dict.fromkeys(POINTS, 1))


def test_nothing_happens_unless_armed():
    for name in POINTS:
        fault(name)


def test_only_the_armed_pass_of_the_armed_point_counts(arm):
    arm("landing.merged=raise@3")
    for _ in range(2):
        fault("landing.merged")
        fault("landing.checked")
    with pytest.raises(InjectedFault, match=r"landing\.merged"):
        fault("landing.merged")
    fault("landing.merged")


def test_every_pass_from_then_on(arm):
    arm("lock.taken=raise@2+")
    fault("lock.taken")
    for _ in range(3):
        with pytest.raises(InjectedFault):
            fault("lock.taken")


def test_a_disk_without_room(arm):
    arm("file.write=enospc,landing.merged=delay:0.0")
    with pytest.raises(OSError, match="No space left"):
        fault("file.write")
    fault("landing.merged")


@pytest.mark.parametrize("text", ["nowhere=kill9", "lock.taken=explode", "lock.taken", "lock.taken=kill9@x"])
def test_a_mistake_is_told_and_not_passed_over(text: str):
    with pytest.raises(ValueError, match="AURA_FAULT"):
        armed_by(text)


def test_kill9_is_a_death_without_a_word():
    code = "from aura_engine.faults import fault; fault('lock.taken'); print('alive', flush=True); fault('lock.taken')"
    env = {"PYTHONPATH": str(PACKAGE.parent), "AURA_FAULT": "lock.taken=kill9@2"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-9, "alive\n", "")


def test_workers_and_checks_never_hear_of_it(monkeypatch):
    from aura_engine.runtimes.environment import worker_env

    monkeypatch.setenv("AURA_FAULT", "lock.taken=kill9")
    assert "AURA_FAULT" not in worker_env({}, home=Path("/nowhere"))
