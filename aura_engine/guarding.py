"""The guard on what workers use: samples, averages, strikes, then a stop; and reserves that are free before a start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aura_engine.clock import steady, until_beat
from aura_engine.config.machine_settings import GuardSettings
from aura_engine.core.events import Notice
from aura_engine.core.events_survival import MemoryHeld
from aura_engine.core.model import EndKind
from aura_engine.guard.gauges import Gpus, MachineGauge, MachineMeter, WorkerMeter
from aura_engine.guard.limits import Ceilings, Reserves, Strikes, Use, is_set, use_of
from aura_engine.recorder import Recorder
from aura_engine.watching import Watch

QUICK = 2.0
"""Seconds between two looks at a reserve that is not there: a start waits for it."""


class Workers(Protocol):
    """The workers that run (see Supervisor)."""

    @property
    def watched(self) -> Mapping[str, Watch]:
        """By task."""
        ...

    def halt(self, task_id: str, kind: EndKind, why: str) -> object:
        """Stop a task's worker."""
        ...


@dataclass
class _Guarded:
    """One worker under guard."""

    watch: Watch
    meter: WorkerMeter
    strikes: Strikes


class Guarding:
    """Holds the workers that run to the ceilings, and the next starts to the reserves."""

    def __init__(self, recorder: Recorder, settings: GuardSettings, workers: Workers, gpus: Gpus | None = None) -> None:
        self._recorder = recorder
        self._settings = settings
        self._ceilings = ceilings_in(settings)
        self._reserves = Reserves(settings.worker_min_system_memory_free_gb, settings.worker_min_gpu_memory_free_gb)
        self._workers = workers
        self._gpus = gpus or Gpus()
        self._machine = MachineMeter()
        self._size: MachineGauge | None = None
        """At the first look: how much there is of cores and memory."""
        self._guarded: dict[str, _Guarded] = {}
        self._looked = False
        """At the reserves: what this engine found wanting is said, though the one before it may have said so too."""

    async def run(self) -> None:
        """Look again and again, for as long as anything is to be held; cancel it at the end."""
        settings = self._settings
        limits = settings.worker_resource_guard and is_set(self._ceilings)
        if not is_set(self._reserves):
            self._say("")  # whoever was held by one at the last start may have taken it back since
            if not limits:
                return
        due = 0.0
        while True:
            if is_set(self._reserves):
                await self._look_at_reserves()
            if limits and steady() >= due:
                due = steady() + until_beat(settings.worker_resource_poll_seconds)
                await self._look_at_workers()
            pause = due - steady() if limits else settings.worker_resource_poll_seconds
            await asyncio.sleep(max(0.05, min(pause, QUICK) if self._recorder.state.memory_short else pause))

    async def _look_at_reserves(self) -> None:
        short = await asyncio.to_thread(self._short)
        if bool(short) != bool(self._recorder.state.memory_short) or (short and not self._looked):
            self._say(short)
        self._looked = True

    def _say(self, short: str) -> None:
        if short or self._recorder.state.memory_short:
            self._recorder.record(MemoryHeld(text=short))

    def _short(self) -> str:
        free = self._machine.read(Path("/")).memory_free
        gpus = self._gpus.read() if self._reserves.gpu_memory_gb else ()
        return self._reserves.short(free, gpus, indices_in(self._settings.worker_cuda_visible_devices))

    async def _look_at_workers(self) -> None:
        watched = {task: watch for task, watch in self._workers.watched.items() if not watch.frozen}
        known = self._guarded
        self._guarded = {task: self._guard(known.get(task), watch) for task, watch in watched.items()}
        if not watched:
            return
        uses = await asyncio.to_thread(self._uses)
        for task, use in uses.items():
            why = self._guarded[task].strikes.add(steady(), use)
            if why:
                self._recorder.record(Notice(text=f"{task}: {why}; it is stopped", level="warning"))
                self._workers.halt(task, EndKind.OVER_LIMIT, why)

    def _guard(self, known: _Guarded | None, watch: Watch) -> _Guarded:
        if known is not None and known.watch is watch:
            return known
        window = self._settings.worker_resource_avg_window_seconds
        strikes = Strikes(self._ceilings, window, self._settings.worker_resource_violation_strikes)
        return _Guarded(watch, WorkerMeter(), strikes)

    def _uses(self) -> dict[str, Use]:
        self._size = machine = self._size or self._machine.read(Path("/"))
        gpus = self._gpus.read()
        found: dict[str, Use] = {}
        for task, guarded in self._guarded.items():
            processes = guarded.watch.tree.usage()
            pids = [process.pid for process in processes]
            found[task] = use_of(guarded.meter.read(processes, guarded.watch.tree.container()), machine, pids, gpus)
        return found


def ceilings_in(settings: GuardSettings) -> Ceilings:
    """The ceilings that are set."""
    return Ceilings(
        cpu=settings.worker_max_cpu_percent,
        memory_share=settings.worker_max_system_memory_percent,
        memory_gb=settings.worker_max_system_memory_gb,
        gpu=settings.worker_max_gpu_util_percent,
        gpu_memory_share=settings.worker_max_gpu_memory_percent,
        gpu_memory_gb=settings.worker_max_gpu_memory_gb,
    )


def limits_told(settings: GuardSettings) -> str:
    """The ceilings in words for a worker; empty when there are none or nobody watches."""
    gpus = bool(settings.worker_cuda_visible_devices) or any(Path("/dev").glob("nvidia[0-9]*"))
    return ceilings_in(settings).told(gpus=gpus) if settings.worker_resource_guard else ""


def indices_in(visible: str) -> set[int] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES names by index; None for all (nothing set, or named in another way)."""
    words = [word.strip() for word in visible.split(",") if word.strip()]
    return {int(word) for word in words} if words and all(word.isdigit() for word in words) else None


def gpu_env(settings: GuardSettings) -> dict[str, str]:
    """What every worker's environment says about GPUs: which, and to take no more of their memory than is needed."""
    named = {"CUDA_VISIBLE_DEVICES": settings.worker_cuda_visible_devices.strip()}
    frugal = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return {**{name: value for name, value in named.items() if value}, **frugal}
