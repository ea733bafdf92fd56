"""The house keeps its rules: what may be imported where, and what a start may load."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import aura_engine

CHECKOUT = Path(aura_engine.__file__).parent.parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(aura_engine.__path__, "aura_engine.")
    if "__main__" not in module.name
)
SCREEN = ("textual", "rich", "aura_tui")
HEAVY = (
    "pydantic",
    "textual",
    "rich",
    "anthropic",
    "openai",
    "aiodocker",
    "watchfiles",
    "psutil",
    "asyncio",
    "sqlite3",
)
SDKS = ("anthropic", "openai", "aiodocker", "tomlkit", "pynvml")

IMPORT_EACH = """
import importlib, json, sys
names, watched = json.loads(sys.argv[1]), json.loads(sys.argv[2])
found = {}
for name in names:
    importlib.import_module(name)
    loaded = [one for one in watched if one in sys.modules]
    if loaded:
        found[name] = loaded
        watched = [one for one in watched if one not in loaded]
print(json.dumps(found))
"""


def loaded_by(modules: list[str], watched: tuple[str, ...]) -> dict[str, list[str]]:
    """In a fresh interpreter: which of the watched libraries are loaded, and by the first module that does."""
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, json.dumps(modules), json.dumps(watched)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_no_part_of_the_engine_loads_the_screen_or_an_sdk() -> None:
    assert "aura_engine.core.model" in MODULES
    assert loaded_by(MODULES, SCREEN + SDKS) == {}


def test_the_command_line_starts_light() -> None:
    starts = [name for name in MODULES if name in ("aura_engine.cli", "aura_engine.cli.main")]
    assert loaded_by(starts, HEAVY) == {}


def test_the_watch_sees_what_is_loaded() -> None:
    assert loaded_by(["aura_engine.errors", "aura_engine.core.model"], ("pydantic",)) == {
        "aura_engine.core.model": ["pydantic"]
    }


def test_import_contracts() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint, "--no-logo", "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout
