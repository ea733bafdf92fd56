"""The goal's own checks: on the head when nothing is left to do, on declaration; on the base to see them red."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aura_engine.core.ending import checked, goal_proven
from aura_engine.core.events import CheckRan, GoalChecked
from aura_engine.core.model import Check, Phase, Verdict
from aura_engine.errors import RuntimeFault
from aura_engine.faults import fault
from aura_engine.landing import Landing
from aura_engine.planner.context import receipt_text
from aura_engine.ratchet import short
from aura_engine.recorder import Recorder
from aura_engine.verifying import Verifier

TRIES = 3
"""Runs of all goal checks in a row while the plan or the head changes under them."""


class GoalChecks:
    """Runs all goal checks on the head, once per tree and revision."""

    def __init__(self, recorder: Recorder, verifier: Verifier, landing: Landing) -> None:
        self._recorder = recorder
        self._verifier = verifier
        self._landing = landing
        self._lock = asyncio.Lock()
        self.now = ""
        """Which one is run now, and how many there are: `all tests, 2 of 5`; "" for none."""

    async def run(self, *, fresh: bool = False) -> str:
        """Run what was not run on this head yet; "" when all are green, else the red receipts as text."""
        async with self._lock:
            state = self._recorder.state
            for _ in range(TRIES):
                if fresh or not checked(state):
                    await self._run(fresh=fresh)
                    fresh = False
            if state.checked is None:
                return "the plan is changing: declare again when it stands still"
            red = [
                state.goal_receipts[name] for name in (state.checked or ("", "", ()))[2] if name in state.goal_receipts
            ]
            broken = [f"landed check “{label}” is red: {why}" for label, (_, why) in state.broken.items()]
            return "\n".join([*(receipt_text(receipt) for receipt in red), *broken])

    async def _run(self, *, fresh: bool) -> None:
        state = self._recorder.state
        await self._landing.ratchet.finish()
        tree, revision, plan = state.head_tree, state.revision, state.plan
        red: list[str] = []
        async with self._verifier.room(tree) as room:
            for check in self._told():
                before = self._verifier.counts.get(check.hash)
                receipt = await self._verifier.run(check, tree, room, Phase.GOAL, before=before, fresh=fresh)
                if receipt.verdict is Verdict.ERROR:
                    raise RuntimeFault(receipt.reason or f"goal check “{check.name}” could not be run")
                await self._recorder.record(CheckRan(receipt=short(receipt)))
                if not receipt.green:
                    red.append(check.name)
        if not red and not goal_proven(state):
            await self._see_red()
        if state.plan != plan:
            return  # there may be other checks by now: whoever needs the answer asks again
        fault("goal.checked")
        await self._recorder.record(GoalChecked(tree=tree, revision=revision, red=(*red, *state.broken)))

    def _told(self, where: str = "") -> Iterator[Check]:
        """Each of them as it is now; meanwhile `now` says so."""
        checks = list(self._recorder.state.goal_checks.values())
        try:
            for number, check in enumerate(checks, 1):
                self.now = f"{check.name}{where}, {number} of {len(checks)}"
                yield check
        finally:
            self.now = ""

    async def _see_red(self) -> None:
        """All green: was any of them red on the base? Only asked now, since nothing waits for the answer earlier."""
        state = self._recorder.state
        async with self._verifier.room(state.base_tree) as room:
            for check in self._told(where=" on the base"):
                receipt = await self._verifier.run(check, state.base_tree, room, Phase.BEFORE)
                if not receipt.green:
                    await self._recorder.record(CheckRan(receipt=short(receipt)))
                    return
