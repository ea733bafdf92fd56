"""Runs the real command line against the scripted model, and looks at everything it says about itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aura_engine.cli.options import events_of
from aura_engine.core.events import encode
from aura_engine.demo.script import Brain
from aura_engine.demo.server import ScriptedModel

LIMIT = 90.0
PATIENCE = 30.0
"""Seconds for something outside to become true."""
AURA = (sys.executable, "-m", "aura_engine.cli")


@dataclass
class Run:
    """What one run of `aura` left behind."""

    exit: int
    events: list[dict[str, Any]]
    stderr: str
    folder: Path
    data: Path
    stdout: str = ""

    @property
    def status(self) -> str:
        """The status of the last event, which has to be the end of the run."""
        assert self.events[-1]["kind"] == "run_ended", self.stderr
        return self.events[-1]["status"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Events of a kind."""
        return [event for event in self.events if event["kind"] == kind]

    @property
    def endings(self) -> list[dict[str, Any]]:
        """How its workers ended, in that order."""
        return [event["ending"] for event in self.of("worker_ended")]

    def summary(self) -> dict[str, Any]:
        """What `aura status --json` would say."""
        return json.loads((self.data / "state" / "status.json").read_text())


@dataclass
class Bench:
    """Starts runs in one project folder."""

    project: Path
    settings: dict[str, str] = field(default_factory=dict)
    limit: float = LIMIT
    """Seconds for one run."""

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into the project."""
        for path, text in files.items():
            target = self.project / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    def git(self, *args: str) -> str:
        """Run git in the project."""
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-c", "init.defaultBranch=main"]
        return subprocess.run(
            ["git", *identity, *args], cwd=self.project, check=True, capture_output=True, text=True
        ).stdout

    def run(self, brain: Brain, *options: str, goal: str = "task.md", **settings: str) -> Run:
        """`aura task.md --no-ui --json` with the scripted model as planner and as every worker's model."""
        with ScriptedModel(brain) as model:
            done = self.start(model.url, *options, goal=goal, **settings)
            assert list(model.failures) == []
        return done

    def environment(self, url: str, **settings: str) -> dict[str, str]:
        """Settings that point everything at the scripted model."""
        wanted = {
            "AURA_API_PROVIDER": "openai",
            "AURA_API_BASE_URL": f"{url}/v1",
            "AURA_API_KEY": "k",
            "AURA_API_MODEL": "planner",
            "AURA_FLASH_BACKEND": "builtin",
            "AURA_FLASH_BASE_URL": url,
            "AURA_FLASH_API_KEY": "k",
            "AURA_FLASH_MODEL": "flash",
            "AURA_PRO_BACKEND": "builtin",
            "AURA_PRO_BASE_URL": url,
            "AURA_PRO_API_KEY": "k",
            "AURA_PRO_MODEL": "pro",
            "AURA_MAX_ATTEMPTS_PER_ROLE": "1",
        }
        return {**os.environ, **wanted, **self.settings, **settings}

    def start(self, url: str, *options: str, goal: str = "task.md", **settings: str) -> Run:
        """The command itself, as a process."""
        done = subprocess.run(
            [*AURA, goal, "--no-ui", "--json", *options],
            cwd=self.project,
            env=self.environment(url, **settings),
            capture_output=True,
            text=True,
            timeout=self.limit,
            check=False,
        )
        return self.read(done.returncode, done.stdout, done.stderr)

    def read(self, code: int, stdout: str, stderr: str) -> Run:
        """A finished run."""
        events = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
        runs = sorted((self.project / ".aura").glob("*/journal.db"))
        return Run(code, events, stderr, self.project, runs[0].parent if runs else self.project, stdout)

    @contextlib.contextmanager
    def running(self, url: str, goal: str = "task.md", **settings: str) -> Iterator[Running]:
        """The same in the background; killed at the end of the block unless it has ended."""
        told = self.project.parent / "told.jsonl"
        with told.open("wb") as out:
            engine = subprocess.Popen(
                [*AURA, goal, "--no-ui", "--json"],
                cwd=self.project,
                env=self.environment(url, **settings),
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            )
        with engine:
            try:
                yield Running(self, engine, told)
            finally:
                engine.kill()

    def ask(self, *words: str) -> str:
        """A command of a person's to the engine that runs, as `aura kill A1`; what it answers."""
        done = subprocess.run(
            [*AURA, *words], cwd=self.project, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def workspaces(self) -> Path:
        """The only folder of attempts' workspaces that there is."""
        (found,) = Path(os.environ["XDG_STATE_HOME"]).glob("aura/*/work")
        return found


@dataclass
class Running:
    """A run under way."""

    bench: Bench
    engine: subprocess.Popen[str]
    told: Path

    def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first event of that kind with these fields, once there is one."""

        def found() -> dict[str, Any] | None:
            lines = self.told.read_bytes().split(b"\n")[:-1]
            events = (json.loads(line) for line in lines if line.startswith(b"{"))
            wanted = {"kind": kind, **fields}.items()
            return next((event for event in events if wanted <= event.items()), None)

        return until(lambda: found() or (self.engine.poll() is not None and pytest.fail(f"ended without {kind}")))

    def end(self) -> Run:
        """The run once it has ended by itself."""
        _, stderr = self.engine.communicate(timeout=LIMIT)
        return self.bench.read(self.engine.returncode, self.told.read_text(), stderr)


def until(holds: Callable[[], Any]) -> Any:
    """Waits for something to be true, at most `PATIENCE` seconds; what it is then."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """See until."""
    return until


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A project folder with spaces and a name that is not ASCII."""
    project = tmp_path / "mein Projekt ö"
    project.mkdir()
    return Bench(project)


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[[str], Bench]:
    """Several project folders."""

    def make(name: str) -> Bench:
        project = tmp_path / name
        project.mkdir()
        return Bench(project)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """A failed run tells its story."""
    report = yield
    found = getattr(item, "funcargs", {}).get("bench")
    if report.when == "call" and report.failed and isinstance(found, Bench):
        for journal in found.project.glob(".aura/*/journal.db"):
            rows = events_of(journal.parent)
            report.sections.append(("story", "\n".join(encode(event) for event, _ in rows)))
    return report
