"""Workspaces for attempts: made from the head (ahead of time for the next ready tasks), snapshotted, taken away.

The next attempt at a task finds the work of the last one in its folder where that still merges: frozen files put back,
conflicts marked when that is what sent it back.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from aura_engine.checkouts import Checkouts, Furnished
from aura_engine.core.model import Check, Outcome
from aura_engine.core.routing import must_run_alone
from aura_engine.core.state import RunState, Task
from aura_engine.errors import AuraError
from aura_engine.guard.managed import NAME
from aura_engine.paths import RunPaths, private_dir
from aura_engine.preparing import Preparation
from aura_engine.removal import remove_few
from aura_engine.verify.programs import withheld
from aura_engine.workspace.checkout import discard
from aura_engine.workspace.clean import CleanCheckout
from aura_engine.workspace.snapshot import Snapshot, snapshot
from aura_engine.workspace.store import GitStore
from aura_engine.workspace.throwaway import LinePacks, ThrowawayGit

log = logging.getLogger(__name__)

MAKERS = 2
"""Workspaces made at the same time: as many as there are cores on a small machine."""
KEPT = 32
"""Workspaces whose attempt is over that wait for the next one: two batches of landings."""


@dataclass(frozen=True)
class Workspace:
    """A worker's folder."""

    folder: Path
    base: str
    """Commit of the line it was made from."""
    carried: bool = False
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ahead:
    """A folder made, or being made, before its attempt."""

    n: int
    plan: int
    """RunState.plan when it was begun."""
    base: str
    making: asyncio.Task[Workspace | None]


