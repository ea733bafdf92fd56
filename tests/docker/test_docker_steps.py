"""The engine killed, or an answer lost, at each step of a start: never two containers for one attempt, none left."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiodocker import DockerError
from docker_proxy import proxy

from aura_engine.core.model import ExitRecord
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes.docker_worker import DockerWorker

pytestmark = pytest.mark.docker
STEPS = [
    ("POST /[^ ]*networks/create", "before"),
    ("POST /[^ ]*networks/create", "after"),
    ("POST /[^ ]*containers/create", "before"),
    ("POST /[^ ]*containers/create", "after"),
    ("POST /[^ ]*containers/[^ ]*/start", "before"),
    ("POST /[^ ]*containers/[^ ]*/start", "after"),
    ("GET /[^ ]*containers/aura-[^ ]*/json", "after"),
]
RAN = "echo ran >> ran.txt; sleep 0.3; exit 9"


@pytest.fixture
def near(harbour) -> Path:
    """A place for a socket: a path of one may have 107 bytes."""
    return Path(f"/tmp/aura-{harbour.project}.sock")


@pytest.fixture(autouse=True)
def _no_socket_left(near: Path):
    yield
    near.unlink(missing_ok=True)


@pytest.mark.parametrize(("request_line", "when"), STEPS)
async def test_killed_there_the_next_engine_goes_on_with_the_one_container(harbour, near, request_line, when):
    harbour.network = f"aura-{harbour.project}"
    folder, launch = harbour.folder(), harbour.launch(RAN)
    async with proxy(near, harbour.url) as between:
        profile = {name: value for name, value in vars(harbour.profile()).items() if name != "additions"}
        words = [between.url, harbour.image, json.dumps(profile), launch.model_dump_json(), folder]
        command = [sys.executable, Path(__file__).with_name("docker_starts_one.py"), *words]
        first = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        gone = asyncio.Event()

        def kill() -> bool:
            first.kill()
            first.wait()
            gone.set()
            return False

        between.at(request_line, when, kill)
        async with asyncio.timeout(40):
            await gone.wait()
    second = harbour.runtime()
    found = await second.adopt(folder)
    await second.tidy([folder])
    record = await found.swept() if isinstance(found, DockerWorker) else found
    ran = Path(launch.cwd, "ran.txt")
    if record is None:
        assert not ran.exists()
        assert harbour.containers() == []
    else:
        assert isinstance(record, ExitRecord)
        assert (record.code, record.outside) == (9, "")
        assert ran.read_text() == "ran\n"
        assert len(harbour.containers()) == 1
    await second.clear(folder)
    await second.aclose()
    assert harbour.containers() == []
    assert harbour.docker("network", "ls", "-q", "--filter", f"label=aura.project={harbour.project}") == ""


@pytest.mark.parametrize(("request_line", "when"), STEPS)
async def test_an_answer_lost_there_starts_it_once_all_the_same(harbour, near, request_line, when):
    harbour.network = f"aura-{harbour.project}"
    async with proxy(near, harbour.url) as between:
        between.at(request_line, when, lambda: False)
        launch = harbour.launch(RAN)
        runtime = harbour.runtime(between.url)
        worker = await runtime.start(launch, harbour.folder(), "A1-1")
        assert (await worker.swept()).code == 9
        assert between.act is None
        await runtime.aclose()
    assert Path(launch.cwd, "ran.txt").read_text() == "ran\n"
    assert len(harbour.containers()) == 1


async def test_a_network_that_somebody_took_away_is_made_again(harbour):
    harbour.network = f"aura-{harbour.project}"
    runtime, first = await harbour.start("true", 1)
    await first.swept()
    await runtime.clear(first.folder)
    harbour.docker("network", "rm", harbour.network)
    _, second = await harbour.start("true", 2, runtime=runtime)
    assert (await second.wait()).code == 0


async def test_of_two_networks_that_were_made_at_once_one_is_kept(harbour):
    harbour.network = f"aura-{harbour.project}"
    listed = ["network", "ls", "-q", "--filter", f"label=aura.project={harbour.project}"]
    runtime = harbour.runtime()
    twin = {"Name": harbour.network, "CheckDuplicate": False, "Labels": {"aura.project": harbour.project}}
    await runtime._engine.docker.networks.create(twin)
    try:
        await runtime._engine.docker.networks.create(twin)
    except DockerError:
        pytest.skip("this container engine makes one, however it is asked")
    assert len(harbour.docker(*listed).split()) == 2
    _, worker = await harbour.start("true", runtime=runtime)
    assert (await worker.swept()).code == 0
    assert len(harbour.docker(*listed).split()) == 1
    await runtime.clear(worker.folder)
    await runtime.aclose()
    assert harbour.docker(*listed) == ""


async def test_an_engine_that_never_answers_is_away_and_nobody_is_declared_dead(harbour, near, monkeypatch):
    first, worker = await harbour.start("sleep 60")
    await first.aclose()
    silent = await asyncio.start_unix_server(_says_nothing, path=near)
    runtime = harbour.runtime(f"unix://{near}")
    monkeypatch.setattr(runtime._engine, "patience", 0.2)
    with pytest.raises(RuntimeFault, match="did not answer"):
        await runtime.adopt(worker.folder)
    await runtime.aclose()
    silent.close()
    assert harbour.docker("inspect", "-f", "{{.State.Running}}", worker.name) == "true"


@pytest.mark.parametrize("reported", [True, False], ids=["with its record", "without"])
async def test_while_the_engine_is_away_what_surely_runs_no_more_is_collected(harbour, near, reported):
    first, worker = await harbour.start("sleep 3; exit 8")
    await worker.swept()
    await first.aclose()
    if not reported:
        (worker.folder / "shim" / "exit.json").unlink()
    runtime = harbour.runtime(f"unix://{near}")
    record = await runtime.adopt(worker.folder)
    assert isinstance(record, ExitRecord)
    assert (record.code == 8) == reported
    assert bool(record.outside) != reported
    await runtime.aclose()


async def _says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
