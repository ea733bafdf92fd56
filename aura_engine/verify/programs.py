"""What a check's command names: its own program, the files it is pointed at, and the files its runner reads unasked."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

from aura_engine.core.model import Check
from aura_engine.verify.patterns import is_deciding, matches_any

# Folders that people keep the programs of their checks in. What lies in the first kind is there for checking alone.
CHECK_FOLDERS = frozenset({"check", "checks", "ci", ".ci", "verify", "verification", "acceptance", "probes", "lint"})
TOOL_FOLDERS = CHECK_FOLDERS | {"tools", "tool", "scripts", "script", "hack", ".github", ".circleci"}
_CHECK_WORD = re.compile(
    r"(?:self|unit|smoke|sanity|pre|run|load|spell|type|health|spot)?"
    r"(?:check|test|verify|verif|probe|lint|validate|validat|accept|acceptance|assert|audit|ci)(?:s|er|ers|ing|or)?"
)

# Files that a runner reads though the command does not name them.
RUNNER_FILES = {
    "make": ("Makefile", "makefile", "GNUmakefile"),
    "gmake": ("Makefile", "makefile", "GNUmakefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"),
    "tox": ("tox.ini", "tox.toml", "setup.cfg", "pyproject.toml"),
    "nox": ("noxfile.py",),
    "rake": ("Rakefile",),
    "ant": ("build.xml",),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun", "npx"), ("package.json",)),
    **dict.fromkeys(("pytest", "py.test"), ("pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml")),
    "cargo": ("Cargo.toml",),
    "composer": ("composer.json",),
    "deno": ("deno.json",),
}
_FOLDER_OPTIONS = frozenset({"-C", "--directory", "--prefix", "--cwd", "--dir", "--rootdir"})
_MAX_NESTING = 3


class Named(NamedTuple):
    """Project paths in a command, existing or not: `literal` as written, `implicit` by the custom of a runner."""

    literal: frozenset[str]
    implicit: frozenset[str]


@lru_cache(maxsize=4096)
def simple_commands(command: str) -> tuple[tuple[str, ...], ...]:
    """The command line cut at `;`, `&`, `|`, brackets, redirections and new lines into lists of words."""
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # unbalanced quotes: the shell will refuse it, but what it names still counts
        words = command.split()
    commands: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set(";&|()<>"):
            commands.append([])
        else:
            commands[-1].append(word)
    return tuple(tuple(words) for words in commands if words)


def _join(folder: str, word: str) -> str:
    path = posixpath.normpath(posixpath.join(folder, word))
    return "" if path == "." or path.startswith(("/", "..")) else path


def _module_files(module: str) -> Iterator[str]:
    parts = module.split(".")
    for depth in range(1, len(parts)):
        yield "/".join([*parts[:depth], "__init__.py"])
    stem = "/".join(parts)
    yield from (f"{stem}.py", f"{stem}/__main__.py", f"{stem}/__init__.py")


def _literal(words: Sequence[str], here: str, depth: int) -> Iterator[str]:
    previous = ""
    for word in words:
        for part in (word, word.partition("=")[2]):
            path = part.split("::")[0]  # a pytest node id
            if path and not path.startswith("-"):
                yield from (_join(here, path), _join("", path))
                if posixpath.basename(previous).startswith("python"):  # a folder is run by its `__main__`
                    yield _join(here, f"{path}/__main__.py")
        if previous == "-m":
            yield from (_join(here, file) for file in _module_files(word))
        if any(space in word for space in " \t;") and depth < _MAX_NESTING:
            yield from named(word, here=here, depth=depth + 1).literal
        previous = word


def named(command: str, *, here: str = "", depth: int = 0) -> Named:
    """Every project path a shell command names, also after `cd`, in `sh -c '…'`, `--option=path` and `-m module`."""
    literal: set[str] = set()
    implicit: set[str] = set()
    for words in simple_commands(command):
        if words[0] == "cd" and len(words) > 1:
            here = _join(here, words[1])
            continue
        folder = here
        for option, value in pairwise(words):
            if option in _FOLDER_OPTIONS:
                folder = _join(here, value)
        literal.update(_literal(words, folder, depth))
        for word in words:
            implicit.update(_join(folder, file) for file in RUNNER_FILES.get(posixpath.basename(word), ()))
        for word in words:
            if " " in word and depth < _MAX_NESTING:
                implicit |= named(word, here=folder, depth=depth + 1).implicit
    return Named(frozenset(literal - {""}), frozenset(implicit - {""}))


def looks_like_check(path: str) -> bool:
    """Whether a program that a command names is there for checking (not the task's product), by its place and name."""
    *folders, name = PurePosixPath(path).parts
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.split(".")[0]).lower())
    return is_deciding(path) or bool(TOOL_FOLDERS & set(folders)) or any(_CHECK_WORD.fullmatch(word) for word in words)


def expand(paths: Collection[str], tree: Collection[str]) -> frozenset[str]:
    """The files of `tree` that are one of `paths` or lie in a folder that is one of them."""
    if not paths:
        return frozenset()
    folders = tuple(f"{path.rstrip('/')}/" for path in paths)
    exact = set(paths)
    return frozenset(path for path in tree if path in exact or path.startswith(folders))


def programs_of(check: Check, tree: Collection[str], makes: tuple[str, ...] = ()) -> frozenset[str]:
    """The files of `tree` (the base's paths) that belong to the check: its `uses`, its program, what its runner reads.

    A file that the task `makes` is its product, unless the check is the person's.
    """
    owned = set(expand(check.uses, tree))
    if check.run:
        names = named(check.run)
        owned |= {path for path in names.literal | names.implicit if path in tree and looks_like_check(path)}
        # A checking program's neighbours are its helpers where the folder is there for checking alone.
        homes = {posixpath.dirname(path) for path in owned}
        owned |= expand({home for home in homes if posixpath.basename(home) in CHECK_FOLDERS}, tree)
    return frozenset(path for path in owned if check.person or not matches_any(path, makes))


def named_by(check: Check, tree: Collection[str]) -> frozenset[str]:
    """The deciding files of `tree` that the check names: `uses`, files, folders, and what its runner reads unasked."""
    found = set(expand(check.uses, tree)) | programs_of(check, tree)
    if check.run:
        names = named(check.run)
        found |= {path for path in expand(names.literal, tree) if looks_like_check(path)}
        found |= expand(names.implicit, tree)
    return frozenset(found)


def withheld(base_paths: Collection[str], checks: Collection[Check]) -> frozenset[str]:
    """Files of held-out checks that workers never get.

    All that a hidden check `uses`, and the deciding files that only hidden commands name literally.
    """
    used: set[str] = set()
    hidden: set[str] = set()
    shown: set[str] = set()
    for check in checks:
        literal = expand(named(check.run).literal, base_paths) if check.run else frozenset[str]()
        if check.hidden:
            used |= expand(check.uses, base_paths)
            hidden |= {path for path in literal if looks_like_check(path)}
        else:
            shown |= literal | expand(check.uses, base_paths)
    return frozenset(used | (hidden - shown))
