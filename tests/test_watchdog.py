"""The watchdog: a blocked loop is seen and told from outside of it, with where it hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import time

from aura_engine import watchdog
from aura_engine.clock import Steady
from aura_engine.watchdog import Watchdog


def block(marker, limit=20.0):
    """Hangs until the watchdog has said so."""
    deadline = time.monotonic() + limit
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # blocks the loop on purpose


async def test_a_blocked_loop_is_told_with_its_stack_and_taken_back(tmp_path, caplog):
    marker = tmp_path / "stalled.json"
    async with Watchdog(marker, lambda seconds: None, beat=0.05, stall=0.4):
        block(marker)
        assert json.loads(marker.read_text())["since"] <= time.time()
        async with asyncio.timeout(20):
            while marker.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert "in block" in told[0]
    assert any("turns again" in record.getMessage() for record in caplog.records)


async def test_it_goes_on_where_no_file_can_be_opened(tmp_path, caplog):
    marker = tmp_path / "stalled.json"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def stalled() -> int:
        before = len(caplog.records)
        end = time.monotonic() + 20.0
        while time.monotonic() < end and len(caplog.records) == before:
            time.sleep(0.02)  # noqa: ASYNC251 - blocks the loop on purpose
        while "turns again" not in caplog.records[-1].getMessage():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return len(caplog.records)

    async with Watchdog(marker, lambda seconds: None, beat=0.05, stall=0.4):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
        try:
            assert await stalled() == 2
            assert await stalled() == 4
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_marker_of_an_engine_that_was_killed_goes(tmp_path):
    marker = tmp_path / "stalled.json"
    marker.write_text("{}")
    async with Watchdog(marker, lambda seconds: None, beat=0.05, stall=30.0):
        assert not marker.exists()
    async with Watchdog(tmp_path / "not" / "there", lambda seconds: None, beat=0.05, stall=0.2):
        await asyncio.sleep(0)


async def test_a_time_in_which_nothing_ran_is_told(tmp_path, monkeypatch):
    now = [0.0]
    steady = Steady(lambda: now[0])
    monkeypatch.setattr(watchdog, "steady", steady)
    told: list[float] = []
    heard = asyncio.Event()

    def away(seconds):
        told.append(seconds)
        heard.set()

    async with Watchdog(tmp_path / "stalled.json", away, beat=0.01, stall=30.0):
        await asyncio.sleep(0.03)
        now[0] += 3_600.0  # the machine was suspended
        async with asyncio.timeout(20):
            await heard.wait()
        await asyncio.sleep(0.03)
    assert told == [3_600.0]
