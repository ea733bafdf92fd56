"""Kills the engine at every fault point and at random moments, starts it again, and looks whether anything was harmed.

`python tests/survival/campaign.py [--points 20] [--random 500] [--deep 20] [--seed N] [--json]`
`python tests/survival/campaign.py --containers 50 [--points 20] [--deep 0]`: at so many random moments, and at each
step of a container's life, with workers and checks in containers of the engine at DOCKER_HOST.

A run goes on over as many deaths as fall into it; a new one is begun when it has reached its goal. After each death
`aura fsck` must be clean and no worker may have been started twice; at the end of each run everything must have landed
and been delivered exactly once. Exit status 1 when anything was wrong; what failed is kept, and its place is told.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from campaign_kills import BEFORE, DEEP, ELSEWHERE, IN_CONTAINERS, IN_REPOSITORY, RECOVERY, Kill, planned
from docker_ground import DockerGround
from survival_ground import Death, Ground

from aura_engine.demo.server import ScriptedModel
from aura_engine.faults import POINTS

LONGEST, LONGEST_IN_CONTAINERS = 3.5, 10.0
"""Seconds after which an engine is killed at the latest: a container takes longer to come up."""
Docker = tuple[str, str]
"""A container engine's address and an image."""
MISSES = 12
"""Runs in which a kill may find nothing to kill before it is given up, and told as not reached."""


@dataclass
class Tally:
    """What happened."""

    points: Counter[str] = field(default_factory=Counter[str])
    random: int = 0
    deep: int = 0
    runs: int = 0
    starts: int = 0
    missed: list[str] = field(default_factory=list[str])
    failures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def of(self, word: str) -> int:
        """Findings of a kind."""
        return sum(text.startswith(word) for failure in self.failures for text in failure["found"])


class Campaign:
    """Plays runs until every kill has happened."""

    def __init__(
        self, *, seed: int, tasks: int, workers: int, folder: Path, say: bool, docker: Docker | None = None
    ) -> None:
        self._seed = seed
        self._dice = random.Random(seed)
        self._tasks = tasks
        self._workers = workers
        self._folder = folder
        self._say = say
        self._docker = docker
        self.tally = Tally()
        self._waiting: list[Kill] = []
        self._rows_broken = 0

    def plan(self, *, points: int, moments: int, deep: int) -> None:
        """Note the deaths that are to happen, in random order."""
        names = sorted(POINTS.keys() - ELSEWHERE if self._docker is None else IN_CONTAINERS)
        longest = LONGEST if self._docker is None else LONGEST_IN_CONTAINERS
        self._waiting = planned(self._dice, names, points=points, moments=moments, deep=deep, longest=longest)

    def play(self) -> Tally:
        """All of it, or what there was time for until somebody pressed Ctrl-C."""
        try:
            self._play()
        except KeyboardInterrupt:
            self.tally.missed += [f"{len(self._waiting)} more, broken off"]
        return self.tally

    def _play(self) -> None:
        while self._waiting:
            ground = self._ground()
            try:
                with ScriptedModel(ground.brain) as model:
                    self._one_run(ground, model.url)
            finally:
                ground.close()
            self.tally.runs += 1

    def _ground(self) -> Ground:
        root, tasks, workers = self._folder / f"run-{self.tally.runs}", self._tasks, self._workers
        dice = random.Random(self._dice.randrange(2**32))
        if self._docker is not None:
            url, image = self._docker
            return DockerGround(root, url=url, image=image, tasks=tasks, workers=workers, dice=dice)
        repository = any(kill.point in IN_REPOSITORY for kill in self._waiting) and self.tally.runs % 2 == 1
        return Ground(root, tasks=tasks, workers=workers, repository=repository, dice=dice)

    def _one_run(self, ground: Ground, url: str) -> None:
        story: list[str] = []
        for kill in self._kills(ground):
            wanted = kill is not None and kill.point == "person.landed"
            if not ground.repository and (wanted or self._dice.random() < 0.2):
                ground.person_writes()
            self.tally.starts += 1
            what = kill or Kill()
            death = ground.live(url, fault=what.fault, kill_after=what.after, up=what.up)
            story.append(f"{death.where or 'to its end'}: {'killed' if death.killed else death.code}")
            if death.killed and kill:
                self._happened(kill)
                found = ground.after_kill()
            else:
                if kill:
                    self._put_off(kill)
                found = ground.after_end(death)
            self._progress(death)
            if found:
                told = {"seed": self._seed, "run": self.tally.runs, "found": found, "story": story}
                self.tally.failures.append(told)
                ground.keep(told)
                print(f"FAILED, kept in {ground.root}: {json.dumps(told)}", file=sys.stderr, flush=True)
                return
            if not death.killed:
                ground.remove()
                return

    def _kills(self, ground: Ground) -> Iterator[Kill | None]:
        """What happens to the engines of one run, until it has ended by itself."""
        while True:
            at = next((number for number, kill in enumerate(self._waiting) if kill.fits(ground)), None)
            if at is None:
                yield None
                continue
            before = BEFORE.get(self._waiting[at].point)
            if before:
                yield Kill(before, deep=True)  # the other goes on waiting: the run may end here instead
            kill = self._waiting.pop(at)
            yield kill
            if kill.deep:
                for _ in range(DEEP):
                    yield Kill(self._dice.choice(RECOVERY), deep=True)

    def _happened(self, kill: Kill) -> None:
        if kill.deep:
            self.tally.deep += 1
        elif kill.point:
            self.tally.points[kill.point] += 1
        else:
            self.tally.random += 1

    def _put_off(self, kill: Kill) -> None:
        """The run was over before: it happens in another one, and earlier."""
        if kill.deep and kill.point:
            if kill.point in RECOVERY and self._rows_broken < MISSES:
                # Nobody was at work any more when the row had come so far: another one, that begins sooner.
                self._rows_broken += 1
                self._waiting.append(Kill(after=self._dice.uniform(1.0, 2.5), up=True, deep=True))
            return
        kill.missed += 1
        kill.nth = 1
        if kill.after is not None:
            kill.after *= 0.7
        if kill.missed < MISSES:
            self._waiting.insert(self._dice.randrange(len(self._waiting) + 1), kill)
        else:
            self.tally.missed.append(kill.point or "a moment")

    def _progress(self, death: Death) -> None:
        tally = self.tally
        if self._say and tally.starts % 25 == 0:
            text = (
                f"{tally.starts} starts, {tally.runs} runs, {len(self._waiting)} to come, {len(tally.failures)} failed"
            )
            print(text, file=sys.stderr, flush=True)


