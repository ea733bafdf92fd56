"""What a worker may use: averages over a window against ceilings, and several violations before it is stopped. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from aura_engine.guard.gauges import GpuGauge, MachineGauge, WorkerGauge

GB = 1e9
MEMORY, GPU_MEMORY = "AURA_WORKER_MIN_SYSTEM_MEMORY_FREE_GB", "AURA_WORKER_MIN_GPU_MEMORY_FREE_GB"
"""The settings of the reserves."""


class Use(NamedTuple):
    """What one worker's processes use at one moment, or on average."""

    cpu: float = 0.0
    """Per cent of all cores."""
    memory_share: float = 0.0
    """Per cent of the machine's memory."""
    memory_gb: float = 0.0
    gpu: float = 0.0
    """Per cent of the time of the busiest GPU that it alone computes on."""
    gpu_memory_share: float = 0.0
    """Per cent of the memory of the GPU that it fills most."""
    gpu_memory_gb: float = 0.0
    """On all GPUs."""


class _Measure(NamedTuple):
    """What is limited: how a number of it is said, and whether it is a GPU's."""

    unit: str
    gpu: bool = False


MEASURES = {
    "cpu": _Measure(" % of the processors' time"),
    "memory_share": _Measure(" % of the memory"),
    "memory_gb": _Measure(" GB of memory"),
    "gpu": _Measure(" % of a GPU's time", gpu=True),
    "gpu_memory_share": _Measure(" % of a GPU's memory", gpu=True),
    "gpu_memory_gb": _Measure(" GB of GPU memory", gpu=True),
}


@dataclass(frozen=True)
class Ceilings:
    """The most of each of MEASURES; 0 = no limit. Per cent, and gigabytes (10⁹ bytes)."""

    cpu: float = 0.0
    memory_share: float = 0.0
    memory_gb: float = 0.0
    gpu: float = 0.0
    gpu_memory_share: float = 0.0
    gpu_memory_gb: float = 0.0

    def over(self, use: Use) -> str:
        """What of `use` is over a ceiling, in words that go on from “it used …”; empty when nothing is."""
        over: list[str] = []
        for name, measure in MEASURES.items():
            most, used = getattr(self, name), getattr(use, name)
            if 0 < most < used:
                over.append(f"{_number(used)}{measure.unit} ({_number(most)} allowed)")
        return " and ".join(over)

    def told(self, *, gpus: bool) -> str:
        """The limits as a worker is told them; empty when there are none. `gpus`: there are any."""
        limits = [
            f"{_number(getattr(self, name))}{measure.unit}"
            for name, measure in MEASURES.items()
            if getattr(self, name) > 0 and (gpus or not measure.gpu)
        ]
        return ", ".join(limits)


@dataclass(frozen=True)
class Reserves:
    """What has to be free before a worker starts, in gigabytes (10⁹ bytes); 0 = nothing."""

    memory_gb: float = 0.0
    gpu_memory_gb: float = 0.0

    def short(self, memory_free: float, gpus: Sequence[GpuGauge], visible: Collection[int] | None = None) -> str:
        """What is not free, as a sentence's start; empty when all is.

        Of the GPUs (those of the indices `visible`, else all) one with room is enough. Where there is no GPU, none is
        waited for.
        """
        if self.memory_gb > 0 and memory_free < self.memory_gb * GB:
            return f"only {_number(memory_free / GB)} GB of memory are free, {_wanted(self.memory_gb, MEMORY)}"
        asked = [gpu for gpu in gpus if visible is None or gpu.index in visible]
        free = max((gpu.memory_total - gpu.memory_used for gpu in asked), default=None)
        if self.gpu_memory_gb > 0 and free is not None and free < self.gpu_memory_gb * GB:
            return f"only {_number(free / GB)} GB of GPU memory are free, {_wanted(self.gpu_memory_gb, GPU_MEMORY)}"
        return ""


def _wanted(amount: float, setting: str) -> str:
    return f"{_number(amount)} are to be ({setting})"


class Strikes:
    """One worker over time: its samples within the window, and violations in a row."""

    def __init__(self, ceilings: Ceilings, window: float, most: int) -> None:
        """`window` in seconds; the `most`-th violation in a row counts."""
        self._ceilings = ceilings
        self._window = window
        self._most = most
        self._samples: deque[tuple[float, Use]] = deque()
        self._since: float | None = None
        self.count = 0

    def add(self, at: float, use: Use) -> str:
        """Take in a sample of the moment `at` (monotonic seconds); why it has to be stopped, empty while it need not.

        Nothing counts before a whole window has been seen: a build may be busy for a while.
        """
        self._since = at if self._since is None else self._since
        self._samples.append((at, use))
        while self._samples[0][0] < at - self._window:
            self._samples.popleft()
        over = self._ceilings.over(self.average()) if at - self._since >= self._window else ""
        self.count = self.count + 1 if over else 0
        return f"it used {over} on average" if self.count >= self._most else ""

    def average(self) -> Use:
        """Over the samples within the window."""
        count = len(self._samples)
        return Use(*(sum(values) / count for values in zip(*(use for _, use in self._samples), strict=True)))


def use_of(
    worker: WorkerGauge,
    machine: MachineGauge,
    pids: Collection[int],
    gpus: Sequence[GpuGauge],
) -> Use:
    """What a worker with these processes uses."""
    own = set(pids)
    on = [gpu for gpu in gpus if own.intersection(gpu.pids)]
    filled = {gpu.index: sum(held for pid, held in zip(gpu.pids, gpu.held, strict=True) if pid in own) for gpu in on}
    # A GPU's time is told for the whole GPU: it is this worker's where nobody else computes on it.
    busy = max((gpu.busy for gpu in on if own.issuperset(gpu.pids)), default=0.0)
    return Use(
        cpu=worker.cpu / machine.cores,
        memory_share=100.0 * worker.rss / max(machine.memory_total, 1),
        memory_gb=worker.rss / GB,
        gpu=busy,
        gpu_memory_gb=sum(filled.values()) / GB,
        gpu_memory_share=max((100.0 * filled[gpu.index] / max(gpu.memory_total, 1) for gpu in on), default=0.0),
    )


def is_set(limits: Ceilings | Reserves) -> bool:
    """Whether any of them is."""
    return any(getattr(limits, each.name) > 0 for each in fields(limits))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
