"""Random runs, driven as the engine drives them; what must always hold is checked after every event."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aura_engine.core import events as ev
from aura_engine.core.fold import apply, fold
from aura_engine.core.model import (
    Check,
    Difficulty,
    Ending,
    EndKind,
    ExitRecord,
    Outcome,
    Phase,
    ProcessRecord,
    Receipt,
    Role,
    TaskStatus,
    Usage,
    Verdict,
    WorkerMode,
)
from aura_engine.core.plan import Retry, id_key, split_id
from aura_engine.core.routing import Step, after, cut_off, outcome_of
from aura_engine.core.schedule import next_moment, starts
from aura_engine.core.state import ALLOWED, RunState
from aura_engine.planner import tools
from aura_engine.planner.draft import Draft, Refused
from aura_engine.report.decisions import DecisionLog

CHECK = Check(name="it works", run="true")
SETTLED = (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED)


def below(state: RunState, node: str) -> list[str]:
    """Leaves at or below a node that are wanted, by their ids alone."""
    return [
        task_id
        for task_id, task in state.tasks.items()
        if (task_id == node or task_id.startswith(f"{node}."))
        and not task.spec.group
        and task.status is not TaskStatus.ARCHIVED
    ]


def waits_for(state: RunState, leaf: str) -> set[str]:
    """The leaves that must have landed before this one, by brute force."""
    parts = leaf.split(".")
    nodes = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return {other for node in nodes for need in state.tasks[node].spec.needs for other in below(state, need)}


class Simulation:
    """A made-up engine: real scheduler, routing and fold; workers, clock and person are dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.mode = self.dice.choice(list(WorkerMode))
        self.capacity = self.dice.randint(1, 4)
        self.per_role = self.dice.randint(1, 3)
        self.fallbacks = tuple(role for role in Role if self.dice.random() < 0.4)
        self.state = RunState()
        self.journal: list[tuple[object, float]] = []
        self.kept: dict[int, RunState] = {}
        self.now = 1000.0
        self.names = 0

    def emit(self, event: object) -> None:
        """Journal and fold an event; check everything."""
        before = {task_id: task.status for task_id, task in self.state.tasks.items()}
        self.now += 0.01
        self.journal.append((event, self.now))
        if isinstance(event, ev.AttemptStarting):
            assert all(self.state.tasks[i].status is TaskStatus.COMPLETED for i in waits_for(self.state, event.task))
        apply(self.state, event, self.now)
        if self.dice.random() < 0.02:
            self.kept[len(self.journal)] = copy.deepcopy(self.state)
        self.check(before)

    def check(self, before: dict[str, TaskStatus]) -> None:
        state = self.state
        for task_id, task in state.tasks.items():
            old = before.get(task_id, TaskStatus.PENDING)
            assert task.status is old or task.status in ALLOWED[old]
            assert sum(attempt.live for attempt in task.attempts) == (task.live is not None) <= 1
            assert [attempt.n for attempt in task.attempts] == list(range(1, len(task.attempts) + 1))
            if task.spec.group or task.status is TaskStatus.ARCHIVED:
                continue
            missing = {i for i in waits_for(state, task_id) if state.tasks[i].status is not TaskStatus.COMPLETED}
            assert task.unmet == len(missing)
            assert (task_id in state.ready) == (task.status is TaskStatus.PENDING and not missing)
        assert not any(state.tasks[i].status is TaskStatus.ARCHIVED or state.tasks[i].spec.group for i in state.ready)
        live = {i: task.live for i, task in state.tasks.items() if task.live}
        assert state.busy == {i for i, attempt in live.items() if attempt.ending is None}
        assert state.verifying == {i for i, task in state.tasks.items() if task.status is TaskStatus.VERIFYING}
        assert len(state.busy) <= self.capacity

    # ---- what the engine does

    def plan(self, size: int) -> None:
        """Add random tasks through a draft; needs that it refuses are left out."""
        draft = Draft(self.state)
        known = [i for i, task in self.state.tasks.items() if task.status is not TaskStatus.ARCHIVED]
        made = self.tasks(size, depth=0)
        keys = [task.key for task in self.flat(made)]
        for task in self.flat(made):
            task.needs = self.dice.sample([*keys, *known], k=min(self.dice.choice((0, 0, 1, 1, 2)), len(keys)))
        while True:
            try:
                draft.add_tasks(tools.AddTasks(tasks=made))
                break
            except Refused:
                assert not draft.add
                assert not draft.keys
                with_needs = [task for task in self.flat(made) if task.needs]
                self.dice.choice(with_needs).needs.pop()
        letters = {split_id(i)[0] for i in draft.add if "." not in i}
        assert letters <= {self.state.batch}
        assert not set(draft.add) & set(self.state.tasks)
        event = draft.event("planned", 1, told=True)
        assert event is not None
        self.emit(event)

    def tasks(self, size: int, depth: int) -> list[tools.TaskArgs]:
        made: list[tools.TaskArgs] = []
        for _ in range(size):
            self.names += 1
            group = depth < 2 and self.dice.random() < 0.25
            made.append(
                tools.TaskArgs(
                    key=f"k{self.names}",
                    title=f"Task {self.names}",
                    difficulty=self.dice.choice(list(Difficulty)),
                    checks=[] if group else [CHECK],
                    tasks=self.tasks(self.dice.randint(1, 3), depth + 1) if group else [],
                )
            )
        return made

    def flat(self, items: list[tools.TaskArgs]) -> list[tools.TaskArgs]:
        return [task for item in items for task in (item, *self.flat(item.tasks))]

    def start(self) -> int:
        """Start what may start; how many."""
        chosen = starts(self.state, self.mode, self.capacity, self.now)
        assert len({start.task for start in chosen}) == len(chosen)
        for task_id, role, fallback in chosen:
            task = self.state.tasks[task_id]
            assert task.not_before <= self.now
            assert not task.paused_at
            first, second = self.state.parked.get(role), self.state.parked_fallbacks.get(role)
            assert fallback == (first is not None and (first[0] is None or first[0] > self.now))
            assert not fallback or role in self.state.fallbacks
            assert not fallback or second is None or (second[0] or self.now + 1) <= self.now
            n = len(task.attempts) + 1
            last = cut_off(task)
            place = last.place if last and (last.role, last.fallback) == (role, fallback) else 0
            begun = ev.AttemptStarting(
                task=task_id, n=n, role=role, backend="fake", base="c0", fallback=fallback, place=place
            )
            self.emit(begun)
            if self.dice.random() < 0.05:
                self.end(task_id, Outcome.INFRASTRUCTURE)
                continue
            self.emit(ev.AttemptStarted(task=task_id, n=n, process=ProcessRecord(pid=n, start_time=1, boot_id="b")))
        return len(chosen)

    def worker_ends(self, kind: EndKind | None = None) -> None:
        task_id = self.dice.choice(sorted(self.state.busy))
        kind = kind or self.dice.choice([EndKind.FINISHED] * 12 + list(EndKind))
        ending = Ending(kind=kind, session=self.dice.choice(("", "s")), usage=Usage(input=3, output=1, cost=0.5))
        n = len(self.state.tasks[task_id].attempts)
        self.emit(ev.WorkerEnded(task=task_id, n=n, ending=ending, exit=ExitRecord(code=0)))
        if kind is not EndKind.FINISHED or self.state.tasks[task_id].status is TaskStatus.ARCHIVED:
            self.end(task_id, outcome_of(kind) if kind is not EndKind.FINISHED else Outcome.INTERRUPTED)

    def verdict(self) -> None:
        task_id = self.dice.choice(sorted(self.state.verifying))
        n = len(self.state.tasks[task_id].attempts)
        good = self.dice.random() < 0.6
        verdict = Verdict.GREEN if good else Verdict.RED
        receipt = Receipt(check="it works", check_hash="h", tree="t", phase=Phase.TASK, verdict=verdict)
        self.emit(ev.CheckRan(task=task_id, n=n, receipt=receipt))
        if good:
            self.emit(
                ev.Landed(task=task_id, n=n, commit=f"c{self.state.seq}", tree="t", proven=self.dice.random() < 0.9)
            )
            return
        self.end(
            task_id,
            self.dice.choice(
                [Outcome.CAPABILITY] * 4 + [Outcome.CONFLICT] * 3 + [Outcome.INFRASTRUCTURE, Outcome.RESOURCE]
            ),
        )

    def end(self, task_id: str, outcome: Outcome) -> None:
        """An attempt ends without landing, and routing says what then."""
        task = self.state.tasks[task_id]
        self.emit(ev.AttemptEnded(task=task_id, n=len(task.attempts), outcome=outcome, reason="the dice"))
        if task.status is TaskStatus.ARCHIVED:
            return
        step = after(task, self.mode, per_role=self.per_role)
        role = task.attempts[-1].role
        if step.park:
            until = None if step.step is Step.PERSON else self.now + step.delay
            fallback = task.attempts[-1].fallback
            self.emit(ev.RoleParked(role=role, until=until, reason=step.reason, fallback=fallback))
        elif step.delay:
            self.emit(ev.TaskDelayed(task=task_id, until=self.now + step.delay))
        if step.step is not Step.RETRY:
            status = {Step.PLANNER: TaskStatus.FAILED, Step.PERSON: TaskStatus.BLOCKED, Step.WAIT: TaskStatus.KILLED}
            self.emit(ev.TaskSettled(task=task_id, status=status[step.step], reason=step.reason))

    # ---- what disturbs it

    def disturb(self) -> None:
        acts = (self.edit, self.kill, self.pause, self.ask, self.retry, self.planner_retry, self.escalate, self.wait)
        self.dice.choice((*acts, self.pause_task, self.message))()

    def edit(self) -> None:
        """The goal changes: another batch, some tasks no longer wanted."""
        revision = f"r{self.state.seq}"
        self.emit(ev.GoalRead(revision=revision, text=revision, prose=""))
        self.emit(ev.PlannerAsked(call=self.state.calls + 1, triggers=("goal_changed",), revision=revision))
        draft = Draft(self.state)
        for task_id in sorted(self.state.tasks):
            if self.dice.random() < 0.15:
                try:
                    draft.archive_tasks(tools.ArchiveTasks(ids=[task_id], reason="no longer wanted"))
                except Refused:
                    continue
        event = draft.event("edited", 2, told=False)
        if event:
            self.emit(event)
        for task_id, task in self.state.tasks.items():
            if task.status is TaskStatus.ARCHIVED and task.live and task.live.ending:  # the landing queue drops it
                self.end(task_id, Outcome.INTERRUPTED)
        self.plan(self.dice.randint(1, 2))
        self.emit(ev.PlannerReplied(call=self.state.calls, requests=1, usage=Usage(input=5)))

    def kill(self) -> None:
        if self.state.busy:
            self.worker_ends(EndKind.KILLED)

    def pause(self) -> None:
        self.emit(ev.Requested(command="resume" if self.state.paused else "pause"))

    def pause_task(self) -> None:
        leaves = [task for task in self.state.leaves() if task.status not in (TaskStatus.COMPLETED, *SETTLED)]
        if leaves:
            task = self.dice.choice(leaves)
            self.emit(ev.Requested(command="resume" if task.paused_at else "pause", task=task.spec.id))

    def message(self) -> None:
        leaves = list(self.state.leaves())
        if leaves:
            task = self.dice.choice(leaves)
            injected = task.live is not None and self.dice.random() < 0.5
            self.emit(ev.MessageGiven(task=task.spec.id, n=1, text=f"m{self.state.seq}", injected=injected))

    def ask(self) -> None:
        asked = self.state.open_questions()
        if asked:
            self.emit(ev.QuestionAnswered(id=asked[0].id, answer="yes"))
        elif self.state.tasks:
            task = self.dice.choice(sorted(self.state.tasks))
            self.emit(ev.QuestionAsked(id=f"q{self.state.seq}", question="Which?", task=task))

    def retry(self) -> None:
        for task_id, task in sorted(self.state.tasks.items()):
            if task.status in SETTLED:
                self.emit(ev.Requested(command="retry", task=task_id, text="again"))
                return

    def planner_retry(self) -> None:
        """The planner's order comes late: the task may be anything by now."""
        leaves = [task.spec.id for task in self.state.leaves()]
        if leaves:
            task_id = self.dice.choice(leaves)
            self.emit(ev.PlanChanged(reason="again", retry=(Retry(id=task_id, instructions="better"),)))

    def escalate(self) -> None:
        if self.state.tasks:
            self.emit(ev.Requested(command="escalate", task=self.dice.choice(sorted(self.state.tasks))))

    def wait(self) -> None:
        self.now = next_moment(self.state, self.now) or self.now + 1

    # ---- a whole run

    def run(self, steps: int) -> None:
        self.emit(ev.EngineStarted(version="0", pid=1, fallbacks=self.fallbacks))
        self.emit(ev.GoalRead(revision="r0", text="goal", prose="goal"))
        self.plan(self.dice.randint(1, 5))
        for _ in range(steps):
            acts = [self.start, self.start, self.disturb]
            acts += [self.worker_ends] * 3 if self.state.busy else []
            acts += [self.verdict] * 3 if self.state.verifying else []
            self.dice.choice(acts)()
        self.settle()

    def settle(self) -> None:
        """Nothing disturbs any more: the run must come to rest by itself."""
        self.emit(ev.EngineStarted(version="0", pid=2, fallbacks=self.fallbacks))
        if self.state.paused:
            self.emit(ev.Requested(command="resume"))
        for task in self.state.leaves():
            if task.paused_at:
                self.emit(ev.Requested(command="resume", task=task.spec.id))
        for question in self.state.open_questions():
            self.emit(ev.QuestionAnswered(id=question.id, answer="yes"))
        for _ in range(200 * (1 + len(self.state.tasks))):
            if self.start():
                continue
            if self.state.verifying:
                self.verdict()
            elif self.state.busy:
                self.worker_ends()
            elif (moment := next_moment(self.state, self.now)) is not None:
                self.now = moment
            else:
                return
        pytest.fail("the run does not come to rest")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_any_run_keeps_the_rules_and_comes_to_rest(seed: int) -> None:
    run = Simulation(seed)
    run.run(steps=60)
    state = run.state
    assert not state.busy
    assert not state.verifying
    for task_id in state.ready:
        # At rest, only a role that waits for the person keeps a ready task from starting.
        assert any(until is None for until, _ in state.parked.values()), task_id
    for task in state.leaves():
        if task.status is TaskStatus.PENDING and task.spec.id not in state.ready:
            assert task.unmet
    usage = sum(attempt.ending is not None for task in state.tasks.values() for attempt in task.attempts)
    assert state.worker_usage == Usage(input=3 * usage, output=usage, cost=0.5 * usage)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_replay_equals_live_at_every_prefix(seed: int) -> None:
    run = Simulation(seed)
    run.run(steps=40)
    rows = [(type(event).model_fields["kind"].default, ev.encode(event), time) for event, time in run.journal]
    replayed = RunState()
    for number, (kind, payload, time) in enumerate(rows, start=1):
        apply(replayed, ev.decode(kind, payload), time)
        if number in run.kept:
            assert replayed == run.kept[number]
    assert replayed == run.state
    cut = run.dice.randrange(len(run.journal) + 1)
    assert fold(run.journal[cut:], fold(run.journal[:cut])) == run.state


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_ids_are_minted_once_and_sort_as_a_person_counts(seed: int) -> None:
    run = Simulation(seed)
    run.run(steps=40)
    added = [spec.id for event, _ in run.journal if isinstance(event, ev.PlanChanged) for spec in event.add]
    assert len(added) == len(set(added))
    for task_id in added:
        parent = run.state.tasks[task_id].spec.parent
        assert task_id.startswith(parent)
        assert not parent or run.state.tasks[parent].spec.group
        number = split_id(task_id)[1]
        assert number >= 1
    for parent, children in run.state.children.items():
        tops = sorted(children, key=id_key)
        assert [split_id(child)[1] for child in tops if parent] == list(range(1, len(tops) + 1 if parent else 1))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_the_decision_log_follows_every_status(seed: int) -> None:
    """It goes by the events alone, so it must come to the same statuses as the fold."""
    run = Simulation(seed)
    run.run(steps=30)
    log = DecisionLog()
    last: dict[str, str] = {}
    for event, now in run.journal:
        if log.note(event, now):
            entry = log.entries[-1]
            assert entry["new_status"] in ALLOWED[TaskStatus(entry["old_status"])]
    for entry in log.entries:
        assert last.get(entry["task_id"], "pending") == entry["old_status"]
        last[entry["task_id"]] = entry["new_status"]
    assert log.total == len(log.entries)
    for task in run.state.leaves():
        assert last.get(task.spec.id, "pending") == task.status


def test_roles_are_used() -> None:
    """The dice reach both roles, every outcome and every status: else the tests above would prove little."""
    roles: set[Role] = set()
    outcomes: set[Outcome | None] = set()
    statuses: set[TaskStatus] = set()
    for seed in range(30):
        run = Simulation(seed)
        run.run(steps=60)
        for task in run.state.tasks.values():
            statuses.add(task.status)
            roles |= {attempt.role for attempt in task.attempts}
            outcomes |= {attempt.outcome for attempt in task.attempts}
    assert roles == set(Role)
    assert outcomes == set(Outcome)
    assert statuses >= {
        TaskStatus.COMPLETED,
        TaskStatus.FAILED,
        TaskStatus.BLOCKED,
        TaskStatus.ARCHIVED,
        TaskStatus.PENDING,
    }
