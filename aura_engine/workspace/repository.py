"""Questions to the person's own git repository. Only questions: nothing in it is written here."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aura_engine.errors import GitError
from aura_engine.workspace.git import call

_NESTED = 8


@dataclass(frozen=True)
class Repository:
    """The git repository that a project folder lies in."""

    top: Path
    """The root of its work tree."""
    git_dir: Path
    """Where its branches and objects are, shared by all its worktrees."""
    prefix: str
    """The project folder below `top`, with a slash at the end; empty for the root."""
    head: str | None
    """The commit that is checked out; None before the first one."""


def find_repository(folder: Path) -> Repository | None:
    """The repository that the folder belongs to; blocks.

    None for a plain folder, also for one that merely lies below somebody's repository without a tracked file in it.
    GitError for a repository that cannot be used.
    """
    asked = ["rev-parse", "--show-toplevel", "--git-common-dir", "--show-prefix", "--show-object-format"]
    done = call(["-C", str(folder), *asked], ok=(0, 128))
    if done.code:
        if any((place / ".git").exists() for place in (folder, *folder.parents)):
            call(["-C", str(folder), "rev-parse", "--show-toplevel"])  # says what is wrong with it
        return None
    top, common, prefix, form = done.out.decode(errors="surrogateescape").splitlines()
    if prefix and not call(["-C", str(folder), "ls-files", "-z"], limit=1).out:
        return None
    if form != "sha1":
        raise GitError(
            f"The repository {top} uses {form} object names.", cure="Aura needs a repository with sha1 names."
        )
    head = call(["-C", str(folder), "rev-parse", "-q", "--verify", "HEAD^{commit}"], ok=(0, 1)).out.decode().strip()
    return Repository(Path(top), (folder / common).resolve(), prefix, head or None)


def list_files(folder: Path, *, depth: int = _NESTED) -> list[str]:
    """The files of the folder that its repository tracks or would: not ignored. Submodules and nested repositories are
    listed as files, by their own ignore rules. Some of the tracked ones may be gone. Blocks.
    """
    args = ["-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    own = _persons_ignore_file()
    done = call([*args, f"--exclude-from={own}"] if own else args)
    files: dict[str, None] = {}
    for path in filter(None, done.out.decode(errors="surrogateescape").split("\0")):
        name = path.rstrip("/")
        inner = folder / name
        if path.endswith("/") or (inner.is_dir() and not inner.is_symlink()):
            if depth and (inner / ".git").exists() and not inner.is_symlink():
                files |= dict.fromkeys(f"{name}/{each}" for each in list_files(inner, depth=depth - 1))
        else:
            files[path] = None
    return list(files)


def dirty_paths(folder: Path) -> list[str]:
    """What differs from the checked-out commit: paths below the root of the repository; a nested repository ends in a
    slash. Blocks.
    """
    args = ["-C", str(folder), "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"]
    out = call([*args, "--ignore-submodules=all", "."], timeout=300).out.decode(errors="surrogateescape")
    return [line[3:] for line in out.split("\0") if line]


def _persons_ignore_file() -> Path | None:
    """The person's own ignore file for all repositories: the one setting of theirs that decides what a project is."""
    home = os.environ.get("HOME", "")
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    place = Path(config, "git", "ignore")
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "XDG_CONFIG_HOME": config}
    with contextlib.suppress(subprocess.TimeoutExpired, FileNotFoundError):
        said = subprocess.run(
            ["git", "config", "--global", "--type=path", "core.excludesFile"],
            env=env, capture_output=True, timeout=20, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if said.returncode == 0:
            place = Path(os.fsdecode(said.stdout).rstrip("\n"))
    return place if place.is_file() else None
