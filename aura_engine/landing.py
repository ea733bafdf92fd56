"""The landing queue: merge onto the head → clean checkout → checks → ratchet → move the head, or send back.

What is verified is exactly what lands: the tree that the checks saw, frozen files restored and unlisted deciding files
left out, becomes the head. Candidates that wait together are checked as one batch; a red one splits the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aura_engine.core.events import AttemptEnded, CheckRan, Landed, Notice, Requested
from aura_engine.core.model import Check, Outcome, Phase, Receipt, TaskStatus, Verdict
from aura_engine.core.routing import backoff
from aura_engine.core.state import RunState, Task
from aura_engine.core.text import clean, one_line
from aura_engine.errors import JournalError, OwnedError, RuntimeFault
from aura_engine.faults import fault
from aura_engine.ratchet import Ratchet, short
from aura_engine.recorder import Recorder
from aura_engine.verify.frozen import decide
from aura_engine.verify.manifests import freeze_manifest
from aura_engine.verify.patterns import is_deciding
from aura_engine.verify.proof import Proof, proven
from aura_engine.verifying import MANY, Room, Verifier
from aura_engine.workspace.objects import Entry
from aura_engine.workspace.store import GitStore

log = logging.getLogger(__name__)

BATCH = 16
GATHER = 0.25
"""Seconds that a landing waits, at most, for those whose work is being taken at the same moment."""
MACHINERY_TRIES = 7
"""Tries of a verification that the machinery breaks off, with back-off: about a minute in all."""


@dataclass
class Candidate:
    """A finished attempt that waits to land."""

    task: str
    n: int
    base: str
    """Commit that its workspace was made from."""
    snapshot: str
    """Commit of what the worker left."""
    snapshot_tree: str
    seconds: float
    """How long the worker took."""
    tries: int = 0
    tidied: bool = False
    """`snapshot` has the frozen files put back."""
    tree: str = ""
    dropped: tuple[str, ...] = ()
    wrote: frozenset[str] = frozenset()
    restored: dict[str, str] = field(default_factory=dict[str, str])
    before: dict[str, Receipt] = field(default_factory=dict[str, Receipt])
    after: dict[str, Receipt] = field(default_factory=dict[str, Receipt])

    @property
    def name(self) -> str:
        """`A1.2#3`."""
        return f"{self.task}#{self.n}"


class Landing:
    """One queue, one worker: the head moves in one place only."""

    def __init__(
        self,
        recorder: Recorder,
        store: GitStore,
        verifier: Verifier,
        end: Callable[[AttemptEnded], None],
        landed: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._store = store
        self._verifier = verifier
        self._end = end
        self._landed = landed
        self._waiting: list[Candidate] = []
        self._held: dict[str, Candidate] = {}
        self._wake = asyncio.Event()
        self._working = False
        self._delayed = 0
        """Candidates that wait for another try of the machinery."""
        self.ratchet = Ratchet(recorder, verifier)
        self.exclusive = asyncio.Lock()
        """Held while the head moves; whoever else moves it (the person's changes) takes it too."""

    @property
    def busy(self) -> bool:
        """Something is being verified or waits for it."""
        return self._working or bool(self._waiting) or self._delayed > 0

    def put(self, candidate: Candidate) -> None:
        """Queue a candidate."""
        self._waiting.append(candidate)
        self._wake.set()

    def release(self) -> None:
        """The planner has answered about unproven tasks: go on with those that were held for a probe."""
        state = self._recorder.state
        for task_id in list(self._held):
            task = state.tasks[task_id]
            answered = f"unproven:{task_id}#{len(task.attempts)}" in state.answered
            if answered or task.status is not TaskStatus.VERIFYING or _nobody_to_ask(state):
                self.put(self._held.pop(task_id))

    def remember(self, task: Task, receipts: Mapping[str, Receipt]) -> None:
        """A landed task's checks belong to the ratchet (after a restart too)."""
        self.ratchet.remember(task.spec.id, self._checks(task), receipts)

    async def run(self) -> None:
        """Land candidates for ever; cancelled at the end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._gather()
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                self._working = True
                try:
                    async with self.exclusive:
                        await self._land(batch)
                finally:
                    self._working = False
                    self._landed()

    async def _gather(self) -> None:
        """Workers often end together: checked as one batch, they cost little more than the first of them alone."""
        state = self._recorder.state
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER):
                while len(self._waiting) < BATCH and len(state.verifying) > self._known():
                    await self._wake.wait()
                    self._wake.clear()

    def _known(self) -> int:
        """How many of the tasks that wait for their verdict are here."""
        return len(self._waiting) + len(self._held) + self._delayed

    async def _land(self, batch: list[Candidate]) -> None:
        """Land all of a batch or split it; every candidate leaves with a terminal event, held or queued again."""
        wanted = [candidate for candidate in batch if self._is_wanted(candidate)]
        for candidate in batch:
            if candidate not in wanted:
                self._sent_back(candidate, Outcome.INTERRUPTED, "no longer wanted")
        if not wanted:
            return
        try:
            ready = await self._merged(wanted)
            if not ready:
                return
            fault("landing.merged")
            async with self._verifier.room(ready[-1].tree) as room:
                red = await self._verify(ready, room)
            if red and len(ready) > 1:
                half = len(ready) // 2
                await self._land(ready[:half])
                await self._land(ready[half:])
        except (JournalError, OwnedError):
            raise
        except Exception as error:  # a defect too: the candidates must not be lost with it
            log.warning("landing %s", [c.name for c in wanted], exc_info=error)
            left = [c for c in wanted if self._is_wanted(c) and c.task not in self._held]
            if len(left) > 1:  # whose check it is will show when each is tried alone
                for candidate in left:
                    await self._land([candidate])
            elif left:
                self._try_later(left[0], str(error))

    def _is_wanted(self, candidate: Candidate) -> bool:
        """Its attempt is still the task's live one, waiting for its verdict."""
        task = self._recorder.state.tasks[candidate.task]
        live = task.live
        return task.status is TaskStatus.VERIFYING and live is not None and live.n == candidate.n

    def _try_later(self, candidate: Candidate, why: str) -> None:
        """The machinery failed, not the work: wait and try again; give the attempt up only after some minutes."""
        candidate.tries += 1
        if candidate.tries >= MACHINERY_TRIES:
            self._sent_back(candidate, Outcome.INFRASTRUCTURE, f"could not be verified: {one_line(why, 300)}")
            return
        if candidate.tries == 1:
            text = f"{candidate.name} could not be verified and will be tried again: {one_line(why, 300)}"
            self._recorder.record(Notice(text=text, level="warning"))
        self._delayed += 1

        def again() -> None:
            self._delayed -= 1
            self.put(candidate)

        asyncio.get_running_loop().call_later(backoff(candidate.tries, base=1.0, ceiling=60.0), again)

    def _sent_back(self, candidate: Candidate, outcome: Outcome, reason: str, hand_over: str = "") -> None:
        self._end(
            AttemptEnded(
                task=candidate.task,
                n=candidate.n,
                outcome=outcome,
                reason=reason,
                hand_over=hand_over,
                snapshot=candidate.snapshot,
            )
        )

    async def _merged(self, batch: list[Candidate]) -> list[Candidate]:
        """Each candidate's tree on top of the one before; those that conflict are sent back."""
        state = self._recorder.state
        tree = state.head_tree
        ready: list[Candidate] = []
        for candidate in batch:
            base_tree = await self._store.tree_of(candidate.base)
            work_tree = await self._frozen(candidate, base_tree)
            marked = await self._still_marked(candidate, work_tree)
            if marked:
                note = f"Attempt {candidate.n}: left conflict markers in {', '.join(marked[:5])}. Resolve all of them."
                why = f"conflict markers are left in {', '.join(marked[:5])}"
                self._sent_back(candidate, Outcome.CAPABILITY, why, note)
                continue
            merged = await self._store.merge(base_tree, tree, work_tree)
            if merged.conflicts and tree != state.head_tree:
                self.put(candidate)  # with one that is only about to land: its turn comes when that is decided
                continue
            if merged.conflicts:
                names = ", ".join(merged.conflicts[:5])
                note = f"Attempt {candidate.n}: finished, but others changed the same places of {names} meanwhile."
                self._sent_back(candidate, Outcome.CONFLICT, f"conflicts with the head in {names}", note)
                continue
            tree = candidate.tree = merged.tree
            ready.append(candidate)
        return ready

    async def _still_marked(self, candidate: Candidate, tree: str) -> list[str]:
        """Files in which a worker that was to resolve conflicts left our markers: no check need notice."""
        task = self._recorder.state.tasks[candidate.task]
        if not any(attempt.outcome is Outcome.CONFLICT for attempt in task.attempts):
            return []
        texts = {path: await self._store.read(tree, path) or b"" for path in sorted(candidate.wrote)}
        return [path for path, text in texts.items() if b"<<<<<<< landed\n" in text and b">>>>>>> attempt\n" in text]

    async def _frozen(self, candidate: Candidate, base_tree: str) -> str:
        """The worker's tree with frozen files put back and unlisted deciding files left out."""
        task = self._recorder.state.tasks[candidate.task]
        base = await self._store.entries(base_tree)
        work = await self._store.entries(candidate.snapshot_tree)
        checks = [*self._checks(task), *self._person_checks()]
        origin = await self._store.entries(self._recorder.state.base_tree)
        landed = [path for path in base.keys() - origin.keys() if is_deciding(path)]
        compare = functools.partial(decide, base, work, task.spec.makes, checks, landed=landed)
        plan = compare() if len(work) < MANY else await self._store.run(compare)
        changes: dict[str, Entry | bytes | None] = dict.fromkeys(plan.drop)
        for path in plan.merge:
            new = await self._store.read(candidate.snapshot_tree, path) or b""
            old = await self._store.read(base_tree, path) if path in base else None
            frozen = freeze_manifest(path, old, new)
            if frozen.data != new:
                changes[path] = frozen.data
        changes |= {path: base[path] for path in plan.restore}
        candidate.dropped = tuple(sorted(plan.drop))
        candidate.restored = {path: plan.why.get(path, "") for path in plan.restore}
        tree = candidate.snapshot_tree
        if changes:
            tree = await self._store.edit(tree, changes)
            if not candidate.tidied:
                # The next attempt builds on this; the worker's own state stays its parent, so nothing is lost.
                message = f"{candidate.name}: files that decide checks put back"
                candidate.snapshot = await self._store.commit(tree, [candidate.snapshot], message)
                candidate.tidied = True
        candidate.wrote = frozenset(change.path for change in await self._store.diff(base_tree, tree))
        return tree

    def _person_checks(self) -> list[Check]:
        return [check for check in self._recorder.state.goal_checks.values() if check.person]

    def _checks(self, task: Task) -> list[Check]:
        state = self._recorder.state
        named = [state.goal_checks[name] for name in task.spec.goal_checks if name in state.goal_checks]
        return [*task.spec.checks, *named]

    async def _verify(self, batch: list[Candidate], room: Room) -> bool:
        """Run the checks of a merged batch and land it; True when something was red (a single one is then ended)."""
        tree, single = batch[-1].tree, len(batch) == 1
        for candidate in batch:
            red = await self._checked(candidate, tree, room)
            if red is not None:
                if single:
                    self._red(candidate, red, red.reason or red.verdict.value)
                return True
        done = frozenset(receipt.check_hash for candidate in batch for receipt in candidate.after.values())
        broken = await self.ratchet.run(tree, room, done=done, worked=sum(candidate.seconds for candidate in batch))
        if broken is not None:
            if single:
                why = f"it breaks “{broken.check.name}”, which {broken.task} landed with: {broken.receipt.reason}"
                self._red(batch[0], broken.receipt, why)
            return True
        held = [candidate for candidate in batch if self._wants_probe(candidate)]
        for candidate in held:
            self._held[candidate.task] = candidate
            self._recorder.record(Requested(command="probe_asked", task=candidate.task, actor="aura"))
        if not held:
            await self._move_head(batch, tree)
        elif len(held) < len(batch):
            await self._land([candidate for candidate in batch if candidate not in held])
        return False

    async def _checked(self, candidate: Candidate, tree: str, room: Room) -> Receipt | None:
        """The task's checks on its base and on the merged tree; the first that is red after the work, if any."""
        checks = self._checks(self._recorder.state.tasks[candidate.task])
        base_tree = await self._store.tree_of(candidate.base)
        async with self._verifier.room(base_tree) as base_room:
            for check in checks:
                before = await self._verifier.run(check, base_tree, base_room, Phase.BEFORE)
                if check.name not in candidate.before:
                    self._recorder.note(CheckRan(task=candidate.task, n=candidate.n, receipt=short(before)))
                candidate.before[check.name] = before
                counts = self._verifier.counts.get(check.hash) or before.counts
                after = await self._verifier.run(check, tree, room, Phase.TASK, before=counts)
                if after.verdict is Verdict.ERROR:
                    raise RuntimeFault(after.reason or f"check “{check.name}” could not be run")
                candidate.after[check.name] = after
                self._recorder.note(CheckRan(task=candidate.task, n=candidate.n, receipt=short(after)))
                if after.verdict is Verdict.RED:
                    return after
        return None

    def _proof(self, candidate: Candidate) -> Proof:
        task = self._recorder.state.tasks[candidate.task]
        checks = self._checks(task)
        before, after = candidate.before.values(), candidate.after.values()
        return proven(checks, before, after, task.spec.makes, candidate.wrote)

    def _wants_probe(self, candidate: Candidate) -> bool:
        """Nothing proves the work, and the planner was not asked for a probe yet."""
        state = self._recorder.state
        if self._proof(candidate).proven or _nobody_to_ask(state):
            return False
        return not state.tasks[candidate.task].probe_asked

    async def _move_head(self, batch: list[Candidate], tree: str) -> None:
        """All of a verified batch lands: one commit, one tree, one event each."""
        state = self._recorder.state
        if not all(self._is_wanted(candidate) for candidate in batch):
            await self._land(batch)  # one was dropped meanwhile, and the tree holds its work: without it, then
            return
        titles = [one_line(f"{c.task} {state.tasks[c.task].spec.title}") for c in batch]
        fault("landing.checked")
        commit = state.head
        if tree != state.head_tree:
            commit = await self._store.commit(tree, [state.head], "\n".join(titles))
        fault("landing.committed")
        events: list[Landed] = []
        for candidate in batch:
            proof = self._proof(candidate)
            events.append(
                Landed(
                    task=candidate.task,
                    n=candidate.n,
                    commit=commit,
                    tree=tree,
                    paths=len(candidate.wrote),
                    dropped=candidate.dropped[:20],
                    proven=proof.proven,
                    unproven_why=proof.why,
                    snapshot=candidate.snapshot,
                )
            )
        await self._recorder.record(*events)
        fault("landing.landed")
        for candidate in batch:
            self.remember(state.tasks[candidate.task], candidate.after)

    def _red(self, candidate: Candidate, receipt: Receipt, reason: str) -> None:
        """The work is not what was asked: end the attempt with a hand-over note for the next."""
        lines = [f"Attempt {candidate.n}: the worker said it was done, but {_told(receipt)}."]
        if not receipt.hidden and receipt.tail.strip():
            lines.append(f"The end of its output:\n<data>\n{clean(receipt.tail)[-1200:]}\n</data>")
        if candidate.dropped:
            lines.append(f"Left out, since new files may not decide checks here: {', '.join(candidate.dropped[:8])}.")
        if candidate.restored:
            lines.append(f"Put back to what they were: {', '.join(sorted(candidate.restored)[:8])}.")
        self._end(
            AttemptEnded(
                task=candidate.task,
                n=candidate.n,
                outcome=Outcome.CAPABILITY,
                reason=one_line(reason, 300),
                failed_check=receipt.check,
                hand_over="\n".join(lines),
                snapshot=candidate.snapshot,
            )
        )


def _nobody_to_ask(state: RunState) -> bool:
    """The planner cannot answer until a person acts."""
    failure = state.planner_failure
    if state.capped or (failure is not None and failure[2] is None):
        return True
    return any(not question.task for question in state.open_questions())


def _told(receipt: Receipt) -> str:
    """What the next worker may know of a red check."""
    if receipt.hidden:
        return "a held-out check failed"
    why = f": {clean(receipt.reason)}" if receipt.reason else ""
    return f"the check “{receipt.check}” failed{why}"
