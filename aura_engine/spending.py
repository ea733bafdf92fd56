"""Who may still spend: reserved before every step, settled after it, held against the caps of run, task and attempt.

The settled sums are facts of the journal; the account of the workers that run lives here and is read again from their
output after a restart. Only what a worker tells can be counted, so each can go past a cap by the one step that is
under way when its usage is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from aura_engine.clock import until_beat
from aura_engine.config.prices import Prices
from aura_engine.core.budget import Account, Caps, Entry, Limit, Spent, past, spent_of
from aura_engine.core.events import Notice, TaskSettled
from aura_engine.core.events_planner import CapReached, ModelAsked, ModelReplied, cap_words
from aura_engine.core.model import Ending, EndKind, TaskStatus, Usage
from aura_engine.core.state import Attempt, Task
from aura_engine.errors import AuraError
from aura_engine.recorder import Recorder
from aura_engine.runtimes.warden import Warden
from aura_engine.workers.base import Seen

EVERY = 1.0
"""Seconds between two looks at the working time, where it is capped."""
SELDOM = 10.0
"""Seconds between two looks at whether it is capped by now."""
BROKEN_OFF = frozenset(
    {
        EndKind.KILLED,
        EndKind.HUNG,
        EndKind.LOOPING,
        EndKind.OUT_OF_TIME,
        EndKind.OUT_OF_MEMORY,
        EndKind.OVER_LIMIT,
        EndKind.CRASHED,
        EndKind.LOST,
        EndKind.OVER_CAP,
        EndKind.RUN_CAPPED,
    }
)
"""Endings in the middle of a step, which is on the bill though nobody told what it used."""
Purpose = Literal["planner", "judge", "answer"]
Measure = Literal["cost", "tokens", "work"]


class OverCap(AuraError):
    """The run's cap stands in the way of a question to a model."""


