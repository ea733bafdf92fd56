"""One worker under watch: what it says, what it may not exceed, and what a person tells it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine

from aura_engine.clock import steady
from aura_engine.core.duration import format_duration
from aura_engine.core.model import Ending, EndKind, ExitRecord, Signal, SignalKind
from aura_engine.errors import RuntimeFault
from aura_engine.guard.activity import Limits, Place
from aura_engine.guard.looping import Loops
from aura_engine.guard.managed import NAME, Managed
from aura_engine.guard.processes import Tree
from aura_engine.guard.pulse import Pulse
from aura_engine.hands import Hand
from aura_engine.paths import tail_of
from aura_engine.runtimes.base import Worker
from aura_engine.workers.base import GRACE, Job, Seen
from aura_engine.workers.tail import Tail

LIMITS = Limits()
"""How long a worker may be silent, and what counts as a sign of life meanwhile."""
STOP_PATIENCE = 30.0
"""Seconds after which a shim that was asked to stop its worker is taken for stuck and passed over."""
KEEP_LIMIT = 3.0
"""Seconds that taking its work may hold up the stop of a worker."""
STEP = 400
"""Characters kept of the last thing that a worker did."""
JOB_LOOK = 2.0
"""Seconds between looks at the long jobs of a worker that has said its last word."""
MAX_RETRIES = 10
"""Tries in a row that a program may tell of without anything in between; most give up by themselves after 4 to 6."""
LONG = 3600.0
"""Seconds until the next look at a worker that cannot exceed anything meanwhile."""


class Watch:
    """From a worker's start, or its adoption, to its end.

    `ran` is the time in seconds that it has worked already, `adopted` says that another engine started it; `later`
    runs a coroutine in the background; `used` is called whenever it told its usage, with True after all it said.
    `keep(why)` takes its work before it is stopped.
    """

    def __init__(
        self,
        worker: Worker,
        hand: Hand,
        job: Job,
        *,
        ran: float,
        adopted: bool = False,
        later: Callable[[Coroutine[None, None, object]], None],
        used: Callable[[Seen, bool], None] = lambda seen, whole: None,
        keep: Callable[[str], Coroutine[None, None, object]] | None = None,
    ) -> None:
        self.seen = Seen()
        self.step = ""
        """The last thing it did, in its own words; not cleaned."""
        self._worker = worker
        self._hand = hand
        self._job = job
        self._later = later
        self._used = used
        self._keep = keep
        self._parser = hand.backend.parser(job)
        self._started = steady() - ran
        self._frozen_at: float | None = None
        self._is_frozen: bool | None = None if adopted else False
        """As it is, or None: the engine before may have died in the middle of a pause."""
        self._freezing = asyncio.Lock()
        output = job.folder / "output.jsonl"
        self._history = output.stat().st_size if adopted and output.exists() else 0
        """Bytes of output from before: nobody can tell how fast they came."""
        self._tree = Tree(worker.family, worker.record, output, worker.container)
        place = Place(self._tree, job.workspace, job.folder / "error.log")
        self._managed = Managed(job.workspace, self._tree)
        self._pulse = Pulse(place, LIMITS, managed=self._managed)
        self._loops = Loops()
        self._result_at: float | None = None
        self._retries = 0
        self._input_closed = False
        self._done_waiting = False
        """It was stopped since it did not end by itself after its last word."""
        self._why: EndKind | None = None
        self._detail = ""
        self._stopped_at = 0.0
        self._forced = False
        self._changed = asyncio.Event()

    @property
    def frozen(self) -> bool:
        """Paused by the person."""
        return self._frozen_at is not None

    @property
    def folder(self) -> str:
        """Where its output is."""
        return str(self._job.folder)

    @property
    def tree(self) -> Tree:
        """Its processes."""
        return self._tree

    async def run(self) -> tuple[Ending, ExitRecord]:
        """Follow it to its end; how it ended, told from stream, stderr and exit status, or why we stopped it."""
        # What another engine has sent to it before this one took it over is not sent again.
        sent = self._worker.sent() if self._hand.backend.stdin_open else frozenset[str]()

        def reply(line: str) -> None:
            if line.rstrip("\n") not in sent:
                with contextlib.suppress(RuntimeFault):  # it has just ended
                    self._worker.send(line)

        tail = self._tail = Tail(self._job.folder / "output.jsonl", self._parser, self._heard, reply)
        if self._is_frozen is None:
            self._later(self._settle_freeze())
        following = asyncio.create_task(tail.follow(), name=f"tail {self._job.folder}")
        exiting = asyncio.create_task(self._worker.wait(), name=f"exit {self._job.folder}")
        exiting.add_done_callback(lambda _: self._changed.set())
        loop = asyncio.get_running_loop()
        try:
            while True:
                # Before anything is looked at: what is asked of it during a look must not wait for the next one.
                self._changed.clear()
                gone = exiting.done()
                if gone and not await self._jobs_go_on():
                    break
                pause = await self._check_limits()
                if self._why is None and self._frozen_at is None:
                    pause = min(pause, await self._feel(), JOB_LOOK if gone else LONG)
                due = loop.call_later(pause, self._changed.set)
                try:
                    await self._changed.wait()
                finally:
                    due.cancel()
            record = exiting.result()
            following.cancel()
            await tail.drain()
        finally:
            following.cancel()
            exiting.cancel()
        judged = record
        if self._done_waiting and self.seen.finished is not None:
            # The claim stands as if it had exited by itself, however it took our signal.
            judged = record.model_copy(update={"code": 0, "signal": None})
        return self._overruled(ending_of(self._hand, self._job, judged, self.seen), record), record

    def _overruled(self, ending: Ending, record: ExitRecord) -> Ending:
        """What we stopped a worker for outweighs how its process then ended."""
        if self._why is None:
            return from_outside(ending, record)
        return ending.model_copy(update={"kind": self._why, "detail": self._detail, "retry_after": None})

    # ---- what it says

    def _heard(self, signals: list[Signal]) -> None:
        self._pulse.heard()
        now = steady()
        for said in signals:
            self.seen.add(said)
            if said.kind is SignalKind.USAGE:
                self._used(self.seen, False)
            if said.kind is SignalKind.TOOL:
                self.step = f"{said.tool} {said.text}".strip()[:STEP]
            elif said.kind is SignalKind.MESSAGE and said.text:
                self.step = said.text[:STEP]
            if self._tail.offset > self._history:
                self._loops.feed(said, now)
            if said.kind in (SignalKind.FINISHED, SignalKind.FAILED) and self._result_at is None:
                self._result_at = now
                if self._hand.backend.stdin_open:
                    self._input_closed = True
                    with contextlib.suppress(RuntimeFault):  # no room: it is ended when its grace is over
                        self._worker.close_input()
                self._changed.set()
            self._retried(said)
        if self.seen.finished is None and self.seen.failed is None:
            self._result_at = None  # it has taken its last word back
        if self._loops.due:
            self._changed.set()
        self._used(self.seen, True)
        if self.seen.turns > self._job.max_turns + 1:
            self.stop(EndKind.OUT_OF_TURNS, f"took more than {self._job.max_turns} turns")

    def _retried(self, said: Signal) -> None:
        """A program that tries for ever is stopped. As the service's fault, whatever status it names: that passes."""
        self._retries = self._retries + 1 if said.kind is SignalKind.RETRY else 0
        if self._retries > MAX_RETRIES:
            status = f" (HTTP status {said.status})" if said.status else ""
            self.stop(EndKind.OVERLOADED, f"the model's service refused {self._retries} tries in a row{status}")

    # ---- its limits

    async def _jobs_go_on(self) -> bool:
        """Whether jobs run that it handed over; its shim holds what is left of it until it hears from us."""
        there = self._why is None and (self._job.workspace / NAME).exists()
        if there and (await asyncio.to_thread(self._managed.look)).running:
            return True
        self._worker.begin_stop()
        return False

    async def _check_limits(self) -> float:
        """Stop what is over a limit; seconds until the next look is due."""
        now = steady()
        if self._why is not None:
            if now - self._stopped_at > STOP_PATIENCE and not self._forced:
                self._forced = True
                self._later(self._worker.stop())
            return STOP_PATIENCE
        if self._frozen_at is not None:
            return LONG
        left = self._started + self._job.budget - now
        if left <= 0:
            self.stop(EndKind.OUT_OF_TIME, f"still running after {format_duration(self._job.budget)}")
            return STOP_PATIENCE
        if self._result_at is not None:
            if (await asyncio.to_thread(self._managed.look)).running:
                self._result_at = now
                return min(left, JOB_LOOK)
            grace = self._result_at + LIMITS.post_result * self._hand.backend.grace / GRACE - now
            if grace <= 0:
                self._done_waiting = True
                self._worker.begin_stop()
                self._result_at = None
                return STOP_PATIENCE
            return min(left, grace)
        return left + 0.01

    async def _feel(self) -> float:
        """Look at it when it has been silent, or busy with the same, for long; seconds until the next look is due."""
        if self._loops.due and (words := await self._loops.check(self._tree, self._job.workspace, LIMITS)):
            self.stop(EndKind.LOOPING, words)
        elif self._pulse.due() <= 0:
            verdict = await self._pulse.look()
            if verdict.hung:
                self.stop(EndKind.HUNG, verdict.words)
        return max(self._pulse.due(), 0.01)

    # ---- what others ask of it

    def stop(self, why: EndKind, detail: str) -> None:
        """Walk its stop ladder; the first reason given stands."""
        if self._why is None:
            self._why, self._detail, self._stopped_at = why, detail, steady()
            if self._keep is None:
                self._worker.begin_stop()
            else:
                self._later(self._stop_kept(self._keep(f"{why.value}: {detail}")))
            self._changed.set()

    async def _stop_kept(self, keeping: Coroutine[None, None, object]) -> None:
        """Its work first: what a program does with it when it is told to end is not known."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_LIMIT):
                await keeping
        self._worker.begin_stop()

    def freeze(self, *, frozen: bool) -> None:
        """Freeze it, or let it go on; the time in between is no working time."""
        now = steady()
        if frozen and self._frozen_at is None:
            self._frozen_at = now
        elif not frozen and self._frozen_at is not None:
            gap, self._frozen_at = now - self._frozen_at, None
            self._started += gap
            self._pulse.awake()
            self._result_at = None if self._result_at is None else self._result_at + gap
        self._later(self._settle_freeze())
        self._changed.set()

    async def _settle_freeze(self) -> None:
        """Make it as it was last wanted; one at a time, or two passes over its processes would undo each other."""
        async with self._freezing:
            while self._is_frozen is not (wanted := self._frozen_at is not None):
                await (self._worker.pause() if wanted else self._worker.resume())
                self._is_frozen = wanted

    def message(self, text: str) -> bool:
        """Bring it a person's message now; False where it cannot be told any more, or never could."""
        if self._why is not None or self._result_at is not None or self._input_closed:
            return False
        line = self._parser.message(text)
        if line is None:
            return False
        try:
            self._worker.send(line)
        except RuntimeFault:
            return False
        return True


