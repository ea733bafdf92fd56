"""A ground whose workers and checks run in containers.

A container can write nowhere but in its workspace, so the ledger is kept by the container engine itself: every start of
a worker's container that it tells of is one line.
"""

from __future__ import annotations

import random
import shlex
import subprocess
import time
from pathlib import Path

from survival_ground import Death, Ground

from aura_engine.paths import RunPaths
from aura_engine.runtimes.docker_place import TMPFS
from aura_engine.runtimes.docker_profile import project_of

# The prompt's first line: `# Task A1: Task 0 (0.25)`. Whoever runs twice in one workspace writes its name twice.
WORKER = """\
read -r _ _ id _ _ nap
id=${id%:}
nap=${nap#(}
for line in 1 2 3 4 5; do echo "line $line"; sleep "${nap%)}"; done
echo "$id" >> "out-$id.txt"
"""
TOLD = '{{index .Actor.Attributes "aura.task"}} {{index .Actor.Attributes "aura.attempt"}}'
ENDS = 60.0
"""Seconds in which an ended run's containers have to be gone."""


class DockerGround(Ground):
    """See Ground. `url`: of a container engine that tests may use; `image`: with `sh` and `python3` in it."""

    limit = 600.0

    def __init__(self, root: Path, *, url: str, image: str, tasks: int, workers: int, dice: random.Random) -> None:
        super().__init__(root, tasks=tasks, workers=workers, dice=dice)
        self._url = url
        self._image = image
        self._network = dice.choice(("bridge", "none"))
        self._paths = RunPaths.of(self.project / ".aura", self.project / "task.md", {"HOME": str(root / "home")})
        self.label = f"aura.run={self._paths.run.name}"
        """That all of the run's containers have."""
        only = ("type=container", "event=start", "label=aura.kind=worker", f"label={self.label}")
        filters = [word for each in only for word in ("--filter", each)]
        with self.ledger.open("wb") as ledger:
            self._listening = subprocess.Popen(
                ["docker", "-H", url, "events", "--since", str(int(time.time())), *filters, "--format", TOLD],
                stdout=ledger,
            )

    def environment(self, url: str, fault: str) -> dict[str, str]:
        """See Ground."""
        return super().environment(url, fault) | {
            "AURA_PRO_BASE_URL": f"{url}/v1",  # the scripted model: there is a relay to it
            "AURA_PRO_COMMAND": shlex.join(["sh", "-c", WORKER]),
            "AURA_WORKERS_IN_DOCKER": "1",
            "AURA_DOCKER_FALLBACK": "stop",
            "AURA_DOCKER_HOST": self._url,
            "AURA_DOCKER_IMAGE": self._image,
            "AURA_DOCKER_NETWORK": self._network,
        }

    def after_kill(self) -> list[str]:
        """See Ground."""
        return self._ledger_broke() + super().after_kill()

    def after_end(self, death: Death) -> list[str]:
        """See Ground: and of its containers, networks and volumes nothing is left."""
        found = self._ledger_broke() + super().after_end(death)
        until = time.monotonic() + ENDS
        while (left := self.left()) and time.monotonic() < until:
            time.sleep(0.2)
        return found + [f"leak: {name}" for name in left]

    def left(self) -> list[str]:
        """What the container engine and this machine still hold of the run."""
        listed = {
            "container": ("ps", "-a", "--format={{.Names}}"),
            "network": ("network", "ls", "--format={{.Name}}"),
            "volume": ("volume", "ls", "--format={{.Name}}"),
        }
        only = ("--filter", f"label={self.label}")
        found = [f"{kind} {name}" for kind, words in listed.items() for name in self.docker(*words, *only).split()]
        secrets = TMPFS.glob(f"aura-*-{project_of(self._paths.scratch)}")
        return found + [f"secrets in {path}" for path in secrets]

    def close(self) -> None:
        """See Ground."""
        self._listening.kill()
        self._listening.wait(30)

    def _ledger_broke(self) -> list[str]:
        return [] if self._listening.poll() is None else ["lost: the container engine tells of no starts any more"]

    def docker(self, *words: str) -> str:
        """The `docker` command, as a person would give it."""
        argv = ["docker", "-H", self._url, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