class Spending:
    """The ledger of one run. `halt(task, kind, why)` stops a worker; `wake` makes the engine look at the state.

    `attempts` is the folder of the attempts' records: with a cap on the run, its workers wait while no engine lives.
    """

    def __init__(
        self, recorder: Recorder, prices: Prices, wake: Callable[[], None], attempts: Path | None = None
    ) -> None:
        self.halt: Callable[[str, EndKind, str], object] = lambda task, kind, why: None
        self.on_capped: Callable[[CapReached], None] = lambda reached: None
        """Called when the run's cap has been reached."""
        self._attempts = attempts
        self._recorder = recorder
        self._prices = prices
        self.wake = wake
        self._account = Account()
        self._running: dict[str, tuple[str, int]] = {}
        """Name in the account → task and attempt."""
        self._models: dict[str, str] = {}
        self._doubted: set[str] = set()

    @property
    def caps(self) -> Caps:
        """Those in force."""
        return self._recorder.state.caps

    # ---- starts

    def may_start(self, task: Task) -> bool:
        """Whether a worker's first step fits. Where it never will, says so: of the task, or of the whole run."""
        state, step = self._recorder.state, self._account.typical
        if measure := past(task.spent, step, self.caps.task):
            reached = self._reached("task", measure, task.spent, self.caps.task, task.spec.id)
            reason = f"it reached its cap: {_words(reached)}"
            self._recorder.record(reached, TaskSettled(task=task.spec.id, status=TaskStatus.FAILED, reason=reason))
            return False
        if state.capped:  # said already
            return False
        used = self._total()
        if measure := past(used, step.plus(self._account.reserved), self.caps.run):
            if not self._account.entries and not state.reserved:
                self._cap_run(measure, used)
            return False
        return True

    def opened(self, task: str, n: int, model: str) -> None:
        """A worker is about to start, or was found: its next step is reserved. `model` is "" where it chooses."""
        name = _name(task, n)
        self._running[name], self._models[name] = (task, n), model
        self._account.open(name)

    # ---- workers

    def told(self, task: str, n: int, seen: Seen) -> None:
        """A worker told what it has used so far: it is counted. Call `check` when all that it said was heard."""
        name = _name(task, n)
        if name not in self._running:
            return
        self._models[name] = seen.model or self._models[name]
        attempt = self._recorder.state.tasks[task].attempts[n - 1]
        usage = self._prices.running(seen.usage, self._models[name])
        self._account.settle(name, spent_of(usage, self._worked(attempt)))

    def check(self, task: str, n: int, seen: Seen) -> None:
        """Stop what no longer fits. A worker that has said its last word is let be."""
        entry = self._account.entries.get(_name(task, n)) if self.caps.any else None
        if entry is not None:
            self._check_worker(task, n, entry, done=seen.finished is not None)
            self._check_run()

    def closed(self, task: str, n: int, ending: Ending) -> Usage:
        """A worker has ended: what it is counted as, with what a step that it was broken off in may have used."""
        name, told = _name(task, n), ending.usage
        model, entry = self._models.get(name, ""), self._account.entries.get(name, Entry())
        self.dropped(task, n)
        if told.tokens and not told.cost:
            self._doubt(model)
        charged = self._prices.charged(told, model)
        broken_off = ending.kind in BROKEN_OFF
        return charged + Usage(input=entry.step.tokens, cost=entry.step.cost) if broken_off else charged

    def dropped(self, task: str, n: int) -> None:
        """An attempt has ended."""
        name = _name(task, n)
        self._account.close(name)
        self._running.pop(name, None)
        self._models.pop(name, None)

    async def run(self) -> None:
        """Look at the working time while it is capped, and have workers frozen should this process die; cancel it."""
        warden: asyncio.Task[Warden] | None = None
        try:
            while True:
                if warden is None and self._attempts is not None and self.caps.run.any:
                    # A task of its own: an end that comes while it is being started must not leave it behind.
                    warden = asyncio.create_task(asyncio.to_thread(Warden, self._attempts))
                await asyncio.sleep(EVERY if self.caps.timed else until_beat(SELDOM))
                if self.caps.timed and self._running:
                    self.check_all()
        finally:
            if warden is not None:
                await asyncio.to_thread((await warden).dismiss)

    # ---- the engine's own questions to models

    async def ask(self, purpose: Purpose, reserve: Usage, model: str) -> int:
        """The number under which a question may be asked, once its reserve is on the disk. OverCap.

        A judge is part of the check of work that is paid for, an answer is what the person asks for: both are counted,
        never refused.
        """
        state = self._recorder.state
        reserve = self._prices.charged(reserve, model)
        used = self._total()
        measure = past(used, spent_of(reserve).plus(self._account.reserved), self.caps.run)
        if purpose == "planner" and (measure or state.capped):
            if state.capped is None:
                self._cap_run(measure, used)
            raise OverCap("The run's cap leaves no room for another question to the planner.")
        self._doubt(model)
        call = state.model_calls + 1
        await self._recorder.record(ModelAsked(id=call, purpose=purpose, reserve=reserve))
        return call

    def answered(self, call: int, purpose: Purpose, usage: Usage, model: str, *, failure: str = "") -> Usage:
        """It replied or failed: the usage with its cost."""
        charged = self._prices.charged(usage, model)
        self._recorder.record(ModelReplied(id=call, purpose=purpose, usage=charged, model=model, failure=failure))
        return charged

    # ---- the caps

    def _total(self) -> Spent:
        return self._recorder.state.spent.plus(self._account.spent)

    def _worked(self, attempt: Attempt) -> float:
        return attempt.worked(self._recorder.clock.wall())

    def check_all(self) -> None:
        """Stop what no longer fits: time has passed, or the caps are others."""
        for name, (task_id, n) in list(self._running.items()):
            task = self._recorder.state.tasks[task_id]
            attempt = task.attempts[n - 1]
            if task.paused_at or name not in self._account.entries:
                continue
            entry = self._account.entries[name]
            entry.spent = entry.spent._replace(work=self._worked(attempt))
            self._check_worker(task_id, n, entry, done=False)
        self._check_run()

    def _check_worker(self, task_id: str, n: int, entry: Entry, *, done: bool) -> None:
        if entry.halted or done:
            return
        of_task = self._recorder.state.tasks[task_id].spent.plus(entry.spent)
        for scope, used, limit in (("attempt", entry.spent, self.caps.attempt), ("task", of_task, self.caps.task)):
            if measure := past(used, entry.step, limit):
                reached = self._reached(scope, measure, used, limit, task_id, n)
                self._recorder.record(reached)
                self._halt(task_id, entry, EndKind.OVER_CAP, _words(reached))
                return

    def _check_run(self) -> None:
        late = self._account.to_halt(self._recorder.state.spent, self.caps.run)
        if not late:
            return
        used = self._total()
        if self._recorder.state.capped is None:
            step = self._account.entries[late[0]].step
            self._cap_run(past(used, step, self.caps.run) or past(used, self._account.reserved, self.caps.run), used)
        for name in late:
            self._halt(self._running[name][0], self._account.entries[name], EndKind.RUN_CAPPED, "the run's cap")

    def _halt(self, task_id: str, entry: Entry, kind: EndKind, why: str) -> None:
        entry.halted = True
        self.halt(task_id, kind, why)

    def _cap_run(self, measure: str, used: Spent) -> None:
        reached = self._reached("run", measure, used, self.caps.run)
        self._recorder.record(reached)
        self.on_capped(reached)
        self.wake()

    def _reached(self, scope: str, measure: str, used: Spent, limit: Limit, task: str = "", n: int = 0) -> CapReached:
        return CapReached.model_validate(
            {
                "scope": scope,
                "measure": measure,
                "used": getattr(used, measure),
                "cap": getattr(limit, measure),
                "task": task,
                "n": n,
            }
        )

    def _doubt(self, model: str) -> None:
        doubt = self._prices.doubt(model)
        if doubt and model not in self._doubted:
            self._doubted.add(model)
            self._recorder.record(Notice(text=doubt, level="warning"))


def _name(task: str, n: int) -> str:
    return f"{task}#{n}"


def _words(reached: CapReached) -> str:
    return f"{reached.scope}: {cap_words(reached)}"
