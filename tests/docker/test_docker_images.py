"""The workers' image: local or pulled once, the registry's own words, and what happens where it is not to be had."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aura_engine import containers
from aura_engine.config.machine_settings import DEFAULT_IMAGE
from aura_engine.config.settings import Settings
from aura_engine.containers import Place, place
from aura_engine.core.events import EngineStarted, WorkersPlaced
from aura_engine.core.fold import fold
from aura_engine.errors import ConfigError, NeedsPerson, RuntimeFault
from aura_engine.report.plain import lines
from aura_engine.runtimes import docker_host, images
from aura_engine.runtimes.docker_engine import DockerEngine
from aura_engine.runtimes.docker_host import Greeted, address_of, greet, must_see
from aura_engine.runtimes.images import Images, Progress

ID = "sha256:" + "a" * 64
NAME = "registry.example/aura:1"


def answered(value: object, status: int = 200) -> web.Response:
    """As Docker does: without a word on the charset."""
    return web.Response(body=json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"})


class Fake:
    """A container engine's answers on a unix socket: images and pulls, as Docker 20.10 gives them."""

    def __init__(self, socket: Path) -> None:
        self.url = f"unix://{socket}"
        self.version = "20.10.24+dfsg1"
        self.options: list[str] = ["name=seccomp,profile=default"]
        self.here: set[str] = set()
        self.pulls: list[list[dict[str, Any]] | tuple[int, str]] = []
        """What each pull in turn says: lines of its stream, or a status with a message."""
        self.asked: list[dict[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = re.sub(r"^/v[0-9.]+", "", request.path)
        if path == "/version":
            return answered({"Version": self.version, "ApiVersion": "1.41"})
        if path == "/info":
            return answered({"SecurityOptions": self.options})
        if path.startswith("/images/") and path.endswith("/json"):
            name = path.removeprefix("/images/").removesuffix("/json")
            if name not in self.here:
                return answered({"message": f"No such image: {name}"}, status=404)
            return answered({"Id": ID, "RepoDigests": ["registry.example/aura@sha256:" + "b" * 64]})
        if path == "/images/create":
            return await self.pull(request)
        return answered({"message": f"page not found: {path}"}, status=404)

    async def pull(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        await self.gate.wait()
        said = self.pulls.pop(0)
        if isinstance(said, tuple):
            return answered({"message": said[1]}, status=said[0])
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        for line in said:
            await answer.write(json.dumps(line).encode() + b"\r\n")
        if not any("error" in line for line in said):
            self.here.add(NAME)
        return answer


@pytest.fixture
def short() -> Generator[Path]:
    """A folder whose path is short enough for a socket, however long pytest's are."""
    folder = Path(tempfile.mkdtemp(prefix="aura-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def fake(short: Path) -> AsyncGenerator[Fake]:
    made = Fake(short / "docker.sock")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(short / "docker.sock")).start()
    yield made
    await runner.cleanup()


@pytest.fixture
async def asking(fake: Fake) -> AsyncGenerator[DockerEngine]:
    made = DockerEngine(fake.url)
    yield made
    await made.aclose()


@pytest.fixture
def said() -> list[str]:
    return []


DOWN = [
    {"status": "Pulling from aura", "id": "1"},
    {"status": "Downloading", "id": "l1", "progressDetail": {"current": 5_000_000, "total": 50_000_000}},
    {"status": "Downloading", "id": "l2", "progressDetail": {"current": 1, "total": 10_000_000}},
    {"status": "Download complete", "id": "l1", "progressDetail": {}},
    {"status": "Status: Downloaded newer image"},
]


async def test_the_local_one_is_used_and_nothing_pulled(fake: Fake, asking: DockerEngine, said: list[str]) -> None:
    fake.here.add(NAME)
    image = await Images(asking, NAME, said.append).ready()
    assert (image.name, image.id) == (NAME, ID)
    assert image.digest.endswith("b" * 64)
    assert (fake.asked, said) == ([], [])


async def test_it_is_pulled_once_for_all(fake: Fake, asking: DockerEngine, said: list[str]) -> None:
    fake.gate.clear()
    fake.pulls = [DOWN]
    wanted = Images(asking, NAME, said.append)
    waiting = [asyncio.create_task(wanted.ready()) for _ in range(20)]
    await asyncio.sleep(0)
    fake.gate.set()
    assert {image.id for image in await asyncio.gather(*waiting)} == {ID}
    assert fake.asked == [{"fromImage": NAME, "platform": "linux/amd64"}]
    assert said[0] == f"The workers' image {NAME} is not here yet: it is pulled once, for all workers."
    assert any("MB so far" in line for line in said)
    assert said[-1].startswith("The workers' image is here: registry.example/aura@sha256:bbb")


async def test_it_is_tried_again(fake: Fake, asking: DockerEngine, said: list[str]) -> None:
    fake.pulls = [
        (500, "Get https://registry.example/v2/: dial tcp: lookup registry.example: no such host"),
        [{"errorDetail": {"message": "toomanyrequests: slow down"}, "error": "toomanyrequests: slow down"}],
        DOWN,
    ]
    image = await Images(asking, NAME, said.append, first_wait=0.01).ready()
    assert image.id == ID
    assert len(fake.asked) == 3, said
    assert any("no such host. It is tried again" in line for line in said), said[1]
    assert any("toomanyrequests: slow down. It is tried again" in line for line in said)


async def test_it_is_given_up_with_the_registrys_words_and_the_command(fake: Fake, asking: DockerEngine) -> None:
    fake.pulls = [(500, "Get https://registry.example/v2/: connection refused")] * 9
    with pytest.raises(RuntimeFault) as told:
        await Images(asking, NAME, lambda _: None, first_wait=0.001).ready()
    assert len(fake.asked) == images.TRIES
    assert "Get https://registry.example/v2/: connection refused" in str(told.value)
    assert f"docker pull --platform linux/amd64 {NAME}" in told.value.cure


@pytest.mark.parametrize(
    "words",
    [
        "pull access denied for aura, repository does not exist or may require 'docker login'",
        "unauthorized: authentication required",
        "manifest for registry.example/aura:1 not found: manifest unknown",
        "no matching manifest for linux/amd64 in the manifest list entries",
        "write /var/lib/docker/tmp/x: no space left on device",
    ],
)
async def test_what_no_second_try_changes(fake: Fake, asking: DockerEngine, words: str) -> None:
    fake.pulls = [(404, words)] * 9
    with pytest.raises(RuntimeFault, match=re.escape(words[:40])):
        await Images(asking, NAME, lambda _: None, first_wait=0.001).ready()
    assert len(fake.asked) == 1


async def test_a_pull_that_hangs_is_not_waited_for(
    fake: Fake, asking: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "STALL_LIMIT", 0.05)
    monkeypatch.setattr(images, "TRIES", 2)
    fake.gate.clear()
    fake.pulls = [DOWN, DOWN]
    with pytest.raises(RuntimeFault, match="nothing moved"):
        await Images(asking, NAME, lambda _: None, first_wait=0.001).ready()
    fake.gate.set()


async def test_progress_is_told_now_and_then_whatever_it_holds(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SAY_EVERY", 1000.0)
    progress = Progress(said.append)
    kinds = random.Random(5)
    for _ in range(10_000):
        detail = kinds.choice(
            [None, {}, {"current": 1}, {"current": kinds.randrange(10**7), "total": 10**7}, {"current": "x"}]
        )
        progress.take({"status": "Downloading", "id": kinds.randrange(50), "progressDetail": detail})
    assert len(said) == 1


# ---- the engine itself


def test_where_the_engine_listens(tmp_path: Path, short: Path) -> None:
    assert address_of("unix:///a", {"DOCKER_HOST": "unix:///b"}) == "unix:///a"
    assert address_of("", {"DOCKER_HOST": "tcp://10.0.0.1:2375"}) == "tcp://10.0.0.1:2375"
    assert address_of("/a/docker.sock", {}) == "unix:///a/docker.sock"
    if not any(Path(place).is_socket() for place in ("/run/docker.sock", docker_host.USUAL)):
        assert address_of("", {"HOME": str(tmp_path)}) == f"unix://{docker_host.USUAL}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(short / "docker.sock"))
            assert address_of("", {"XDG_RUNTIME_DIR": str(short)}) == f"unix://{short}/docker.sock"


@pytest.mark.parametrize("address", ["ssh://me@host", "npipe:////./pipe/docker", "docker", "unix://", "tcp://"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match="no address of a Docker engine"):
        address_of(address, {})


async def test_who_answers(fake: Fake, asking: DockerEngine) -> None:
    assert await greet(asking) == Greeted("20.10.24+dfsg1", rootless=False)
    fake.options.append("name=rootless")
    assert (await greet(asking)).rootless
    fake.version = "19.3.1"
    with pytest.raises(RuntimeFault, match=r"is 19\.3\.1; Aura needs 20\.10"):
        await greet(asking)


async def test_why_nobody_answers(short: Path) -> None:
    (short / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short / "dead"))
    for name, why in (("none", "there is no"), ("file", "is no socket"), ("dead", "cannot be reached")):
        engine = DockerEngine(f"unix://{short / name}")
        with pytest.raises(RuntimeFault, match=why):
            await greet(engine)
        await engine.aclose()


async def test_an_engine_that_hangs_is_not_waited_for(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_host, "GREET_LIMIT", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / "s"))
        listener.listen()
        engine = DockerEngine(f"unix://{short / 's'}")
        with pytest.raises(RuntimeFault, match="did not answer"):
            await greet(engine)
        await engine.aclose()


# ---- the fallback


def settings(**given: str) -> Settings:
    return Settings.model_validate({"workers_in_docker": "1", "docker_host": "unix:///nowhere/docker.sock", **given})


def never(trouble: str) -> bool | None:
    raise AssertionError(trouble)


def test_without_containers_nothing_is_looked_at(tmp_path: Path) -> None:
    found = place(settings(workers_in_docker="0", docker_gpus="nonsense"), {}, tmp_path, never, never)
    assert found == Place()
    assert found.event() is None


def test_local_workers_stand_in_and_it_is_said(tmp_path: Path) -> None:
    found = place(settings(), {}, tmp_path, never, never)
    assert found.docked is None
    event = found.event()
    assert event == WorkersPlaced(docker=False, fallback=found.fallback)
    state = fold([(EngineStarted(version="1", pid=1), 1.0), (event, 2.0)])
    assert state.placed == event  # what the screen shows all the while
    (line,) = lines(event, state, 2.0)
    assert "on this machine instead of in Docker: No Docker engine runs here: there is no /nowhere/docker.sock" in line
    assert fold([(EngineStarted(version="1", pid=2), 3.0)], state).placed is None


def test_it_stops_where_that_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFault, match="No Docker engine runs here"):
        place(settings(docker_fallback="stop"), {}, tmp_path, never, never)


@pytest.mark.parametrize(("answer", "error"), [(None, NeedsPerson), (False, RuntimeFault)])
def test_it_asks_where_that_is_wanted(tmp_path: Path, answer: bool | None, error: type[Exception]) -> None:
    asked: list[str] = []

    def ask(trouble: str) -> bool | None:
        asked.append(trouble)
        return answer

    with pytest.raises(error):
        place(settings(docker_fallback="ask"), {}, tmp_path, never, ask)
    assert "Workers cannot run in Docker: No Docker engine runs here" in asked[0]
    assert place(settings(docker_fallback="ask"), {}, tmp_path, never, lambda _: True).fallback


@pytest.mark.parametrize(
    "wrong", [{"docker_gpus": "some"}, {"docker_extra_args": "--privileged"}, {"docker_host": "x"}]
)
def test_wrong_settings_are_no_reason_to_fall_back(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        place(settings(**wrong), {}, tmp_path, never, never)


def test_an_image_that_is_not_to_be_had_fails_no_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> None:
        raise RuntimeFault(f"The image {DEFAULT_IMAGE} could not be pulled: denied.", cure="Pull it by hand.")

    monkeypatch.setattr(containers, "_dock", refused)
    found = place(settings(), {}, tmp_path, never, never)
    assert found.fallback == f"The image {DEFAULT_IMAGE} could not be pulled: denied. Pull it by hand."


# ---- with a real engine


@pytest.mark.docker
@pytest.mark.timeout(180)
async def test_a_real_engine_and_a_registry_that_refuses(docker_url: str, image: str) -> None:
    engine = DockerEngine(docker_url)
    assert (await Images(engine, image, never).ready()).id.startswith("sha256:")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(RuntimeFault, match=r"connection refused"):
        await Images(engine, f"127.0.0.1:{port}/aura:1", lambda _: None, first_wait=0.01).ready()
    await engine.aclose()


@pytest.mark.docker
@pytest.mark.timeout(180)
async def test_a_real_engine_sees_our_files_or_is_refused(docker_url: str, image: str, tmp_path: Path) -> None:
    engine = DockerEngine(docker_url)
    found = await Images(engine, image, never).ready()
    tmp_path.chmod(0o755)
    await must_see(engine, found.id, tmp_path)
    assert list(tmp_path.iterdir()) == []
    create = engine.create

    async def elsewhere(name: str, body: dict[str, Any]) -> bool:
        body["HostConfig"]["Mounts"][0]["Source"] = "/nowhere/at/all"
        return await create(name, body)

    engine.create = elsewhere
    with pytest.raises(RuntimeFault, match="does not share this machine's files"):
        await must_see(engine, found.id, tmp_path)
    assert await engine.docker.containers.list(all=True, filters='{"label": ["aura.kind=probe"]}') == []
    await engine.aclose()
