"""Start-up looks for no garbage, and everything that goes on for long does."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_engine import garbage
from aura_engine.watchdog import Watchdog


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_it_begins_once_and_leaves_what_start_up_made_alone() -> None:
    garbage.put_off()
    garbage.begin()
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    assert frozen > 0
    kept = [object() for _ in range(100)]
    garbage.begin()
    assert gc.get_freeze_count() == frozen, kept


async def test_an_engine_begins_soon(tmp_path: Path) -> None:
    garbage.put_off()
    async with asyncio.timeout(20), Watchdog(tmp_path / "stalled.json", lambda seconds: None, beat=0.01, stall=30.0):
        while not gc.isenabled():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_a_command_that_is_over_at_once_never_begins(words: list[str]) -> None:
    code = (
        "import gc, sys; from aura_engine.cli.main import entry\n"
        f"sys.argv = ['aura', *{words!r}]\n"
        "try: entry()\n"
        "finally: print('looks' if gc.isenabled() else 'does not look')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.endswith("does not look\n")
