"""Attempts: start a worker, watch it within its limits, tell how it ended, hand its work on. No model is asked here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from aura_engine.config.settings import Settings
from aura_engine.core import routing
from aura_engine.core.duration import format_duration
from aura_engine.core.events import (
    AttemptEnded,
    AttemptStarted,
    AttemptStarting,
    Event,
    RoleParked,
    TaskDelayed,
    TaskSettled,
    WorkerEnded,
)
from aura_engine.core.model import Ending, EndKind, ExitRecord, Outcome, Role, Signal, SignalKind, TaskStatus
from aura_engine.core.routing import Step
from aura_engine.core.schedule import Start
from aura_engine.core.state import Attempt
from aura_engine.core.text import clean, one_line
from aura_engine.errors import AuraError
from aura_engine.landing import Candidate, Landing
from aura_engine.paths import RunPaths, atomic_write
from aura_engine.recorder import Recorder
from aura_engine.runtimes.local import LocalRuntime, LocalWorker
from aura_engine.verify.leak import redact, secrets_of
from aura_engine.workers.base import Backend, Job, RoleSettings, Seen
from aura_engine.workers.patterns import classify
from aura_engine.workers.prompt import worker_prompt
from aura_engine.workers.table import make_backend
from aura_engine.workers.tail import Tail
from aura_engine.workspace.store import GitStore
from aura_engine.workspaces import Workspace, Workspaces

log = logging.getLogger(__name__)

SPARES = 8
"""Shims kept waiting at most; no more than workers run at once."""
SPARE_DELAY = 0.2
NO_EVENT = 600.0
"""Seconds without output and without CPU time in the worker's processes before it counts as hung."""
POST_RESULT = 10.0
"""Seconds that a worker has to exit after its final result: some CLIs hang there."""
STOP_PATIENCE = 30.0
"""Seconds after which a shim that was asked to stop its worker is taken for stuck and passed over."""
IDLE_CPU = 0.002
"""Share of a core below which a silent worker does nothing."""
AGAIN = "Start the same command again to go on."
CURES = {
    EndKind.CREDENTIALS: f"Check AURA_{{role}}_API_KEY and AURA_{{role}}_BASE_URL. {AGAIN}",
    EndKind.MONEY: f"Top up the account behind AURA_{{role}}_API_KEY. {AGAIN}",
}
"""What a person can do about an ending that waits for one."""


@dataclass(frozen=True)
class Hand:
    """A role ready to work: its backend and settings."""

    role: Role
    backend: Backend
    settings: RoleSettings


