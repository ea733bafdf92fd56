"""The vault: work that did not land stays for a while, and a whole run that is begun afresh is moved aside first."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from aura_engine.config.settings import Settings
from aura_engine.core.events import Notice, VaultTrimmed, decode
from aura_engine.core.state import RunState
from aura_engine.core.vault import KINDS, Kept, kept, needed, overdue
from aura_engine.errors import AuraError
from aura_engine.journal.store import Journal
from aura_engine.paths import RunPaths, private_dir, vault_dir
from aura_engine.recorder import Recorder
from aura_engine.removal import remove_tree
from aura_engine.workspace.store import GitStore
from aura_engine.workspace.vault import hold, let_go, measure, rooted, taken

log = logging.getLogger(__name__)

DAY = 86_400.0


class Vault:
    """The work of one run's attempts that did not land."""

    def __init__(self, recorder: Recorder, store: GitStore, settings: Settings) -> None:
        self._recorder = recorder
        self._store = store
        self._settings = settings

    async def trim(self) -> None:
        """Let go of what is overdue. At a start, while nobody else uses the store. Never raises."""
        try:
            found = await asyncio.to_thread(kept_in, self._recorder.journal)
            gone, reason = await self._overdue(found)
            if not gone:
                return
            event = VaultTrimmed(snapshots=tuple(one.snapshot for one in gone), reason=reason)
            await self._recorder.record(event)
            rest = [one for one in found if one not in gone]
            free = await self._store.run(let_go, self._store, _roots(self._recorder.state, rest))
            text = (
                f"work of {len(gone)} attempts that did not land was let go ({reason}): {free / 1e6:.0f} MB came free"
            )
            self._recorder.record(Notice(text=text))
        except (AuraError, OSError) as error:
            log.warning("the vault could not be trimmed: %s", error)

    async def hold(self) -> None:
        """Hold everything by refs. At an end. Never raises."""
        try:
            found = await asyncio.to_thread(kept_in, self._recorder.journal)
            await self._store.run(hold, self._store, _roots(self._recorder.state, found))
        except (AuraError, OSError) as error:
            log.warning("the vault's refs could not be written: %s", error)

    async def _overdue(self, found: list[Kept]) -> tuple[list[Kept], str]:
        store, settings = self._store, self._settings
        limit = int(settings.vault_gb * 1e9)
        sizes: dict[str, int] = {}
        if limit and await store.run(taken, store.path) > limit:
            extents = await store.run(measure, store, [(one.snapshot, one.base) for one in found if one.snapshot])
            sizes = {snapshot: extent.size for snapshot, extent in extents.items()}
        before = self._recorder.clock.wall() - settings.vault_days * DAY if settings.vault_days else 0.0
        old, much = overdue(found, needed(self._recorder.state), sizes, before=before, limit=limit)
        why = [f"older than {settings.vault_days:g} days"] if old else []
        why += [f"more than {settings.vault_gb:g} GB"] if much else []
        return [*old, *much], " or ".join(why)


def kept_in(journal: Journal) -> list[Kept]:
    """What the journal says is kept, the oldest first. Blocks; JournalError."""

    def events() -> Iterator[tuple[object, float]]:
        for entry in journal.read():
            if entry.kind in KINDS:
                yield decode(entry.kind, entry.payload), entry.time

    return kept(events())


def _roots(state: RunState, found: list[Kept]) -> dict[str, str]:
    """Everything that the run goes on from, and what is kept beside it."""
    trees = {state.head, state.head_tree, state.base_tree, state.delivered_tree, state.delivering_tree}
    attempts = [attempt for task in state.leaves() for attempt in task.attempts]
    return rooted(trees | {a.base for a in attempts} | {one.snapshot for one in found})


def set_aside(paths: RunPaths, wall: float) -> Path:
    """Move a run's data into the vault, with its lock held and no worker alive; where it lies now. Blocks; OSError.

    Its folders of work are removed: what was in them is in its store, or in `kept`, which goes along.
    """
    vault = vault_dir(paths.run.parent)
    private_dir(vault)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall))
    place = vault / f"{paths.run.name}-{stamp}"
    number = 1
    while place.exists():
        number += 1
        place = vault / f"{paths.run.name}-{stamp}-{number}"
    if paths.kept.is_dir():
        shutil.move(paths.kept, paths.run / paths.kept.name)
    paths.run.rename(place)
    remove_tree(paths.scratch)
    return place
