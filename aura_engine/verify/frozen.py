"""Freezing: which files of a worker's tree are put back, dropped or merged before its checks run. Pure."""

from __future__ import annotations

import hashlib
import posixpath
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aura_engine.core.model import Check
from aura_engine.verify.manifests import is_manifest
from aura_engine.verify.patterns import matches_any, reason
from aura_engine.verify.programs import expand, named, named_by, programs_of

# Modules that runners and linters import; a file of that name beside the command would be imported instead.
_RUNNER_MODULES = frozenset(
    {"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py", "xdist", "coverage", "nose", "nose2", "tox", "nox"}
    | {"mypy", "ruff", "flake8", "pylint", "pyright", "pyflakes", "pycodestyle", "bandit", "hypothesis", "setuptools"}
    | {"pkg_resources", "_distutils_hack", "exceptiongroup", "tomli", "pygments", "colorama"}
)
_MODULE_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_LINK_MODES = frozenset({"120000", str(0o120000)})


class Entry(Protocol):
    """One file of a tree: two entries are the same file when mode and object id are equal."""

    @property
    def mode(self) -> str | int:
        """Git's file mode."""
        ...

    @property
    def oid(self) -> str:
        """Git's object id."""
        ...


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """What to do to a worker's tree before its checks run. Paths are disjoint between the first three."""

    restore: frozenset[str] = frozenset()
    """Take the base's version."""
    drop: frozenset[str] = frozenset()
    """Remove: new files that would decide a check and that the task does not make."""
    merge: frozenset[str] = frozenset()
    """Manifests: freeze their deciding keys (`manifests.freeze_manifest`)."""
    why: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path → why it was restored, dropped or merged, for a person."""


def _same(one: Entry | None, other: Entry | None) -> bool:
    return one is not None and other is not None and (str(one.mode), one.oid) == (str(other.mode), other.oid)


def _parents(path: str) -> set[str]:
    return {path[:at] for at, char in enumerate(path) if char == "/"}


def _import_roots(checks: Collection[Check], base: Collection[str]) -> frozenset[str]:
    """Folders that Python puts first on its path for these checks: the checkout itself and those of their scripts."""
    scripts = {path for check in checks for path in named(check.run or "").literal if path in base}
    return frozenset({"", *(posixpath.dirname(path) for path in scripts if path.endswith(".py"))})


def shadows(path: str, roots: Collection[str], *, link: bool = False) -> bool:
    """Whether a file would be imported in place of a module of the standard library or of a test runner.

    A folder without `__init__` does not hide a real module, so only the file that makes it a package counts; a link
    of that name may lead to one.
    """
    for root in roots:
        if root and not path.startswith(f"{root}/"):
            continue
        parts = path[len(root) + 1 if root else 0 :].split("/")
        is_package = len(parts) == 2 and parts[1].startswith("__init__.")
        is_module = len(parts) == 1 and (link or parts[0].endswith(_MODULE_SUFFIXES))
        module = parts[0].split(".")[0]
        if (is_package or is_module) and (
            module in sys.stdlib_module_names or module in _RUNNER_MODULES or module.startswith("pytest_")
        ):
            return True
    return False


def _hides_program(path: str, programs: Collection[str]) -> bool:
    """Whether a new file is imported in place of a check's module: `a/check/__init__.py` hides `a/check.py`."""
    for program in programs:
        if program.endswith(".py"):
            stem = program[: -len(".py")]
            if path.startswith((f"{stem}/__init__.", f"{stem}.")) and path.endswith(_MODULE_SUFFIXES):
                return True
            parent = posixpath.dirname(stem)
            if parent and path in (f"{parent}.py", f"{parent}/__init__.py"):
                return True
    return False


def decide(
    base: Mapping[str, Entry],
    work: Mapping[str, Entry],
    makes: tuple[str, ...],
    checks: Collection[Check],
    *,
    landed: Collection[str] = (),
) -> FrozenPlan:
    """Compare the tree at the task's start with the worker's and say what is put back, dropped and merged.

    `makes` are the deciding files the task is meant to produce: files, folders or globs. The person's checks win over
    it: what they name stays as it was. `landed` are deciding files that earlier tasks made: frozen from then on too.
    """
    person = [check for check in checks if check.person]
    everything = {**base, **work}
    changed = [path for path in everything if base.get(path) != work.get(path)]
    locked = set(landed).union(*(named_by(check, base) | expand(check.uses, everything) for check in person))
    programs = frozenset[str]().union(*(programs_of(check, base, makes) for check in checks))
    uses = expand({path for check in checks for path in check.uses}, everything)
    roots = _import_roots(checks, base)

    def deciding(path: str) -> str:
        known = reason(path) or ("the check's own program" if path in programs or path in uses else "")
        if known or path in base or path not in work:
            return known
        if shadows(path, roots, link=str(work[path].mode) in _LINK_MODES):
            return "a module that hides one of the runner's"
        return "a module that hides the check's own" if _hides_program(path, programs) else ""

    def may_change(path: str) -> bool:
        return matches_any(path, makes) and path not in locked

    restore: dict[str, str] = {}
    drop: dict[str, str] = {}
    merge: dict[str, str] = {}
    for path in changed:
        if _same(base.get(path), work.get(path)) or may_change(path):
            continue
        why = deciding(path)
        if not why and is_manifest(path):
            if path in work and str(work[path].mode) not in _LINK_MODES:
                merge[path] = "only its dependencies and metadata follow the work"
            else:
                why = "a manifest"
        if why:
            (restore if path in base else drop)[path] = why
    folders = set[str]().union(*(_parents(path) for path in restore))
    for path in changed:  # a file where a frozen one needs a folder, or a folder where it needs a file
        if path in work and (path in folders or _parents(path) & restore.keys()):
            merge.pop(path, None)
            drop[path] = "it stands in the way of a frozen file"
    return FrozenPlan(frozenset(restore), frozenset(drop), frozenset(merge), {**restore, **drop, **merge})


def frozen_hash(entries: Mapping[str, Entry]) -> str:
    """16 hex digits over the deciding files in place for a run: path, mode and content of each."""
    digest = hashlib.sha256()
    for path in sorted(entries):
        digest.update(f"{path}\0{entries[path].mode}\0{entries[path].oid}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