class Workspaces:
    """Makes and keeps the folders of attempts."""

    def __init__(
        self, store: GitStore, paths: RunPaths, preparation: Preparation, state: RunState, task_file: str
    ) -> None:
        self._store = store
        self._paths = paths
        self._preparation = preparation
        self._state = state
        self._task_file = task_file
        """The task file relative to the project; empty when it lies outside."""
        self._ahead: dict[str, Ahead] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._hidden: tuple[int, list[Check]] = (-1, [])
        self._makers = asyncio.Semaphore(MAKERS)
        self._checkouts = Checkouts(store, preparation, kept=KEPT, skip={".git"}, newest=True)
        self._packs = LinePacks(store)
        self._gits: WeakKeyDictionary[CleanCheckout, ThrowawayGit] = WeakKeyDictionary()
        self._given: dict[tuple[str, int], Furnished] = {}
        """By task and attempt; none for those that an earlier engine made."""

    def ahead(self, task_ids: Collection[str], group: asyncio.TaskGroup) -> None:
        """Begin with the folders of the tasks that will start next, so that a free slot never waits for a checkout."""
        for task_id in task_ids:
            n = len(self._state.tasks[task_id].attempts) + 1
            if task_id in self._ahead and self._fits(task_id, self._ahead[task_id]):
                continue
            base, plan = self._state.head, self._state.plan
            making = group.create_task(self._try(task_id, n, base), name=f"workspace {task_id}")
            self._ahead[task_id] = Ahead(n, plan, base, making)

    def base_for(self, task_id: str) -> tuple[str, asyncio.Task[Workspace | None] | None]:
        """The commit that the next attempt starts from, and its folder when that is made or being made already."""
        ahead = self._ahead.pop(task_id, None)
        if ahead is None or not self._fits(task_id, ahead):
            return self._state.head, None
        return ahead.base, ahead.making

    def _fits(self, task_id: str, ahead: Ahead) -> bool:
        """Made for the next attempt, and for the plan as it is: what is held out may have changed with it."""
        task = self._state.tasks[task_id]
        fresh = ahead.base == self._state.head or not must_run_alone(task)
        return ahead.n == len(task.attempts) + 1 and ahead.plan == self._state.plan and fresh

    async def _try(self, task_id: str, n: int, base: str) -> Workspace | None:
        """Nothing waits for this one yet: a failure is told when the attempt itself makes it again."""
        async with self._makers:
            try:
                return await self.make(task_id, n, base)
            except (AuraError, OSError) as error:
                log.warning("workspace of %s#%s: %s", task_id, n, error)
                return None

    async def make(self, task_id: str, n: int, base: str) -> Workspace:
        """Fill the folder of an attempt. GitError, RuntimeFault (a `prepare` that fails)."""
        async with self._locks.setdefault(task_id, asyncio.Lock()):  # one made ahead that no longer fits may be at work
            return await self._make(task_id, n, base)

    async def _make(self, task_id: str, n: int, base: str) -> Workspace:
        folder = self._paths.workspace(task_id, n)
        if stale := self._given.pop((task_id, n), None):
            await self._checkouts.give_back(stale)
        elif folder.exists():  # left by an engine that died while making it
            await discard(self._store, folder)
        tree = await self._store.tree_of(base)
        content, conflicts = await self._carried(self._state.tasks[task_id], tree)
        hidden = await self.withheld(tree)
        line = await self._without(tree, hidden)
        shown = await self._without(content, hidden) if content else line
        made = await self._checkouts.get(shown, folder, like=tree)
        git = self._gits.setdefault(made.checkout, ThrowawayGit(self._store, self._packs))
        await git.renew(made.checkout, line, hidden)
        self._given[task_id, n] = made
        return Workspace(folder, base, content is not None, conflicts)

    async def _without(self, tree: str, hidden: Collection[str]) -> str:
        return await self._store.edit(tree, dict.fromkeys(hidden)) if hidden else tree

    async def _carried(self, task: Task, head_tree: str) -> tuple[str | None, tuple[str, ...]]:
        """The tree that holds the last attempt's work on top of the head, and the files that conflict in it."""
        last = next((a for a in reversed(task.attempts) if a.snapshot), None)
        if last is None:
            return None, ()
        base_tree, work_tree = await self._store.tree_of(last.base), await self._store.tree_of(last.snapshot)
        if work_tree == base_tree:
            return None, ()
        merged = await self._store.merge(base_tree, head_tree, work_tree)
        if merged.conflicts and last.outcome is not Outcome.CONFLICT:
            return None, ()
        return merged.tree, merged.conflicts

    async def withheld(self, tree: str) -> frozenset[str]:
        """Files no worker gets: those of held-out checks, and the task file while it holds such checks."""
        hidden = self.hidden()
        if not hidden:
            return frozenset()
        entries = await self._store.entries(tree)
        own = {self._task_file} if self._task_file in entries else set[str]()
        return withheld(entries.keys(), hidden) | own

    def hidden(self) -> list[Check]:
        """Every held-out check of the run, of dropped tasks too; looked up anew only when the plan has changed."""
        if self._hidden[0] != self._state.plan:
            of_tasks = (check for task in self._state.leaves() for check in task.spec.checks)
            found = [check for check in (*self._state.goal_checks.values(), *of_tasks) if check.hidden]
            self._hidden = (self._state.plan, found)
        return self._hidden[1]

    async def untouchable(self, tree: str) -> frozenset[str]:
        """Paths that stay as the line has them whatever a worker does."""
        own = frozenset({self._task_file}) if self._task_file else frozenset[str]()
        return await self.withheld(tree) | own

    async def snapshot(self, task: Task, n: int, base: str) -> Snapshot:
        """What the worker left, as a commit. GitError; OSError when the folder is gone."""
        checks = [*task.spec.checks, *self._state.goal_checks.values()]
        keep = {path for check in checks for path in (check.file, *check.uses) if path} | set(task.spec.makes)
        tree = await self._store.tree_of(base)
        given = self._given.get((task.spec.id, n))
        return await snapshot(
            self._store,
            self._paths.workspace(task.spec.id, n),
            base,
            message=f"{task.spec.id}#{n} {task.spec.title}",
            keep=keep,
            skip=self._preparation.paths | await self.untouchable(tree) | await self._ours(tree),
            given=given.checkout if given else None,
        )

    async def _ours(self, tree: str) -> frozenset[str]:
        """What a worker tells Aura in its workspace is no work, unless the project has a file of that name."""
        return frozenset({NAME}) - (await self._store.entries(tree)).keys()

    async def patch(self, task: Task) -> str:
        """Unified diff of what is in work, else of what the last attempt left; "" where there is nothing to show."""
        live = task.live
        if live is not None and live.ended is None:
            try:
                after = (await self.snapshot(task, live.place, live.base)).tree
            except OSError:  # its folder is not made yet, or has just gone
                return ""
            return await self._store.patch(await self._store.tree_of(live.base), after)
        left = task.last_left
        if left is None:
            return ""
        trees = [await self._store.tree_of(commit) for commit in (left.base, left.snapshot)]
        return await self._store.patch(*trees)

    async def put_by(self, task_id: str, n: int) -> Path:
        """Move a folder whose work could not be taken to where nothing removes it; where that is. OSError."""
        self._given.pop((task_id, n), None)
        private_dir(self._paths.kept)
        place = self._paths.kept / f"{task_id}-{n}-{os.urandom(3).hex()}"
        self._paths.workspace(task_id, n).rename(place)
        return place

    async def remove(self, task_id: str, n: int) -> None:
        """Take an attempt's folder and home away; its work is in the store. Never raises."""
        try:
            given = self._given.pop((task_id, n), None)
            if given is None:
                await discard(self._store, self._paths.workspace(task_id, n))
            else:
                await self._checkouts.give_back(given)
            await asyncio.to_thread(remove_few, self._paths.home(task_id, n))
        except (AuraError, OSError) as error:
            log.warning("cannot remove the workspace of %s#%s: %s", task_id, n, error)
