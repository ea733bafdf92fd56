"""Shell completion, made from the parsers and tried in the shells that are here."""

from __future__ import annotations

import os
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


OFFERS = [
    (("aura", "st"), {"start", "status", "stop"}, {"--json"}),
    (("aura", ""), set(COMMANDS), {"--json"}),
    (("aura", "config", "s"), {"show", "set"}, {"start"}),
    (("aura", "completion", ""), {"bash", "zsh", "fish"}, {"status"}),
    (("aura", "doctor", "--"), {"--probe", "--json"}, {"--workers"}),
    (("aura", "task.md", "--work"), {"--workers", "--worker-mode"}, {"--probe"}),
    (("aura", "kill", "--"), {"--json", "--data-dir"}, {"--workers"}),
]
"""What is on the line, what is offered, what is not; zsh and fish leave it to themselves what fits."""


@pytest.mark.parametrize(("words", "offered", "not_offered"), OFFERS)
def test_bash(bash, words, offered, not_offered):
    line = " ".join(f"'{word}'" for word in words)
    code = f'. {bash}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _aura; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.split())
    assert offered <= found
    assert not not_offered & found


ZSH = """
compdef() {}; _files() {}
_describe() { print -l -- ${${(P)2}%%:*} }
source $1; shift
words=("$@"); CURRENT=$#words; _aura
"""
"""Its completion system but for the terminal, which hands `_describe` what is to be offered."""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
@pytest.mark.parametrize(("words", "offered", "not_offered"), OFFERS)
def test_zsh(tmp_path, words, offered, not_offered):
    (tmp_path / "_aura").write_text(script("zsh"))
    code = ["zsh", "-fc", ZSH, "zsh", str(tmp_path / "_aura"), *words]
    done = subprocess.run(code, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = set(done.stdout.split("\n"))
    assert offered <= found
    assert not not_offered & found


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
@pytest.mark.parametrize(("words", "offered", "not_offered"), OFFERS)
def test_fish(tmp_path, words, offered, not_offered):
    (tmp_path / "aura.fish").write_text(script("fish"))
    code = ["fish", "-N", "-c", f"source {tmp_path / 'aura.fish'}; complete -C '{' '.join(words)}'"]
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(code, capture_output=True, text=True, timeout=20, check=False, env=env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = {line.partition("\t")[0] for line in done.stdout.split("\n")}
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
