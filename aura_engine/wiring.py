"""The rooms of one run and how they are wired: each is given what it needs of the others."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path

from aura_engine.clock import Clock, SystemClock
from aura_engine.config.prices import priced
from aura_engine.config.settings import Settings
from aura_engine.core.events import BaseTaken, Notice
from aura_engine.core.model import Role, TaskStatus
from aura_engine.delivering import Delivering
from aura_engine.goal.diff import diff_text
from aura_engine.goal_checks import GoalChecks
from aura_engine.hands import Hand, Hands
from aura_engine.landing import Landing
from aura_engine.paths import RunPaths, atomic_write
from aura_engine.planner.draft import Rules
from aura_engine.planner.providers.base import Provider
from aura_engine.planners_eyes import Eyes
from aura_engine.planning import Asking, Planning
from aura_engine.preparing import Preparation
from aura_engine.recorder import Recorder
from aura_engine.runtimes.containment import Containment
from aura_engine.runtimes.environment import worker_env
from aura_engine.runtimes.local import LocalRuntime
from aura_engine.supervisor import Supervisor
from aura_engine.verdicts import ModelJudge
from aura_engine.verify.leak import leaks, secrets_of
from aura_engine.verify.patterns import is_deciding
from aura_engine.verifying import Verifier
from aura_engine.workspace.base import Base, load_base, take_base
from aura_engine.workspace.names import is_secret
from aura_engine.workspace.store import GitStore
from aura_engine.workspaces import Workspaces


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
    notes: tuple[str, ...] = ()
    """Sentences about the configuration that the person should read once."""
    clock: Clock = field(default_factory=SystemClock)


@dataclass(frozen=True)
class Parts:
    """The wired rooms."""

    runtime: LocalRuntime
    supervisor: Supervisor
    landing: Landing
    delivering: Delivering
    checks: GoalChecks
    planning: Planning
    workspaces: Workspaces


async def wire(
    options: Options, recorder: Recorder, store: GitStore, containment: Containment, wake: Callable[[], None]
) -> Parts:
    """The rooms, each given what it needs of the others; `wake` makes the engine look at the state again.

    Takes the base first, where the run has none yet. GitError, OSError when it cannot be taken.
    """
    state = recorder.state
    base = await _base(options, recorder, store)
    env = worker_env(containment.env, home=options.paths.homes)
    preparation = Preparation(
        store, options.paths.scratch / "prepared", options.project, env, lambda: state.prepare, containment
    )

    def wall(argv: Sequence[str], *, write: Sequence[Path], temp: Path, network: bool) -> Sequence[str]:
        return containment.command(argv, write=write, temp=temp, network=network, read=preparation.shown())

    judge = ModelJudge(options.provider, options.settings.api_max_tokens, options.settings.api_timeout)
    await asyncio.to_thread(shutil.rmtree, options.paths.checks, ignore_errors=True)
    verifier = Verifier(store, options.paths.checks, preparation, env=env, judge=judge, wall=wall)
    runtime = LocalRuntime(containment, preparation.shown)
    workspaces = Workspaces(store, options.paths, preparation, state, _inside(options.task_file, options.project))
    hands = Hands(options.hands, options.fallbacks)
    supervisor = Supervisor(recorder, store, options.paths, workspaces, runtime, hands, options.settings, wake)
    landing = supervisor.landing = Landing(recorder, store, verifier, supervisor.end, wake)
    for task in state.leaves():
        if task.status is TaskStatus.COMPLETED:
            landing.remember(task, task.receipts)
    delivering = Delivering(recorder, store, landing, options.project, base, options.task_file.stem)
    checks = GoalChecks(recorder, verifier, landing)
    planning = _planning(options, recorder, store, checks, delivering, wake)
    return Parts(runtime, supervisor, landing, delivering, checks, planning, workspaces)


async def _base(options: Options, recorder: Recorder, store: GitStore) -> Base:
    base = await load_base(store)
    if base is None or not recorder.state.head:
        # The run's own folder never enters, wherever the person put it.
        own = _inside(options.paths.run.parent, options.project)
        base = await take_base(store, options.project, exclude={own} if own else set())
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
    wake: Callable[[], None],
) -> Planning:
    state = recorder.state
    eyes = Eyes(store, state)

    def notes() -> str:
        changed, delivering.person_changed = delivering.person_changed, []
        return f"The person changed these files themselves; theirs stand: {', '.join(changed)}" if changed else ""

    settings = options.settings
    asking = Asking(
        provider=options.provider,
        rules=Rules(deciding=is_deciding, leaks=lambda text, hidden: leaks(text, secrets_of(hidden)), secret=is_secret),
        listing=eyes.listing,
        read_file=eyes.read_file,
        list_folder=eyes.list_folder,
        goal_diff=diff_text,
        check_goal=checks.run,
        keep_prompt=lambda text: atomic_write(options.paths.current_prompt, text, durable=False),
        notes=notes,
        priced=partial(priced, settings),
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
