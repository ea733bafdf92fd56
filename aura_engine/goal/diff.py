"""What an edit of the goal changed: the text for the planner, the checks for the engine."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from aura_engine.core.model import Check


@dataclass(frozen=True)
class CheckChanges:
    """Checks compared by name. A renamed check is one removed and one added."""

    added: tuple[Check, ...] = ()
    changed: tuple[tuple[Check, Check], ...] = ()
    """(old, new)"""
    removed: tuple[Check, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.changed or self.removed)


def diff_text(old: str, new: str, *, name: str = "task.md", limit: int = 40_000) -> str:
    """The unified diff from `old` to `new`, cut after `limit` characters with a line saying so; empty when equal.

    Costs up to 0.2 s of CPU for a rewritten file of 1 MiB: call it in a thread when the goal is long.
    """
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{name} (before)", f"{name} (now)", lineterm="")
    whole = "\n".join(lines)
    if len(whole) <= limit:
        return whole
    kept = whole[:limit].rpartition("\n")[0]
    return f"{kept}\n… {whole.count(chr(10)) - kept.count(chr(10))} more changed lines are left out; read {name}"


def diff_checks(old: Iterable[Check], new: Iterable[Check]) -> CheckChanges:
    """What became of the checks: an equal name with any other content counts as changed."""
    before = {check.name: check for check in old}
    after = {check.name: check for check in new}
    return CheckChanges(
        added=tuple(check for name, check in after.items() if name not in before),
        changed=tuple((before[name], check) for name, check in after.items() if before.get(name, check) != check),
        removed=tuple(check for name, check in before.items() if name not in after),
    )
