"""The rooms of one run and how they are wired: each is given what it needs of the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path

from aura_engine import scratch
from aura_engine.clock import Clock, SystemClock
from aura_engine.config.live import Sources
from aura_engine.config.planner_settings import Approvals
from aura_engine.config.prices import Prices
from aura_engine.config.secrets import secrets_in
from aura_engine.config.settings import Settings
from aura_engine.containers import Place
from aura_engine.core.events import BaseTaken, Notice
from aura_engine.core.model import Role, TaskStatus
from aura_engine.core.redaction import Redactor
from aura_engine.delivering import Delivering
from aura_engine.disk import DiskGovernor
from aura_engine.docking import berth
from aura_engine.faults import fault
from aura_engine.goal.diff import diff_text
from aura_engine.goal_checks import GoalChecks
from aura_engine.guarding import Guarding
from aura_engine.hands import Hand, Hands
from aura_engine.inquiries import Inquiries
from aura_engine.landing import Landing
from aura_engine.metered import Metered
from aura_engine.paths import RunPaths
from aura_engine.planner.draft import Rules
from aura_engine.planner.providers.base import Provider
from aura_engine.planner.web import Web
from aura_engine.planner.written import WrittenPlan
from aura_engine.planners_eyes import Eyes
from aura_engine.planning import Asking, Planning
from aura_engine.preparing import Preparation
from aura_engine.raising import Raising
from aura_engine.recorder import Recorder
from aura_engine.remembering import Memory
from aura_engine.removal import remove_tree
from aura_engine.report import prompts
from aura_engine.runtimes.base import Runtime
from aura_engine.runtimes.containment import NONE, Containment
from aura_engine.runtimes.environment import worker_env
from aura_engine.runtimes.local import LocalRuntime
from aura_engine.spending import Spending
from aura_engine.supervisor import Supervisor
from aura_engine.verdicts import ModelJudge
from aura_engine.verify.leak import leaks, secrets_of
from aura_engine.verify.leftovers import end_leftovers
from aura_engine.verify.patterns import is_deciding
from aura_engine.verify.runner import Command, behind
from aura_engine.verifying import Verifier
from aura_engine.workspace.base import Base, load_base, take_base
from aura_engine.workspace.names import is_secret
from aura_engine.workspace.store import GitStore
from aura_engine.workspaces import Workspaces

RULES = Rules(deciding=is_deciding, leaks=lambda text, hidden: leaks(text, secrets_of(hidden)), secret=is_secret)
"""What every plan is held to."""


@dataclass(frozen=True)
class Options:
    """What a run is given."""

    project: Path
    task_file: Path
    paths: RunPaths
    settings: Settings
    provider: Provider
    hands: dict[Role, Hand]
    fallbacks: dict[Role, Hand] = field(default_factory=dict[Role, Hand])
    """Who takes over while a role's first worker is parked."""
    place: Place = field(default_factory=Place)
    """Whether workers and checks have their containers."""
    notes: tuple[str, ...] = ()
    """Sentences about the configuration that the person should read once."""
    prices: Prices = field(default_factory=Prices)
    attended: bool = False
    """A person sits before the screen: a question waits for the answer instead of ending the run."""
    written: WrittenPlan | None = None
    """The person's own plan, in place of the planner's first."""
    sources: Sources | None = None
    """Where the settings came from: looked at again while the run goes on."""
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def redactor(self) -> Redactor:
        """Stands before all that is written: the keys in the settings and in the environment stay out of it."""
        return Redactor(secrets_in(self.settings, os.environ))


@dataclass(frozen=True)
class Parts:
    """The wired rooms."""

    runtime: Runtime
    supervisor: Supervisor
    landing: Landing
    delivering: Delivering
    checks: GoalChecks
    planning: Planning
    workspaces: Workspaces
    spending: Spending
    inquiries: Inquiries
    guarding: Guarding
    disk: DiskGovernor
    raising: Raising | None

    async def aclose(self) -> None:
        """The end of all that goes on in the background; workers go on."""
        await self.supervisor.settle()
        await self.delivering.aclose()
        await self.runtime.aclose()


