"""The engine: wires the rooms, reacts to what happens, ends when the goal's own checks say so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import resource
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

from aura_engine import __version__, scratch
from aura_engine.commanding import Commanding
from aura_engine.control.protocol import STARTING
from aura_engine.core import schedule
from aura_engine.core.commands import Command, Stop, refusal
from aura_engine.core.duration import format_duration
from aura_engine.core.ending import all_landed, checked, for_want_of_room, how_it_ends
from aura_engine.core.events import (
    EngineStarted,
    GoalRead,
    Notice,
    PlanChanged,
    RunEnded,
)
from aura_engine.core.fold import apply
from aura_engine.core.model import RunStatus
from aura_engine.core.plan import id_key
from aura_engine.core.routing import backoff, cut_off
from aura_engine.core.state import RunState
from aura_engine.core.text import one_line
from aura_engine.errors import AuraError, GitError, GoalError, JournalError, OwnedError, RuntimeFault
from aura_engine.faults import fault
from aura_engine.goal.blocks import Goal, parse_goal
from aura_engine.goal.read import read_goal
from aura_engine.goal.watch import watch_goal
from aura_engine.hooks import Hooks
from aura_engine.journal.lock import OwnerLock
from aura_engine.journal.store import Journal
from aura_engine.paths import remember_run
from aura_engine.patience import Patience
from aura_engine.planner.providers.fallback import Fallback
from aura_engine.recorder import Committed, Recorder
from aura_engine.recovery import recover
from aura_engine.runtimes.containment import InContainers
from aura_engine.runtimes.walls import Chosen, choose
from aura_engine.supervised import Breaks, supervised
from aura_engine.vaulting import Vault
from aura_engine.watchdog import Watchdog
from aura_engine.wiring import Options, Parts, wire
from aura_engine.workspace.store import GitStore

log = logging.getLogger(__name__)

LAST_WORD = 5.0
"""Seconds that the end of a run waits to be on the disk."""
CHECK_TRIES = 6
"""Runs of the goal checks in a row that the machinery may break off before the run ends for it."""
QUIET = frozenset({"attempt_starting", "attempt_started", "worker_ended", "check_ran", "delivery_started"})
"""Events whose commit leaves nothing to look at: whoever recorded them wakes the engine when there is."""


class Engine:
    """One run of one task file. `run` returns the status it ended with; everything else is events and commands."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.on_open: Callable[[], None] = lambda: None
        """Called once the journal is open and replayed: the moment to subscribe."""
        self.beside: list[Callable[[], AbstractAsyncContextManager[None]]] = []
        """Entered then; left, the last first, when all has been said but the journal and the run's lock are ours."""
        self._parts: Parts | None = None
        self._woken = asyncio.Event()
        self._patience = Patience(self.wake)
        """With the want of room on the disk or in memory."""
        self._stopping: RunStatus | None = None
        self._checking: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._check_tries = 0
        self._check_trouble = ""
        self._draining = False
        """Nothing new is started: the engine ends once what runs has landed."""
        self._recorder: Recorder | None = None

    @property
    def recorder(self) -> Recorder:
        """The way in for facts; there once `run` has opened the journal."""
        assert self._recorder is not None
        return self._recorder

    @property
    def options(self) -> Options:
        """What it was given."""
        return self._options

    @property
    def parts(self) -> Parts:
        """The wired rooms; there once the base is taken."""
        assert self._parts is not None
        return self._parts

    @property
    def ready(self) -> bool:
        """The rooms are wired."""
        return self._parts is not None

    def wake(self) -> None:
        """Look at the state again."""
        self._woken.set()

    def tell(self, text: str, *, level: Literal["info", "warning", "error"] = "info") -> None:
        """Something the person should know."""
        self.recorder.record(Notice(text=one_line(text, 500), level=level))

    def _warn(self, text: str) -> None:
        self.tell(text, level="warning")

    def interrupt(self) -> None:
        """Stop the engine now; workers go on and are collected by the next start."""
        self._stopping = RunStatus.INTERRUPTED
        self.wake()

    def drain(self) -> None:
        """Start nothing new, and end once what runs has landed."""
        self._draining = True
        self.wake()

    def _stop(self, drain: bool) -> None:
        if drain:
            self.drain()
        else:
            self.interrupt()

    def command(self, command: Command) -> str:
        """Take a request; "" when accepted, else why not. Call it on the engine's loop."""
        refused = refusal(self.recorder.state, command)
        if not refused and not self.ready and not isinstance(command, Stop):
            return STARTING
        return refused or self._commanding.take(command)

    async def run(self) -> RunStatus:
        """From the task file to an end. GoalError, OwnedError, JournalError, GitError before or instead of one."""
        options = self._options
        goal = parse_goal(await asyncio.to_thread(read_goal, options.task_file, project=options.project))
        options.paths.ensure(options.project)
        self._chosen = await asyncio.to_thread(self._containment)
        with OwnerLock.acquire(options.paths.lock):
            journal = await asyncio.to_thread(Journal.open, options.paths.journal, on_trouble=self._trouble)
            recorder = self._recorder = Recorder(journal, options.clock, options.redactor)
            self._commanding = Commanding(recorder, lambda: self.parts, self.wake, self._stop)
            store = GitStore(options.paths.store)
            try:
                await asyncio.to_thread(recorder.replay)
                recorder.subscribe(self._react)
                if isinstance(options.provider, Fallback):
                    options.provider.say = lambda text: self.tell(text, level="warning")
                self.on_open()
                remember_run(
                    options.paths.run.parent, options.task_file, project=options.project, wall=options.clock.wall()
                )
                async with contextlib.AsyncExitStack() as stack:
                    for one in self.beside:
                        await stack.enter_async_context(one())
                    await stack.enter_async_context(contextlib.aclosing(self._hooks()))
                    await store.init()
                    async with Watchdog(options.paths.stalled, self._was_away):
                        return await self._run(goal, store)
            finally:
                with contextlib.suppress(AuraError):
                    await options.provider.aclose()
                await store.aclose()
                await journal.close()

    def _trouble(self, error: AuraError | None) -> None:
        if error is not None:
            log.error("journal: %s", error.line())
        if self.ready:
            self.parts.disk.trouble(error)

    def _hooks(self) -> Hooks:
        """What the person wants to be run from here on."""
        options, recorder = self._options, self.recorder
        hooks = Hooks(options.settings.hooks(), recorder.state, Path.home(), self._warn)
        recorder.subscribe(hooks.heard)
        return hooks

    def _was_away(self, seconds: float) -> None:
        """Neither the process nor the machine ran: what waits for a time looks at the clock again."""
        self._warn(f"nothing ran here for {format_duration(seconds)} (suspended or stopped?): time limits are extended")

    def _containment(self) -> Chosen:
        """What keeps workers and checks from the person's files. ConfigError when nothing does and nobody consented."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # it would hold keys
        options = self._options
        if options.place.docked is not None:
            return Chosen(InContainers())
        private = (options.project, options.paths.run.parent, options.paths.scratch.parent, options.task_file)
        return choose(options.settings.containment, os.environ, private)

    async def _run(self, goal: Goal, store: GitStore) -> RunStatus:
        options, recorder = self._options, self.recorder
        state = recorder.state
        again = state.status is RunStatus.ACHIEVED and state.revision == goal.revision
        self._say_started(goal)
        parts = self._parts = await wire(options, recorder, store, self._chosen.containment, self.wake)
        vault = Vault(recorder, store, options.settings)
        await vault.trim()
        status = RunStatus.RUNNING
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                await self._begin(group, again=again)
                status = await self._loop(group)
                raise _Ended  # cancels what still watches and waits; workers that run are left to the next start
        except* _Ended:
            pass
        except* (AuraError, OSError) as group:
            # One line for a person instead of a group of tracebacks: the first failure is the one that counts.
            first: BaseException = group
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            failure = first
        finally:
            self._patience.close()
            parts.supervisor.close()
        await parts.aclose()
        if failure is not None:
            await self._say_failed(failure)
            raise failure
        if status is self._stopping:  # only now does nothing more happen: this is the last word
            await self._say_last(RunEnded(status=status, reason="stopped by you"))
        if not any(task.live for task in state.leaves()):
            await asyncio.to_thread(scratch.clear, options.paths, state)
        await vault.hold()
        return status

    def _say_started(self, goal: Goal) -> None:
        """What is so at this start, and what the person should know about it."""
        options, recorder = self._options, self.recorder
        state = recorder.state
        recorder.record(
            EngineStarted(
                version=__version__,
                pid=os.getpid(),
                host=platform.node(),
                mode=options.settings.worker_mode.value,
                workers=options.settings.max_concurrent_tasks,
                project=str(options.project),
                task_file=str(options.task_file),
                fallbacks=tuple(options.fallbacks),
                containment=self._chosen.containment.name,
                caps=options.settings.caps(),
            )
        )
        if self._chosen.warning:
            recorder.record(Notice(text=self._chosen.warning, level="warning"))
        if (placed := options.place.event()) is not None:
            before_it = state.images.get(placed.image)
            recorder.record(placed)
            if placed.docker and before_it not in (None, placed.image_id):
                self.tell(f"the image {placed.image} is another one than at the last start", level="warning")
        for note in (*options.notes, *goal.notes):
            recorder.record(Notice(text=note))
        for text in _paused(state):
            recorder.record(Notice(text=text, level="warning"))
        if goal.revision != state.revision:
            recorder.record(_goal_read(goal))

    async def _begin(self, group: asyncio.TaskGroup, *, again: bool) -> None:
        """What runs beside the loop, and what the engine before this one has left to do."""
        parts, recorder = self.parts, self.recorder
        for name, work in {
            "landing": parts.landing.run,
            "delivery": parts.delivering.run,
            "spending": parts.spending.run,
            "inquiries": parts.inquiries.run,
            "guard": parts.guarding.run,
            "the goal's watch": self._watch_goal,
            "the disk's watch": parts.disk.run,
            **({"the settings' watch": parts.raising.run} if parts.raising else {}),
        }.items():
            group.create_task(supervised(name, work, self._warn), name=name)
        found = await recover(recorder, self._options.paths, parts.runtime, parts.supervisor, group)
        if any(found.values()):
            text = ", ".join(f"{count} {what}" for what, count in found.items() if count)
            recorder.record(Notice(text=f"workers found after the restart: {text}"))
        for task in list(recorder.state.leaves()):
            parts.supervisor.ends.settle_task(task.spec.id, recovered=True)
        self._opening = group.create_task(self._open(again=again))
        group.create_task(asyncio.to_thread(scratch.remove_aside, self._options.paths))
        group.create_task(parts.supervisor.scrub_left())

    async def _say_failed(self, failure: BaseException) -> None:
        """The run's last word, where it can still be written down."""
        if not isinstance(failure, JournalError | OwnedError):
            with contextlib.suppress(JournalError, OwnedError):
                await self._say_last(RunEnded(status=RunStatus.FAILED, reason=one_line(str(failure), 300)))

    async def _say_last(self, event: RunEnded) -> None:
        """On a disk that takes nothing it is not waited for: the journal tries once more when it is closed.

        Nor is it taken back then: a disk that is only slow still tells whoever listens.
        """
        said = self.recorder.record(event)
        await asyncio.wait({said}, timeout=LAST_WORD)
        if said.done():
            said.result()

    # ---- reacting

    def _react(self, committed: Committed) -> None:
        """What committed events set in motion."""
        match committed.event.kind:
            case "landed":
                self.parts.delivering.want()
                self.parts.supervisor.forget(committed.event.task, committed.event.n)
            case "attempt_ended":
                self.parts.supervisor.forget(committed.event.task, committed.event.n)
            case "person_landed":
                self.parts.delivering.want()
            case "plan_changed":
                assert isinstance(committed.event, PlanChanged)
                for task_id in committed.event.archive:
                    self.parts.supervisor.stop(task_id, "no longer wanted")
            case _:
                pass
        if committed.event.kind not in QUIET:
            self.wake()

    async def _watch_goal(self) -> None:
        options, recorder = self._options, self.recorder
        state, refused = recorder.state, False
        async with contextlib.aclosing(
            watch_goal(options.task_file, revision=state.revision, project=options.project)
        ) as revisions:
            async for seen in revisions:
                try:
                    if isinstance(seen, GoalError):
                        raise seen
                    goal = await asyncio.to_thread(parse_goal, seen)
                except GoalError as error:
                    told = GoalError(str(error), cure="The goal as it was stays in force.")
                    recorder.record(Notice(text=told.line(), level="warning"))
                    refused = True
                    continue
                if goal.revision != state.revision:
                    await recorder.record(_goal_read(goal))
                elif refused:
                    recorder.record(Notice(text=f"{options.task_file.name} is right again, and as it was."))
                refused = False

    async def _loop(self, group: asyncio.TaskGroup) -> RunStatus:
        """React until the run ends."""
        breaks = Breaks("the engine's loop", self._warn)
        while True:
            self._woken.clear()
            if self._stopping is not None:
                return self._stopping
            try:
                ended = self._tick(group)
            except AuraError:
                raise
            except Exception as error:
                await asyncio.sleep(breaks.pause(error))
                continue
            if ended is not None and await self._finish(*ended):
                return ended[0]
            await self._sleep()

    async def _sleep(self) -> None:
        """Until something happens or something that waits for a time may go on."""
        now = self.recorder.clock.wall()
        moment = schedule.next_moment(self.recorder.state, now)
        if moment is None:
            await self._woken.wait()
            return
        due = asyncio.get_running_loop().call_later(max(0.01, moment - now), self.wake)
        try:
            await self._woken.wait()
        finally:
            due.cancel()

    def _tick(self, group: asyncio.TaskGroup) -> tuple[RunStatus, str] | None:
        """Start what can start, ask what has to be asked; the end, when there is nothing left to do."""
        state, parts, settings = self.recorder.state, self.parts, self._options.settings
        now = self.recorder.clock.wall()
        if self._opening is not None and not self._opening.done():
            return None
        if not self._draining and not parts.disk.held:
            for start in schedule.starts(state, settings.worker_mode, settings.max_concurrent_tasks, now):
                if parts.spending.may_start(state.tasks[start.task]):
                    parts.supervisor.start(start, group)
        if parts.supervisor.calm:
            soon = schedule.soon(state, 0 if parts.disk.held else settings.max_concurrent_tasks)
            parts.workspaces.ahead([i for i in soon if cut_off(state.tasks[i]) is None], group)
        parts.landing.release()
        quiet = not (state.busy or state.verifying or parts.landing.busy or self._is_checking())
        quiet = quiet and not any(task.live for task in state.leaves())  # one whose work is just being taken
        quiet = quiet and (state.paused or not any(state.tasks[i].not_before > now for i in state.ready))
        if quiet and not state.paused and all_landed(self.recorder.state) and not checked(self.recorder.state):
            if self._check_tries >= CHECK_TRIES:
                return RunStatus.FAILED, f"the goal checks could not be run: {self._check_trouble}"
            self._checking = group.create_task(self._check_goal(), name="goal checks")
            return None
        if self._draining and not (state.busy or state.verifying or parts.landing.busy):
            self.interrupt()
            return None
        short = bool(parts.disk.held or (state.ready and state.no_room))
        starved = quiet and short and not (state.paused or parts.planning.busy)
        late = self._patience.look(waits=starved)
        if parts.disk.held:  # it goes on by itself when there is room again; what is reached needs none
            ends = how_it_ends(state) if quiet else None
            if ends is not None and ends[0] is RunStatus.ACHIEVED:
                return ends
            return for_want_of_room(state) if starved and (late or parts.disk.final) else None
        # What waits for a limit to pass or for a person's key is no stall: there is nothing in it for the planner.
        waits = schedule.waits(state, now) if quiet and state.ready else []
        held = quiet and any(state.tasks[task_id].paused_at for task_id in state.ready)  # by the person
        stalls = quiet and not (waits or held or short or state.paused)
        if parts.planning.consider(group, quiet=stalls) or not quiet or state.paused or held:
            return None
        if any(until is not None for until in waits) and not state.capped:
            return None
        ends = how_it_ends(state)
        if self._options.attended and (state.open_questions() or ends[0] is RunStatus.BUDGET):
            return None
        if short and not state.capped:
            return for_want_of_room(state) if late else None
        return ends

    def _is_checking(self) -> bool:
        return self._checking is not None and not self._checking.done()

    async def _open(self, *, again: bool) -> None:
        """Before anything starts: land what the person changed; check an achieved goal again on the folder."""
        if again:
            await self._check_goal(fresh=True)
        else:
            await self._take_person_changes()
        self.wake()

    async def _take_person_changes(self) -> None:
        try:
            await self.parts.delivering.take_person_changes()
        except (GitError, OSError) as error:
            text = f"your changes in the folder could not be read: {one_line(str(error), 300)}"
            self.recorder.record(Notice(text=text, level="warning"))

    async def _check_goal(self, *, fresh: bool = False) -> None:
        """Run the goal checks; what the machinery breaks off is tried again, with back-off."""
        await self._take_person_changes()
        try:
            await self.parts.checks.run(fresh=fresh)
            self._check_tries = 0
        except (GitError, RuntimeFault, OSError) as error:
            self._check_tries += 1
            self._check_trouble = one_line(str(error), 300)
            self.recorder.record(Notice(text=f"goal checks broken off: {self._check_trouble}", level="warning"))
            await asyncio.sleep(backoff(self._check_tries, base=1.0, ceiling=60.0))
        self.wake()

    async def _finish(self, status: RunStatus, reason: str) -> bool:
        """Deliver and end; False when something changed meanwhile and the run goes on."""
        state = self.recorder.state
        try:
            await self.parts.delivering.deliver()
        except (AuraError, OSError) as error:
            status, reason = RunStatus.FAILED, f"the work could not be delivered: {one_line(str(error), 300)}"
        if status is RunStatus.ACHIEVED and not checked(state):
            return False
        if status is RunStatus.BUDGET and self.parts.raising is not None:
            await self.parts.raising.look()
            if state.capped is None:
                return False
        untold = state.revision != state.told_revision and self._stopping is None and state.planner_failure is None
        if untold and not (status is RunStatus.NEEDS_PERSON and self.parts.disk.held):  # then nobody is told of it now
            return False
        fault("run.ending")
        await self._say_last(RunEnded(status=status, reason=reason))
        fault("run.ended")
        return True


class _Ended(Exception):
    """Leaves the task group."""


def state_of(goal: Goal) -> RunState:
    """The state of a run that has only just read its goal."""
    state = RunState()
    apply(state, _goal_read(goal), 0.0)
    return state


def _goal_read(goal: Goal) -> GoalRead:
    return GoalRead(revision=goal.revision, text=goal.text, prose=goal.prose, checks=goal.checks, prepare=goal.prepare)


def _paused(state: RunState) -> list[str]:
    """What the person paused before this start: nobody else will undo it."""
    frozen = sorted((task.spec.id for task in state.leaves() if task.paused_at), key=id_key)
    found = ["The run is paused, as it was left: nothing new starts. Undo it: aura resume"] if state.paused else []
    return [*found, *(f"{task_id} is paused, as it was left. Undo it: aura resume {task_id}" for task_id in frozen)]
