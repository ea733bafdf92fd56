"""How much room a run has on its disks: what it takes, what is free, and when nothing more should be started."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ALARM = 0.8
"""Share of the quota at which the person is told."""
BACK = 0.95
"""Share of the quota below which work goes on after it was reached."""
RESERVE_SHARE, RESERVE_MOST, RESERVE_LEAST = 0.02, 2_000_000_000, 32_000_000
"""Of a disk kept free for everything else on it: a share, at most and at least so many bytes."""
DU_LIMIT = 300.0
"""Seconds that adding up a run's folders may take."""


@dataclass(frozen=True)
class Disk:
    """One disk that a run writes to. Bytes."""

    place: Path
    free: int
    total: int

    @property
    def reserve(self) -> int:
        """What stays free; on a small disk (a tmpfs of a container) an eighth of it."""
        return min(RESERVE_MOST, max(int(self.total * RESERVE_SHARE), min(RESERVE_LEAST, self.total // 8)))


@dataclass(frozen=True)
class Room:
    """What a look found."""

    disks: tuple[Disk, ...]
    used: int
    """Bytes of the run's own folders, as of the last time that they were added up."""
    quota: int
    """Bytes that they may take; 0: what the disks have."""

    def full(self, *, held: bool) -> str:
        """What is full, in words; "" while there is room. `held`: it was full at the last look."""
        for disk in self.disks:
            if disk.free < disk.reserve * (1.5 if held else 1.0):
                return f"{amount(disk.free)} are left on the disk of {disk.place}"
        if self.quota and self.used > self.quota * (BACK if held else 1.0):
            return f"the run takes {amount(self.used)}, its quota is {amount(self.quota)} (AURA_DISK_QUOTA_GB)"
        return ""

    @property
    def left(self) -> int:
        """Bytes that may still be written anywhere."""
        quota = [self.quota - self.used] if self.quota else []
        return max(0, min([*quota, *(disk.free - disk.reserve for disk in self.disks)], default=0))

    @property
    def at_quota(self) -> bool:
        """Were work held for its quota, it would not go on yet."""
        return bool(self.quota) and self.used > self.quota * BACK

    def alarm(self) -> str:
        """What will soon be full, in words."""
        for disk in self.disks:
            if disk.free < 2 * disk.reserve:
                return f"{amount(disk.free)} of {amount(disk.total)} are left on the disk of {disk.place}"
        if self.quota and self.used > self.quota * ALARM:
            return f"the run takes {amount(self.used)} of the {amount(self.quota)} that it may"
        return ""


def disks(places: Sequence[Path]) -> tuple[Disk, ...]:
    """The disks that these folders lie on, each once. OSError. Takes microseconds."""
    found: dict[int, Disk] = {}
    for place in places:
        device = place.stat().st_dev
        if device not in found:
            usage = shutil.disk_usage(place)
            found[device] = Disk(place, usage.free, usage.total)
    return tuple(found.values())


def taken(places: Sequence[Path]) -> int:
    """Bytes on the disk below these folders. Blocks for as long as that takes, without our CPU."""
    there = [str(place) for place in places if place.exists()]
    if not there:
        return 0
    try:
        done = subprocess.run(
            ["du", "-skc", "--", *there],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=DU_LIMIT,
            check=False,
        )
        return int(done.stdout.split(b"\n")[-2].split()[0]) * 1024
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return 0


def amount(size: int) -> str:
    """Bytes for reading: `1.5 GB`."""
    for unit, bytes_ in (("GB", 1_000_000_000), ("MB", 1_000_000)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size / 1000:.0f} kB"
