"""What a watch must not miss, whenever it comes."""

from __future__ import annotations

import asyncio
import time

import pytest
from lab_bench import wrongs
from lab_matrix import DONE
from lab_rows import BEGIN, WORK, Row

from aura_engine import watching
from aura_engine.core.model import EndKind
from aura_engine.guard.managed import Jobs, Managed

SOON = 8.0
"""Seconds; far less than the pause that a missed end costs."""


@pytest.mark.parametrize("backend", ["claude", "codex"])
async def test_an_end_during_a_look_is_heard_at_once(backend, bench, monkeypatch):
    looked = Managed.look

    def slow(managed: Managed) -> Jobs:
        record = managed._tree.output.with_name("exit.json")
        limit = time.monotonic() + SOON
        while not record.exists() and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(0.2)  # for the engine's loop to hear of it meanwhile
        return looked(managed)

    monkeypatch.setattr(Managed, "look", slow)
    monkeypatch.setattr(watching, "JOB_LOOK", 600.0)
    row = Row("lingers a moment", EndKind.FINISHED, (BEGIN, WORK, DONE, ("linger", 1.0), ("exit", 0)))
    async with asyncio.timeout(SOON):
        played = await bench.play(row, backend)
    assert wrongs(row, backend, played) == []
