"""The page on adding a backend tells the truth: its toy, written where it says, works in a whole run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aura_engine.core.backends import BACKENDS
from aura_engine.core.model import EndKind, ExitRecord, RunStatus
from aura_engine.workers import table
from aura_engine.workers.base import Seen

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "backends.md"
AGENT = """#!{python}
import json, sys
prompt = sys.stdin.read()
print(json.dumps({{"say": "I will greet."}}), flush=True)
print(json.dumps({{"tool": "write", "input": "greeting.txt"}}), flush=True)
open("greeting.txt", "w").write("hello\\n")
print(json.dumps({{"tokens": 42}}))
print(json.dumps({{"done": "greeted, as " + sys.argv[2]}}))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> str:
    """The page's code as a module, and its line in the table."""
    (code,) = re.findall(r"```python\n(\"\"\"Backend `toy`.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (row,) = re.findall(r'^    "toy": "aura_engine\.workers\.(toy:Toy)",$', PAGE.read_text("utf-8"), re.MULTILINE)
    (tmp_path / "toy.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy", raising=False)
    monkeypatch.setitem(BACKENDS, "toy", row)
    return code


def test_it_is_short(toy):
    assert len([line for line in toy.splitlines() if line.strip()]) < 60


def passes(*command: str) -> None:
    argv = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_passes_the_linter(toy, tmp_path):
    passes("ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(tmp_path / "toy.py"))


def test_it_and_all_of_the_table_have_what_a_backend_has(toy, tmp_path):
    places = {**BACKENDS, "toy": ".toy:Toy"}
    pairs = [place.split(":") for place in places.values()]
    lines = ["from aura_engine.workers.base import Backend"]
    lines += [f"from {module} import {name}" for module, name in pairs]
    lines += [f"fits_{name}: Backend = {name}()" for _, name in pairs]
    (tmp_path / "fits.py").write_text("\n".join(lines) + "\n")
    passes("pyright", "--project", str(ROOT), str(tmp_path / "toy.py"), str(tmp_path / "fits.py"))


async def test_its_worker_does_a_task_in_a_whole_run(toy, stage, monkeypatch):
    program = stage.folder / "toy-agent"
    program.write_text(AGENT.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(stage.folder), prepend=os.pathsep)
    async with stage.play(FLASH_BACKEND="toy", FLASH_MODEL="small") as play:
        assert await play.end() is RunStatus.ACHIEVED
    (ended,) = play.of("worker_ended")
    assert (ended.ending.claims, ended.ending.usage.output) == ("greeted, as small", 42)


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [
        ({"error": "gave up"}, 1, EndKind.GAVE_UP),
        ({"error": "no", "status": 401}, 1, EndKind.CREDENTIALS),
        ({"error": "slow down", "status": 429}, 1, EndKind.RATE_LIMIT),
        ({"done": "x"}, 0, EndKind.FINISHED),
        ({"what": "is this"}, 0, EndKind.CRASHED),
    ],
)
def test_its_endings_are_told_apart(toy, line, code, kind):
    backend, seen = table.make_backend("toy"), Seen()
    parser = backend.parser(None)  # type: ignore[arg-type]
    seen.add_all(parser.feed(json.dumps(line).encode() + b"\n"))
    seen.add_all(parser.feed(b"\xff\xfe not json\n"))
    assert backend.ending(ExitRecord(code=code), seen, "").kind is kind
