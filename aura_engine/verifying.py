"""Running checks for the engine: clean checkouts made from the store, verdicts remembered by tree.

Before each check its checkout is made exact again (see workspace/clean.py), so that no command can prepare the ground
for the next one.
"""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aura_engine.checkouts import Checkouts, Furnished
from aura_engine.core.model import Check, Counts, Phase, Receipt, Verdict
from aura_engine.preparing import Preparation
from aura_engine.verify.frozen import frozen_hash
from aura_engine.verify.judge import Judge
from aura_engine.verify.manifests import is_manifest
from aura_engine.verify.patterns import is_deciding
from aura_engine.verify.run import Bench, run_check
from aura_engine.verify.runner import Runner, run_here
from aura_engine.workspace.objects import Entry
from aura_engine.workspace.store import GitStore

CACHED = 4096
HASHED = 64
"""Trees of which the hash of the deciding files is kept."""
MANY = 10_000
"""Files from which on a thread goes through them: the loop would stand still for milliseconds."""
KEPT = 2
"""Checkouts that wait for the next use: landing needs one of an attempt's base and one of the merged tree."""


class Room:
    """A clean checkout of one tree."""

    def __init__(self, verifier: Verifier, tree: str) -> None:
        self._verifier = verifier
        self._tree = tree
        self.checkout: Furnished | None = None

    async def folder(self) -> Path:
        """The checkout, exact: what the check before did to it is undone."""
        worn, self.checkout = self.checkout, None
        self.checkout = await self._verifier.checkout(self._tree, worn)
        return self.checkout.checkout.folder


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
        runner: Runner = run_here,
    ) -> None:
        self._store = store
        self._root = folder
        self._preparation = preparation
        scratch = folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._bench = Bench(scratch=scratch, env=env, judge=judge, runner=runner)
        self._numbers = itertools.count(1)
        self._checkouts = Checkouts(store, preparation, kept=KEPT)
        self._frozen: OrderedDict[str, str] = OrderedDict()
        """By tree: all its checks have the same, and what lands is the base of later work."""
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
            if room.checkout is not None:
                await self._checkouts.give_back(room.checkout)

    async def checkout(self, tree: str, worn: Furnished | None) -> Furnished:
        """A clean checkout, if possible made from one that a check has just used."""
        folder = self._root / f"tree-{os.getpid()}-{next(self._numbers)}"
        return await self._checkouts.get(tree, folder, worn=worn)

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
        known = self._frozen.get(tree)
        if known is None:
            entries = await self._store.entries(tree)
            known = _hash_of(entries) if len(entries) < MANY else await self._store.run(_hash_of, entries)
            self._frozen[tree] = known
            if len(self._frozen) > HASHED:
                self._frozen.popitem(last=False)
        return known


def _hash_of(entries: Mapping[str, Entry]) -> str:
    return frozen_hash({path: entry for path, entry in entries.items() if is_deciding(path) or is_manifest(path)})
