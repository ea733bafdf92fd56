"""What the kernel counts for one container: its control group, of the first or the second version."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def memory_group(pid: int, root: Path = ROOT, proc: Path = Path("/proc")) -> Path | None:
    """The control group that counts the memory of a process; None where that is not told, or is the whole machine's."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    groups = {tuple(kinds.split(",")): path for _, kinds, path in (line.split(":", 2) for line in lines)}
    for kinds, path in groups.items():
        if "memory" in kinds and path != "/":
            return root / "memory" / path.lstrip("/")
    path = groups.get(("",), "/")  # the second version has one group for all
    found = root / path.lstrip("/")
    return found if path != "/" and (found / "memory.events").exists() else None


def memory_kills(group: Path) -> int | None:
    """How often something in the group was killed for want of memory; None where the group is gone."""
    for name in ("memory.events", "memory.oom_control"):
        try:
            lines = (group / name).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, count = line.partition(" ")
            if key == "oom_kill":
                return int(count)
    return None