def report(tally: Tally, *, seed: int, tasks: int, workers: int, seconds: float) -> dict[str, Any]:
    """The result as one JSON object."""
    return {
        "seed": seed,
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
        "tasks": tasks,
        "workers": workers,
        "seconds": round(seconds),
        "runs": tally.runs,
        "engine_starts": tally.starts,
        "kills_at_points": dict(sorted(tally.points.items())),
        "kills_at_random_moments": tally.random,
        "kills_in_rows_during_recovery": tally.deep,
        "not_reached": sorted(tally.missed),
        "lost": tally.of("lost"),
        "run_twice": tally.of("run twice"),
        "landed_twice": tally.of("landed twice"),
        "asked_twice": tally.of("asked twice"),
        "stuck": tally.of("stuck"),
        "leaks": tally.of("leak"),
        "fsck_unclean": tally.of("fsck"),
        "failures": tally.failures,
    }


def campaign(
    *,
    seed: int,
    points: int,
    moments: int,
    deep: int,
    tasks: int,
    workers: int,
    folder: Path,
    say: bool = False,
    docker: Docker | None = None,
) -> dict[str, Any]:
    """Play it; the result."""
    begun = time.monotonic()
    played = Campaign(seed=seed, tasks=tasks, workers=workers, folder=folder, say=say, docker=docker)
    played.plan(points=points, moments=moments, deep=deep)
    tally = played.play()
    return report(tally, seed=seed, tasks=tasks, workers=workers, seconds=time.monotonic() - begun)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--points", type=int, default=20, metavar="N", help="kills at each fault point")
    parser.add_argument("--random", type=int, default=500, metavar="N", help="kills at random moments")
    parser.add_argument("--containers", type=int, default=0, metavar="N", help="in containers: kills at N moments")
    parser.add_argument("--image", default="aura-test-base:latest", help="with sh, git and python3 in it")
    parser.add_argument("--deep", type=int, default=20, metavar="N", help=f"rows of {DEEP} kills during recovery")
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--json", action="store_true", help="the whole result as JSON")
    arguments = parser.parse_args()
    if arguments.containers and "DOCKER_HOST" not in os.environ:
        parser.error("--containers: name the engine, as in DOCKER_HOST=unix:///var/run/docker.sock")
    folder = Path(tempfile.mkdtemp(prefix="aura-campaign-"))
    print(f"seed {arguments.seed}, in {folder}", file=sys.stderr)
    result = campaign(
        seed=arguments.seed,
        points=arguments.points,
        moments=arguments.containers or arguments.random,
        deep=arguments.deep,
        tasks=arguments.tasks,
        workers=arguments.workers,
        folder=folder,
        say=True,
        docker=(os.environ["DOCKER_HOST"], arguments.image) if arguments.containers else None,
    )
    if arguments.json:
        json.dump(result, sys.stdout, indent=2)
        print()
    else:
        for name, value in result.items():
            if name not in ("failures", "kills_at_points"):
                print(f"{name.replace('_', ' '):32} {value}")
        kills = result["kills_at_points"]
        print(f"{'kills at points':32} {sum(kills.values())} at {len(kills)} points")
    if not result["failures"]:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
