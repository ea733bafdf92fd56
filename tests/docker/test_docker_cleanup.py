"""`aura cleanup`: lists first, removes only what is this folder's goals' own, and only on a word."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aura_engine.cli import cleanup
from aura_engine.journal.lock import OwnerLock
from aura_engine.journal.store import Journal
from aura_engine.paths import RunPaths, remember_run, vault_dir
from aura_engine.runtimes.docker_profile import project_of

Clean = Callable[..., tuple[int, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / ".aura"


@pytest.fixture
async def run(tmp_path: Path, data: Path) -> RunPaths:
    """A goal that was run and has ended."""
    task_file = tmp_path / "task.md"
    task_file.write_text("# Goal\nSomething.\n")
    paths = RunPaths.of(data, task_file)
    paths.ensure(tmp_path)
    journal = Journal.open(paths.journal)
    await journal.close()
    remember_run(data, task_file, project=tmp_path, wall=1.0)
    return paths


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Clean:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AURA_DOCKER_HOST", f"unix://{tmp_path}/no.sock")

    def made(*words: str) -> tuple[int, str]:
        status = cleanup.run(cleanup.parser().parse_args(words))
        return status, capsys.readouterr().out

    return made


def test_nothing_is_left(clean: Clean, run: RunPaths) -> None:
    status, said = clean()
    assert (status, said) == (0, f"Nothing is left behind by the goals of {run.run.parent}.\n")


def test_data_of_a_goal_that_is_gone_are_listed_and_then_moved(clean: Clean, run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "task.md").unlink()
    status, said = clean()
    assert status == 0
    assert said.startswith(f"data       {run.run.name}  of {tmp_path}/task.md, which is gone")
    assert "nothing was touched" in said
    assert run.journal.exists()
    status, said = clean("--force")
    assert status == 0
    assert f"{run.run.name}: moved to {vault_dir(run.run.parent)}" in said
    assert not run.run.exists()
    (kept,) = vault_dir(run.run.parent).iterdir()
    assert (kept / "journal.db").exists()
    assert clean("--force")[1].startswith("Nothing is left behind")


def test_what_an_engine_runs_stays(clean: Clean, run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "task.md").unlink()
    with OwnerLock.acquire(run.lock):
        status, said = clean("--force")
    assert status == 0
    assert "stays: an engine runs this goal" in said
    assert run.journal.exists()


def test_as_json(clean: Clean, run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "task.md").unlink()
    found = json.loads(clean("--json")[1])
    assert [(left["kind"], left["name"], left["done"]) for left in found["left"]] == [("data", run.run.name, "")]


def test_an_engine_that_does_not_answer_is_said(clean: Clean, run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "no.sock").write_text("")
    status, said = clean()
    assert status == 0
    assert "Docker was not asked: " in said
    assert "is no socket" in said


@pytest.fixture
def docker(docker_url: str) -> Iterator[Callable[..., str]]:
    def command(*words: str) -> str:
        done = subprocess.run(
            ["docker", "-H", docker_url, *words], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    yield command
    for kind, listing in (("container", ("ps", "-aq")), ("network", ("network", "ls", "-q"))):
        left = command(*listing, "--filter", "label=aura.test=cleanup").split()
        if left:
            command(kind, "rm", *(["-f"] if kind == "container" else []), *left)


@pytest.mark.docker
@pytest.mark.timeout(180)
def test_containers_and_networks_of_this_folder_alone(
    clean: Clean,
    run: RunPaths,
    docker: Callable[..., str],
    docker_url: str,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AURA_DOCKER_HOST", docker_url)
    mine, other = project_of(run.scratch), secrets.token_hex(4)
    names: dict[str, str] = {}
    for project in (mine, other):
        labels = ("--label", f"aura.project={project}", "--label", "aura.test=cleanup")
        names[project] = f"aura-{project}-A1-1"
        docker("network", "create", *labels, f"aura-{project}")
        docker("run", "-d", "--name", names[project], *labels, "--network=none", image, "sleep", "300")
    status, said = clean()
    assert status == 0
    assert f"container  {names[mine]}  running\nnetwork    aura-{mine}  bridge\n" in said
    assert other not in said
    assert docker("ps", "-q", "--filter", f"name={names[mine]}")

    with OwnerLock.acquire(run.lock):
        assert "stays: an engine runs this goal" in clean("--force")[1]
    assert docker("ps", "-q", "--filter", f"name={names[mine]}")

    status, said = clean("--force")
    assert status == 0
    assert f"{names[mine]}: removed" in said
    assert docker("ps", "-aq", "--filter", f"name={names[mine]}") == ""
    assert docker("network", "ls", "-q", "--filter", f"name=aura-{mine}") == ""
    assert docker("ps", "-q", "--filter", f"name={names[other]}")


@pytest.mark.docker
@pytest.mark.timeout(180)
def test_a_network_in_use_stays_and_is_said(
    clean: Clean,
    run: RunPaths,
    docker: Callable[..., str],
    docker_url: str,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AURA_DOCKER_HOST", docker_url)
    name = f"aura-{project_of(run.scratch)}"
    test = ("--label", "aura.test=cleanup")
    docker("network", "create", "--label", f"aura.project={project_of(run.scratch)}", *test, name)
    docker("run", "-d", *test, "--network", name, image, "sleep", "300")
    status, said = clean("--force")
    assert status == 1
    assert f"{name}: stays: " in said
