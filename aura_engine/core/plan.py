"""What a plan is made of: the brief, task specifications, changes to them, and the minting of task ids."""

from __future__ import annotations

import string
from functools import lru_cache

from pydantic import Field

from aura_engine.core.model import Check, Difficulty, Frozen, RelPath


class Criterion(Frozen):
    """One success criterion of the goal and the names of the goal checks that decide it (never empty)."""

    text: str = Field(min_length=1, max_length=1000)
    checks: tuple[str, ...] = Field(min_length=1)


class Brief(Frozen):
    """What the planner drew from the goal."""

    final_goal: str = Field(min_length=1, max_length=4000)
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    constraints: tuple[str, ...] = ()
    environment: str = Field(default="", max_length=8000)
    notes: str = Field(default="", max_length=8000)


class TaskSpec(Frozen):
    """A node of the tree as planned. A group has children and never runs; a leaf runs."""

    id: str
    parent: str = ""
    title: str = Field(min_length=1, max_length=200)
    instructions: str = Field(default="", max_length=20_000)
    needs: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    goal_checks: tuple[str, ...] = ()
    """Names of goal checks that this task must turn green as well."""
    makes: tuple[RelPath, ...] = ()
    difficulty: Difficulty = Difficulty.NORMAL
    group: bool = False


class TaskChange(Frozen):
    """A change to a task that is not done; None leaves a field as it is."""

    id: str
    instructions: str | None = None
    needs: tuple[str, ...] | None = None
    add_checks: tuple[Check, ...] = ()
    makes: tuple[RelPath, ...] | None = None
    difficulty: Difficulty | None = None


class Retry(Frozen):
    """A failed task is to run again, with these instructions for the next worker."""

    id: str
    instructions: str = Field(default="", max_length=20_000)


def apply_change(spec: TaskSpec, change: TaskChange) -> TaskSpec:
    """The specification after a change; checks are only ever added."""
    update = change.model_dump(exclude_none=True, exclude={"id", "add_checks"}, exclude_unset=True)
    fields = {name: getattr(change, name) for name in update}
    names = {check.name for check in change.add_checks}
    kept = tuple(check for check in spec.checks if check.name not in names or check.person)
    added = tuple(check for check in change.add_checks if check.name not in {item.name for item in kept})
    return spec.model_copy(update={**fields, "checks": kept + added})


def batch_letter(index: int) -> str:
    """0 → A, 25 → Z, 26 → AA …: the letter of the goal revision's batch."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = string.ascii_uppercase[rest] + letters
    return letters


def batch_index(task_id: str) -> int:
    """The inverse of `batch_letter` for the letters of a task id."""
    index = 0
    for letter in task_id.split(".")[0].rstrip(string.digits):
        index = index * 26 + string.ascii_uppercase.index(letter) + 1
    return index - 1


class IdMint:
    """Mints task ids that no model chose: `A1`, `A1.2`, … Ids are never used twice in a run."""

    def __init__(self, batch: str, taken: frozenset[str] | set[str]) -> None:
        self._batch = batch
        self._next: dict[str, int] = {}
        for task_id in taken:
            parent, number = split_id(task_id)
            self._next[parent] = max(self._next.get(parent, 0), number)

    def mint(self, parent: str) -> str:
        """The next free id below a parent ("" for the top)."""
        key = parent or self._batch
        self._next[key] = self._next.get(key, 0) + 1
        return f"{parent}.{self._next[key]}" if parent else f"{self._batch}{self._next[key]}"


def split_id(task_id: str) -> tuple[str, int]:
    """`A1.2` → (`A1`, 2); `B3` → (`B`, 3)."""
    if "." in task_id:
        parent, _, last = task_id.rpartition(".")
        return parent, int(last)
    letters = task_id.rstrip(string.digits)
    return letters, int(task_id[len(letters) :])


@lru_cache(maxsize=16_384)
def id_key(task_id: str) -> tuple[int, str, tuple[int, ...]]:
    """Sorts ids as a person counts: A2 before A10, Z9 before AA1."""
    letters = task_id.split(".")[0].rstrip(string.digits)
    numbers = tuple(int(part) for part in task_id[len(letters) :].split("."))
    return len(letters), letters, numbers
