"""Folders that hold exactly a tree's files and the prepared ones, used again: see workspace/clean.py."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from aura_engine.preparing import Preparation
from aura_engine.workspace.checkout import discard
from aura_engine.workspace.clean import CleanCheckout
from aura_engine.workspace.store import GitStore

IDLE_BYTES = 512 * 1024 * 1024
"""Bytes that folders without work may take, beside the first."""


@dataclass(frozen=True)
class Furnished:
    """A checkout and what stands for the prepared files in it."""

    checkout: CleanCheckout
    prepared: str


class Checkouts:
    """Gives out furnished checkouts; those given back serve again."""

    def __init__(
        self,
        store: GitStore,
        preparation: Preparation,
        *,
        kept: int,
        skip: Collection[str] = frozenset(),
        newest: bool = False,
    ) -> None:
        self._store = store
        self._preparation = preparation
        self._kept = kept
        """How many wait for their next use at most."""
        self._skip = skip
        self._newest = newest
        """Whether the one given back last is used next: where all trees are of the same line, it is the nearest."""
        self._idle: list[Furnished] = []
        self._numbers = itertools.count(1)

    async def get(self, tree: str, folder: Path, *, like: str = "", worn: Furnished | None = None) -> Furnished:
        """The tree in `folder`, which must be free, with what is prepared from tree `like` (else the same).

        `worn`: to be used for it, before any that waits. GitError, RuntimeFault (a `prepare` that fails).
        """
        prepared = await self._preparation.furnishing(like or tree)
        if worn is None and self._idle:
            same = (number for number, idle in enumerate(self._idle) if idle.checkout.tree == tree)
            worn = self._idle.pop(next(same, -1 if self._newest else 0))
        if worn is not None:
            if worn.prepared == prepared and await worn.checkout.become(tree, folder):
                return worn
            await discard(self._store, worn.checkout.folder)
        checkout = CleanCheckout(self._store, folder, skip=self._skip)
        await checkout.fill(tree)
        await self._preparation.furnish(like or tree, folder)
        await checkout.settle()
        return Furnished(checkout, prepared)

    async def give_back(self, used: Furnished) -> None:
        """What is in it is of no more use. Its folder is free again."""
        checkout = used.checkout
        try:
            checkout.move(checkout.folder.with_name(f"idle-{os.getpid()}-{next(self._numbers)}"))
        except OSError:
            await discard(self._store, checkout.folder)
            return
        self._idle.append(used)
        while len(self._idle) > self._kept or sum(idle.checkout.size for idle in self._idle[1:]) > IDLE_BYTES:
            await asyncio.shield(discard(self._store, self._idle.pop(0).checkout.folder))
