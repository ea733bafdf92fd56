"""Gauges of workers, the machine and GPUs; and no GPU, no library, no driver."""

from __future__ import annotations

import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from aura_engine.core.model import ContainerUse
from aura_engine.guard import gauges
from aura_engine.guard.gauges import Gpus, MachineMeter, WorkerMeter


async def test_a_busy_worker_shows(watch, eventually):
    watched = await watch("room = b'x' * 30_000_000\nwhile True: pass")
    meter = WorkerMeter()
    assert meter.read(watched.place.tree.usage()).cpu == 0
    readings = []

    def busy() -> bool:
        readings.append(meter.read(watched.place.tree.usage()))
        return readings[-1].cpu > 10 and readings[-1].rss > 30_000_000

    await eventually(busy)
    assert readings[-1].processes == 2


def test_a_childs_end_is_no_peak(make_process, monkeypatch):
    meter, now = WorkerMeter(), [100.0]
    monkeypatch.setattr(gauges, "time", SimpleNamespace(monotonic=lambda: now[0]))
    meter.read((make_process(1, own=True), make_process(2, cpu=500.0)))
    now[0] += 10
    assert meter.read((make_process(1, own=True, reaped=501.0),)).cpu == pytest.approx(10.0)


def test_the_machine(tmp_path):
    meter = MachineMeter()
    gauge = meter.read(tmp_path)
    assert gauge.cpu == 0
    assert 0 < gauge.memory_free <= gauge.memory_total
    assert 0 < gauge.disk_free <= gauge.disk_total
    busy = time.process_time() + 0.1
    while time.process_time() < busy:
        pass
    assert 0 < meter.read(tmp_path).cpu <= 100
    assert meter.read(tmp_path / "gone").disk_total == 0


class Nvml(ModuleType):
    """A driver with two GPUs."""

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.started, self.broken = 0, False

    def nvmlInit(self):
        self.started += 1

    def nvmlDeviceGetCount(self):
        if self.broken:
            raise RuntimeError("GPU is lost")
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        return b"NVIDIA H100" if handle else "NVIDIA A10"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(total=80 << 30, used=handle << 30)

    def nvmlDeviceGetUtilizationRates(self, handle):
        return SimpleNamespace(gpu=10 + handle * 80, memory=0)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=100 + handle, usedGpuMemory=None)]


@pytest.fixture
def nvml(monkeypatch):
    module = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_gpus_are_listed_and_matched_with_processes(nvml):
    gpus = Gpus()
    assert nvml.started == 0
    first, second = gpus.read()
    assert (first.index, first.name, first.busy, first.pids) == (0, "NVIDIA A10", 10.0, (100,))
    assert (second.name, second.memory_used, second.memory_total) == ("NVIDIA H100", 1 << 30, 80 << 30)
    assert gpus.busy([7, 100]) == 10.0
    assert gpus.busy([100, 101]) == 90.0
    assert gpus.busy([7]) == 0.0
    assert nvml.started == 1


def test_a_driver_that_vanishes_is_no_error_and_may_come_back(nvml, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(gauges, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gpus = Gpus()
    assert len(gpus.read()) == 2
    nvml.broken = True
    assert gpus.read() == ()
    nvml.broken = False
    assert gpus.read() == ()  # not asked again at once
    now[0] += gauges.AGAIN
    assert len(gpus.read()) == 2
    assert nvml.started == 2


def test_without_the_library_there_are_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus().read() == ()
    assert Gpus().busy([1]) == 0.0


def test_a_container_is_read_as_the_kernel_counts_it(monkeypatch):
    times = iter((100.0, 102.0))
    monkeypatch.setattr(gauges.time, "monotonic", lambda: next(times))
    meter = WorkerMeter()
    assert meter.read((), ContainerUse(cpu=3.0, memory=4_000)).cpu == 0.0
    second = meter.read((), ContainerUse(cpu=4.0, memory=5_000))
    assert (second.cpu, second.rss) == (50.0, 5_000)


@pytest.mark.skipif(not gauges.LINUX, reason="elsewhere the driver shows no devices")
def test_without_a_device_the_library_is_not_even_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr(gauges, "_has_driver", lambda: False)
    assert Gpus().read() == ()
    assert "pynvml" not in sys.modules


@pytest.mark.skipif(not gauges.LINUX, reason="elsewhere NVML is asked at once")
def test_a_driver_whose_device_files_are_not_made_yet_is_seen(monkeypatch, tmp_path):
    monkeypatch.setattr(gauges, "DRIVERS", (tmp_path,))
    assert gauges._has_driver()  # pyright: ignore[reportPrivateUsage]
