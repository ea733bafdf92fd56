"""Clocks: what a jump, a suspend and a stopped process do to them."""

from __future__ import annotations

import time

from aura_engine import clock
from aura_engine.clock import GAP, Steady, SystemClock


def test_no_jump_of_the_machines_clock_moves_a_wait(monkeypatch):
    real = time.time()
    here = SystemClock()
    for jump in (3_600.0, -3_600.0, 31_536_000.0, -31_536_000.0):
        monkeypatch.setattr(clock.time, "time", lambda jump=jump: real + jump)
        assert abs(here.wall() - real) < 60.0
    monkeypatch.setattr(clock.time, "time", lambda: real + 3_600.0)
    assert SystemClock().wall() > real + 3_500.0  # whoever starts now goes by the clock as it is set now


def test_a_suspend_counts_as_time_that_has_passed(monkeypatch):
    booted = [1_000.0]
    monkeypatch.setattr(clock, "_since_boot", lambda: booted[0])
    here = SystemClock()
    before = here.wall()
    booted[0] += 7_200.0
    assert here.wall() - before == 7_200.0


def test_steady_time_leaves_out_what_nobody_saw():
    now = [100.0]
    steady = Steady(lambda: now[0])
    now[0] += GAP - 1
    assert steady() == 100.0 + GAP - 1
    now[0] += 3 * GAP
    assert steady() == 100.0 + GAP - 1  # stopped for three minutes: no limit has come nearer
    now[0] += 1.0
    assert steady() == 100.0 + GAP
    assert steady.away == 3 * GAP
