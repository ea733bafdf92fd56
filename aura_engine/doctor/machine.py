"""The machine: the system, git, and the disks that a run writes to."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aura_engine import __version__
from aura_engine.doctor.findings import Fact, Finding, Level, Section, found
from aura_engine.errors import AuraError
from aura_engine.journal.filesystem import NETWORK, filesystem_type
from aura_engine.workspace.git import require_git

finding = partial(found, Section.MACHINE)
GB = 1e9
TOO_LITTLE = 0.1 * GB
"""Bytes free: below this a run would soon not even be able to keep its journal."""
LITTLE = 5 * GB
"""Below this, workspaces and what workers install may fill the disk in a long run."""


def system() -> Finding:
    """Aura, Python and the system under them."""
    python, name = platform.python_version(), platform.system() or sys.platform
    text = f"Aura {__version__} on Python {python}, {name} {platform.release()} ({platform.machine()})"
    facts: dict[str, Fact] = {"aura": __version__, "python": python, "system": name}
    return finding(Level.GOOD, "system", text, facts=facts)


async def git() -> Finding:
    """Whether git is there and new enough: merging without a work tree takes 2.38."""
    try:
        version = await require_git()
    except AuraError as error:
        return finding(Level.PROBLEM, "git", str(error), error.cure)
    return finding(Level.GOOD, "git", version, facts={"version": version})


def places(where: Mapping[str, Path]) -> list[Finding]:
    """What is to be known of the folders that a run writes to: `project`, `data` and `workspaces` → path.

    None need exist. One line for each disk, and one for each place that is not as it has to be. Blocks.
    """
    told: list[Finding] = []
    disks: dict[int, tuple[Path, list[str]]] = {}
    for name, path in where.items():
        there = _nearest(path)
        try:
            disks.setdefault(there.stat().st_dev, (there, []))[1].append(name)
            told += _traps(name, path, there)
        except OSError as error:
            text = f"the folder {path} cannot be looked at: {error.strerror}"
            told.append(finding(Level.PROBLEM, name, text, "Mend its permissions, or name another one."))
    return [*(_space(there, names) for there, names in disks.values()), *told]


def _space(there: Path, names: list[str]) -> Finding:
    free = shutil.disk_usage(there).free
    text = f"{free / GB:.1f} GB free for {_listed(names)} ({there})"
    facts: dict[str, Fact] = {"path": str(there), "free_bytes": free}
    if free < TOO_LITTLE:
        return finding(Level.PROBLEM, "disk", f"only {text}", "Make room before a start.", facts)
    if free < LITTLE:
        return finding(Level.WARNING, "disk", f"only {text}", "Make room before a run of days.", facts)
    return finding(Level.GOOD, "disk", text, facts=facts)


def _traps(name: str, path: Path, there: Path) -> list[Finding]:
    """What is wrong with one place."""
    told: list[Finding] = []
    cure = {
        "data": "Name a folder on a local disk: --data-dir DIR, or AURA_DATA_DIR.",
        "workspaces": "Set XDG_STATE_HOME to a folder on a local disk.",
    }.get(name, "Move the project to a local disk.")
    if name == "project" and not path.is_dir():
        told.append(finding(Level.PROBLEM, name, f"there is no folder {path}", "Correct AURA_PROJECT_ROOT."))
    elif not there.is_dir():
        text = f"{path} cannot be made: {there} is a file"
        told.append(finding(Level.PROBLEM, name, text, "Move that file away, or name another folder."))
    elif not os.access(there, os.W_OK | os.X_OK):
        text = f"the folder {there} cannot be written to"
        told.append(finding(Level.PROBLEM, name, text, "Make it writable, or name another folder."))
    kind = filesystem_type(there)
    if kind in NETWORK:
        if name == "data":
            text = f"{path} is on a network file system ({kind}), where the journal cannot be kept safely"
            told.append(finding(Level.PROBLEM, name, text, cure))
        else:
            text = f"{path} is on a network file system ({kind}): slow, and changes there may be noticed late"
            told.append(finding(Level.WARNING, name, text, cure))
    if name == "workspaces" and os.statvfs(there).f_flag & getattr(os, "ST_NOEXEC", 0):
        text = f"programs cannot run from {path} (it is mounted noexec): scripts and environments of workers will fail"
        told.append(finding(Level.WARNING, name, text, cure))
    return told


def _nearest(path: Path) -> Path:
    """The path, or what there is of it."""
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
