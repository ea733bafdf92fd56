"""The fault matrix is whole: every row names tests that exist, or says why there can be none here."""

from __future__ import annotations

import ast
import functools
import json
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PARTS = {"engine": range(1, 22), "machine": range(22, 54), "model": range(54, 71)}
PARTS |= {"files": range(71, 84), "terminal": range(84, 101)}
MATRIX = tomllib.loads(Path(__file__).with_name("matrix.toml").read_text("utf-8"))
ROWS = {int(number): row for part in MATRIX.values() for number, row in part.items()}


@functools.cache
def names_in(file: Path) -> frozenset[str]:
    """The names of a file's tests, those in classes too."""
    tree = ast.parse(file.read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_every_row_is_there():
    assert {part: sorted(map(int, rows)) for part, rows in MATRIX.items()} == {
        part: list(numbers) for part, numbers in PARTS.items()
    }
    assert all(row["fault"] for row in ROWS.values())


@pytest.mark.parametrize("number", range(1, 101))
def test_what_a_row_names_exists(number):
    row = ROWS[number]
    assert set(row) - {"fault"} in ({"tests"}, {"why"})
    for name in row.get("tests", ()):
        file, _, test = name.partition("::")
        assert test in names_in(TESTS / file), name
    assert row.get("tests") or row["why"].strip()


HUNGRY = """
import json, os, resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
from aura_engine.cli.main import entry
sys.argv[1:] = sys.argv[2:]
entry()
"""


def test_row_34_an_engine_without_descriptors_says_so_and_does_not_spin(tmp_path):
    """It ends in words and soon, whatever step it fails at, and burns no CPU meanwhile."""
    (tmp_path / "task.md").write_text("# Greet\n\nSay hello.\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY, "14", "demo", "--no-ui", "--json", "--folder", str(tmp_path / "demo")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode not in (0, -9)
    assert "may not open more files. Allow it some thousand: ulimit -n 4096." in done.stderr
    assert "Traceback" not in done.stderr
    assert all(json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert after.ru_utime - before.ru_utime < 20.0
