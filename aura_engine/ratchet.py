"""The ratchet: landed work can't silently break landed work; what it passed is run again, at a bounded cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aura_engine.core.events import CheckRan, HeadBroken
from aura_engine.core.model import Check, Phase, Receipt, Verdict
from aura_engine.core.text import one_line
from aura_engine.errors import RuntimeFault
from aura_engine.recorder import Recorder
from aura_engine.verify.run import settle_red
from aura_engine.verifying import Room, Verifier

LEAST = 1
"""Checks of landed work re-run per landing at least; more while they take under `SHARE` of the time the work took."""
SHARE = 0.02
SLOW = 60.0
"""Seconds from which on a check runs at most every `SLOW_EVERY` seconds, and always before the goal is judged."""
SLOW_EVERY = 600.0


class Kept(NamedTuple):
    """A check that landed work passed."""

    check: Check
    task: str
    at: float
    """When it was last seen green, by the monotonic clock."""
    seconds: float

    @property
    def label(self) -> str:
        """As in RunState.broken."""
        return f"{self.task}/{self.check.name}"


class Broken(NamedTuple):
    """What a candidate breaks."""

    check: Check
    task: str
    receipt: Receipt


class Ratchet:
    """The checks of all landed tasks, once each by what they do."""

    def __init__(self, recorder: Recorder, verifier: Verifier) -> None:
        self._recorder = recorder
        self._verifier = verifier
        self._kept: dict[str, Kept] = {}

    def remember(self, task_id: str, checks: Iterable[Check], receipts: Mapping[str, Receipt]) -> None:
        """A task landed with these receipts (by check name); only green ones count: a flaky check holds nothing."""
        for check in checks:
            receipt = receipts.get(check.name)
            if receipt is None or not receipt.green or check.judge:
                continue  # a judge may change its mind: it must not charge others for that
            known = self._kept.get(check.hash)
            owner = known.task if known else task_id
            self._kept[check.hash] = Kept(known.check if known else check, owner, time.monotonic(), receipt.duration)
            if receipt.counts:
                self._verifier.counts[check.hash] = receipt.counts

    async def run(self, tree: str, room: Room, *, done: frozenset[str], worked: float) -> Broken | None:
        """Re-run what earlier landings passed on a candidate's tree, the longest unchecked first; what it breaks.

        `done`: hashes of checks that ran on this tree anyway; `worked`: seconds the work took, of which a share may be
        spent, so that the cost per landing does not grow with the run. What was left out runs in `finish`.
        """
        started, ran = time.monotonic(), 0
        for key, kept in sorted(self._kept.items(), key=lambda item: item[1].at):
            if key in done or (kept.seconds > SLOW and time.monotonic() - kept.at < SLOW_EVERY):
                continue
            if ran >= LEAST and time.monotonic() - started > SHARE * worked:
                break
            ran += 1
            red = await self._red(key, kept, tree, room)
            if red is not None and not await self._broken_already(kept, red):
                return Broken(kept.check, kept.task, red)
        return None

    async def finish(self) -> None:
        """Before the goal is judged: everything that was not yet run on the head is. Red ones are recorded."""
        state = self._recorder.state
        tree = state.head_tree
        async with self._verifier.room(tree) as room:
            for key, kept in list(self._kept.items()):
                red = await self._red(key, kept, tree, room)
                if red is not None and kept.label not in state.broken:
                    self._record_broken(kept, red, tree)

    async def _red(self, key: str, kept: Kept, tree: str, room: Room) -> Receipt | None:
        """Run one check; a red one once more: green then makes it flaky."""
        before = self._verifier.counts.get(key)
        first = await self._verifier.run(kept.check, tree, room, Phase.RATCHET, before=before)
        receipt = await settle_red(
            first, lambda: self._verifier.run(kept.check, tree, room, Phase.RATCHET, before=before, fresh=True)
        )
        if receipt.verdict is Verdict.ERROR:
            raise RuntimeFault(receipt.reason or f"check “{kept.check.name}” could not be run")
        if not receipt.green or kept.label in self._recorder.state.broken:
            self._recorder.note(CheckRan(task=kept.task, receipt=short(receipt)))
        if receipt.verdict is Verdict.RED:
            return receipt
        self._kept[key] = kept._replace(at=time.monotonic(), seconds=receipt.duration)
        return None

    async def _broken_already(self, kept: Kept, red: Receipt) -> bool:
        """Red on the head itself too: the head is at fault, no attempt is charged, the planner is told."""
        state = self._recorder.state
        if kept.label in state.broken:
            return True
        before = self._verifier.counts.get(kept.check.hash)
        async with self._verifier.room(state.head_tree) as room:
            receipt = await self._verifier.run(kept.check, state.head_tree, room, Phase.RATCHET, before=before)
        if receipt.verdict is not Verdict.RED:
            return False
        self._record_broken(kept, red, state.head_tree)
        return True

    def _record_broken(self, kept: Kept, red: Receipt, tree: str) -> None:
        reason = one_line(red.reason, 300)
        self._recorder.record(HeadBroken(task=kept.task, check=kept.check.name, tree=tree, reason=reason))


def short(receipt: Receipt) -> Receipt:
    """A receipt as it is journaled: the output's tail only as long as somebody may need it."""
    keep = 200 if receipt.green else 1500
    return receipt if len(receipt.tail) <= keep else receipt.model_copy(update={"tail": receipt.tail[-keep:]})
