"""Manifests: only the keys that decide checks are frozen; dependencies and metadata follow the work.

The text is changed by whole sections and the result is parsed and compared; where that is not safe (a deciding key
written inside another table, a file that does not parse) the base's whole file is taken instead, and that is said.
"""

from __future__ import annotations

import configparser
import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple, cast

_MAX_BYTES = 500_000
_MAX_FALSE_HEADERS = 50
_TOML_TOOLS = (
    *("pytest", "coverage", "tox", "nox", "poe", "poethepoet", "taskipy", "nose2", "hypothesis", "behave"),
    *("ruff", "mypy", "pyright", "basedpyright", "ty", "pyrefly", "pylint", "flake8", "bandit", "importlinter"),
)

# Key paths that decide checks; `*` is any one part. `[project.scripts]` is the product's own and follows the work.
MANIFESTS: dict[str, tuple[str, ...]] = {
    "pyproject.toml": (
        *(f"tool.{tool}" for tool in _TOML_TOOLS),
        *(
            "tool.hatch.envs.*.scripts",
            "tool.pdm.scripts",
            "tool.rye.scripts",
            "tool.pixi.tasks",
            "tool.pixi.feature.*.tasks",
        ),
        "project.entry-points.pytest11",
    ),
    "Cargo.toml": (
        *("test", "bench", "profile.test", "lints", "lib.test", "lib.doctest", "lib.harness", "package.autotests"),
        "workspace.default-members",
    ),
    "package.json": (
        *("scripts", "jest", "vitest", "mocha", "ava", "tap", "nyc", "c8", "karma", "wireit", "eslintConfig"),
        "stylelint",
    ),
    "composer.json": ("scripts",),
    "deno.json": ("tasks", "test", "lint"),
    "setup.cfg": (
        *(
            "tool:pytest",
            "pytest",
            "coverage:*",
            "tox",
            "tox:*",
            "testenv*",
            "nosetests",
            "unittest",
            "aliases",
            "test",
        ),
        *("flake8", "mypy", "mypy-*", "pylint*", "pycodestyle", "importlinter*"),
    ),
}


class Merged(NamedTuple):
    """A manifest as its checks see it: `data` None means leave it out; `fallback` says why the base's was taken."""

    data: bytes | None
    fallback: str = ""


@lru_cache(maxsize=65_536)
def is_manifest(path: str) -> bool:
    """Whether only some keys of the file decide checks."""
    return posixpath.basename(path) in MANIFESTS


def manifest_keys(path: str) -> tuple[str, ...]:
    """The key paths of a manifest that decide checks; empty for other files."""
    return MANIFESTS.get(posixpath.basename(path), ())


def freeze_manifest(path: str, base: bytes | None, work: bytes) -> Merged:
    """The work's manifest with its deciding keys as the base has them (absent where the base has none)."""
    keys = manifest_keys(path)
    parse, splice = _FORMATS[path.rpartition(".")[2]]
    if base == work or not keys:
        return Merged(work)
    try:
        if len(work) > _MAX_BYTES:
            raise ValueError(f"{path} is larger than {_MAX_BYTES // 1000} kB")
        new, old = work.decode(), (base or b"").decode()
        wanted = _cut(parse(old) if base is not None else {}, keys)[0]
        mine, rest = _cut(parse(new), keys)
        if mine == wanted:
            return Merged(work)
        text = splice(new, old, keys)
        if _cut(parse(text), keys) != (wanted, rest):
            raise ValueError("its deciding keys cannot be told apart from the rest as it is written")
    except (ValueError, RecursionError, configparser.Error) as error:
        return Merged(base, f"{path}: {error}" if str(error) else f"{path} cannot be read")
    return Merged(text.encode())


def _cut(data: dict[str, Any], keys: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The deciding values by their path, and all the rest without tables that hold nothing."""
    deciding: dict[str, Any] = {}

    def walk(table: dict[str, Any], at: tuple[str, ...]) -> dict[str, Any]:
        rest: dict[str, Any] = {}
        for key, value in table.items():
            path = (*at, key)
            if _decides(path, keys):
                deciding["\0".join(path)] = value
            elif not isinstance(value, dict):
                rest[key] = value
            elif inner := walk(cast("dict[str, Any]", value), path):
                rest[key] = inner
        return rest

    rest = walk(data, ())
    return deciding, rest


def _decides(path: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    for key in keys:
        parts = key.split(".")
        if len(path) >= len(parts) and all(fnmatchcase(have, want) for have, want in zip(path, parts, strict=False)):
            return True
    return False


# TOML


def _sections(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The text cut at its table headers, each piece with the path of its table.

    A line that begins with `[` is a header only where the piece before it is whole, not inside an array or a string.
    """
    path: tuple[str, ...] = ()
    piece: list[str] = []
    false_headers = 0
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            try:
                tomllib.loads("".join(piece))
                header: Any = tomllib.loads(line)
            except tomllib.TOMLDecodeError:
                false_headers += 1
                if false_headers > _MAX_FALSE_HEADERS:
                    raise ValueError("it is too intricate to be taken apart") from None
            else:
                yield path, "".join(piece)
                path, piece = _path_of(header), []
        piece.append(line)
    yield path, "".join(piece)


def _path_of(header: Any) -> tuple[str, ...]:
    path: tuple[str, ...] = ()
    while table := cast("dict[str, Any]", header[0] if isinstance(header, list) else header):
        key, header = next(iter(table.items()))
        path = (*path, key)
    return path


def _splice_toml(new: str, old: str, keys: tuple[str, ...]) -> str:
    kept = "".join(piece for path, piece in _sections(new) if not _decides(path, keys)).rstrip("\n")
    taken = "".join(piece for path, piece in _sections(old) if _decides(path, keys)).strip("\n")
    return "\n\n".join(part for part in (kept, taken) if part) + "\n"


# setup.cfg


def _parse_ini(text: str) -> dict[str, Any]:
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _splice_ini(new: str, old: str, keys: tuple[str, ...]) -> str:
    def pieces(text: str, *, deciding: bool) -> str:
        parts = re.split(r"(?m)^(?=\[)", text)
        heads = [(re.match(r"\[([^\]]*)\]", part), part) for part in parts]
        return "".join(part for head, part in heads if bool(head and _decides((head[1],), keys)) is deciding)

    kept, taken = pieces(new, deciding=False).rstrip("\n"), pieces(old, deciding=True).strip("\n")
    return "\n\n".join(part for part in (kept, taken) if part) + "\n"


# JSON


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("it names a key twice")
    return table


def _parse_json(text: str) -> dict[str, Any]:
    data: Any = json.loads(text, object_pairs_hook=_no_twins)
    if not isinstance(data, dict):
        raise ValueError("it is not an object")
    return cast("dict[str, Any]", data)


def _splice_json(new: str, old: str, keys: tuple[str, ...]) -> str:
    data = _parse_json(new)
    before = _parse_json(old) if old else {}
    merged = {key: value for key, value in data.items() if key not in keys or key in before}
    merged |= {key: before[key] for key in keys if key in before}
    indent = re.search(r"\n([ \t]+)\S", new)
    return json.dumps(merged, indent=indent[1] if indent else None, ensure_ascii=False) + "\n"


_Parse = Callable[[str], dict[str, Any]]
_Splice = Callable[[str, str, tuple[str, ...]], str]
_FORMATS: dict[str, tuple[_Parse, _Splice]] = {
    "toml": (tomllib.loads, _splice_toml),
    "cfg": (_parse_ini, _splice_ini),
    "json": (_parse_json, _splice_json),
}
