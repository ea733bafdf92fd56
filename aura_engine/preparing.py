"""`prepare`: what a clean checkout lacks (a virtual environment, node_modules), made by the engine from verified files.

Built once per content of the files it is made from, then copied (reflinked where the file system can) into every
workspace and checkout: never linked, so that no worker can reach into another's. When the work changed one of those
files, the check gets what the changed files make.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from aura_engine.core.model import Prepare
from aura_engine.errors import RuntimeFault
from aura_engine.verify.process import run_command
from aura_engine.workspace.checkout import checkout
from aura_engine.workspace.store import GitStore

log = logging.getLogger(__name__)

MAX_OUTPUT = 50_000_000


class Preparation:
    """Furnishes folders with the prepared paths of a tree."""

    def __init__(
        self,
        store: GitStore,
        root: Path,
        project: Path,
        env: Mapping[str, str],
        wanted: Callable[[], Prepare | None],
    ) -> None:
        self._store = store
        self._root = root
        self._project = project
        self._env = env
        self._wanted = wanted
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def paths(self) -> frozenset[str]:
        """Prepared and shared paths: never part of a snapshot."""
        prepare = self._wanted()
        return frozenset(path.rstrip("/") for path in (*prepare.makes, *prepare.share)) if prepare else frozenset()

    async def furnish(self, tree: str, folder: Path) -> None:
        """Put the prepared paths of the tree into a checkout. RuntimeFault when the command fails."""
        prepare = self._wanted()
        if prepare is None:
            return
        for path in prepare.share:
            await asyncio.to_thread(_share, self._project / path, folder / path.rstrip("/"))
        if prepare.run is None:
            return
        built = await self._built(prepare, tree)
        for path in prepare.makes:
            source = built / path
            if source.exists():
                await asyncio.to_thread(_copy, source, folder / path.rstrip("/"))

    async def _built(self, prepare: Prepare, tree: str) -> Path:
        entries = await self._store.entries(tree)
        named = sorted(
            (path, entries[path].oid)
            for path in entries
            if any(path == wanted or path.startswith(wanted.rstrip("/") + "/") for wanted in prepare.from_)
        )
        key = hashlib.sha256(repr((prepare.run, prepare.makes, named)).encode()).hexdigest()[:20]
        done = self._root / key
        async with self._locks.setdefault(key, asyncio.Lock()):
            if not (done / ".complete").exists():
                await self._build(prepare, tree, done)
        return done

    async def _build(self, prepare: Prepare, tree: str, done: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, done, ignore_errors=True)
        await checkout(self._store, tree, done)
        home = done.with_name(done.name + ".home")
        home.mkdir(parents=True, exist_ok=True)
        log.info("preparing: %s", prepare.run)
        ran = await run_command(
            ["/bin/sh", "-c", prepare.run or ":"],
            cwd=done,
            env={**self._env, "HOME": str(home), "TMPDIR": str(home)},
            limit=prepare.timeout,
            max_output=MAX_OUTPUT,
        )
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        if ran.code != 0:
            why = f"ran longer than {prepare.timeout:.0f} s" if ran.timed_out else f"ended with exit code {ran.code}"
            raise RuntimeFault(
                f"`prepare` {why}: {ran.tail[-400:].strip()}", cure="Mend the prepare block of the task file."
            )
        (done / ".complete").touch()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("cp"):
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True, capture_output=True)
    else:
        shutil.copytree(source, target, symlinks=True)


def _share(source: Path, target: Path) -> None:
    if source.exists() and not os.path.lexists(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source, target_is_directory=source.is_dir())
