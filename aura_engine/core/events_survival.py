"""Facts about what is kept of work that did not land, and about the room that there is for more. See events.py."""

from __future__ import annotations

from typing import Literal

from aura_engine.core.model import Frozen


class WorkspaceKept(Frozen):
    """What was in a worker's folder before something that might have lost it."""

    kind: Literal["workspace_kept"] = "workspace_kept"
    task: str
    n: int
    why: str
    """What it was kept before, as `killed: stopped by you`."""
    snapshot: str = ""
    """Commit of it."""
    folder: str = ""
    """Where the folder itself was put, since no snapshot could be taken."""


class VaultTrimmed(Frozen):
    """Work that did not land was let go: too old, or too much of it."""

    kind: Literal["vault_trimmed"] = "vault_trimmed"
    snapshots: tuple[str, ...]
    reason: str


class MemoryHeld(Frozen):
    """Nothing new is started since the reserve of memory is not free; or, with an empty text, it is again."""

    kind: Literal["memory_held"] = "memory_held"
    text: str = ""
    """How much is free, in words."""


class DiskHeld(Frozen):
    """Nothing new is started since there is no room on the disk; or, with an empty text, it is again."""

    kind: Literal["disk_held"] = "disk_held"
    text: str = ""
    """What is full, in words."""
