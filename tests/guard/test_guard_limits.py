"""What a worker may use: averages, ceilings, strikes, reserves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.guard.gauges import GpuGauge, MachineGauge, WorkerGauge
from aura_engine.guard.limits import MEASURES, Ceilings, Reserves, Strikes, Use, is_set, use_of

MACHINE = MachineGauge(
    cpu=0.0, cores=4, memory_total=16_000_000_000, memory_free=8_000_000_000, disk_total=1, disk_free=1
)


def gpu(index: int = 0, *, busy: float = 50.0, used: int = 4, held: dict[int, int] | None = None) -> GpuGauge:
    held = held or {}
    return GpuGauge(
        index=index,
        name="G",
        busy=busy,
        memory_total=10_000_000_000,
        memory_used=used * 1_000_000_000,
        pids=tuple(held),
        held=tuple(held.values()),
    )


def test_every_ceiling_has_its_measure_and_its_use():
    names = set(MEASURES)
    assert names == set(Ceilings.__dataclass_fields__) == set(Use._fields)


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_over_is_named_with_its_limit(name):
    ceilings = Ceilings(**{name: 50.0})
    assert ceilings.over(Use(**{name: 50.0})) == ""
    assert ceilings.over(Use(**{name: 51.5})) == f"51.5{MEASURES[name].unit} (50 allowed)"
    assert Ceilings().over(Use(**{name: 1e9})) == ""


def test_a_worker_is_told_what_binds_it_and_no_gpu_where_there_is_none():
    ceilings = Ceilings(cpu=80, memory_gb=2.5, gpu=90)
    assert ceilings.told(gpus=False) == "80 % of the processors' time, 2.5 GB of memory"
    assert ceilings.told(gpus=True).endswith("90 % of a GPU's time")
    assert Ceilings().told(gpus=True) == ""


def test_only_a_whole_window_over_the_limit_counts_and_only_in_a_row():
    strikes = Strikes(Ceilings(cpu=80), window=30, most=3)
    high, low = Use(cpu=95), Use(cpu=0)
    said = [strikes.add(at, high) for at in (0, 10, 20)]
    assert said == ["", "", ""]
    assert strikes.count == 0  # a build may be busy for a while
    assert strikes.add(30, high) == ""
    assert strikes.count == 1
    assert strikes.add(40, low) == ""  # 95, 95, 95, 0 on average
    assert strikes.count == 0
    assert [strikes.add(at, high) for at in (50, 60, 70)] == ["", "", ""]
    assert strikes.count == 0
    assert [strikes.add(at, high) for at in (80, 90)] == ["", ""]  # the window holds 0 no more
    assert strikes.count == 2
    assert "95 % of the processors' time (80 allowed) on average" in strikes.add(100, high)


@given(st.lists(st.floats(0, 79), min_size=1, max_size=50))
def test_who_stays_below_is_never_stopped(values):
    strikes = Strikes(Ceilings(cpu=80), window=3, most=1)
    assert not any(strikes.add(at, Use(cpu=value)) for at, value in enumerate(values))


def test_use_of_a_worker_on_two_gpus():
    worker = WorkerGauge(cpu=200.0, rss=4_000_000_000, processes=2)
    gpus = [gpu(0, busy=90, held={7: 3_000_000_000, 99: 1_000_000_000}), gpu(1, busy=70, held={8: 5_000_000_000})]
    use = use_of(worker, MACHINE, [7, 8], gpus)
    assert use.cpu == 50.0
    assert (use.memory_share, use.memory_gb) == (25.0, 4.0)
    assert use.gpu == 70.0  # the other GPU is shared with a stranger
    assert (use.gpu_memory_gb, use.gpu_memory_share) == (8.0, 50.0)
    assert use_of(worker, MACHINE, [1], gpus).gpu == 0.0


def test_reserves():
    reserves = Reserves(memory_gb=4, gpu_memory_gb=6)
    assert is_set(reserves)
    assert not is_set(Reserves())
    assert reserves.short(3e9, []).startswith("only 3 GB of memory are free, 4")
    assert reserves.short(5e9, []) == ""  # where there is no GPU, none is waited for
    assert "only 3 GB of GPU memory" in reserves.short(5e9, [gpu(0, used=7), gpu(1, used=8)])
    assert reserves.short(5e9, [gpu(0, used=7), gpu(1, used=1)]) == ""
    assert reserves.short(5e9, [gpu(0, used=7), gpu(1, used=1)], {0}) != ""
