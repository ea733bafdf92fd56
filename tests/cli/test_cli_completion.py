"""Shell completion, made from the parsers and tried in the shells that are here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aura_engine.cli.main import COMMANDS


def script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "aura_engine.cli", "completion", shell],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bash(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "aura.bash"
    path.write_text(script("bash"))
    return path


@pytest.mark.parametrize(("words", "offered", "not_offered"), [
    (("aura", "st"), {"start", "status", "stop"}, {"demo"}),
    (("aura", ""), set(COMMANDS), {"--json"}),
    (("aura", "config", "s"), {"show", "set"}, {"get", "start"}),
    (("aura", "completion", ""), {"bash", "zsh", "fish"}, {"status"}),
    (("aura", "doctor", "--"), {"--probe", "--json"}, {"--workers"}),
    (("aura", "task.md", "--work"), {"--workers", "--worker-mode"}, {"--json"}),
    (("aura", "kill", "--"), {"--json", "--data-dir"}, {"--workers"}),
])  # fmt: skip
def test_bash(bash, words, offered, not_offered):
    line = " ".join(f"'{word}'" for word in words)
    code = f'. {bash}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _aura; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.split())
    assert offered <= found
    assert not not_offered & found


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_others_name_every_command_and_can_be_parsed(shell):
    text = script(shell)
    for name in COMMANDS:
        assert name in text
    assert "--worker-mode" in text or "-l worker-mode" in text
    assert all(line.count("'") % 2 == 0 for line in text.splitlines()), "every quote is closed"
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr


def test_another_shell_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "aura_engine.cli", "completion", "tcsh"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "bash" in done.stderr
