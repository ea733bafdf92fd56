"""The tree as a flat list of rows: what is folded, what a filter leaves, and a selection that never jumps."""

from __future__ import annotations

from aura_engine.core.model import TaskStatus
from aura_engine.core.plan import id_key
from aura_engine.core.state import RunState, Task


class Outline:
    """The rows that are to be seen, in reading order. `rebuild` is for changes of structure, fold or filter only."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.index: dict[str, int] = {}
        self.depth: dict[str, int] = {}
        self.folded: set[str] = set()
        self.filter = ""
        self.selected = ""
        self._parents: dict[str, str] = {}

    def rebuild(self, state: RunState) -> None:
        """Lay the rows out anew. The selection stays on its task; if that is gone from sight, on its nearest sight."""
        before, at = self.rows, self.index.get(self.selected, 0)
        ordered = _preorder(state)
        self.depth = dict(ordered)
        self._parents = {task_id: state.tasks[task_id].spec.parent for task_id, _ in ordered}
        kept = self._matching(state, ordered) if self.filter else None
        self.rows = []
        hidden_below: int | None = None
        for task_id, depth in ordered:
            if hidden_below is not None and depth > hidden_below:
                continue
            hidden_below = None
            if kept is not None and task_id not in kept:
                continue
            self.rows.append(task_id)
            # A filter looks into folded groups too: what is searched for must be found.
            if kept is None and task_id in self.folded:
                hidden_below = depth
        self.index = {task_id: row for row, task_id in enumerate(self.rows)}
        self._hold_selection(before, at)

    def select(self, row: int) -> str:
        """Select the row of that number (clamped); the id selected, "" in an empty tree."""
        if self.rows:
            self.selected = self.rows[max(0, min(row, len(self.rows) - 1))]
        return self.selected

    def move(self, by: int) -> str:
        """Move the selection by so many rows."""
        return self.select(self.index.get(self.selected, 0) + by)

    def row(self) -> int:
        """The selected row's number; 0 in an empty tree."""
        return self.index.get(self.selected, 0)

    def parent(self, task_id: str) -> str:
        """The group above; "" at the top."""
        return self._parents.get(task_id, "")

    def unfold_to(self, task_id: str) -> bool:
        """Unfold the groups above a task; True when the rows have to be rebuilt."""
        above = self.parent(task_id)
        changed = False
        while above:
            changed |= above in self.folded
            self.folded.discard(above)
            above = self.parent(above)
        return changed

    def _hold_selection(self, before: list[str], at: int) -> None:
        if self.selected in self.index or not self.rows:
            return
        above = self.parent(self.selected)
        while above and above not in self.index:
            above = self.parent(above)
        if above:
            self.selected = above
            return
        following = (task_id for task_id in before[at:] if task_id in self.index)
        preceding = (task_id for task_id in reversed(before[:at]) if task_id in self.index)
        self.selected = next(following, None) or next(preceding, None) or self.rows[0]

    def _matching(self, state: RunState, ordered: list[tuple[str, int]]) -> set[str]:
        """The tasks that fit the filter, with the groups above them."""
        words = self.filter.casefold().split()
        kept: set[str] = set()
        for task_id, _ in ordered:
            haystack = searchable(state.tasks[task_id])
            if all(word in haystack for word in words):
                node = task_id
                while node and node not in kept:
                    kept.add(node)
                    node = self._parents.get(node, "")
        return kept


def searchable(task: Task) -> str:
    """What a filter looks at: id, title, status, role."""
    parts = [task.spec.id, task.spec.title]
    if not task.spec.group:
        parts.append("done" if task.status is TaskStatus.COMPLETED else task.status.value.replace("_", " "))
        parts += [task.attempts[-1].role.value, task.attempts[-1].backend] if task.attempts else []
    return " ".join(parts).casefold()


def _preorder(state: RunState) -> list[tuple[str, int]]:
    """(id, depth) in the order a person reads; with a stack, since a plan may be deeper than Python likes."""
    rows: list[tuple[str, int]] = []
    stack = [(child, 0) for child in sorted(state.children.get("", ()), key=id_key, reverse=True)]
    while stack:
        task_id, depth = stack.pop()
        rows.append((task_id, depth))
        stack += [(child, depth + 1) for child in sorted(state.children.get(task_id, ()), key=id_key, reverse=True)]
    return rows
