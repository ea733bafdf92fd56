"""The small task that a worker is tried with: judged by what it left, whatever it says. Workers are fake programs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from aura_engine.config.load import load_settings
from aura_engine.doctor import errand
from aura_engine.doctor.brains import seats
from aura_engine.doctor.findings import Finding, Level
from aura_engine.doctor.probe import probe
from aura_engine.runtimes.containment import Containment

WORD = "word=$(sed -n 's/.*this word: //p')\n"
WORK = f"{WORD}echo $word > word.txt; cat word.txt; git hash-object word.txt > hash.txt"
KEY = "sk-canary-6f1d9b0c7a2e4835"


@pytest.fixture
def tried(tmp_path):
    """The findings on a worker that is this shell script."""

    async def of(script: str, containment: Containment | None = None, **flags: str) -> list[Finding]:
        program = tmp_path / "agent"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        base = {"worker_mode": "pro-only", "pro_backend": "command", "pro_command": str(program), "pro_api_key": KEY}
        settings = load_settings(flags={**base, **flags}, environ=environ, project=tmp_path).settings
        found: list[Finding] = []
        scratch = tmp_path / "scratch"
        await probe(settings, seats(settings, environ), containment or Containment(), scratch, environ, found.append)
        assert found[0].about == "costs", "what it costs is told first"
        assert not any(KEY in each.model_dump_json() for each in found)
        return found[1:]

    return of


async def test_a_worker_that_can_work(tried):
    (found,) = await tried(WORK, pro_model="m")
    assert (found.level, found.about) == (Level.GOOD, "pro")
    assert found.text.startswith("command m can work: it wrote the file and ran the command on it (")
    assert found.facts["seconds"] > 0


LIES = [
    (
        "cat >/dev/null; echo 'I wrote word.txt and ran the command.'",
        "only talked, word.txt is missing: a model without",
    ),
    (f"{WORD}echo $word > word.txt", "hash.txt is missing"),
    (f"{WORD}echo $word > word.txt; echo 0123456789012345678901234567890123456789 > hash.txt", "not what the command"),
    ("cat >/dev/null; echo no > word.txt; git hash-object word.txt > hash.txt", "does not hold the word"),
    (f"{WORK}; rm hash.txt; mkfifo hash.txt", "hash.txt is a FIFO"),
    (f"{WORK}; mv word.txt ..; ln -s ../word.txt word.txt", "word.txt leads out of"),
]


@pytest.mark.parametrize(("script", "words"), LIES)
async def test_a_worker_that_only_says_so(tried, script, words):
    (found,) = await tried(script)
    assert found.level is Level.PROBLEM
    assert words in found.text
    assert "AURA_PRO_MODEL" in found.cure


@pytest.mark.parametrize(
    ("script", "level", "words", "cure"),
    [
        (f"echo 'HTTP 401 invalid api key {KEY}' >&2; exit 1", Level.PROBLEM, "refuses the key", "AURA_PRO_API_KEY"),
        ("echo 'credit balance is too low' >&2; exit 1", Level.PROBLEM, "no credit", "Top up"),
        ("echo 'rate limit reached' >&2; exit 1", Level.WARNING, "a run would wait", "Try again later"),
        ("echo 'connection refused' >&2; exit 1", Level.PROBLEM, "could not reach", "AURA_PRO_BASE_URL"),
        ("exit 3", Level.PROBLEM, "ended badly", "by hand"),
        (f"{WORK}; exit 3", Level.WARNING, "can work, but ended badly", "by hand"),
    ],
)
async def test_a_worker_that_fails(tried, script, level, words, cure):
    (found,) = await tried(script)
    assert found.level is level
    assert words in found.text
    assert cure in found.cure


async def test_a_worker_that_never_ends_is_gone_after_its_time(tried, monkeypatch, tmp_path):
    monkeypatch.setattr(errand, "BUDGET", 1.0)
    started = time.monotonic()
    (found,) = await tried(f"trap '' TERM\nsetsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' &\nsleep 600")
    assert time.monotonic() - started < 30
    assert "did not get done in time" in found.text
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


async def test_workers_that_are_set_alike_are_tried_once(tried, tmp_path):
    found = await tried(
        f"echo once >> {tmp_path}/count; {WORK}",
        worker_mode="auto",
        flash_backend="command",
        flash_command=str(tmp_path / "agent"),
        flash_api_key=KEY,
    )
    assert [each.about for each in found] == ["pro and flash"]
    assert (tmp_path / "count").read_text() == "once\n"


async def test_what_a_run_could_not_start_is_not_tried(tried):
    (found,) = await tried("exit 0", pro_command="/nonexistent/agent")
    assert (found.level, found.text[:10]) == (Level.NOTE, "not tried:")


async def test_without_a_wall_or_consent_nothing_is_started(tmp_path):
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    flags = {"worker_mode": "pro-only", "pro_backend": "command", "pro_command": f"touch {tmp_path}/started"}
    settings = load_settings(flags=flags, environ=environ, project=tmp_path).settings
    found: list[Finding] = []
    await probe(settings, seats(settings, environ), None, tmp_path / "scratch", environ, found.append)
    assert [each.about for each in found] == ["costs", "pro"]
    assert "nothing here can contain it" in found[1].text
    assert not (tmp_path / "started").exists()
