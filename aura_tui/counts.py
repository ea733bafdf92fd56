"""How many tasks of each status lie below each group: kept up to date leaf by leaf, never counted anew per event."""

from __future__ import annotations

from collections import Counter

from aura_engine.core.model import TaskStatus
from aura_engine.core.state import RunState

ROOT = ""
"""The key of the whole tree."""


class Counts:
    """Leaves by status, for every group and for the whole tree (ROOT)."""

    def __init__(self) -> None:
        self._of: dict[str, Counter[TaskStatus]] = {ROOT: Counter()}
        self._last: dict[str, TaskStatus] = {}

    def rebuild(self, state: RunState) -> None:
        """Count everything anew: after a change of the plan only."""
        self._of = {ROOT: Counter()}
        self._last = {}
        for task in state.leaves():
            self._add(state, task.spec.id, task.status, 1)
            self._last[task.spec.id] = task.status

    def update(self, state: RunState, task_id: str) -> list[str]:
        """Take in a task's status; the groups whose figures changed, nearest first. Costs the task's depth."""
        task = state.tasks.get(task_id)
        old = self._last.get(task_id)
        if task is None or task.spec.group or task.status is old:
            return []
        if old is not None:
            self._add(state, task_id, old, -1)
        self._last[task_id] = task.status
        return self._add(state, task_id, task.status, 1)

    def of(self, group: str, *statuses: TaskStatus) -> int:
        """Leaves below a group in any of these statuses."""
        found = self._of.get(group)
        return sum(found[status] for status in statuses) if found else 0

    def wanted(self, group: str) -> int:
        """Leaves below a group that are not archived."""
        found = self._of.get(group)
        return found.total() - found[TaskStatus.ARCHIVED] if found else 0

    def _add(self, state: RunState, task_id: str, status: TaskStatus, by: int) -> list[str]:
        above: list[str] = []
        node = state.tasks[task_id].spec.parent
        while node:
            above.append(node)
            self._of.setdefault(node, Counter())[status] += by
            node = state.tasks[node].spec.parent if node in state.tasks else ""
        self._of[ROOT][status] += by
        return above
