"""What the machine and its workers use right now, looked at only while somebody wants to see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aura_engine.control.link import Gpu, Live, Machine
from aura_engine.core.redaction import Redactor
from aura_engine.guard.gauges import Gpus, MachineMeter, WorkerGauge, WorkerMeter
from aura_engine.watching import Watch

EVERY = 1.0
"""Seconds between two looks."""
WANTED = 5.0
"""Seconds that figures are kept fresh after somebody last looked at them."""


class Sampling:
    """`watched` gives the workers that run, by attempt; `disk` is the folder whose disk counts.

    What workers say goes through `redactor`.
    """

    def __init__(self, disk: Path, watched: Callable[[], Mapping[str, Watch]], redactor: Redactor) -> None:
        self._disk = disk
        self._watched = watched
        self._redactor = redactor
        self._machine: Machine | None = None
        self._workers: dict[str, WorkerGauge] = {}
        self._meters: dict[str, WorkerMeter] = {}
        self._meter = MachineMeter()
        self._gpus = Gpus()
        self._asked = -WANTED
        self._wanted = asyncio.Event()

    def machine(self) -> Machine | None:
        """The latest sample; None before the first."""
        self._asked = time.monotonic()
        self._wanted.set()
        return self._machine

    def live(self) -> dict[str, Live]:
        """What each worker does and uses, by attempt."""
        found: dict[str, Live] = {}
        for name, watch in self._watched().items():
            seen, used = watch.seen, self._workers.get(name)
            found[name] = Live(
                step=self._redactor(watch.step),
                tokens=seen.usage.tokens,
                cost=seen.usage.cost,
                turns=seen.turns,
                cpu=used.cpu if used else 0.0,
                rss=used.rss if used else 0,
            )
        return found

    async def run(self) -> None:
        """Sample for as long as it is wanted; cancel it at the end."""
        while True:
            if time.monotonic() - self._asked > WANTED:
                self._wanted.clear()
                await self._wanted.wait()
            watched = dict(self._watched())
            self._machine, self._workers = await asyncio.to_thread(self._look, watched)
            await asyncio.sleep(EVERY)

    def _look(self, watched: Mapping[str, Watch]) -> tuple[Machine, dict[str, WorkerGauge]]:
        self._meters = {name: self._meters.get(name) or WorkerMeter() for name in watched}
        workers = {
            name: self._meters[name].read(watch.tree.usage(), watch.tree.container()) for name, watch in watched.items()
        }
        seen = self._meter.read(self._disk)
        gpus = tuple(Gpu(gpu.name, gpu.busy, gpu.memory_used, gpu.memory_total) for gpu in self._gpus.read())
        used = seen.memory_total - seen.memory_free
        return Machine(seen.cpu, used, seen.memory_total, seen.disk_free, gpus), workers
