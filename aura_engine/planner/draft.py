"""A plan in the making: every call is checked against the state and what was said before it. Pure.

A call that does not make sense raises Refused with the reason for the model; the calls before it stay. `event` gives
the whole as one `PlanChanged`, so that a plan is applied at once or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aura_engine.core import memory
from aura_engine.core.budget import NOTHING, past
from aura_engine.core.events import PlanChanged
from aura_engine.core.model import Check, Prepare, TaskStatus, rel_path
from aura_engine.core.plan import Brief, Criterion, IdMint, Retry, TaskChange, TaskSpec, apply_change
from aura_engine.core.state import RunState
from aura_engine.planner import tools

ROOMY = 0.6
"""A condensed memory fills no more than this share, or it would be full again at once."""


class Refused(ValueError):
    """A call that does not fit the plan; the text is for the model."""


@dataclass
class Rules:
    """What the draft must ask other rooms, given by the engine as plain functions."""

    deciding: Callable[[str], bool] = lambda path: False
    """Does a path decide checks (tests, runner configuration …)?"""
    leaks: Callable[[str, Sequence[Check]], list[str]] = lambda text, hidden: []
    """What a text gives away of held-out checks."""
    secret: Callable[[str], bool] = lambda path: False
    """Does a path name secrets, which never enter a workspace?"""


@dataclass
class Draft:
    """Collects the calls of one conversation."""

    state: RunState
    rules: Rules = field(default_factory=Rules)
    brief: Brief | None = None
    add: dict[str, TaskSpec] = field(default_factory=dict[str, TaskSpec])
    change: dict[str, TaskChange] = field(default_factory=dict[str, TaskChange])
    archive: dict[str, str] = field(default_factory=dict[str, str])
    retry: dict[str, Retry] = field(default_factory=dict[str, Retry])
    goal_checks: dict[str, Check] = field(default_factory=dict[str, Check])
    lessons: list[str] = field(default_factory=list[str])
    memory: list[str] | None = None
    """The lessons so far, condensed."""
    review_due: bool = False
    review: tools.WriteReview | None = None
    prepare: Prepare | None = None
    asked: bool = False
    """The person was asked something that the whole plan waits for."""
    keys: dict[str, str] = field(default_factory=dict[str, str])
    """The planner's labels → minted ids."""
    by_person: bool = False
    """The person's own hand on the plan: their checks are law, and a task of theirs may have none."""

    def __post_init__(self) -> None:
        self._mint = IdMint(self.state.batch, set(self.state.tasks))

    # ---- what exists, with the draft applied

    def spec(self, task_id: str) -> TaskSpec | None:
        """A task's specification as it would be; None when there is no such task."""
        if task_id in self.add:
            return self.add[task_id]
        task = self.state.tasks.get(task_id)
        if task is None:
            return None
        change = self.change.get(task_id)
        return apply_change(task.spec, change) if change else task.spec

    def status(self, task_id: str) -> TaskStatus:
        """Status with the draft applied."""
        if task_id in self.archive:
            return TaskStatus.ARCHIVED
        if task_id in self.add or task_id in self.retry:
            return TaskStatus.PENDING
        return self.state.tasks[task_id].status

    def all_specs(self) -> dict[str, TaskSpec]:
        """Every task that is wanted."""
        known = [*self.state.tasks, *self.add]
        return {i: spec for i in known if self.status(i) is not TaskStatus.ARCHIVED and (spec := self.spec(i))}

    def checks(self) -> dict[str, Check]:
        """Goal checks by name."""
        return {**self.state.goal_checks, **self.goal_checks}

    def hidden(self) -> list[Check]:
        """Every held-out check."""
        of_tasks = [check for spec in self.all_specs().values() for check in spec.checks]
        return [check for check in [*self.checks().values(), *of_tasks] if check.hidden]

    # ---- the calls

    def set_brief(self, args: tools.SetBrief) -> str:
        """Success criteria each with a goal check; inline checks become goal checks."""
        staged = dict(self.goal_checks)
        criteria: list[Criterion] = []
        for item in args.success_criteria:
            names: list[str] = []
            for check in item.checks:
                if isinstance(check, str):
                    if check not in {**self.state.goal_checks, **staged}:
                        known = ", ".join(f"“{name}”" for name in self.checks()) or "none yet"
                        raise Refused(f"criterion “{item.text}”: there is no goal check “{check}” (there are: {known})")
                    names.append(check)
                else:
                    staged[check.name] = self._own(check, staged)
                    names.append(check.name)
            criteria.append(Criterion(text=item.text, checks=tuple(names)))
        brief = Brief(
            final_goal=args.final_goal,
            criteria=tuple(criteria),
            constraints=tuple(args.constraints),
            environment=args.environment,
            notes=args.notes,
        )
        # Workers are told these.
        held = [check for check in [*staged.values(), *self.hidden()] if check.hidden]
        self._refuse_leaks(args.final_goal, args.environment, args.notes, *args.constraints, hidden=held)
        secrets = [path for path in (args.prepare.share if args.prepare else ()) if self.rules.secret(path)]
        if secrets:
            raise Refused(f"{secrets[0]} is never shared with workers")
        self.brief, self.goal_checks, self.prepare = brief, staged, args.prepare or self.prepare
        return "brief set"

    def _own(self, check: Check, staged: dict[str, Check] | None = None) -> Check:
        """A planner's check: never a person's, never one that is not reproduced, never over a person's name."""
        law = self.state.goal_checks.get(check.name)
        if law and law.person:
            raise Refused(f"“{check.name}” is the person's check and stays as it is; give yours another name")
        if not check.reproduce:
            raise Refused(f"check “{check.name}”: only the person may set reproduce = false")
        if staged and check.name in staged and staged[check.name].hash != check.hash:
            raise Refused(f"two goal checks are named “{check.name}”")
        return check.model_copy(update={"person": self.by_person})

    def add_goal_check(self, args: tools.AddGoalCheck) -> str:
        """One more goal check."""
        self.goal_checks[args.check.name] = self._own(args.check, self.goal_checks)
        return f"goal check “{args.check.name}” added"

    def add_tasks(self, args: tools.AddTasks) -> str:
        """Mint ids, resolve needs, refuse duplicates, cycles, unknown needs and tasks without a check."""
        if not args.tasks:
            raise Refused("`tasks` is empty")
        count = sum(1 for _ in _walk(args.tasks))
        if count > tools.MAX_TASKS:
            raise Refused(f"{count} tasks in one call; at most {tools.MAX_TASKS}")
        parent = self._id(args.parent) if args.parent else ""
        depth = _depth(args.tasks) + (parent.count(".") + 1 if parent else 0)
        if depth > tools.MAX_DEPTH:
            raise Refused(f"the tree would be {depth} levels deep; at most {tools.MAX_DEPTH}")
        if parent and not self.all_specs()[parent].group:
            raise Refused(f"{parent} is a task that runs; only a group can have tasks below it")
        before = (dict(self.add), dict(self.keys), self._mint)
        self._mint = IdMint(self.state.batch, {*self.state.tasks, *self.add})
        try:
            beside = {spec.title.casefold() for spec in self.all_specs().values() if spec.parent == parent}
            self._mint_all(args.tasks, parent, beside)
            for item in _walk(args.tasks):
                self._fill(item)
            self._refuse_cycles()
            hidden = self.hidden()
            for item in _walk(args.tasks):
                self._refuse_leaks(item.instructions, item.title, hidden=hidden)
        except ValueError:
            self.add, self.keys, self._mint = before
            raise
        return "added: " + ", ".join(f"{item.key} = {self.keys[item.key]}" for item in _walk(args.tasks))

    def _mint_all(self, items: Sequence[tools.TaskArgs], parent: str, titles: set[str]) -> None:
        for item in items:
            if item.key in self.keys or item.key in self.state.tasks:
                raise Refused(f"the key “{item.key}” is taken")
            if item.title.casefold() in titles:
                raise Refused(f"there is a task “{item.title}” in the same place already")
            titles.add(item.title.casefold())
            task_id = self._mint.mint(parent)
            self.keys[item.key] = task_id
            self.add[task_id] = TaskSpec(id=task_id, parent=parent, title=item.title, group=bool(item.tasks))
            self._mint_all(item.tasks, task_id, set())

    def _fill(self, item: tools.TaskArgs) -> None:
        task_id = self.keys[item.key]
        checks = tuple(self._own(check) for check in item.checks if isinstance(check, Check))
        by_name = tuple(check for check in item.checks if isinstance(check, str))
        for name in by_name:
            if name not in self.checks():
                raise Refused(f"task “{item.key}”: there is no goal check “{name}” to name")
        if len({check.name for check in checks}) != len(checks):
            raise Refused(f"task “{item.key}”: two checks have the same name")
        if item.tasks and (checks or by_name):
            raise Refused(f"“{item.key}” is a group: give the checks to its tasks, or to the goal")
        if not item.tasks and not checks and not by_name and not self.by_person:
            raise Refused(f"task “{item.key}” has no check that could decide it")
        spec = self.add[task_id].model_copy(
            update={
                "instructions": item.instructions,
                "needs": tuple(dict.fromkeys(self._need(item.key, need, task_id) for need in item.needs)),
                "checks": checks,
                "goal_checks": by_name,
                "makes": self._paths(item.makes),
                "difficulty": item.difficulty,
            }
        )
        self._refuse_self_graded(spec)
        self.add[task_id] = spec

    def _need(self, key: str, need: str, task_id: str) -> str:
        try:
            found = self._id(need)
        except Refused as error:
            raise Refused(f"task “{key}” needs “{need}”, which does not exist") from error
        if found == task_id or task_id.startswith(f"{found}."):
            raise Refused(f"task “{key}” cannot need itself or the group it is in")
        return found

    @staticmethod
    def _paths(paths: Iterable[str]) -> tuple[str, ...]:
        try:
            return tuple(rel_path(path) for path in paths)
        except ValueError as error:
            raise Refused(str(error)) from error

    def _refuse_self_graded(self, spec: TaskSpec) -> None:
        own = [path for path in spec.makes if self.rules.deciding(path)]
        outside = spec.goal_checks or any(check.hidden or check.judge or check.person for check in spec.checks)
        if own and not outside and not spec.group:
            raise Refused(
                f"task “{spec.title}” makes {own[0]}, which decides its own check: give it one check that it does not "
                "write itself (a held-out probe with hidden: true, a judge, or a goal check by name)"
            )

    def _refuse_leaks(self, *texts: str, hidden: Sequence[Check]) -> None:
        for text in texts:
            found = self.rules.leaks(text, hidden)
            if found:
                raise Refused(f"this text gives away a held-out check (“{found[0][:80]}”): say it without")

    def add_probe(self, args: tools.AddProbe) -> str:
        """A held-out check for a task that is not done."""
        task_id = self._open(args.task)
        spec = self.all_specs()[task_id]
        if spec.group:
            raise Refused(f"{task_id} is a group: give the probe to one of its tasks")
        check = self._own(args.check).model_copy(update={"hidden": True})
        self._refuse_leaks(spec.instructions, spec.title, hidden=(check,))
        self._change(TaskChange(id=task_id, add_checks=(check,)))
        return f"held-out check added to {task_id}"

    def change_task(self, args: tools.ChangeTask) -> str:
        """Change a task that is not done."""
        task_id = self._open(args.id)
        if args.add_checks and self.all_specs()[task_id].group:
            raise Refused(f"{task_id} is a group: give the checks to its tasks, or to the goal")
        needs = None
        if args.needs is not None:
            needs = tuple(dict.fromkeys(self._need(args.id, need, task_id) for need in args.needs))
        change = TaskChange(
            id=task_id,
            instructions=args.instructions,
            needs=needs,
            add_checks=tuple(self._own(check) for check in args.add_checks),
            makes=None if args.makes is None else self._paths(args.makes),
            difficulty=args.difficulty,
        )
        self._refuse_leaks(args.instructions or "", hidden=self.hidden())
        before = (self.change.get(task_id), self.add.get(task_id))
        self._change(change)
        try:
            self._refuse_cycles()
            if spec := self.spec(task_id):
                self._refuse_self_graded(spec)
        except Refused:
            self._restore(task_id, before)
            raise
        return f"{task_id} changed"

    def _change(self, change: TaskChange) -> None:
        if change.id in self.add:
            self.add[change.id] = apply_change(self.add[change.id], change)
            return
        old = self.change.get(change.id)
        if old:
            merged = {**old.model_dump(exclude_none=True), **change.model_dump(exclude_none=True)}
            merged["add_checks"] = (*old.add_checks, *change.add_checks)
            change = TaskChange.model_validate(merged)
        self.change[change.id] = change

    def _restore(self, task_id: str, before: tuple[TaskChange | None, TaskSpec | None]) -> None:
        change, spec = before
        self.change.pop(task_id, None)
        if change:
            self.change[task_id] = change
        if spec:
            self.add[task_id] = spec

    def archive_tasks(self, args: tools.ArchiveTasks) -> str:
        """Drop tasks (a group with all below it that has not landed). What others still need cannot go."""
        ids: list[str] = []
        for name in args.ids:
            task_id = self._open(name)
            below = [i for i in self.all_specs() if i == task_id or i.startswith(f"{task_id}.")]
            landed = {i for i in below if self.status(i) is TaskStatus.COMPLETED}
            ids += [i for i in below if not any(done == i or done.startswith(f"{i}.") for done in landed)]
        gone = set(ids)
        for spec in self.all_specs().values():
            needed = gone.intersection(spec.needs)
            if needed and spec.id not in gone and self.status(spec.id) is not TaskStatus.COMPLETED:
                asked = (
                    f"drop it first (aura drop {spec.id}) or change its needs (aura edit {spec.id} --needs TASKS)"
                    if self.by_person
                    else "change its needs or archive it too"
                )
                raise Refused(f"{spec.id} needs {min(needed)}: {asked}")
        self.archive.update(dict.fromkeys(ids, args.reason))
        for task_id in ids:
            self.change.pop(task_id, None)
            self.retry.pop(task_id, None)
        return "archived: " + ", ".join(ids)

    def retry_task(self, args: tools.RetryTaskArgs) -> str:
        """A failed task runs again."""
        task_id = self._id(args.id)
        if self.status(task_id) not in (TaskStatus.FAILED, TaskStatus.BLOCKED, TaskStatus.KILLED):
            raise Refused(f"{task_id} is {self.status(task_id)}: only failed, blocked or killed tasks can be retried")
        task = self.state.tasks.get(task_id)
        if task is not None and past(task.spent, NOTHING, self.state.caps.task):
            raise Refused(f"{task_id} has used up what a task may: split it into smaller new ones, or archive it")
        self._refuse_leaks(args.instructions, hidden=self.hidden())
        self.retry[task_id] = Retry(id=task_id, instructions=args.instructions)
        return f"{task_id} runs again"

    def remember(self, args: tools.Remember) -> str:
        """Keep a lesson, while there is room."""
        kept = self.state.lessons if self.memory is None else self.memory
        if memory.full([*kept, *self.lessons, args.lesson]):
            raise Refused("the memory is full: call condense_memory first, with fewer and shorter lessons")
        self.lessons.append(args.lesson)
        return "kept"

    def condense_memory(self, args: tools.CondenseMemory) -> str:
        """All lessons anew; those of this conversation stay."""
        if memory.full(args.lessons, share=ROOMY):
            raise Refused(f"that still fills more than {ROOMY:.0%} of the memory: say it in fewer words")
        self.memory = list(args.lessons)
        return "condensed"

    def write_review(self, args: tools.WriteReview) -> str:
        """What a review found."""
        if not self.review_due:
            raise Refused("no review is due")
        self.review = args
        return "written"

    # ---- lookups and the whole

    def _id(self, name: str) -> str:
        task_id = self.keys.get(name, name)
        if self.spec(task_id) is None or self.status(task_id) is TaskStatus.ARCHIVED:
            raise Refused(f"there is no task “{name}”")
        return task_id

    def _open(self, name: str) -> str:
        task_id = self._id(name)
        if self.status(task_id) is TaskStatus.COMPLETED:
            raise Refused(f"{task_id} has landed and stays as it is; add a new task instead")
        return task_id

    def _refuse_cycles(self) -> None:
        specs = self.all_specs()
        leaves = {i: _leaves(i, specs) for i in specs}
        edges: dict[str, set[str]] = {}
        for spec in specs.values():
            targets = {leaf for need in spec.needs for leaf in leaves.get(need, ())}
            for leaf in leaves[spec.id]:
                edges.setdefault(leaf, set()).update(targets)
        cycle = _cycle(edges)
        if cycle:
            raise Refused("needs form a cycle: " + " → ".join(cycle))

    def problems(self, *, new_goal: bool) -> list[str]:
        """What keeps the draft from being a plan, at the end of the conversation."""
        if not new_goal or self.asked:
            return []
        found: list[str] = []
        if self.brief is None and self.state.brief is None:
            found.append("there is no brief: call set_brief with success criteria and their checks")
        if not any(not spec.group for spec in self.all_specs().values()):
            found.append("the plan is empty: call add_tasks")
        return found

    def event(self, reason: str, call: int, *, told: bool) -> PlanChanged | None:
        """The whole draft as one event; None when nothing was changed."""
        plan = (self.brief, self.add, self.change, self.archive, self.retry, self.goal_checks)
        if not (any(plan) or self.lessons or self.memory is not None):
            return None
        return PlanChanged(
            reason=reason,
            call=call,
            told=told,
            brief=self.brief,
            add=tuple(spec for i, spec in self.add.items() if i not in self.archive),
            change=tuple(self.change.values()),
            archive=tuple(i for i in self.archive if i in self.state.tasks),
            retry=tuple(self.retry.values()),
            goal_checks=tuple(self.goal_checks.values()),
            lessons=tuple(self.lessons),
            memory=None if self.memory is None else tuple(self.memory),
            prepare=self.prepare,
        )


def _walk(items: Sequence[tools.TaskArgs]) -> Iterable[tools.TaskArgs]:
    for item in items:
        yield item
        yield from _walk(item.tasks)


def _depth(items: Sequence[tools.TaskArgs]) -> int:
    return 1 + max((_depth(item.tasks) for item in items if item.tasks), default=0)


def _leaves(task_id: str, specs: dict[str, TaskSpec]) -> list[str]:
    if not specs[task_id].group:
        return [task_id]
    return [i for i, spec in specs.items() if i.startswith(f"{task_id}.") and not spec.group]


def _cycle(edges: dict[str, set[str]]) -> list[str]:
    """A cycle as a path, or an empty list; iterative so that a long chain cannot exhaust the stack."""
    done: set[str] = set()
    for root in edges:
        path: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                del path[node]
                done.add(node)
            elif node in path:
                walked = list(path)
                return [*walked[walked.index(node) :], node]
            elif node not in done:
                path[node] = None
                stack.append((node, True))
                stack.extend((target, False) for target in sorted(edges.get(node, ())))
    return []
