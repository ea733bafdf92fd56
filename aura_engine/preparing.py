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
from aura_engine.removal import below, remove_few, remove_tree
from aura_engine.verify.runner import Command, Runner, run_here
from aura_engine.workspace.checkout import checkout
from aura_engine.workspace.files import fingerprint
from aura_engine.workspace.store import GitStore

log = logging.getLogger(__name__)

MAX_OUTPUT = 50_000_000
MAX_SHARED_COPY = 256 * 1024 * 1024
"""Bytes of a shared path up to which every workspace gets a copy of its own where nothing keeps a worker from writing
through a link; larger ones are linked to. Behind a wall, which shows them read-only, all are."""


class Preparation:
    """Furnishes folders with the prepared paths of a tree."""

    def __init__(
        self,
        store: GitStore,
        root: Path,
        project: Path,
        env: Mapping[str, str],
        wanted: Callable[[], Prepare | None],
        runner: Runner = run_here,
        *,
        walled: bool = False,
        place: str = "",
    ) -> None:
        """`walled`: what is shared can be shown read-only. `place`: where programs run, as what is prepared in one
        is of no use in another."""
        self._store = store
        self._root = root
        self._project = project
        self._env = env
        self._wanted = wanted
        self._runner = runner
        self._place = place
        self._link_from = -1 if walled else MAX_SHARED_COPY
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def paths(self) -> frozenset[str]:
        """Prepared and shared paths: never part of a snapshot."""
        prepare = self._wanted()
        return frozenset((*prepare.makes, *prepare.share)) if prepare else frozenset()

    def shown(self) -> tuple[Path, ...]:
        """What workers and checks may read outside their own folders.

        Where the shared folders lie, and what was prepared: programs in a copied virtual environment name the original.
        """
        prepare = self._wanted()
        if prepare is None:
            return ()
        built = self._root.iterdir() if self._root.is_dir() and prepare.run else ()
        originals = [folder / path for folder in built for path in prepare.makes]
        shared = [(self._project / path).resolve() for path in prepare.share]
        return tuple(path for path in (*shared, *originals) if os.path.exists(path))  # noqa: PTH110 - never raises

    @property
    def key(self) -> str:
        """Stands for what checkouts are furnished with."""
        return repr(self._wanted())

    async def furnishing(self, tree: str) -> str:
        """Stands for what `furnish` would put into a checkout of the tree now: the same text, the same files."""
        prepare = self._wanted()
        if prepare is None:
            return ""
        shared = [await asyncio.to_thread(_looks, self._project / path, self._link_from) for path in prepare.share]
        return f"{self.key} {await self._name(prepare, tree)} {shared}"

    async def furnish(self, tree: str, folder: Path) -> None:
        """Put the prepared paths of the tree into a checkout. RuntimeFault when the command fails."""
        prepare = self._wanted()
        if prepare is None:
            return
        for path in prepare.share:
            await asyncio.to_thread(_share, self._project / path, folder / path, self._link_from)
        if prepare.run is None:
            return
        built = await self._built(prepare, tree)
        for path in prepare.makes:
            source = built / path
            if source.exists():
                await asyncio.to_thread(_copy, source, folder / path)

    async def _name(self, prepare: Prepare, tree: str) -> str:
        """Stands for the command and the content of the files it works from."""
        entries = await self._store.entries(tree)
        named = sorted(
            (path, entries[path].oid)
            for path in entries
            if any(path == wanted or path.startswith(wanted.rstrip("/") + "/") for wanted in prepare.from_)
        )
        made_of = (prepare.run, prepare.makes, named, *filter(None, (self._place,)))
        return hashlib.sha256(repr(made_of).encode()).hexdigest()[:20]

    async def _built(self, prepare: Prepare, tree: str) -> Path:
        key = await self._name(prepare, tree)
        done = self._root / key
        async with self._locks.setdefault(key, asyncio.Lock()):
            # Programs in a copied virtual environment may still write to this one: then it is nobody's any more.
            if not await asyncio.to_thread(_untouched, done):
                await self._build(prepare, tree, done)
        return done

    async def _build(self, prepare: Prepare, tree: str, done: Path) -> None:
        await asyncio.to_thread(remove_tree, done)
        await checkout(self._store, tree, done)
        home = done.with_name(done.name + ".home")
        home.mkdir(parents=True, exist_ok=True)
        log.info("preparing: %s", prepare.run)
        command = Command(
            ("/bin/sh", "-c", prepare.run or ":"),
            cwd=done,
            env={**self._env, "HOME": str(home), "TMPDIR": str(home)},
            write=(done, home),
            temp=home,
            network=prepare.network,
        )
        ran = await self._runner(command, limit=prepare.timeout, max_output=MAX_OUTPUT)
        await asyncio.to_thread(remove_few, home)
        if ran.code != 0:
            why = f"ran longer than {prepare.timeout:.0f} s" if ran.timed_out else f"ended with exit code {ran.code}"
            raise RuntimeFault(
                f"`prepare` {why}: {ran.tail[-400:].strip()}", cure="Mend the prepare block of the task file."
            )
        await asyncio.to_thread(lambda: _seal(done).write_text(_stamp(done)))


def _seal(built: Path) -> Path:
    return built.with_name(f"{built.name}.sealed")


def _stamp(built: Path) -> str:
    return hashlib.sha256(repr(sorted(fingerprint(built))).encode(errors="surrogateescape")).hexdigest()


def _untouched(built: Path) -> bool:
    try:
        return _seal(built).read_text() == _stamp(built)
    except OSError:
        return False


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("cp"):
        copy = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
        done = subprocess.run(copy, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            raise RuntimeFault(f"{source.name} could not be copied: {done.stderr.strip()[-300:]}")
    elif source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _looks(source: Path, max_copy: int) -> str:
    """Stands for a shared path as it is now; what is linked to only has to be there."""
    if not source.exists():
        return ""
    if _bytes_of(source) > max_copy:
        return "link"
    if source.is_dir():
        return _stamp(source)
    info = source.stat()
    return f"{info.st_ino} {info.st_size} {info.st_ctime_ns}"


def _share(source: Path, target: Path, max_copy: int) -> None:
    """A copy, so that nothing can write to the person's own; a link where it would be larger than `max_copy`."""
    if not source.exists() or os.path.lexists(target):
        return
    if _bytes_of(source) <= max_copy:
        _copy(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.resolve(), target_is_directory=source.is_dir())


def _bytes_of(path: Path) -> int:
    """Size of a file or of all files below a folder; stops counting past what would be copied."""
    total = path.stat().st_size if path.is_file() else 0
    for entry in below(path):
        if not entry.is_dir(follow_symlinks=False):
            total += entry.stat(follow_symlinks=False).st_size
        if total > MAX_SHARED_COPY:
            return total
    return total