async def wire(
    options: Options, recorder: Recorder, store: GitStore, containment: Containment, wake: Callable[[], None]
) -> Parts:
    """The rooms, each given what it needs of the others; `wake` makes the engine look at the state again.

    Takes the base first, where the run has none yet. GitError, OSError when it cannot be taken.
    """
    state = recorder.state
    base = await _base(options, recorder, store)
    env = worker_env(containment.env, home=options.paths.homes)

    def shown() -> Sequence[Path]:
        return preparation.shown()

    def wall(command: Command) -> Sequence[str]:
        return containment.command(
            command.argv,
            write=command.write,
            temp=command.temp,
            network=command.network,
            read=shown(),
        )

    here = LocalRuntime(containment, shown)
    docked, epoch = options.place.docked, recorder.journal.epoch
    placed = berth(docked, here, options.settings, options.paths, epoch, shown)
    runtime, runner = placed.runtime, placed.runner or behind(wall)
    preparation = Preparation(
        store,
        options.paths.scratch / "prepared",
        options.project,
        env,
        lambda: state.prepare,
        runner,
        walled=containment.name != NONE,
        place=f"image {docked.image.id}" if docked else "",
    )

    spending = Spending(recorder, options.prices, wake, options.paths.attempts)
    model = options.settings.planner().model
    counted = Metered(options.provider, spending, "judge", model)
    judge = ModelJudge(counted, options.settings.api_max_tokens, options.settings.api_timeout)
    await asyncio.to_thread(end_leftovers, options.paths.scratch)
    await asyncio.to_thread(scratch.put_aside, options.paths, state)
    await asyncio.to_thread(remove_tree, options.paths.checks)
    verifier = Verifier(store, options.paths.checks, preparation, env=env, judge=judge, runner=runner)
    workspaces = Workspaces(store, options.paths, preparation, state, _inside(options.task_file, options.project))
    hands = Hands(options.hands, options.fallbacks)
    supervisor = Supervisor(recorder, store, options.paths, workspaces, runtime, hands, options.settings, spending)
    guarding = Guarding(recorder, options.settings, supervisor)
    disk = DiskGovernor(recorder, options.paths, supervisor, options.settings, wake)
    landing = supervisor.landing = Landing(recorder, store, verifier, supervisor.ends.end, wake)
    for task in state.leaves():
        if task.status is TaskStatus.COMPLETED:
            landing.remember(task, task.receipts)
    delivering = Delivering(recorder, store, landing, options.project, base, options.task_file.stem)
    checks = GoalChecks(recorder, verifier, landing)
    provider = Metered(options.provider, spending, "planner", model)
    planning = _planning(options, recorder, store, checks, delivering, provider, wake)
    inquiries = Inquiries(
        recorder,
        Metered(options.provider, spending, "answer", model),
        Eyes(store, state),
        max_tokens=options.settings.api_max_tokens,
        timeout=options.settings.api_timeout,
    )
    raising = Raising(recorder, options.sources, spending.check_all, wake) if options.sources else None
    if raising is not None:
        spending.on_capped = raising.capped
    return Parts(
        runtime,
        supervisor,
        landing,
        delivering,
        checks,
        planning,
        workspaces,
        spending,
        inquiries,
        guarding,
        disk,
        raising,
    )


async def _base(options: Options, recorder: Recorder, store: GitStore) -> Base:
    base = await load_base(store)
    if base is None or not recorder.state.head:
        # The run's own folder never enters, wherever the person put it.
        own = _inside(options.paths.run.parent, options.project)
        base = await take_base(store, options.project, exclude={own} if own else set())
        fault("base.taken")
        await recorder.record(BaseTaken(commit=base.commit, tree=base.tree))
        if base.large:
            names = ", ".join(f"{path} ({size / 1e6:.0f} MB)" for path, size in base.large[:5])
            share = ", ".join(f'"{path}"' for path, _ in base.large[:5])
            text = f"The project is large: {names}. To share it read-only, put share = [{share}] in a prepare block."
            recorder.record(Notice(text=text, level="warning"))
    return base


def _planning(
    options: Options,
    recorder: Recorder,
    store: GitStore,
    checks: GoalChecks,
    delivering: Delivering,
    provider: Provider,
    wake: Callable[[], None],
) -> Planning:
    state = recorder.state
    eyes = Eyes(store, state)

    def notes() -> str:
        changed, delivering.person_changed = delivering.person_changed, []
        return f"The person changed these files themselves; theirs stand: {', '.join(changed)}" if changed else ""

    settings = options.settings
    asking = Asking(
        provider=provider,
        rules=RULES,
        listing=eyes.listing,
        read_file=eyes.read_file,
        list_folder=eyes.list_folder,
        goal_diff=diff_text,
        check_goal=checks.run,
        keep_prompt=lambda call, text: prompts.keep(options.paths, call, options.redactor(text)),
        notes=notes,
        approve=settings.approve is Approvals.PLAN,
        written=options.written,
        memory=Memory(options.paths, recorder),
        web=Web(settings.search_api_key),
        review_every=settings.deep_reflection_interval,
        system=resources.files("aura_engine.planner").joinpath("prompts/planner.md").read_text("utf-8"),
        max_tokens=settings.api_max_tokens,
        timeout=settings.api_timeout,
    )
    return Planning(recorder, asking, wake)


def _inside(path: Path, folder: Path) -> str:
    """`path` relative to a folder it lies in, else empty."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return ""
