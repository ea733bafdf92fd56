"""Delivery: the head into the person's folder or onto their branch, and their own changes onto the line."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from aura_engine.core.events import Delivered, DeliveryStarted, Notice, PersonLanded
from aura_engine.core.routing import backoff
from aura_engine.core.text import one_line
from aura_engine.errors import GitError
from aura_engine.faults import fault
from aura_engine.landing import Landing
from aura_engine.recorder import Recorder
from aura_engine.workspace.base import Base
from aura_engine.workspace.branch import BranchDelivery
from aura_engine.workspace.delivery import FolderDelivery
from aura_engine.workspace.repository import find_repository
from aura_engine.workspace.store import GitStore

log = logging.getLogger(__name__)

NAMED = 50


class Delivering:
    """One delivery at a time; a newer head that comes meanwhile is delivered next."""

    def __init__(
        self, recorder: Recorder, store: GitStore, landing: Landing, project: Path, base: Base, goal: str
    ) -> None:
        self._recorder = recorder
        self._store = store
        self._landing = landing
        repository = find_repository(project)
        self._branch = BranchDelivery(store, repository, goal, base) if repository else None
        self._folder = None if repository else FolderDelivery(store, project, exclude=base.exclude)
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._noted = ""
        """What was last said about a delivery: it holds for each one, and is said once."""
        self.person_changed: list[str] = []
        """Paths the person changed since the planner was last told."""

    async def aclose(self) -> None:
        """Close what reads the person's repository."""
        if self._branch:
            await self._branch.aclose()

    def want(self) -> None:
        """The head moved."""
        self._wanted.set()

    async def run(self) -> None:
        """Deliver whenever the head moved; cancelled at the end."""
        tries, said = 0, ""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.deliver()
                tries, said = 0, ""
            except (GitError, OSError) as error:
                tries += 1
                text = f"delivery failed and is tried again: {one_line(str(error), 300)}"
                if text != said:
                    said = text
                    await self._recorder.record(Notice(text=text, level="warning"))
                await asyncio.sleep(backoff(tries))
                self._wanted.set()

    async def deliver(self) -> None:
        """Bring the place to the head; what the person changed meanwhile is landed first. GitError, OSError."""
        async with self._lock:
            state = self._recorder.state
            await self._finish_cut_short()
            if state.head_tree == state.delivered_tree:
                return
            await self._take_person_changes()
            await self._apply()

    async def take_person_changes(self) -> None:
        """Land what the person changed in a plain folder since the last delivery, as theirs."""
        async with self._lock:
            await self._finish_cut_short()
            await self._take_person_changes()

    async def _finish_cut_short(self) -> None:
        if self._recorder.state.delivering_tree:
            await self._apply(self._recorder.state.delivering_tree)

    async def _apply(self, tree: str = "") -> None:
        state = self._recorder.state
        old, new = state.delivered_tree, tree or state.head_tree
        await self._recorder.record(DeliveryStarted(tree=new))
        fault("delivery.started")
        if self._branch is not None:
            done = await self._branch.apply(old, new, head=state.head)
        else:
            assert self._folder is not None
            done = await self._folder.apply(old, new)
        fault("delivery.applied")
        if done.note and done.note != self._noted:
            self._noted = done.note
            self._recorder.record(Notice(text=done.note))
        await self._recorder.record(
            Delivered(commit=state.head, tree=new, place=done.place, take=done.command, kept=done.kept[:NAMED])
        )
        fault("delivery.done")

    async def _take_person_changes(self) -> None:
        if self._folder is None:
            return  # in a repository the person's work tree is theirs alone; the branch is ours
        state = self._recorder.state
        theirs = await self._folder.changes_by_person(state.delivered_tree)
        if theirs is None:
            return
        async with self._landing.exclusive:
            changed = await self._store.diff(state.delivered_tree, theirs)
            entries = await self._store.entries(theirs)
            # Their version wins where both changed a file: it is their project.
            head = await self._store.edit(state.head_tree, {c.path: entries.get(c.path) for c in changed})
            paths = tuple(change.path for change in changed)
            commit = state.head
            if head != state.head_tree:
                commit = await self._store.commit(head, [state.head], "changed by the person")
            fault("person.landed")
            # What they changed lies in the folder already: from here on it counts as delivered.
            await self._recorder.record(PersonLanded(commit=commit, tree=head, folder=theirs, paths=paths[:NAMED]))
            self.person_changed += paths[:NAMED]
