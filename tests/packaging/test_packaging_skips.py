"""In CI a skipped test is a failure, and nothing of the machine's settings reaches a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aura_engine

CONFTEST = Path(aura_engine.__file__).parent.parent / "tests/conftest.py"
SAMPLE = """
import os, pathlib, pytest
@pytest.mark.cli("a-program-that-nobody-has")
def test_needs_a_program(): pass
@pytest.mark.xfail
def test_known(): assert False
@pytest.mark.skip(reason="not today")
def test_left_out(): pass
def test_hermetic():
    assert not [name for name in os.environ if name.startswith(("AURA_", "ANTHROPIC_", "GIT_"))]
    home = pathlib.Path.home()
    assert "home" in home.name and pathlib.Path.cwd() == home / "here"
    assert os.environ["XDG_STATE_HOME"].startswith(str(home))
"""
WHOLE_FILE = "import pytest\npytest.importorskip('a_module_that_nobody_has')\n"


@pytest.mark.parametrize(
    ("ci", "closing"), [("true", "1 passed, 1 xfailed, 3 errors"), ("", "1 passed, 3 skipped, 1 xfailed")]
)
def test_a_skip_is_a_failure_in_ci_only(tmp_path: Path, ci: str, closing: str) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_sample.py").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "test_whole_file.py").write_text(WHOLE_FILE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = cli: a program\n", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "AURA_API_KEY": "k", "GIT_DIR": "/nowhere", "ANTHROPIC_API_KEY": "k"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert closing in result.stdout
    assert result.returncode == (1 if ci else 0)
    if ci:
        assert "a-program-that-nobody-has is not installed" in result.stdout
        assert "not today" in result.stdout
        assert "a_module_that_nobody_has" in result.stdout
