from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from aura_engine.core.model import Check, Counts, Phase, Receipt
from aura_engine.verify.frozen import FrozenPlan, decide
from aura_engine.verify.manifests import freeze_manifest
from aura_engine.verify.run import Bench, run_check


class Entry(NamedTuple):
    mode: str
    oid: str


def listing(folder: Path) -> dict[str, Entry]:
    """What the engine's store would say of a folder."""
    entries: dict[str, Entry] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            entries[name] = Entry("120000", str(path.readlink()))
        elif path.is_file():
            mode = "100755" if os.access(path, os.X_OK) else "100644"
            entries[name] = Entry(mode, hashlib.sha1(path.read_bytes()).hexdigest())
    return entries


class Project:
    """A base, what a worker made of it, and the clean checkout that its checks see."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.folder = folder
        self.base = folder / "base"
        self.work = folder / "work"
        self.checkout = folder / "checkout"
        self.base.mkdir(parents=True)
        self.bench = bench

    def fill(self, folder: Path, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    def start(self, files: Mapping[str, str]) -> None:
        self.fill(self.base, files)
        shutil.copytree(self.base, self.work, symlinks=True)

    def freeze(self, checks: list[Check], makes: tuple[str, ...] = ()) -> FrozenPlan:
        plan = decide(listing(self.base), listing(self.work), makes, checks)
        shutil.rmtree(self.checkout, ignore_errors=True)
        shutil.copytree(self.work, self.checkout, symlinks=True)
        for name in plan.drop:
            (self.checkout / name).unlink()
        for name in plan.merge:
            old = (self.base / name).read_bytes() if (self.base / name).is_file() else None
            (self.checkout / name).write_bytes(freeze_manifest(name, old, (self.work / name).read_bytes()).data or b"")
        for name in plan.restore:
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.base / name, self.checkout / name, follow_symlinks=False)
        return plan

    async def check(self, check: Check, makes: tuple[str, ...] = (), before: Counts | None = None) -> Receipt:
        self.freeze([check], makes)
        return await run_check(check, self.checkout, self.bench, tree="t", phase=Phase.TASK, counts_before=before)

    async def check_base(self, check: Check) -> Receipt:
        return await run_check(check, self.base, self.bench, tree="b", phase=Phase.BEFORE)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    scratch = tmp_path / "scratch folder"
    scratch.mkdir()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    # The plug-ins installed beside Aura cost a second at each start of pytest.
    env = {"PATH": path, "LANG": "C.UTF-8", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return Bench(env=env, scratch=scratch)


@pytest.fixture
def project(tmp_path: Path, bench: Bench) -> Project:
    return Project(tmp_path / "project", bench)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder
