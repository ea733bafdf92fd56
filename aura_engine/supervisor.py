"""Attempts: start a worker, watch it within its limits, tell how it ended, hand its work on. No model is asked here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aura_engine.config.settings import Settings
from aura_engine.core import routing
from aura_engine.core.events import (
    AttemptEnded,
    AttemptStarted,
    AttemptStarting,
    Notice,
    WorkerEnded,
    WorkspaceKept,
)
from aura_engine.core.model import Ending, EndKind, ExitRecord, Outcome, Role, Signal, SignalKind, TaskStatus, Usage
from aura_engine.core.redaction import Redactor
from aura_engine.core.schedule import Parked, Start
from aura_engine.core.state import Attempt, Task
from aura_engine.core.text import clean, one_line
from aura_engine.ends import Ends
from aura_engine.errors import AuraError, JournalError, OwnedError
from aura_engine.faults import fault
from aura_engine.guarding import gpu_env, limits_told
from aura_engine.hands import Hand, Hands
from aura_engine.landing import Candidate, Landing
from aura_engine.paths import RunPaths, atomic_write, private_dir
from aura_engine.recorder import Recorder
from aura_engine.runtimes.base import Runtime, Worker
from aura_engine.spending import Spending
from aura_engine.verify import inside
from aura_engine.verify.leak import redact, secrets_of
from aura_engine.watching import Watch, from_outside, read_to_end
from aura_engine.workers.base import Job, Seen
from aura_engine.workers.prompt import resume_prompt, worker_prompt
from aura_engine.workers.scrub import scrub
from aura_engine.workers.tail import Tail
from aura_engine.workspace.store import GitStore
from aura_engine.workspaces import Workspace, Workspaces

log = logging.getLogger(__name__)

START_FIRST = 0.5
"""Seconds that the work of a worker that has ended waits, at most, for others to be started in its place."""
SPOKEN = ("output.jsonl", "error.log", "input.jsonl")
"""What the kernel and the engine write of a worker's talk."""
UNSCRUBBED = "unscrubbed"
"""A file in an attempt's folder, from its worker's end until secrets are taken out of what it said."""
AT_ONCE = 1 << 16
"""Bytes of it that are looked through without a thread: about 1 ms."""
SWEEP_LIMIT = 30.0
"""Seconds that a folder waits for the last processes of its worker."""


class Supervisor:
    """Runs attempts. The engine is woken whenever a slot or a task became free."""

    def __init__(
        self,
        recorder: Recorder,
        store: GitStore,
        paths: RunPaths,
        workspaces: Workspaces,
        runtime: Runtime,
        hands: Hands,
        settings: Settings,
        spending: Spending,
    ) -> None:
        self._recorder = recorder
        self._store = store
        self._paths = paths
        self._workspaces = workspaces
        self._runtime = runtime
        self._hands = hands
        self.ends = Ends(recorder, hands, settings, spending)
        self._settings = settings
        self._limits = limits_told(settings)
        self._spending = spending
        spending.halt = self.halt
        self._wake = spending.wake
        self._watched: dict[str, Watch] = {}
        self._taken_over: dict[Role, Parked] = {}
        """What each role was parked for when its second worker was last said to take over."""
        self._launching: set[tuple[str, int]] = set()
        """Attempts whose folder is there and whose worker is not yet."""
        self._calm = asyncio.Event()
        """Nothing is being launched."""
        self._calm.set()
        self._sweeps: dict[tuple[str, int], asyncio.Task[ExitRecord]] = {}
        self._holding_more: set[tuple[str, int]] = set()
        """Folders (task and place) with what their snapshots lack: they are put by, not removed."""
        """By task and place: what is left of workers that have ended is being swept."""
        self._background: set[asyncio.Task[object]] = set()
        self.landing: Landing | None = None

    # ---- starting

    def start(self, start: Start, group: asyncio.TaskGroup) -> None:
        """Journal the intent at once, so that the next tick sees the slot taken; the rest goes on its own."""
        task = self._recorder.state.tasks[start.task]
        n = len(task.attempts) + 1
        hand = self._hands.of(start.role, fallback=start.fallback)
        earlier = self._resumable(task, start, hand)
        base, making = (earlier.base, None) if earlier else self._workspaces.base_for(start.task)
        intent = AttemptStarting(
            task=start.task,
            n=n,
            role=start.role,
            backend=hand.backend.name,
            base=base,
            session=earlier.ending.session if earlier and earlier.ending else str(uuid.uuid4()),
            fallback=start.fallback,
            place=earlier.place if earlier else 0,
        )
        if start.fallback:
            self._say_who_takes_over(start.role, hand)
        fault("attempt.intending")
        committed = self._recorder.record(intent)
        self._spending.opened(start.task, n, hand.settings.model)
        if making is not None and making.done():
            self._is_launching(intent)
        group.create_task(self._run(intent, committed, making), name=f"attempt {start.task}#{n}")

    def _resumable(self, task: Task, start: Start, hand: Hand) -> Attempt | None:
        """The attempt that was cut off, if this worker can go on in its session; the folders of one that cannot go."""
        last = routing.last_that_ran(task)
        if last is None or last.ending is None or last.ending.kind not in routing.CUT_OFF:
            return None  # its folders went with it
        place = (self._paths.workspace(start.task, last.place), self._paths.home(start.task, last.place))
        same = (last.role, last.fallback, last.backend) == (start.role, start.fallback, hand.backend.name)
        if routing.cut_off(task) and same and hand.backend.resumes and all(folder.is_dir() for folder in place):
            return last
        self._later(self._remove(start.task, last.place))
        return None

    def _say_who_takes_over(self, role: Role, hand: Hand) -> None:
        parked = self._recorder.state.parked[role]
        if self._taken_over.get(role) != parked:
            self._taken_over[role] = parked
            text = f"{role} is parked ({one_line(parked[1], 200)}): {hand.backend.name} takes over meanwhile"
            self._recorder.record(Notice(text=text, level="warning"))

    async def _run(
        self, intent: AttemptStarting, committed: asyncio.Future[int], making: asyncio.Task[Workspace | None] | None
    ) -> None:
        try:
            workspace = await making if making else None
            if intent.place:
                workspace = await self._as_it_was(intent)
            elif workspace is None:
                workspace = await self._workspaces.make(intent.task, intent.n, intent.base)
            self._is_launching(intent)
            await committed
            fault("attempt.intended")
            if self._recorder.state.tasks[intent.task].unwanted:
                self.ends.end(_ended(intent.task, intent.n, Outcome.INTERRUPTED, "stopped before it began"))
                return
            worker = await self._launch(intent, workspace)
        except (JournalError, OwnedError):
            raise
        except Exception as error:
            if not isinstance(error, AuraError | OSError):
                log.exception("starting %s#%s", intent.task, intent.n)
            text = error.line() if isinstance(error, AuraError) else str(error) or type(error).__name__
            self.ends.end(_ended(intent.task, intent.n, Outcome.INFRASTRUCTURE, f"could not start: {text}"))
            return
        finally:
            self._launching.discard((intent.task, intent.n))
            if not self._launching and not self._calm.is_set():
                self._calm.set()
                self._wake()
        fault("worker.launched")
        self._recorder.note(AttemptStarted(task=intent.task, n=intent.n, process=worker.record))
        fault("attempt.started")
        await self.watch(intent.task, intent.n, worker)

    @property
    def calm(self) -> bool:
        """Nothing is being launched: the moment for what can wait."""
        return self._calm.is_set()

    def _is_launching(self, intent: AttemptStarting) -> None:
        self._launching.add((intent.task, intent.n))
        self._calm.clear()

    async def _starts_first(self) -> None:
        """Let the next worker take the free place before what the last one left is looked at."""
        await asyncio.sleep(0)  # the engine's turn to fill it
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_FIRST):
                await self._calm.wait()

    async def _as_it_was(self, intent: AttemptStarting) -> Workspace:
        """The folder of an attempt that goes on, without what has been held out since."""
        await self._swept(intent.task, intent.place)
        folder = self._paths.workspace(intent.task, intent.place)
        for path in await self._workspaces.withheld(await self._store.tree_of(intent.base)):
            inside.remove(folder, path)
        return Workspace(folder, intent.base, carried=True)

    async def _launch(self, intent: AttemptStarting, workspace: Workspace) -> Worker:
        state = self._recorder.state
        task = state.tasks[intent.task]
        attempt = task.attempts[intent.n - 1]
        if attempt.resumed:
            prompt = resume_prompt(task)
        else:
            prompt = worker_prompt(
                state,
                task,
                budget=self._settings.task_budget,
                carried=workspace.carried,
                conflicts=workspace.conflicts,
                limits=self._limits,
            )
        prompt = self._recorder.redactor(prompt.encode("utf-8", "replace").decode())  # file names need not be UTF-8
        hidden = self._workspaces.hidden()
        if hidden:
            receipts = [receipt for task in state.leaves() for receipt in task.receipts.values() if receipt.hidden]
            prompt = redact(prompt, secrets_of(hidden, [*receipts, *state.goal_receipts.values()]))
        hand, job = self._job(intent.task, attempt, prompt)
        address, key = await self._runtime.way(job.folder, job.settings.base_url, job.settings.api_key)
        job = replace(job, settings=replace(job.settings, base_url=address, api_key=key))
        for path in (job.folder, job.home):
            private_dir(path)
        atomic_write(job.folder / "prompt.md", prompt, durable=False)
        launch = hand.backend.launch(job)
        launch = launch.model_copy(update={"env": {**gpu_env(self._settings), **launch.env}})
        return await self._runtime.start(launch, job.folder, f"{intent.task}-{intent.n}")

    def _job(self, task_id: str, attempt: Attempt, prompt: str | None = None) -> tuple[Hand, Job]:
        """An attempt as its backend needs to know it; the prompt of one that was started before is read back."""
        hand = self._hands.behind(attempt)
        folder = self._paths.attempt(task_id, attempt.n)
        if prompt is None:
            with contextlib.suppress(OSError):
                prompt = (folder / "prompt.md").read_text("utf-8")
        job = Job(
            prompt=prompt or "",
            workspace=self._paths.workspace(task_id, attempt.place),
            home=self._paths.home(task_id, attempt.place),
            folder=folder,
            settings=hand.settings,
            session=attempt.session,
            max_turns=hand.settings.max_turns,
            budget=self._settings.task_budget,
            resume=attempt.resumed,
            contained=self._runtime.contained,
            counted=_counted_before(self._recorder.state.tasks[task_id], attempt) if attempt.resumed else None,
        )
        return hand, job

    def close(self) -> None:
        """Nothing will be started any more."""
        self._runtime.close()

    # ---- watching

    async def watch(self, task_id: str, n: int, worker: Worker, *, adopted: bool = False) -> None:
        """From the worker's start (or adoption) to the end of its attempt."""
        task = self._recorder.state.tasks[task_id]
        attempt = task.attempts[n - 1]
        hand, job = self._job(task_id, attempt)
        if adopted:
            try:
                await self._runtime.way(job.folder, job.settings.base_url, job.settings.api_key)
            except (AuraError, OSError) as error:  # its attempt will tell; the others go on
                log.warning("the way of %s#%s to its model: %s", task_id, n, error)
        until = task.paused_at or self._recorder.clock.wall()
        ran = max(0.0, until - attempt.started - attempt.idle)
        self._spending.opened(task_id, n, hand.settings.model)

        def used(seen: Seen, whole: bool) -> None:
            (self._spending.check if whole else self._spending.told)(task_id, n, seen)

        def keep(why: str) -> Coroutine[None, None, None]:
            return self.keep(task_id, n, why)

        watch = Watch(worker, hand, job, ran=ran, adopted=adopted, later=self._later, used=used, keep=keep)
        self._watched[task_id] = watch
        if task.unwanted:
            watch.stop(EndKind.KILLED, "stopped by you")
        elif task.paused_at:
            watch.freeze(frozen=True)
        try:
            ending, record = await watch.run()
        except (JournalError, OwnedError):
            raise
        except Exception as error:  # one worker's output must not end the engine
            log.exception("watching %s#%s", task_id, n)
            worker.begin_stop()
            ending, record = _unreadable(error)
        finally:
            del self._watched[task_id]
            self._sweeps[task_id, attempt.place] = asyncio.create_task(worker.swept(), name=f"sweep {task_id}#{n}")
        await self._worker_ended(task_id, n, ending, record)

    async def collect_exited(self, task_id: str, n: int, record: ExitRecord, *, lost: str = "") -> None:
        """A worker that ended while no engine ran: its output tells how. `lost`: it is only known to be gone."""
        hand, job = self._job(task_id, self._recorder.state.tasks[task_id].attempts[n - 1])
        try:
            ending = await read_to_end(hand, job, record)
        except Exception as error:
            log.exception("reading %s#%s", task_id, n)
            ending, _ = _unreadable(error)
        if not self._recorder.state.tasks[task_id].stop_asked:
            ending = from_outside(ending, record)
        elif record.stopped:
            ending = ending.model_copy(update={"kind": EndKind.KILLED, "detail": "stopped by you"})
        if lost and ending.kind is not EndKind.FINISHED:
            ending = ending.model_copy(update={"kind": EndKind.LOST, "detail": lost})
        await self._worker_ended(task_id, n, ending, record)

    async def _worker_ended(self, task_id: str, n: int, ending: Ending, record: ExitRecord) -> None:
        fault("worker.ended")
        exact = self._runtime.counted(self._paths.attempt(task_id, n))
        if exact is not None and exact.tokens > ending.usage.tokens:
            # Its model's own word; it is the smaller one where an engine that died had listened before this one. What
            # the worker says that it cost goes with what it says that it used: the table of prices decides.
            ending = ending.model_copy(update={"usage": exact})
        charged = self._spending.closed(task_id, n, ending)
        event = WorkerEnded(task=task_id, n=n, ending=ending, exit=record, charged=charged)
        committed = self._recorder.note(event)  # on the disk with the start of whoever takes the place
        self._later(self._clear(self._paths.attempt(task_id, n), committed))
        self._wake()
        fault("attempt.collecting")
        await self._starts_first()
        await self.collect(task_id, n)

    async def scrub_left(self) -> None:
        """Take the secrets out of what workers said whose engine died, or found no room, before it had."""
        for marker in await asyncio.to_thread(lambda: list(self._paths.attempts.glob(f"*/*/{UNSCRUBBED}"))):
            await self._scrub(marker.parent)

    async def _scrub(self, folder: Path) -> None:
        """Take the secrets out of what the kernel wrote for a worker that has ended."""
        sizes = {name: _size(folder / name) for name in SPOKEN}
        written = [name for name, size in sizes.items() if size]
        if sum(sizes.values()) <= AT_ONCE:
            found = _scrubbed(folder, written, self._recorder.redactor)
        else:
            found = await asyncio.to_thread(_scrubbed, folder, written, self._recorder.redactor)
        for name in found:
            log.warning("%s held a secret, which was taken out", folder / name)

    async def _clear(self, folder: Path, committed: asyncio.Future[int]) -> None:
        """Nothing outside the journal is needed any more to tell how the worker ended."""
        await committed
        await self._runtime.clear(folder)

    def stop(self, task_id: str, why: str) -> bool:
        """Stop a task's worker on somebody's word; False when none runs."""
        watch = self._watched.get(task_id)
        if watch is not None:
            watch.stop(EndKind.KILLED, why)
        return watch is not None

    def halt(self, task_id: str, kind: EndKind, why: str) -> None:
        """Stop a task's worker since it is over a cap or a limit."""
        watch = self._watched.get(task_id)
        if watch is not None:
            watch.stop(kind, why)

    async def count(self, task_id: str, n: int) -> None:
        """What an attempt of an earlier engine has used so far, read from its output, counts before anything starts."""
        hand, job = self._job(task_id, self._recorder.state.tasks[task_id].attempts[n - 1])
        self._spending.opened(task_id, n, hand.settings.model)
        seen = Seen()

        def heard(signals: list[Signal]) -> None:
            for said in signals:
                seen.add(said)
                if said.kind is SignalKind.USAGE:
                    self._spending.told(task_id, n, seen)

        try:
            await Tail(job.folder / "output.jsonl", hand.backend.parser(job), heard).drain()
        except Exception:  # its end will say what cannot be read
            log.exception("counting %s#%s", task_id, n)

    def freeze(self, task_id: str) -> None:
        """Freeze a task's worker or let it go on, as the state has it; none need run."""
        watch = self._watched.get(task_id)
        if watch is not None:
            watch.freeze(frozen=bool(self._recorder.state.tasks[task_id].paused_at))

    def message(self, task_id: str, text: str) -> bool:
        """Bring a running worker a message; False when it has to wait for the next attempt."""
        watch = self._watched.get(task_id)
        return watch is not None and watch.message(text)

    @property
    def watched(self) -> Mapping[str, Watch]:
        """By task: the workers that run now."""
        return self._watched

    # ---- after the worker

    async def collect(self, task_id: str, n: int) -> None:
        """Snapshot what the worker left and queue it for landing, or end the attempt."""
        task = self._recorder.state.tasks[task_id]
        attempt = task.attempts[n - 1]
        ending = attempt.ending or Ending(kind=EndKind.CRASHED)
        folder = self._paths.attempt(task_id, n)
        with contextlib.suppress(OSError):
            (folder / UNSCRUBBED).touch()
        self._later(self._scrub(folder))
        try:
            snap = await self._workspaces.snapshot(task, attempt.place, attempt.base)
        except Exception as error:
            log.warning("taking the work of %s#%s", task_id, n, exc_info=error)
            await self._put_by(task_id, n)
            self.ends.end(_ended(task_id, n, Outcome.INFRASTRUCTURE, f"its work could not be taken: {error}"))
            return
        fault("attempt.snapshotted")
        if snap.lost:
            self._say_lost(task_id, n, attempt.place, snap.lost)
        if ending.claims:
            result = self._paths.attempt(task_id, n) / "result.md"
            with contextlib.suppress(OSError):  # a copy for people: the journal has the words
                atomic_write(result, clean(ending.claims) + "\n", durable=False)
        if ending.kind is EndKind.FINISHED and task.status is TaskStatus.VERIFYING:
            assert self.landing is not None
            seconds = max(0.0, (attempt.ended or attempt.started) - attempt.started)
            self.landing.put(Candidate(task_id, n, attempt.base, snap.commit, snap.tree, seconds))
        else:
            self.ends.end(
                AttemptEnded(
                    task=task_id,
                    n=n,
                    outcome=Outcome.INTERRUPTED if task.unwanted else routing.outcome_of(ending.kind),
                    reason=one_line(ending.detail or ending.kind.value, 300),
                    hand_over=_hand_over(attempt, ending),
                    snapshot=snap.commit if snap.changed else "",
                )
            )

    def _say_lost(self, task_id: str, n: int, place: int, lost: Sequence[tuple[str, str]]) -> None:
        self._holding_more.add((task_id, place))
        named = [f"{one_line(path, 80)} ({why})" for path, why in lost[:3]]
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        text = f"{task_id}#{n} made what cannot be taken, so its folder will be kept: {', '.join(named)}{more}"
        self._recorder.record(Notice(text=text, level="warning"))

    async def keep(self, task_id: str, n: int, why: str) -> None:
        """Snapshot a workspace before something that may lose what is in it. Never raises."""
        task = self._recorder.state.tasks[task_id]
        attempt = task.attempts[n - 1]
        try:
            snap = await self._workspaces.snapshot(task, attempt.place, attempt.base)
            if snap.changed:
                self._recorder.record(WorkspaceKept(task=task_id, n=n, snapshot=snap.commit, why=one_line(why)))
        except (AuraError, OSError) as error:
            log.warning("keeping the work of %s#%s: %s", task_id, n, error)

    async def _put_by(self, task_id: str, n: int) -> None:
        """Nothing a worker made is thrown away unseen: the folder itself is kept. Never raises."""
        try:
            place = await self._workspaces.put_by(task_id, self._recorder.state.tasks[task_id].attempts[n - 1].place)
        except (AuraError, OSError) as error:
            log.warning("the folder of %s#%s could not be put by: %s", task_id, n, error)
            return
        self._recorder.record(WorkspaceKept(task=task_id, n=n, folder=str(place), why="could not be taken"))

    def forget(self, task_id: str, n: int) -> None:
        """The attempt has its last event: its folder and home can go, unless its session is to go on in them."""
        task = self._recorder.state.tasks[task_id]
        attempt, last, cut_off = task.attempts[n - 1], task.attempts[-1], routing.cut_off(task)
        goes_on = cut_off is not None and cut_off.place == attempt.place
        goes_on = goes_on or (last is not attempt and last.place == attempt.place)
        if not goes_on:
            self._later(self._remove(task_id, attempt.place))

    async def _remove(self, task_id: str, place: int) -> None:
        """Take an attempt's folders away, once nothing of its worker is left that could write to them."""
        await self._swept(task_id, place)
        fault("attempt.removing")
        if (task_id, place) in self._holding_more:
            self._holding_more.discard((task_id, place))
            await self._put_by(task_id, place)
        await self._workspaces.remove(task_id, place)

    async def _swept(self, task_id: str, place: int) -> None:
        sweep = self._sweeps.pop((task_id, place), None)
        if sweep is not None:
            await asyncio.wait({sweep}, timeout=SWEEP_LIMIT)
            sweep.cancel()

    def _later(self, work: Coroutine[None, None, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what goes on in the background (at most 5 s)."""
        if self._background:
            await asyncio.wait(self._background, timeout=5.0)
        for sweep in self._sweeps.values():
            sweep.cancel()


def _size(path: Path) -> int:
    """Bytes; 0 where there is no such file."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _scrubbed(folder: Path, names: Sequence[str], redactor: Redactor) -> list[str]:
    """Those of an attempt's files that held a secret, which is taken out of them; blocks for 20 ms for each MB."""
    found: list[str] = []
    done = True
    for name in names:
        try:
            if scrub(folder / name, redactor):
                found.append(name)
        except OSError as error:
            log.warning("secrets in %s: %s", folder / name, error)
            done = False
    if done:
        with contextlib.suppress(OSError):
            (folder / UNSCRUBBED).unlink(missing_ok=True)
    return found


def _counted_before(task: Task, attempt: Attempt) -> Usage:
    """What the earlier attempts in this session used: some programs tell the sum over all of it."""
    earlier = (a.ending.usage for a in task.attempts if a.place == attempt.place and a.n < attempt.n and a.ending)
    return sum(earlier, Usage())


def _unreadable(error: Exception) -> tuple[Ending, ExitRecord]:
    detail = one_line(f"what it said could not be understood ({type(error).__name__}: {error})", 300)
    return Ending(kind=EndKind.CRASHED, detail=detail), ExitRecord(error=detail)


def _ended(task_id: str, n: int, outcome: Outcome, reason: str) -> AttemptEnded:
    return AttemptEnded(task=task_id, n=n, outcome=outcome, reason=one_line(reason, 400))


def _hand_over(attempt: Attempt, ending: Ending) -> str:
    said = f" It said:\n<data>\n{clean(ending.claims)[-800:]}\n</data>" if ending.claims else ""
    return (
        f"Attempt {attempt.n} ({attempt.role}) ended early: {one_line(ending.detail or ending.kind.value, 300)}.{said}"
    )
