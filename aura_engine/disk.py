"""The disk governor: at the limit nothing new starts, and work goes on by itself when there is room again."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from aura_engine.clock import until_beat
from aura_engine.config.settings import Settings
from aura_engine.core.events import DiskHeld, Notice
from aura_engine.core.model import EndKind
from aura_engine.errors import AuraError, DiskFull
from aura_engine.guard.room import Room, amount, disks, taken
from aura_engine.paths import RunPaths
from aura_engine.recorder import Recorder
from aura_engine.supervisor import Supervisor

log = logging.getLogger(__name__)

OFTEN, AT_EASE = 2.0, 6.0
"""Seconds between two looks at what is free: when it could be taken soon, and at most."""
FILLS = 2_000_000_000
"""Bytes a second that nobody here will write for long."""
SELDOM = 60.0
"""Seconds between two times that the run's folders are added up, at least; and 20 times as long as that took."""
MB = 1_000_000


class DiskGovernor:
    """Watches a run's disks and the output of its workers. `wake` is called when there is room again."""

    def __init__(
        self,
        recorder: Recorder,
        paths: RunPaths,
        supervisor: Supervisor,
        settings: Settings,
        wake: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._paths = paths
        self._supervisor = supervisor
        self._quota = int(settings.disk_quota_gb * 1e9)
        self._log_limit = int(settings.worker_log_mb * MB)
        self._wake = wake
        self._used = 0
        self._due = 0.0
        self._alarmed = False
        self._looked = self._idle = False
        self.final = False
        """The quota is reached and nothing of the run goes on: by itself nothing will come free."""
        self._journal_waits = ""

    @property
    def held(self) -> bool:
        """Nothing new is to be started."""
        return bool(self._recorder.state.disk_full or self._journal_waits)

    def trouble(self, error: AuraError | None) -> None:
        """What the journal said of its disk; None: that is over."""
        self._journal_waits = str(error) if isinstance(error, DiskFull) else ""
        if self._journal_waits and self._journal_waits != self._recorder.state.disk_full:
            self._say(self._journal_waits)  # written with what the journal keeps in reserve

    async def run(self) -> None:
        """Look for ever; cancelled at the end."""
        while True:
            room = await self._look()
            await self._check_outputs()
            await asyncio.sleep(until_beat(OFTEN if room < AT_EASE * FILLS else AT_EASE))

    async def _look(self) -> int:
        """Bytes that may still be written before something is full."""
        folders = [self._paths.run, self._paths.scratch]
        now = time.monotonic()
        state = self._recorder.state
        was_idle, self._idle = self._idle, not (state.busy or state.verifying)
        if self._quota and (now >= self._due or (self._idle and not was_idle)):
            self._used = await asyncio.to_thread(taken, folders)
            self._due = time.monotonic() + max(OFTEN, min(SELDOM, 20 * (time.monotonic() - now)))
        room = Room(disks([folder for folder in folders if folder.exists()]), self._used, self._quota)
        full = room.full(held=bool(state.disk_full)) or self._journal_waits
        if bool(full) != bool(state.disk_full) or (full and not self._looked):  # the next engine says it again
            self._say(full)
        self._looked = True
        self.final = bool(full) and was_idle and self._idle and room.at_quota
        if self.final:
            self._wake()
        alarm = room.alarm()
        if alarm and not self._alarmed and not full:
            self._recorder.record(Notice(text=f"the disk is filling up: {alarm}", level="warning"))
        self._alarmed = bool(alarm)
        return 0 if full else room.left

    def _say(self, full: str) -> None:
        if full or self._recorder.state.disk_full:
            self._recorder.record(DiskHeld(text=full))
        self._looked = True
        self._wake()

    async def _check_outputs(self) -> None:
        """A worker that floods its output must not take the disk from all others."""
        if not self._log_limit:
            return
        for task_id, watch in list(self._supervisor.watched.items()):
            size = _size(watch.folder)
            if size > self._log_limit:
                why = f"wrote {amount(size)} of output; AURA_WORKER_LOG_MB allows {amount(self._log_limit)}"
                self._supervisor.halt(task_id, EndKind.LOOPING, why)


def _size(folder: str) -> int:
    """Bytes of what a worker has printed."""
    total = 0
    for name in ("output.jsonl", "error.log"):
        try:
            total += os.lstat(f"{folder}/{name}").st_size  # no Path: this is asked all the time
        except OSError:
            continue
    return total
