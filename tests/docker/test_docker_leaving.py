"""What a run leaves for containers that go on: their secrets, and the doors to their models. No engine is needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from aura_engine.config.prices import Prices
from aura_engine.core.model import Usage
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes.docker import DockerRuntime
from aura_engine.runtimes.docker_dock import Dock
from aura_engine.runtimes.docker_engine import DockerEngine, EngineAway
from aura_engine.runtimes.docker_place import Owner
from aura_engine.runtimes.docker_profile import NO_NETWORK, Profile, container_name
from aura_engine.runtimes.relay import Relay

PROFILE = Profile(project="p", run="r", user="1:1", memory=1 << 29, cpus=1.0, network=NO_NETWORK)
MODEL = "https://api.example.com/v1"


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="aura-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """An attempt's folder."""
    folder = tmp_path / "A1" / "1"
    folder.mkdir(parents=True)
    return folder


class Listing:
    """A container engine that knows a list of containers, or is away."""

    def __init__(self, short: Path) -> None:
        self.place = short / "engine.sock"
        self.there: list[str] = []
        self._runner: web.AppRunner | None = None

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/containers/json"):
            return web.json_response([{"Id": name, "Names": [f"/{name}"], "Labels": {}} for name in self.there])
        return web.json_response({"ApiVersion": "1.41"})

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.place)).start()

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


@pytest.fixture
async def listing(short: Path) -> AsyncGenerator[Listing]:
    """See Listing."""
    made = Listing(short)
    yield made
    await made.down()


def runtime(listing: Listing, profile: Profile = PROFILE) -> DockerRuntime:
    """One engine's."""
    private = listing.place.parent / "private"
    private.mkdir(exist_ok=True)
    engine = DockerEngine(f"unix://{listing.place}")
    return DockerRuntime(Dock(engine, profile, "image", Owner(1, 1), private, relay=Relay(private / "relay")))


async def left(made: DockerRuntime) -> bool:
    """Whether the secrets are there still after its end."""
    await made.aclose()
    return made._dock.secrets.exists()


async def test_with_no_container_left_the_secrets_go(listing: Listing) -> None:
    await listing.up()
    assert not await left(runtime(listing))


async def test_a_container_that_this_engine_never_saw_keeps_its_secrets(listing: Listing) -> None:
    await listing.up()
    listing.there = [container_name("p", "A1-1")]
    assert await left(runtime(listing))


async def test_while_the_container_engine_is_away_secrets_stay(listing: Listing) -> None:
    assert await left(runtime(listing))


async def test_a_container_that_could_not_be_asked_for_keeps_its_secrets(
    listing: Listing, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = runtime(listing)

    async def away(name: str) -> None:
        raise EngineAway("away")

    monkeypatch.setattr(made._dock, "state", away)
    with pytest.raises(RuntimeFault):
        await made.adopt(attempt)
    await listing.up()  # it is back, and its list still short
    assert await left(made)


@pytest.mark.parametrize("network", ["none", "aura-p"])
async def test_a_door_is_kept_whatever_the_next_start_gives_to_new_workers(
    listing: Listing, attempt: Path, network: str
) -> None:
    first = runtime(listing)
    way = await first.way(attempt, MODEL, "real")
    assert "real" not in way
    await first.aclose()
    second = runtime(listing, replace(PROFILE, network=network))
    assert await second.way(attempt, MODEL, "real") == way
    assert second._dock.relay is not None
    await second._dock.relay.forget(second._container(attempt))
    if network != NO_NETWORK:
        assert await second.way(attempt, MODEL, "real") == (MODEL, "real")
    await second.aclose()


async def test_what_passed_a_door_is_counted_and_priced_by_the_table(listing: Listing, attempt: Path) -> None:
    made = runtime(listing)
    assert made.counted(attempt) is None
    await made.way(attempt, MODEL, "real")
    assert made._dock.relay is not None
    door = made._dock.relay.door(made._container(attempt))
    assert door is not None
    door.counted.usage, door.counted.unknown = Usage(input=1_000_000), 1
    counted = made.counted(attempt)
    assert counted == Usage(input=1_000_000)
    assert Prices().charged(counted, "gpt-5").cost == pytest.approx(1.25)
    await made.aclose()
