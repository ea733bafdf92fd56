"""The full-screen wizard on a real terminal of 80 by 24, by keys: each way in which an answer fails, in its words."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.slow

KEY = "sk-right-0123456789abcdef"
DOWN, HOME, ENTER = "\x1b[B", "\x1b[H", "\r"
ANYWAY, LEAVE = "\x07", "\x18"
LIMIT = 60.0
"""Seconds in which it has to come."""


def insist(at, keys: str, *shown: str, patience: float = 12.0) -> None:
    """Press until it is seen, as a person would: a key is lost on a page that is just being painted."""
    at.press(keys)
    for _ in range(int(LIMIT / patience)):
        if at.came(shown, patience):
            break
        os.write(at.master, keys.encode())
    at.wait(*shown)


def fails(at, *shown: str) -> None:
    """Enter through the lines and at their trial, which is made again by one more."""
    insist(at, ENTER, *shown, "ctrl+g anyway", patience=1.0)


@pytest.fixture
def wizard(terminal, stage):
    """Opens it over a configuration that works but for what is replaced in it."""

    def opened(replaced: str = "", by: str = ""):
        stage.config.parent.mkdir(parents=True)
        stage.config.write_text(stage.answers.replace(replaced, by) if replaced else stage.answers)
        stage.config.chmod(0o600)
        at = terminal("setup", "--ui", "full", AURA_DOCKER_HOST="unix:///none.sock")
        at.wait("1/8  The planner", "ctrl+x leaves it all as it was")
        insist(at, ENTER, "2/8  The planner's address, key and model", "…cdef is kept")
        return at

    return opened


def left(at, stage, before: str) -> None:
    """By ctrl+x, which changes nothing."""
    at.press(LEAVE)
    assert at.left() == 1
    assert "Left: nothing was changed." in at.all
    assert stage.config.read_text() == before
    assert "sk-" not in at.all, "a key is not shown"


def test_an_address_where_nobody_answers(wizard, stage, dead_url):
    at = wizard(f"{stage.url}/v1", dead_url)
    before = stage.config.read_text()
    fails(at, "✗ planner:", "cannot be reached", "Check the network and AURA_API_BASE_URL.")
    left(at, stage, before)


def test_a_wrong_key(wizard, stage):
    at = wizard(KEY, "sk-wrong-0123456789cdef")
    before = stage.config.read_text()
    fails(at, "✗ planner:", "refused with 401", "Check AURA_API_KEY and that it belongs to AURA_API_BASE_URL.")
    left(at, stage, before)


def test_missing_programs_and_no_docker(wizard, stage, dead_url):
    at = wizard(f"{stage.url}/v1", dead_url)
    before = stage.config.read_text()
    fails(at, "✗ planner:")
    insist(at, ANYWAY, "3/8  The workers", "not installed here: claude, qwencode")
    insist(at, HOME + DOWN + ENTER, "4/8  Which role gets a task")
    insist(at, ENTER, "5/8  Pro: address, key and model")
    for program, after in (("claude", "6/8  Flash: address, key and model"), ("qwencode", "7/8  Docker")):
        fails(at, f"✗ {program}: The worker program", "is not on PATH", "npm install -g")
        insist(at, ANYWAY, after)
    insist(at, DOWN + ENTER, "✗ docker: No Docker engine runs here: there is no /none.sock", "ctrl+g anyway")
    insist(at, ANYWAY, "AURA_WORKERS_IN_DOCKER = 1", "8/8  Save")
    left(at, stage, before)