async def read_to_end(hand: Hand, job: Job, record: ExitRecord) -> Ending:
    """How a worker ended that nobody watched, told from what it left."""
    seen = Seen()
    await Tail(job.folder / "output.jsonl", hand.backend.parser(job), seen.add_all).drain()
    return ending_of(hand, job, record, seen)


def from_outside(ending: Ending, record: ExitRecord) -> Ending:
    """An end by a signal that nobody here sent. KILLED is what a person asks for: that waits for the person."""
    if ending.kind is EndKind.FINISHED:
        suspect = {"detail": f"{ending.detail}; something that it ran was out of memory".lstrip("; ")}
        return ending.model_copy(update=suspect) if record.oom else ending
    if record.outside:
        return ending.model_copy(update={"kind": EndKind.LOST, "detail": record.outside})
    if record.oom and ending.kind in (EndKind.KILLED, EndKind.CRASHED, EndKind.GAVE_UP):
        detail = f"{ending.detail or ending.kind.value}: something of it ran out of memory"
        return ending.model_copy(update={"kind": EndKind.OUT_OF_MEMORY, "detail": detail})
    if ending.kind is not EndKind.KILLED:
        return ending
    if record.signal == signal.SIGKILL or record.code == 128 + signal.SIGKILL:
        detail = f"{ending.detail}, which nobody here sent: most likely it ran out of memory"
        return ending.model_copy(update={"kind": EndKind.OUT_OF_MEMORY, "detail": detail})
    return ending.model_copy(update={"kind": EndKind.LOST, "detail": f"{ending.detail}, from outside"})


def ending_of(hand: Hand, job: Job, record: ExitRecord, seen: Seen) -> Ending:
    """The backend's own verdict on exit status, stream and stderr."""
    return hand.backend.ending(record, seen, tail_of(job.folder / "error.log"))
