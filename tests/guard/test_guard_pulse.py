"""When a worker is looked at, on a clock of our own."""

from __future__ import annotations

import threading

import pytest

from aura_engine.core.model import ProcessRecord
from aura_engine.guard import pulse
from aura_engine.guard.activity import Limits, Place
from aura_engine.guard.processes import Tree
from aura_engine.guard.pulse import Pulse


@pytest.fixture
def clock():
    """The time as the pulse sees it."""

    class Clock:
        now = 1000.0

        def __call__(self) -> float:
            return self.now

    return Clock()


@pytest.fixture
def place(tmp_path):
    """A worker without processes."""
    (tmp_path / "workspace").mkdir()
    (tmp_path / "out").touch()
    tree = Tree(list, ProcessRecord(pid=1, start_time=0, boot_id=""), tmp_path / "out")
    return Place(tree, tmp_path / "workspace", tmp_path / "err")


@pytest.fixture
def a_pulse(place, clock):
    return Pulse(place, Limits(first_output=300, no_event=600), monotonic=clock)


async def looks(a_pulse, clock, seconds: float) -> list[tuple[float, bool]]:
    """All looks of the next `seconds`, when and whether it was hung, until it is."""
    begun, found = clock.now, []
    while clock.now - begun + a_pulse.due() <= seconds:
        clock.now += a_pulse.due()
        found.append((clock.now - begun, (await a_pulse.look()).hung))
        if found[-1][1]:
            break
    return found


async def test_no_look_while_it_talks(a_pulse, clock):
    for _ in range(100):
        a_pulse.heard()
        assert a_pulse.due() == 60
        clock.now += 59


async def test_a_silence_is_looked_at_seldom_and_ends_in_time(a_pulse, clock):
    a_pulse.heard()
    assert await looks(a_pulse, clock, 10_000) == [
        (60, False),
        (180, False),
        (300, False),
        (420, False),
        (540, False),
        (600, True),
    ]


async def test_the_start_has_a_limit_of_its_own(a_pulse, clock):
    assert (await looks(a_pulse, clock, 10_000))[-1] == (300, True)


async def test_a_sign_of_life_starts_the_time_anew(a_pulse, place, clock):
    a_pulse.heard()
    assert len(await looks(a_pulse, clock, 550)) == 5
    (place.workspace / "made").touch()
    begun = clock.now
    found = await looks(a_pulse, clock, 10_000)
    assert found[0] == (60, False)
    assert clock.now - begun == 60 + 600
    assert found[-1][1]


async def test_life_within_every_limit_goes_on_for_hours(a_pulse, place, clock):
    a_pulse.heard()
    for hour in range(12):
        (place.workspace / f"part {hour}").touch()
        assert not any(hung for _, hung in await looks(a_pulse, clock, 500))


async def test_a_word_said_during_a_look_outweighs_it(a_pulse, place, clock, monkeypatch):
    a_pulse.heard()
    await looks(a_pulse, clock, 599)
    real = pulse.take

    def speaking(*args):
        clock.now += 1
        a_pulse.heard()
        return real(*args)

    monkeypatch.setattr(pulse, "take", speaking)
    clock.now += 100
    verdict = await a_pulse.look()
    assert not verdict.hung
    assert a_pulse.due() == 60


async def test_a_pause_is_no_silence(a_pulse, clock):
    a_pulse.heard()
    await looks(a_pulse, clock, 550)
    clock.now += 5_000
    a_pulse.awake()
    assert a_pulse.due() == 60
    assert (await looks(a_pulse, clock, 10_000))[-1] == (600, True)


async def test_a_look_that_hangs_is_given_up_and_not_piled_up(a_pulse, clock, monkeypatch):
    monkeypatch.setattr(pulse, "LOOK_LIMIT", 0.01)
    go_on, looked = threading.Event(), []
    real = pulse.take

    def stuck(*args):
        looked.append(1)
        go_on.wait(20)
        return real(*args)

    monkeypatch.setattr(pulse, "take", stuck)
    clock.now += 400
    try:
        for _ in range(3):
            verdict = await a_pulse.look()
            assert not verdict.hung
            assert "could not be looked at" in verdict.words
        assert looked == [1]
    finally:
        go_on.set()
    monkeypatch.setattr(pulse, "LOOK_LIMIT", 20.0)
    assert "only just gone silent" in (await a_pulse.look()).words
