"""The table of backends and finding their programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aura_engine.errors import ConfigError, MissingProgram
from aura_engine.workers.base import RoleSettings
from aura_engine.workers.table import BACKENDS, find_program, make_backend


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return {"PATH": str(program.parent)}


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_each_name_makes_its_backend(name):
    assert make_backend(name).name == name


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_only_opencode_may_go_on_long_after_it_was_done(name):
    assert make_backend(name).grace == (120.0 if name == "opencode" else 10.0)


def test_an_unknown_name_tells_what_is_allowed():
    with pytest.raises(ConfigError) as raised:
        make_backend("clod")
    assert "clod" in str(raised.value)
    assert "builtin, claude" in raised.value.cure


def test_the_program_is_found_on_path(on_path):
    found = find_program(make_backend("claude"), RoleSettings(backend="claude"), on_path)
    assert found.program == f"{on_path['PATH']}/claude"


def test_a_given_path_wins(on_path, tmp_path):
    wanted = RoleSettings(backend="claude", program=f"{on_path['PATH']}/claude")
    assert find_program(make_backend("claude"), wanted, {"PATH": ""}).program == wanted.program


@pytest.mark.parametrize("program", ["", "claude", "/nowhere/claude", "bin"])
def test_a_missing_program_tells_how_to_get_it(program, tmp_path):
    with pytest.raises(MissingProgram) as raised:
        find_program(make_backend("claude"), RoleSettings(backend="claude", program=program), {"PATH": str(tmp_path)})
    assert "npm install" in raised.value.cure
    assert (program or "claude") in str(raised.value)


def test_builtin_needs_no_program():
    settings = RoleSettings(backend="builtin")
    assert find_program(make_backend("builtin"), settings, {}) is settings


def test_the_table_imports_no_backend():
    code = (
        "import sys, aura_engine.workers.table; print([m for m in sys.modules if m.startswith('aura_engine.workers.')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "workers.claude" not in out
    assert "workers.table" in out


def test_a_key_never_shows_in_a_repr():
    assert "secret" not in repr(RoleSettings(backend="claude", api_key="secret", env={"T": "secret"}))
