"""The goal as Aura uses it: what workers may read of it, the checks and the preparation that the person wrote in it.

Blocks are read to the letter: whatever is not understood is named with its line, all of it at once, and nothing starts.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from typing import Any

from aura_engine.core.model import Check, Prepare
from aura_engine.core.text import one_line
from aura_engine.errors import GoalError
from aura_engine.goal.fences import Block, find_blocks, opened_fence
from aura_engine.goal.read import GoalText
from aura_engine.goal.schema import BlockProblem, key_line, toml_problem, validate_check, validate_prepare

_MARKS = ("check", "prepare")
MAX_BLOCKS = 500


@dataclass(frozen=True)
class Goal:
    """One revision of the goal, understood."""

    text: str
    """The whole file: for the planner and the person."""
    revision: str
    prose: str
    """What workers may read: without hidden blocks and without comments."""
    checks: tuple[Check, ...]
    prepare: Prepare | None
    """All `prepare` blocks in one."""
    notes: tuple[str, ...] = ()
    """What looks like a mistake but may be meant, one line each."""


class BlockError(GoalError):
    """The file has blocks that cannot be read; `problems` lists all of them."""

    def __init__(self, name: str, problems: list[BlockProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        lines = [f"{name} line {problem.line}: {problem.what}" for problem in self.problems]
        super().__init__("\n".join(lines), cure=f"Nothing was started; correct {name} and start again.")


def parse_goal(goal: GoalText) -> Goal:
    """The checks, the preparation and the workers' prose of `goal`.

    Raises BlockError (a GoalError) with every malformed block, each with its line, and for more than 500 blocks.
    Takes up to 2 s of CPU for 1 MiB made of fences: where a loop must not wait, call it in a thread.
    """
    blocks = find_blocks(goal.text)
    ours = [block for block in blocks if block.word in _MARKS]
    if len(ours) > MAX_BLOCKS:
        raise BlockError(goal.path.name, [BlockProblem(ours[MAX_BLOCKS].first, f"more than {MAX_BLOCKS} blocks")])
    problems = [problem for block in blocks for problem in _lost(block)]
    checks: list[tuple[Block, Check]] = []
    prepares: list[tuple[Block, Prepare]] = []
    for block in ours:
        table = _toml(block, problems) if block.closed else None
        if table is None:
            continue
        if block.word == "check":
            check = validate_check(block, table, problems)
            checks += [(block, check)] if check else []
        else:
            prepare = validate_prepare(block, table, problems)
            prepares += [(block, prepare)] if prepare else []
    named = _named(checks, problems)
    if problems:
        raise BlockError(goal.path.name, problems)
    return Goal(
        text=goal.text,
        revision=goal.revision,
        prose=_prose(goal.text, blocks, {block.first for block, check in checks if check.hidden}),
        checks=tuple(named),
        prepare=_merged([prepare for _, prepare in prepares]),
        notes=tuple(_notes(goal, blocks)),
    )


def _toml(block: Block, problems: list[BlockProblem]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(block.body)
    except tomllib.TOMLDecodeError as error:
        problems.append(toml_problem(block, str(error)))
    except RecursionError:
        problems.append(BlockProblem(block.first, "not valid TOML: nested too deep"))
    return None


def _lost(block: Block) -> list[BlockProblem]:
    """A fence that is never closed is legal Markdown; it is a problem when it is, or swallows, one of our blocks."""
    if block.word in _MARKS and not block.closed:
        return [BlockProblem(block.first, f"the `{block.word}` block that begins here is never closed")]
    for offset, line in enumerate(block.body.split("\n")):
        fence = opened_fence(line, _MARKS)
        # A shorter fence inside a closed block is an example; one as long could only have been meant as a block.
        if fence and (not block.closed or fence.startswith(block.fence)):
            swallowed = block.first + offset + (block.fence != "<!--")
            what = f"what begins here is not closed before the block at line {swallowed}, which would not be read"
            return [BlockProblem(block.first, what)]
    return []


def _named(checks: list[tuple[Block, Check]], problems: list[BlockProblem]) -> list[Check]:
    """Every check with a name of its own; a name that the person gave twice is a problem."""
    given: dict[str, int] = {}
    for block, check in checks:
        if check.name in given:
            what = f"the name “{check.name}” is already taken by the check at line {given[check.name]}"
            problems.append(BlockProblem(key_line(block, "name"), what))
        elif check.name:
            given[check.name] = block.first
    taken = set(given)
    named: list[Check] = []
    for _, check in checks:
        if not check.name:
            check = check.model_copy(update={"name": _free_name(check, taken)})
            taken.add(check.name)
        named.append(check)
    return named


def _free_name(check: Check, taken: set[str]) -> str:
    base = f"{check.file}: {check.value}" if check.value else check.run or check.file or ""
    base = f"judge: {check.judge}" if check.judge else base
    base = one_line(base, 100)
    return next(name for n in range(1, len(taken) + 2) if (name := base if n == 1 else f"{base} ({n})") not in taken)


def _merged(prepares: list[Prepare]) -> Prepare | None:
    if len(prepares) < 2:
        return prepares[0] if prepares else None
    runs = [prepare.run for prepare in prepares if prepare.run]
    return Prepare.model_validate(
        {
            # One subshell each, so that neither `cd` nor `||` reaches into the next; the newline ends a comment.
            "run": " && ".join(f"({run}\n)" for run in runs) if len(runs) > 1 else (runs or [None])[0],
            "from": tuple(dict.fromkeys(path for prepare in prepares for path in prepare.from_)),
            "makes": tuple(dict.fromkeys(path for prepare in prepares for path in prepare.makes)),
            "share": tuple(dict.fromkeys(path for prepare in prepares for path in prepare.share)),
            "network": any(prepare.network for prepare in prepares),
            "timeout": min(sum(prepare.timeout for prepare in prepares), 86_400.0),
        }
    )


def _prose(text: str, blocks: list[Block], hidden: set[int]) -> str:
    lines: list[str | None] = [*text.split("\n")]
    for block in blocks:
        # A comment may hold a check that was held out and is switched off for now.
        if block.first in hidden or block.word == "<!--":
            lines[block.first - 1 : block.last] = [None] * (block.last - block.first + 1)
    return "\n".join(line for line in lines if line is not None)


def _notes(goal: GoalText, blocks: list[Block]) -> list[str]:
    """Blocks that are prose by the rules but were perhaps meant as ours."""
    notes: list[tuple[int, str]] = []
    inside: set[int] = set()
    for block in blocks:
        inside.update(range(block.first, block.last + 1))
        near = difflib.get_close_matches(block.word.lower(), _MARKS, 1, 0.8)
        if near and block.word not in _MARKS:
            notes.append((block.first, f"a block marked `{block.word}` is prose; only `{near[0]}` counts"))
    for number, line in enumerate(goal.text.split("\n"), 1):
        if number not in inside and opened_fence(line, _MARKS):
            notes.append((number, "a block that is quoted or indented by 4 spaces or more is prose"))
    return [f"{goal.path.name} line {number}: {what}" for number, what in sorted(notes)]
