"""Delivery into the person's git repository: the branch `aura/<goal>` moves, their index and work tree do not.

Each delivered commit names in its message the tree of the store that it stands for. So the branch itself says what it
holds: a delivery that a crash cut short is found done or is done again.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from aura_engine.clock import Clock, SystemClock
from aura_engine.core.text import one_line
from aura_engine.errors import GitError
from aura_engine.faults import fault
from aura_engine.workspace import trees
from aura_engine.workspace.base import Base
from aura_engine.workspace.delivery import Delivered
from aura_engine.workspace.git import call
from aura_engine.workspace.names import is_secret, parents, within
from aura_engine.workspace.objects import EMPTY_TREE, GITLINK, Entry, New, Objects, make, make_tree
from aura_engine.workspace.repository import Repository
from aura_engine.workspace.store import GitStore, commit_text

_TRAILER = "Aura-Tree"
_NAMES = 100
_SUBJECT = 72
"""Characters: git and those who show its log cut there."""


class _Branch(NamedTuple):
    name: str
    commit: str
    checked_out: bool
    stands_for: str
    """What the tip's message says it stands for; empty for a commit that is not Aura's."""


class BranchDelivery:
    """The person's repository. One instance per run; deliveries must not overlap; `aclose` when done."""

    def __init__(
        self, store: GitStore, repository: Repository, goal: str, base: Base, *, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._repository = repository
        self._goal = re.sub(r"[^A-Za-z0-9_-]+", "-", goal).strip("-") or "goal"
        self._base = base
        self._clock = clock or SystemClock()
        self._objects = Objects(repository.git_dir, foreign=True)
        self._large: dict[str, str] = {}

    async def aclose(self) -> None:
        """End the process that reads the person's repository."""
        await self._store.run(self._objects.close)

    async def apply(self, old_tree: str, new_tree: str, *, head: str = "") -> Delivered:
        """Move the branch from the tree that was delivered last (the base's at first) to the new one.

        `head` is the newest commit of the line, which says what has landed. Where the branch is checked out, or its tip
        is not ours, another name is used and said in `note`. The first commit's parent is what the person had checked
        out. GitError when the repository refuses.
        """
        return await self._store.run(self._apply, old_tree, new_tree, head)

    def _apply(self, old_tree: str, new_tree: str, head: str) -> Delivered:
        branches = self._branches()
        onto: _Branch | None = None
        for branch in branches.values():
            if branch.stands_for == self._stamp(new_tree):
                return self._delivered(branch.name, ())
            if onto is None and branch.stands_for == self._stamp(old_tree):
                onto = branch
        if onto:
            parents_, start, since = [onto.commit], self._objects.header(onto.commit)[0], old_tree
        else:
            parents_, start = self._begin()
            since = self._base.tree
        name = onto.name if onto and not onto.checked_out else self._free_name(branches, parents_)
        kept: list[str] = []
        new: New = {}
        tree = trees.edit(self._objects, start, self._changes(start, since, new_tree, new, kept), new)
        commit = self._commit(new, tree, parents_, _message(self._landed(head, since, new_tree)), new_tree)
        self._objects.add(new)
        before = branches[name].commit if name in branches else "0" * 40
        fault("delivery.branch")
        args = ["update-ref", "-m", "aura: landed", f"refs/heads/{name}", commit, before]
        call(args, git_dir=self._repository.git_dir)
        return self._delivered(name, tuple(kept))

    def _landed(self, head: str, since: str, new_tree: str) -> list[str]:
        """The tasks that led from one tree to the other, oldest first, as the line's commits name them."""
        if not head:
            return []
        objects = self._store.objects
        tree, above = objects.header(head)
        while tree != new_tree and above:  # the head may have moved on since this delivery began
            head = above[0]
            tree, above = objects.header(head)
        found: list[str] = []
        while tree != since and above:
            names = objects.read(head).decode(errors="replace").partition("\n\n")[2].strip().split("\n")
            found[:0] = names
            head = above[0]
            tree, above = objects.header(head)
        return found

    def _branches(self) -> dict[str, _Branch]:
        form = f"%(refname)%00%(objectname)%00%(worktreepath)%00%(contents:trailers:key={_TRAILER},valueonly)%00"
        args = ["for-each-ref", f"--format={form}", "refs/heads/aura*", "refs/heads/aura/"]
        out = call(args, git_dir=self._repository.git_dir).out
        fields = iter(out.decode(errors="surrogateescape").split("\0"))
        found: dict[str, _Branch] = {}
        for ref, commit, worktree, trailer in zip(fields, fields, fields, fields, strict=False):
            name = ref.strip().removeprefix("refs/heads/")
            found[name] = _Branch(name, commit, bool(worktree), trailer.strip())
        return found

    def _free_name(self, branches: dict[str, _Branch], parents_: list[str]) -> str:
        stem = f"aura-{self._goal}" if "aura" in branches else f"aura/{self._goal}"
        for name in (stem, *(f"{stem}-{number}" for number in range(2, _NAMES))):
            branch = branches.get(name)
            if branch is None or (not branch.checked_out and parents_ and self._is_merged(branch.commit, parents_[0])):
                return name
        raise GitError(
            f"No name is left for the branch of “{self._goal}” in {self._repository.top}.",
            cure=f"Delete old ones; this lists them: git branch --list '{stem}*'",
        )

    def _is_merged(self, commit: str, into: str) -> bool:
        args = ["merge-base", "--is-ancestor", commit, into]
        return call(args, git_dir=self._repository.git_dir, ok=(0, 1)).code == 0

    def _begin(self) -> tuple[list[str], str]:
        """What the first delivered commit stands on, and its tree: the person's commit, with their uncommitted work."""
        head = self._base.head
        tree = self._objects.header(head)[0] if head else EMPTY_TREE
        parents_ = [head] if head else []
        base = self._store.flat(self._base.tree)
        absent = {path for path, _ in self._base.skipped} | set(self._base.exclude)
        new: New = {}
        changes: dict[str, Entry | None] = {}
        for path in self._base.dirty:
            inside = path.removeprefix(self._repository.prefix)
            if path.endswith("/"):
                nested = {each: entry for each, entry in base.items() if each.startswith(inside)}
                changes |= {self._repository.prefix + each: self._carry(entry, new) for each, entry in nested.items()}
            elif entry := base.get(inside):
                changes[path] = self._carry(entry, new)
            elif not within(inside, absent):
                changes[path] = None
        if changes:
            tree = trees.edit(self._objects, tree, changes, new)
            parents_ = [self._commit(new, tree, parents_, "Uncommitted work when Aura started", self._base.tree)]
        make_tree(new, {})
        self._objects.add(new)
        return parents_, tree

    def _changes(self, start: str, since: str, new_tree: str, new: New, kept: list[str]) -> dict[str, Entry | None]:
        """What the store's trees differ in, as a change of the repository's tree.

        All else there stays as it is: secrets, submodules, files that the repository stores through a filter.
        """
        prefix = self._repository.prefix
        changes: dict[str, Entry | None] = {}
        for change in trees.diff(self._store.objects, since, new_tree):
            path = prefix + change.path
            if is_secret(path) and trees.lookup(self._objects, start, path):
                kept.append(change.path)
            elif submodule := self._submodule(start, path):
                for each, entry in self._store.flat(new_tree).items():
                    if (prefix + each).startswith(submodule + "/"):
                        changes[prefix + each] = self._carry(entry, new)
            else:
                changes[path] = self._carry(change.new, new) if change.new else None
        return changes

    def _submodule(self, tree: str, path: str) -> str | None:
        for parent in parents(path):
            entry = trees.lookup(self._objects, tree, parent)
            if entry:
                return parent if entry.mode == GITLINK else None
        return None

    def _carry(self, entry: Entry, new: New) -> Entry:
        """The entry for the person's repository; its content goes along. A large file is whole there."""
        place = self._store.large.find(entry.oid)
        if place is None:
            new[entry.oid] = ("blob", self._store.objects.read(entry.oid))
            return entry
        if entry.oid not in self._large:
            args = ["hash-object", "-w", "--no-filters", str(place.resolve())]
            self._large[entry.oid] = call(args, git_dir=self._repository.git_dir, timeout=600).out.decode().strip()
        return Entry(entry.mode, self._large[entry.oid])

    def _commit(self, new: New, tree: str, parents_: list[str], message: str, stands_for: str) -> str:
        text = f"{message.strip()}\n\n{_TRAILER}: {self._stamp(stands_for)}"
        return make(new, "commit", commit_text(tree, parents_, text, when=int(self._clock.wall())))

    def _stamp(self, tree: str) -> str:
        """Says which tree of which start a commit stands for, so that a later run is not mistaken for this one."""
        return f"{tree} {self._base.head or 'root'}"

    def _delivered(self, name: str, kept: tuple[str, ...]) -> Delivered:
        top = self._repository.top
        note = ""
        if name != f"aura/{self._goal}":
            note = f"The branch is called {name}, since aura/{self._goal} is checked out or not this run's."
        if self._base.dirty:
            note += " Commit your own changes before you merge; the branch holds them as they were at the start."
        command = f"git -C {shlex.quote(str(top))} merge {name}"
        return Delivered(f"branch {name} in {top}", command, kept, note.strip())


def _message(landed: list[str]) -> str:
    """What people read in `git log`: the tasks in the subject, and where they are several, a line for each below."""
    if len(landed) < 2:
        return one_line(landed[0], _SUBJECT) if landed else "Work landed by Aura"
    tasks = [line.partition(" ") for line in landed]
    ids, titles = ", ".join(task for task, _, _ in tasks), ", ".join(title for _, _, title in tasks)
    return "\n".join([one_line(f"{ids}: {titles}", _SUBJECT), "", *(one_line(line) for line in landed)])
