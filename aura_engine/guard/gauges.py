"""What workers and the machine use: small values for the screen's gauges and the guard's limits."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import psutil

from aura_engine.core.model import ContainerUse, Frozen
from aura_engine.guard.processes import LINUX, Process, cpu_seconds

log = logging.getLogger(__name__)

AGAIN = 60.0
"""Seconds after which NVML is asked again when it failed."""
DRIVERS = (Path("/proc/driver/nvidia"), Path("/sys/module/nvidia"), Path("/dev/dxg"))
"""Signs of NVIDIA's driver, the last as Windows shows it to Linux."""


class WorkerGauge(Frozen):
    """What one worker's processes use."""

    cpu: float
    """Per cent of one core since the look before; 0 at the first."""
    rss: int
    """Bytes. What processes share counts for each."""
    processes: int


class MachineGauge(Frozen):
    """What the whole machine uses."""

    cpu: float
    """Per cent of all cores since the look before; 0 at the first."""
    cores: int
    memory_total: int
    memory_free: int
    """Bytes that can be had without swapping."""
    disk_total: int
    disk_free: int
    """Bytes that an ordinary user can still write to the disk asked about; 0 where it cannot be told."""


class GpuGauge(Frozen):
    """One GPU."""

    index: int
    name: str
    busy: float
    """Per cent."""
    memory_total: int
    memory_used: int
    pids: tuple[int, ...]
    """Processes that compute on it, as far as the driver tells."""
    held: tuple[int, ...]
    """Bytes of its memory that each of them holds; 0 where the driver does not tell, as in a container."""


class WorkerMeter:
    """One worker over time."""

    def __init__(self) -> None:
        self._before: Sequence[Process] = ()
        self._cpu = 0.0
        self._at = 0.0

    def read(self, processes: Sequence[Process], container: ContainerUse | None = None) -> WorkerGauge:
        """From a look at its tree (Tree.look), which costs about 0.1 ms a process; what is counted for its container
        stands for what can be read of the processes one by one."""
        now = time.monotonic()
        used = sum(cpu_seconds(self._before, processes)) if self._before else 0.0
        if container is not None:
            used = max(0.0, container.cpu - self._cpu) if self._cpu else 0.0
        share = 100.0 * used / max(now - self._at, 1e-3)
        self._before, self._at, self._cpu = processes, now, container.cpu if container else 0.0
        rss = container.memory if container else sum(each.rss for each in processes)
        return WorkerGauge(cpu=share, rss=rss, processes=len(processes))


class MachineMeter:
    """The machine over time."""

    def __init__(self) -> None:
        self._times: tuple[float, float] | None = None

    def read(self, disk: Path) -> MachineGauge:
        """As it is now, with the disk that holds `disk`. About 0.3 ms; a dead network drive there blocks."""
        times = psutil.cpu_times()
        total = (
            sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        )  # counted in user and nice
        idle = times.idle + getattr(times, "iowait", 0.0)
        cpu = 0.0
        if self._times is not None and total > self._times[0]:
            cpu = 100.0 * (1.0 - (idle - self._times[1]) / (total - self._times[0]))
        self._times = (total, idle)
        memory = psutil.virtual_memory()
        try:
            space = psutil.disk_usage(os.fspath(disk))
            disk_total, disk_free = space.total, space.free
        except OSError:
            disk_total = disk_free = 0
        return MachineGauge(
            cpu=min(100.0, max(0.0, cpu)),
            cores=psutil.cpu_count() or 1,
            memory_total=memory.total,
            memory_free=memory.available,
            disk_total=disk_total,
            disk_free=disk_free,
        )


class Gpus:
    """NVIDIA's GPUs through NVML: loaded at the first question; without library, driver or GPU there are none.

    The first question takes up to a second, a sick driver longer: ask in a thread.
    """

    def __init__(self) -> None:
        self._nvml: Any = None
        self._not_before = 0.0
        self._lock = threading.Lock()

    def read(self) -> tuple[GpuGauge, ...]:
        """All GPUs, as they are now. Never raises."""
        with self._lock:
            if time.monotonic() < self._not_before:
                return ()
            try:
                return self._read()
            except Exception as error:  # NVML's errors are classes made at run time, and its library can be anything
                log.info("no GPU figures: %s", error)
                self._nvml = None
                self._not_before = time.monotonic() + AGAIN
                return ()

    def busy(self, pids: Collection[int]) -> float:
        """Per cent that the busiest GPU is at which any of these processes computes on; 0 where none does."""
        wanted = set(pids)
        return max((gpu.busy for gpu in self.read() if wanted.intersection(gpu.pids)), default=0.0)

    def _read(self) -> tuple[GpuGauge, ...]:
        if self._nvml is None:
            if "pynvml" not in sys.modules and not _has_driver():
                raise LookupError("no device of NVIDIA's")  # before the import, which takes 10 ms
            nvml: Any = importlib.import_module("pynvml")
            nvml.nvmlInit()
            self._nvml = nvml
        return tuple(self._gauge(index) for index in range(self._nvml.nvmlDeviceGetCount()))

    def _gauge(self, index: int) -> GpuGauge:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = nvml.nvmlDeviceGetName(handle)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return GpuGauge(
            index=index,
            name=name.decode(errors="replace") if isinstance(name, bytes) else str(name),
            busy=float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            memory_total=int(memory.total),
            memory_used=int(memory.used),
            pids=tuple(int(each.pid) for each in running),
            held=tuple(int(each.usedGpuMemory or 0) for each in running),
        )


def _has_driver() -> bool:
    """Whether there can be a GPU that NVML knows. Its device files may come only with NVML's first question."""
    return not LINUX or any(place.exists() for place in DRIVERS) or any(Path("/dev").glob("nvidia*"))
