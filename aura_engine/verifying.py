"""Running checks for the engine: clean checkouts made from the store, verdicts remembered by tree.

A checkout is used for a second check only while nothing in it changed since it was made (size, inode, and the time of
change that no program can set), so that no command can prepare the ground for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aura_engine.core.model import Check, Counts, Phase, Receipt, Verdict
from aura_engine.preparing import Preparation
from aura_engine.verify.frozen import frozen_hash
from aura_engine.verify.judge import Judge
from aura_engine.verify.manifests import is_manifest
from aura_engine.verify.patterns import is_deciding
from aura_engine.verify.run import Bench, run_check
from aura_engine.workspace.checkout import checkout, discard
from aura_engine.workspace.files import Fingerprint, fingerprint
from aura_engine.workspace.store import GitStore

CACHED = 4096


class Room:
    """A clean checkout of one tree."""

    def __init__(self, verifier: Verifier, tree: str) -> None:
        self._verifier = verifier
        self._tree = tree
        self._folder: Path | None = None
        self._print: Fingerprint | None = None

    async def folder(self) -> Path:
        """The checkout, made anew when a check left its mark in it."""
        if self._folder is not None and self._print is not None:
            with contextlib.suppress(OSError):  # what cannot be looked at any more has changed
                if await asyncio.to_thread(fingerprint, self._folder) == self._print:
                    return self._folder
            await self.close()
        self._folder = await self._verifier.make_checkout(self._tree)
        self._print = await asyncio.to_thread(fingerprint, self._folder)
        return self._folder

    async def close(self) -> None:
        """Remove the checkout."""
        folder, self._folder, self._print = self._folder, None, None
        if folder is not None:
            await self._verifier.discard(folder)


class Verifier:
    """Runs checks on trees of the store."""

    def __init__(
        self,
        store: GitStore,
        folder: Path,
        preparation: Preparation,
        *,
        env: Mapping[str, str],
        judge: Judge | None,
    ) -> None:
        self._store = store
        self._root = folder
        self._preparation = preparation
        scratch = folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._bench = Bench(scratch=scratch, env=env, judge=judge)
        self._numbers = itertools.count(1)
        self._frozen = ("", "")
        """Of the tree asked about last: all its checks have the same."""
        self._receipts: OrderedDict[tuple[str, str, str], Receipt] = OrderedDict()
        self.counts: dict[str, Counts] = {}
        """By check hash: what its runner counted on the last landed tree."""

    @asynccontextmanager
    async def room(self, tree: str) -> AsyncGenerator[Room]:
        """A place to run checks on a tree; nothing is made before the first check that needs it."""
        room = Room(self, tree)
        try:
            yield room
        finally:
            await asyncio.shield(room.close())

    async def make_checkout(self, tree: str) -> Path:
        """A fresh folder with the tree's files and the prepared ones."""
        folder = self._root / f"tree-{os.getpid()}-{next(self._numbers)}"
        await checkout(self._store, tree, folder)
        await self._preparation.furnish(tree, folder)
        return folder

    async def discard(self, folder: Path) -> None:
        """Remove a checkout."""
        await discard(self._store, folder)

    async def run(
        self,
        check: Check,
        tree: str,
        room: Room,
        phase: Phase,
        *,
        before: Counts | None = None,
        fresh: bool = False,
    ) -> Receipt:
        """Run a check on a tree, or give the remembered receipt (`cached`) unless `fresh`."""
        key = (check.hash, tree, self._preparation.key)
        known = None if fresh else self._receipts.get(key)
        if known is not None:
            update = {"check": check.name, "phase": phase, "hidden": check.hidden, "cached": True}
            return known.model_copy(update=update)
        receipt = await run_check(
            check,
            await room.folder(),
            self._bench,
            tree=tree,
            phase=phase,
            frozen_hash=await self._frozen_hash(tree),
            counts_before=before,
        )
        if receipt.verdict is not Verdict.ERROR:
            self._receipts[key] = receipt
            while len(self._receipts) > CACHED:
                self._receipts.popitem(last=False)
        return receipt

    async def _frozen_hash(self, tree: str) -> str:
        if self._frozen[0] != tree:
            entries = await self._store.entries(tree)
            deciding = {path: entry for path, entry in entries.items() if is_deciding(path) or is_manifest(path)}
            self._frozen = (tree, frozen_hash(deciding))
        return self._frozen[1]