@dataclass
class Watch:
    """A worker under watch."""

    worker: LocalWorker
    seen: Seen
    started: float
    """Monotonic."""
    last_output: float
    cpu: float = 0.0
    result_at: float | None = None
    refusals: int = 0
    why: EndKind | None = None
    detail: str = ""
    stopped_at: float = 0.0
    forced: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs attempts. `wake` is called whenever a slot or a task became free."""

    def __init__(
        self,
        recorder: Recorder,
        store: GitStore,
        paths: RunPaths,
        workspaces: Workspaces,
        runtime: LocalRuntime,
        hands: dict[Role, Hand],
        settings: Settings,
        wake: Callable[[], None],
    ) -> None:
        self._recorder = recorder
        self._store = store
        self._paths = paths
        self._workspaces = workspaces
        self._runtime = runtime
        self._hands = hands
        self._settings = settings
        self._wake = wake
        self._watched: dict[str, Watch] = {}
        self._closed = False
        self._spares_due: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.landing: Landing | None = None

    def _hand(self, attempt: Attempt) -> Hand:
        """Who runs an attempt: as it was started, also when the settings have changed since."""
        hand = self._hands.get(attempt.role) or next(iter(self._hands.values()))
        if hand.backend.name == attempt.backend:
            return hand
        return Hand(attempt.role, make_backend(attempt.backend), hand.settings)

    # ---- starting

    def start(self, start: Start, group: asyncio.TaskGroup) -> None:
        """Journal the intent at once, so that the next tick sees the slot taken; the rest goes on its own."""
        task = self._recorder.state.tasks[start.task]
        n = len(task.attempts) + 1
        base, making = self._workspaces.base_for(start.task)
        intent = AttemptStarting(
            task=start.task,
            n=n,
            role=start.role,
            backend=self._hands[start.role].backend.name,
            base=base,
            session=str(uuid.uuid4()),
        )
        committed = self._recorder.record(intent)
        # Spares are started only once these workers run: they must not stand in their way.
        if self._spares_due is not None:
            self._spares_due.cancel()
        self._spares_due = asyncio.get_running_loop().call_later(SPARE_DELAY, self.keep_spares)
        group.create_task(self._run(intent, committed, making), name=f"attempt {start.task}#{n}")

    async def _run(
        self, intent: AttemptStarting, committed: asyncio.Future[int], making: asyncio.Task[Workspace | None] | None
    ) -> None:
        try:
            workspace = await making if making else None
            if workspace is None:
                workspace = await self._workspaces.make(intent.task, intent.n, intent.base)
            await committed
            if self._recorder.state.tasks[intent.task].unwanted:
                self.end(_ended(intent.task, intent.n, Outcome.INTERRUPTED, "stopped before it began"))
                return
            worker = await self._launch(intent, workspace)
        except (AuraError, OSError) as error:
            text = error.line() if isinstance(error, AuraError) else str(error)
            self.end(_ended(intent.task, intent.n, Outcome.INFRASTRUCTURE, f"could not start: {text}"))
            return
        await self._recorder.record(AttemptStarted(task=intent.task, n=intent.n, process=worker.record))
        await self.watch(intent.task, intent.n, worker)

    async def _launch(self, intent: AttemptStarting, workspace: Workspace) -> LocalWorker:
        state = self._recorder.state
        hand = self._hands[intent.role]
        folder, home = self._paths.attempt(intent.task, intent.n), self._paths.home(intent.task, intent.n)
        prompt = worker_prompt(
            state,
            state.tasks[intent.task],
            budget=self._settings.task_budget,
            carried=workspace.carried,
            conflicts=workspace.conflicts,
        )
        prompt = prompt.encode("utf-8", "replace").decode()  # names of files need not be UTF-8
        hidden = self._workspaces.hidden()
        if hidden:
            receipts = [receipt for task in state.leaves() for receipt in task.receipts.values() if receipt.hidden]
            prompt = redact(prompt, secrets_of(hidden, [*receipts, *state.goal_receipts.values()]))
        for path in (folder, home, home / "tmp"):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "prompt.md").write_text(prompt, encoding="utf-8")
        job = self._job(intent.task, intent.n, hand, intent.session, prompt)
        return await self._runtime.start(hand.backend.launch(job), folder, f"{intent.task}-{intent.n}")

    def _job(self, task_id: str, n: int, hand: Hand, session: str, prompt: str | None = None) -> Job:
        """An attempt as its backend needs to know it; the prompt of one that was started before is read back."""
        folder = self._paths.attempt(task_id, n)
        if prompt is None:
            with contextlib.suppress(OSError):
                prompt = (folder / "prompt.md").read_text("utf-8")
        return Job(
            prompt=prompt or "",
            workspace=self._paths.workspace(task_id, n),
            home=self._paths.home(task_id, n),
            folder=folder,
            settings=hand.settings,
            session=session,
            max_turns=hand.settings.max_turns,
            budget=self._settings.task_budget,
        )

    def keep_spares(self) -> None:
        """Have shims wait for the next starts while there is something to start."""
        state = self._recorder.state
        waiting = sum(task.status is TaskStatus.PENDING for task in state.leaves())
        if not self._closed:
            self._runtime.keep_spares(min(SPARES, self._settings.max_concurrent_tasks, waiting))

    def close(self) -> None:
        """Nothing will be started any more."""
        self._closed = True
        self._runtime.close()

    # ---- watching

    async def watch(self, task_id: str, n: int, worker: LocalWorker) -> None:
        """From the worker's start (or adoption) to the end of its attempt."""
        attempt = self._recorder.state.tasks[task_id].attempts[n - 1]
        hand = self._hand(attempt)
        now = time.monotonic()
        ran = max(0.0, self._recorder.clock.wall() - attempt.started)
        watch = Watch(worker, Seen(), started=now - ran, last_output=now)
        self._watched[task_id] = watch
        if self._recorder.state.tasks[task_id].unwanted:
            self._stop(watch, EndKind.KILLED, "stopped by you")
        folder = self._paths.attempt(task_id, n)
        parser = hand.backend.parser(self._job(task_id, n, hand, attempt.session))
        sent = worker.sent() if hand.backend.stdin_open else frozenset[str]()

        def reply(line: str) -> None:
            if line.rstrip("\n") not in sent:  # by the engine that started this worker
                worker.send(line)

        tail = Tail(folder / "output.jsonl", parser, lambda signals: self._heard(watch, hand, signals), reply)
        following = asyncio.create_task(tail.follow(), name=f"tail {task_id}#{n}")
        exiting = asyncio.create_task(worker.wait(), name=f"exit {task_id}#{n}")
        try:
            while not exiting.done():
                pause = self._check_limits(task_id, watch)
                watch.changed.clear()
                nudge = asyncio.create_task(watch.changed.wait())
                await asyncio.wait({exiting, nudge}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                nudge.cancel()
            record = exiting.result()
            following.cancel()
            await tail.drain()
            del self._watched[task_id]
        finally:
            following.cancel()
            exiting.cancel()
        ending = hand.backend.ending(record, watch.seen, _tail_of(folder / "error.log"))
        await self._worker_ended(task_id, n, _overruled(ending, watch), record)

    async def collect_exited(self, task_id: str, n: int, record: ExitRecord) -> None:
        """A worker that ended while no engine ran: its output tells how."""
        attempt = self._recorder.state.tasks[task_id].attempts[n - 1]
        hand = self._hand(attempt)
        folder = self._paths.attempt(task_id, n)
        seen = Seen()
        parser = hand.backend.parser(self._job(task_id, n, hand, attempt.session))
        tail = Tail(folder / "output.jsonl", parser, seen.add_all)
        await tail.drain()
        await self._worker_ended(task_id, n, hand.backend.ending(record, seen, _tail_of(folder / "error.log")), record)

    async def _worker_ended(self, task_id: str, n: int, ending: Ending, record: ExitRecord) -> None:
        self._recorder.record(WorkerEnded(task=task_id, n=n, ending=ending, exit=record))
        self._wake()
        await self.collect(task_id, n)

    def _heard(self, watch: Watch, hand: Hand, signals: list[Signal]) -> None:
        watch.last_output = time.monotonic()
        for signal in signals:
            watch.seen.add(signal)
            if signal.kind in (SignalKind.FINISHED, SignalKind.FAILED) and watch.result_at is None:
                watch.result_at = time.monotonic()
                if hand.backend.stdin_open:
                    watch.worker.close_input()
                watch.changed.set()
            elif signal.kind is SignalKind.RETRY:
                self._refused(watch, signal.status)
        if watch.seen.turns > hand.settings.max_turns + 1:
            self._stop(watch, EndKind.OUT_OF_TURNS, f"took more than {hand.settings.max_turns} turns")

    def _refused(self, watch: Watch, status: int | None) -> None:
        """A program would go on trying a key that is refused; once again is enough to tell it from a hiccup."""
        kind = classify("", status)
        if kind is EndKind.CREDENTIALS or kind is EndKind.MONEY:
            watch.refusals += 1
            if watch.refusals > 1:
                self._stop(watch, kind, f"the model's service refuses the key (HTTP status {status})")
                watch.changed.set()

    def _check_limits(self, task_id: str, watch: Watch) -> float:
        """Stop what is over a limit; seconds until the next look is due."""
        now = time.monotonic()
        if watch.why is not None:
            if now - watch.stopped_at > STOP_PATIENCE and not watch.forced:
                watch.forced = True
                self._later(_force(watch.worker))
            return STOP_PATIENCE
        left = watch.started + self._settings.task_budget - now
        if left <= 0:
            allowed = format_duration(self._settings.task_budget)
            self._stop(watch, EndKind.OUT_OF_TIME, f"still running after {allowed}")
            return 30.0
        if watch.result_at is not None:
            grace = watch.result_at + POST_RESULT - now
            if grace <= 0:
                # It had said its last word: the claim stands as if it had exited, the checks decide.
                watch.worker.begin_stop()
                watch.result_at = None
                return 30.0
            return min(left, grace)
        quiet = now - watch.last_output
        if quiet >= NO_EVENT:
            cpu = watch.worker.usage_sample()[0]
            if cpu - watch.cpu < IDLE_CPU * quiet:
                self._stop(watch, EndKind.HUNG, f"no output and no work for {quiet / 60:.0f} minutes")
                return 30.0
            watch.cpu, watch.last_output = cpu, now
            quiet = 0.0
        return min(left, NO_EVENT - quiet) + 0.01

    @staticmethod
    def _stop(watch: Watch, why: EndKind, detail: str) -> None:
        if watch.why is None:
            watch.why, watch.detail, watch.stopped_at = why, detail, time.monotonic()
            watch.worker.begin_stop()

    def stop(self, task_id: str, why: str) -> bool:
        """Stop a task's worker on somebody's word; False when none runs."""
        watch = self._watched.get(task_id)
        if watch is not None:
            self._stop(watch, EndKind.KILLED, why)
            watch.changed.set()
        return watch is not None

    # ---- after the worker

    async def collect(self, task_id: str, n: int) -> None:
        """Snapshot what the worker left and queue it for landing, or end the attempt."""
        task = self._recorder.state.tasks[task_id]
        attempt = task.attempts[n - 1]
        ending = attempt.ending or Ending(kind=EndKind.CRASHED)
        try:
            snap = await self._workspaces.snapshot(task, n, attempt.base)
        except (AuraError, OSError) as error:
            self.end(_ended(task_id, n, Outcome.INFRASTRUCTURE, f"its work could not be taken: {error}"))
            return
        if ending.claims:
            await asyncio.to_thread(
                atomic_write, self._paths.attempt(task_id, n) / "result.md", clean(ending.claims) + "\n", durable=False
            )
        if ending.kind is EndKind.FINISHED and task.status is TaskStatus.VERIFYING:
            assert self.landing is not None
            seconds = max(0.0, (attempt.ended or attempt.started) - attempt.started)
            self.landing.put(Candidate(task_id, n, attempt.base, snap.commit, snap.tree, seconds))
        else:
            self.end(
                AttemptEnded(
                    task=task_id,
                    n=n,
                    outcome=Outcome.INTERRUPTED if task.unwanted else routing.outcome_of(ending.kind),
                    reason=one_line(ending.detail or ending.kind.value, 300),
                    hand_over=_hand_over(attempt, ending),
                    snapshot=snap.commit if snap.changed else "",
                )
            )

    def forget(self, task_id: str, n: int) -> None:
        """The attempt has its last event: its folder and home can go; before that they are the only copy."""
        self._later(self._workspaces.remove(task_id, n))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what goes on in the background (at most 10 s)."""
        if self._background:
            await asyncio.wait(self._background, timeout=10.0)

    def end(self, event: AttemptEnded) -> None:
        """End an attempt and decide what it leads to, in one breath: nothing can start in between."""
        state = self._recorder.state
        task = state.tasks[event.task]
        if task.live is None or task.live.n != event.n:
            return  # said already
        self._recorder.record(event)
        self.settle_task(event.task)
        self._wake()

    def settle_task(self, task_id: str, *, recovered: bool = False) -> None:
        """What the last attempt of a pending task leads to.

        `recovered`: after a crash that may have come between the attempt's end and this; then only a last word counts,
        since a start anew is reason enough to try again what waited for a time or a person.
        """
        task = self._recorder.state.tasks[task_id]
        attempt = task.attempts[-1] if task.attempts else None
        if task.status is not TaskStatus.PENDING or attempt is None or attempt.live or attempt.n <= task.since:
            return
        following: list[Event] = []
        if attempt.outcome is Outcome.INTERRUPTED:
            killed = attempt.ending is not None and attempt.ending.kind is EndKind.KILLED
            if task.stop_asked or killed:
                reason = attempt.reason or "stopped"
                following.append(TaskSettled(task=task_id, status=TaskStatus.KILLED, reason=reason))
        else:
            following += self._routed(task_id, attempt)
        if recovered:
            following = [event for event in following if event.kind == "task_settled"]
        if following:
            self._recorder.record(*following)

    def _cure(self, attempt: Attempt) -> str:
        kind = attempt.ending.kind if attempt.ending else None
        if kind is EndKind.MISSING_CLI:
            return self._hand(attempt).backend.install_hint
        return CURES.get(kind, AGAIN).format(role=attempt.role.upper()) if kind else AGAIN

    def _routed(self, task_id: str, attempt: Attempt) -> list[Event]:
        state = self._recorder.state
        task = state.tasks[task_id]
        step = routing.after(task, self._settings.worker_mode, per_role=self._settings.max_attempts_per_role)
        if step.step is Step.PLANNER:
            return [TaskSettled(task=task_id, status=TaskStatus.FAILED, reason=step.reason)]
        if step.step is Step.PERSON:
            return [
                RoleParked(role=attempt.role, until=None, reason=f"{step.reason.rstrip('.')}. {self._cure(attempt)}")
            ]
        if not step.delay:
            return []
        until = self._recorder.clock.wall() + step.delay * random.uniform(0.8, 1.2)
        if step.park:
            return [RoleParked(role=attempt.role, until=until, reason=step.reason)]
        return [TaskDelayed(task=task_id, until=until)]


async def _force(worker: LocalWorker) -> None:
    await worker.stop()


def _ended(task_id: str, n: int, outcome: Outcome, reason: str) -> AttemptEnded:
    return AttemptEnded(task=task_id, n=n, outcome=outcome, reason=one_line(reason, 400))


def _overruled(ending: Ending, watch: Watch) -> Ending:
    """What we stopped a worker for outweighs how its process then ended."""
    if watch.why is None:
        return ending
    return ending.model_copy(update={"kind": watch.why, "detail": watch.detail, "retry_after": None})


def _hand_over(attempt: Attempt, ending: Ending) -> str:
    said = f" It said:\n<data>\n{clean(ending.claims)[-800:]}\n</data>" if ending.claims else ""
    return (
        f"Attempt {attempt.n} ({attempt.role}) ended early: {one_line(ending.detail or ending.kind.value, 300)}.{said}"
    )


def _tail_of(path: Path, limit: int = 8_000) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - limit))
            return stream.read(limit).decode(errors="replace")
    except OSError:
        return ""
