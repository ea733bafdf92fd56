"""Which files decide a check, by name alone, each with its reason.

A deciding file is taken from the head at the task's start; a new one is removed for the run unless the task makes it.
Build files that mostly carry the product (pom.xml, build.gradle, CMakeLists.txt, tsconfig) are left to the work.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple


class Rule(NamedTuple):
    """Files of one sort. `names` match the last part of a path, `paths` its end, `folders` any part of it."""

    why: str
    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


RULES = (
    Rule(
        "a test or what tests read",
        folders=(
            "tests",
            "test",
            "spec",
            "specs",
            "__tests__",
            "__mocks__",
            "__snapshots__",
            "testdata",
            "e2e",
            "cypress",
        ),
        paths=("features/steps/*", "features/environment.py"),
    ),
    Rule("a Python test", names=("test.py", "tests.py", "test_*.py", "*_test.py", "*_tests.py")),
    Rule("a JavaScript test", names=("*.test.[jt]s", "*.test.[jt]sx", "*.test.[cm][jt]s", "*.spec.*", "*.snap")),
    Rule(
        "a test by the custom of its language",
        names=(
            *(
                "*_test.go",
                "*_test.rb",
                "test_*.rb",
                "*_spec.rb",
                "*_spec.lua",
                "*_test.exs",
                "*_test.dart",
                "*.bats",
                "*.t",
            ),
            *("*Test.java", "*Tests.java", "*IT.java", "*Test.kt", "*Tests.cs", "*Test.php", "*Tests.swift"),
            *("*_test.c", "*_test.cc", "*_test.cpp", "test_*.c", "test_*.cc", "test_*.cpp", "*.feature", "*.robot"),
        ),
    ),
    Rule(
        "hooks that the test runner loads by itself",
        names=("conftest.py", "setupTests.*", "jest.setup.*", "vitest.setup.*"),
    ),
    Rule(
        "configuration of a Python runner",
        names=(
            *(
                "pytest.ini",
                ".pytest.ini",
                "pytest.toml",
                ".pytest.toml",
                "tox.ini",
                "tox.toml",
                "noxfile.py",
                "toxfile.py",
            ),
            *(".coveragerc", "unittest.cfg", "nose.cfg", "nose2.cfg", "behave.ini", ".stestr.conf"),
        ),
    ),
    Rule(
        "configuration of a JavaScript runner",
        names=(
            *(
                "jest.config.*",
                "jest-*.json",
                "vitest.config.*",
                "vitest.workspace.*",
                "karma.conf.*",
                ".mocharc*",
                "mocha.opts",
            ),
            *(
                "ava.config.*",
                "playwright.config.*",
                "cypress.config.*",
                "cypress.json",
                "wdio.conf.*",
                ".nycrc*",
                ".c8rc*",
                ".taprc",
            ),
        ),
    ),
    Rule(
        "configuration of a runner of another language",
        names=(
            "phpunit.xml",
            "phpunit.xml.dist",
            ".rspec",
            ".busted",
            "CTestTestfile.cmake",
            "nextest.toml",
            "build.xml",
        ),
        # A cargo alias or `runner`, or Maven's -DskipTests, turns every test run into nothing.
        paths=(".cargo/config", ".cargo/config.toml", ".config/nextest.toml", ".mvn/*"),
    ),
    Rule("code that Python runs at every start", names=("sitecustomize.py", "usercustomize.py", "*.pth")),
    Rule("a plug-in that the runner finds by its metadata", folders=("*.egg-info", "*.dist-info")),
    Rule("compiled code that can stand in for the source", names=("*.pyc", "*.pyo"), folders=("__pycache__",)),
    Rule(
        "installed code of the runner",
        folders=("node_modules", "site-packages", ".yarn"),
        paths=("vendor/bin/*",),
    ),
    # .npmrc and .yarnrc choose the shell and the program that package scripts run with.
    Rule("settings of the package manager", names=(".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "bunfig.toml")),
    Rule(
        "targets that checks call",
        names=(
            *(
                "Makefile",
                "makefile",
                "GNUmakefile",
                "*.mk",
                "justfile",
                "Justfile",
                ".justfile",
                "Rakefile",
                "dodo.py",
            ),
            *("Taskfile.yml", "Taskfile.yaml", "Taskfile.dist.yml", "taskfile.yml", "taskfile.yaml"),
        ),
    ),
    Rule(
        "rules of a linter or type checker",
        names=(
            *(
                "ruff.toml",
                ".ruff.toml",
                "mypy.ini",
                ".mypy.ini",
                ".flake8",
                ".pylintrc",
                "pylintrc",
                "pyrightconfig.json",
            ),
            *(
                ".bandit",
                ".importlinter",
                ".eslintrc*",
                ".eslintignore",
                "eslint.config.*",
                "biome.json",
                "biome.jsonc",
            ),
            *(".stylelintrc*", ".golangci.*", "clippy.toml", ".clippy.toml", ".rubocop.yml", ".pre-commit-config.yaml"),
        ),
    ),
)


def _compile(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


_COMPILED = tuple(
    (rule.why, _compile(rule.names), _compile(rule.folders), _compile(tuple(f"*/{path}" for path in rule.paths)))
    for rule in RULES
)


@lru_cache(maxsize=65_536)
def reason(path: str) -> str:
    """Why the file at a project path decides checks; empty when it does not."""
    parts = path.split("/")
    for why, names, folders, paths in _COMPILED:
        # The last part counts as a folder too: a link named `tests` stands in for the folder.
        if names.match(parts[-1]) or paths.match(f"/{path}") or any(folders.match(part) for part in parts):
            return why
    return ""


def is_deciding(path: str) -> bool:
    """Whether the whole file decides checks (manifests, of which only some keys do, are not among them)."""
    return bool(reason(path))


def matches_any(path: str, globs: tuple[str, ...]) -> bool:
    """Whether a path is one of `globs`: files, folders (with or without a trailing slash), or `*`, `**`, `?` globs."""
    return any(_glob(glob).fullmatch(path) for glob in globs)


@lru_cache(maxsize=4_096)
def _glob(glob: str) -> re.Pattern[str]:
    text = glob.strip().removeprefix("./").rstrip("/")
    out = ""
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", text):
        out += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece) or re.escape(piece)
    return re.compile(f"{out}(?:/.*)?", re.DOTALL)
