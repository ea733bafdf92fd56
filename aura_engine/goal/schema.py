"""One block's TOML table as a Check or a Prepare; what is wrong with it in the words of the person who wrote it."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from aura_engine.core.duration import parse_duration
from aura_engine.core.model import Check, Prepare, rel_path
from aura_engine.core.text import one_line
from aura_engine.goal.fences import Block

CHECK_KEYS = tuple(name for name in Check.model_fields if name != "person")
PREPARE_KEYS = tuple(field.alias or name for name, field in Prepare.model_fields.items())
_PLACEHOLDER = "\0unnamed"
_RESERVED = (".git", ".aura")
_MEANT = {
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "tuple_type": 'must be a list of paths such as ["data/"]',
    "dict_type": "must be a table of path = text",
    "string_too_short": "must not be empty",
}


@dataclass(frozen=True)
class BlockProblem:
    """What is wrong, and on which line of the file (1-based)."""

    line: int
    what: str


def validate_check(block: Block, table: dict[str, Any], problems: list[BlockProblem]) -> Check | None:
    """The person's check in `block`, with an empty name where none was given; None when `problems` grew."""
    before = len(problems)
    table = _known(block, table, CHECK_KEYS, problems)
    table = _with_seconds(block, table, problems)
    _check_strings(block, table, problems)
    endless = [key for key, value in table.items() if isinstance(value, float) and not math.isfinite(value)]
    problems += [BlockProblem(key_line(block, key), f"`{key}` must be a number") for key in endless]
    if len(problems) > before:
        return None
    try:
        check = Check.model_validate({"name": _PLACEHOLDER, **table, "person": True})
    except ValidationError as error:
        problems += _translated(block, error)
        return None
    problems += [BlockProblem(block.first, what) for what in _senseless(check)]
    problems += _reserved(block, "file", (check.file,) if check.file else ())
    if len(problems) > before:
        return None
    return check.model_copy(update={"name": ""}) if check.name == _PLACEHOLDER else check


def validate_prepare(block: Block, table: dict[str, Any], problems: list[BlockProblem]) -> Prepare | None:
    """The preparation in `block`, its paths in clean form; None when `problems` grew."""
    before = len(problems)
    table = _with_seconds(block, _known(block, table, PREPARE_KEYS, problems), problems)
    for key in ("from", "makes", "share"):
        if not isinstance(table.get(key, []), list):
            problems.append(BlockProblem(key_line(block, key), f"`{key}` {_MEANT['tuple_type']}"))
            continue
        try:
            table[key] = [rel_path(str(path)) for path in table.get(key, [])]
        except ValueError as error:
            problems.append(BlockProblem(key_line(block, key), f"`{key}`: {error}"))
            continue
        problems += _reserved(block, key, table[key])
    if table.get("makes") and not table.get("run"):
        problems.append(BlockProblem(key_line(block, "makes"), "`makes` needs the `run` that makes it"))
    if not (table.get("run") or table.get("share")) and len(problems) == before:
        problems.append(BlockProblem(block.first, "a `prepare` block needs `run` or `share`"))
    if len(problems) > before:
        return None
    try:
        return Prepare.model_validate(table)
    except ValidationError as error:
        problems += _translated(block, error)
        return None


def key_line(block: Block, key: str) -> int:
    """The line of `key` in the file; the block's first line when it is not there."""
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]|\s*\[\s*[\"']?{re.escape(key)}\b")
    lines = block.body.split("\n")
    return block.first + next((n for n, line in enumerate(lines, 1) if pattern.match(line)), 0)


def toml_problem(block: Block, message: str) -> BlockProblem:
    """tomllib's own message with its place counted in the whole file."""
    place = re.search(r" \(at line (\d+), column \d+\)$", message)
    line = block.first + int(place[1]) if place else block.last
    return BlockProblem(line, f"not valid TOML: {message[: place.start()] if place else message}")


def _known(block: Block, table: dict[str, Any], keys: tuple[str, ...], problems: list[BlockProblem]) -> dict[str, Any]:
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key.lower(), keys, 1, 0.6)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(keys)}"
            problems.append(BlockProblem(key_line(block, key), f"unknown key `{one_line(key, 60)}`; {hint}"))
    return {key: value for key, value in table.items() if key in keys}


def _with_seconds(block: Block, table: dict[str, Any], problems: list[BlockProblem]) -> dict[str, Any]:
    if "timeout" not in table:
        return table
    try:
        return table | {"timeout": parse_duration(table["timeout"])}
    except ValueError as error:
        problems.append(BlockProblem(key_line(block, "timeout"), f"`timeout`: {error}"))
        return table


def _check_strings(block: Block, table: dict[str, Any], problems: list[BlockProblem]) -> None:
    for key in ("name", "run", "file", "value", "judge", "part"):
        value = table.get(key)
        if isinstance(value, str) and not value.strip():
            problems.append(BlockProblem(key_line(block, key), f"`{key}` must not be empty"))
        elif isinstance(value, str) and ((key in ("name", "part") and not value.isprintable()) or "\0" in value):
            problems.append(BlockProblem(key_line(block, key), f"`{key}` has characters that cannot be shown"))
    if isinstance(pattern := table.get("matches"), str):
        try:
            re.compile(pattern, re.MULTILINE)
        except re.error as error:
            what = f"`matches` is not a regular expression: {error}"
            problems.append(BlockProblem(key_line(block, "matches"), what))


def _translated(block: Block, error: ValidationError) -> list[BlockProblem]:
    problems: dict[str, BlockProblem] = {}
    for detail in error.errors(include_url=False):
        key = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] == "value_error":
            what = str(detail.get("ctx", {}).get("error"))
            what = f"`{key}`: {what}" if key else what
        else:
            meant = _MEANT.get(detail["type"]) or detail["msg"].replace("Input should", "must")
            what = f"`{key}` {meant}"
        problems.setdefault(key, BlockProblem(key_line(block, key) if key else block.first, what))
    return list(problems.values())


def _senseless(check: Check) -> list[str]:
    """What the model allows but no person can mean."""
    found: list[str] = []
    if check.report and not (check.run and check.kind == "run"):
        found.append("`report` needs the `run` that runs the tests, and no `file`")
    if check.min_tests is not None and not check.report:
        found.append('`min_tests` needs report = "junit", which counts them')
    if check.at_least is not None and check.at_most is not None and check.at_least > check.at_most:
        found.append("`at_least` is above `at_most`: nothing can pass")
    if not check.reproduce and not check.file:
        found.append("`reproduce = false` needs the `file` that holds the result")
    return found


def _reserved(block: Block, key: str, paths: tuple[str, ...] | list[str]) -> list[BlockProblem]:
    bad = next((path for path in paths if path.split("/")[0] in _RESERVED), None)
    return [BlockProblem(key_line(block, key), f"`{key}`: “{bad}” is not part of the work")] if bad else []
