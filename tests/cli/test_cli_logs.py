"""`aura logs`: readable steps, the output as it is, and following it until the attempt has ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aura_engine.cli.log_lines import as_text
from aura_engine.report.steps import Step

Say = Callable[..., str]


@pytest.mark.usefixtures("ran")
def test_steps_are_shown_as_on_the_screen(say: Say) -> None:
    said = say("logs", "A1#2").splitlines()
    assert said[0].split() == ["start", "m"]
    assert said[1].startswith("run      echo evil")
    assert said[2] == "         ✓ the key is [secret]"


@pytest.mark.usefixtures("ran")
def test_without_a_task_it_is_the_attempt_that_was_started_last(say: Say, ran: Any) -> None:
    records = ran.paths.attempt("A2", 1)
    records.mkdir(parents=True)
    (records / "output.jsonl").write_text('{"event": "start", "session": "s", "model": "the last one"}\n')
    assert "the last one" in say("logs")


@pytest.mark.usefixtures("ran")
def test_raw_is_what_the_program_wrote_but_for_secrets(ran: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aura_engine.cli", "logs", "A1#1", "--raw"],
        cwd=ran.project,
        capture_output=True,
        timeout=30,
        check=True,
    )
    wrote = (ran.paths.attempt("A1", 1) / "output.jsonl").read_bytes()
    assert done.stdout == wrote.replace(b"sk-ant-0123456789abcdefghijklmnop", b"[secret]") != wrote


def test_columns_hang_together_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    show = as_text()
    show("14:02:11", Step("says", "word " * 20, "say"))
    show("", Step("", "✗ failed\n  because", "bad"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("14:02:11 says     word")
    assert all(line.startswith(" " * 18) for line in lines[1:])
    assert max(map(len, lines)) <= 60


@pytest.mark.usefixtures("ran")
def test_it_follows_until_the_attempt_has_ended(ran: Any, live: Path) -> None:
    """A live attempt: its output grows while it is followed, and its end ends the command."""
    path = live / "output.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "aura_engine.cli", "logs", "A2", "-f"],
        cwd=ran.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        try:
            for number in range(3):
                with path.open("a") as file:
                    file.write(json.dumps({"event": "start", "session": "s", "model": f"line {number}"}) + "\n")
                assert following.stdout.readline().split() == ["start", "line", str(number)]
            (path.parent / "exit.json").write_text("{}")
            assert following.wait(timeout=30) == 0
            assert following.stdout.read() == ""
        finally:
            following.kill()
