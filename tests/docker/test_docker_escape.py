"""A worker that tries to get out of its container: what it could do, and that each field of the profile counts."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aura_engine.runtimes.docker_engine import DockerEngine
from aura_engine.runtimes.docker_network import Network
from aura_engine.runtimes.docker_profile import Mount, Profile, Use, body
from tests.docker.conftest import Harbour

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

PROBE = Path(__file__).with_name("escape_probe.py")
SECRET = f"sk-{secrets.token_hex(16)}"
ON_A_BRIDGE = ["reach host ports on the gateway", "reach the internet"]
NOTHING: list[str] = []
MORE_MEMORY = 1 << 30

TAKEN_AWAY: dict[str, tuple[dict[str, Any], str]] = {
    "User": ({}, "be root"),
    "CapDrop": ({}, "have a capability"),
    "SecurityOpt": ({}, "gain privileges"),
    "ReadonlyRootfs": ({}, "write outside of its folders"),
    "PidsLimit": ({}, "start processes without end"),
    "Memory": ({"MemorySwap": 0}, "take memory without end"),
    "NanoCpus": ({}, "take all the processor's time"),
    "OomScoreAdj": ({}, "outlive the host's own programs"),
    # Without it a container is on the engine's own bridge, which another engine on the machine may have taken away.
    "NetworkMode": ({"NetworkMode": "host"}, "reach the host's loopback"),
    "Ulimits": ({}, "open files without end"),
    "CgroupnsMode": ({"CgroupnsMode": "host"}, "share the host's cgroup namespace"),
    "IpcMode": ({"IpcMode": "host"}, "share the host's ipc namespace"),
    "ShmSize": ({"ShmSize": 1 << 30}, "fill the shared memory"),
    "Tmpfs": ({"Tmpfs": {"/tmp": "rw,exec,suid,dev,mode=1777"}}, "keep setuid files in /tmp"),
    "Privileged": ({"Privileged": True, "CapDrop": [], "SecurityOpt": []}, "make any system call"),
    "PidMode": ({"PidMode": "host"}, "share the host's pid namespace"),
    "Mounts": ({"Binds": ["/:/host:ro"]}, "see all files of the host"),
}
"""Field → what stands in its place (nothing: the engine's own default), and what a worker could do then."""


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Two ports of the host: one on all its addresses, one on its loopback."""
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.create_server(("127.0.0.1", 0)) as loopback:
        yield {"everywhere": everywhere.getsockname()[1], "loopback": loopback.getsockname()[1]}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Files that no worker may see."""
    (tmp_path / "journal.db").write_text("facts")
    (tmp_path / "work" / "B1-1").mkdir(parents=True)
    return tmp_path / "journal.db"


def asked(journal: Path, ports: dict[str, int], neighbour: str = "") -> str:
    host = {
        "the journal": str(journal),
        "another workspace": str(journal.parent / "work" / "B1-1"),
        "the person's home": str(Path.home() / "here"),
        "Docker's socket": "/var/run/docker.sock",
        "all files of the host": "/host/etc",
    }
    return json.dumps(
        {
            "host": host,
            "secret": SECRET,
            "namespaces": {
                name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("pid", "ipc", "net", "uts", "cgroup")
            },
            "ports": ports,
            "neighbour": neighbour,
            "memory": MORE_MEMORY,
        }
    )


class Den:
    """Containers as the profile has them, or nearly so."""

    def __init__(self, engine: DockerEngine, image: str, profile: Profile, folder: Path) -> None:
        self.engine, self.image, self.profile, self.folder = engine, image, profile, folder

    def body(self, *words: str) -> dict[str, Any]:
        workspace = self.folder / "work" / "A1-1"
        workspace.mkdir(parents=True, exist_ok=True)
        uid, gid = map(int, self.profile.user.split(":"))
        os.chown(workspace, uid, gid)
        mine = Mount(str(workspace), str(workspace), writable=True)
        return body(
            self.profile,
            Use(
                image=self.image,
                command=("python3", "/probe.py", *words),
                cwd=str(workspace),
                home=str(workspace),
                kind="worker",
                mounts=(mine, Mount(str(PROBE), "/probe.py")),
            ),
        )

    async def run(self, wanted: dict[str, Any]) -> list[str]:
        """What the probe says that it could do."""
        async with self.running(wanted) as name:
            await self.engine.wait(name, 90.0)
            log = await self.engine.docker.containers.container(name).log(stdout=True, stderr=True)
        lines = "".join(log).splitlines()
        assert lines, "the probe said nothing"
        assert lines[-1].startswith("["), "\n".join(lines)
        return json.loads(lines[-1])

    @asynccontextmanager
    async def running(self, wanted: dict[str, Any]) -> AsyncIterator[str]:
        name = f"aura-{self.profile.project}-{secrets.token_hex(4)}"
        await self.engine.create(name, wanted)
        try:
            await self.engine.start(name)
            yield name
        finally:
            await self.engine.remove(name)


@pytest.fixture
def den(engine: DockerEngine, image: str, harbour: Harbour, tmp_path: Path) -> Den:
    return Den(engine, image, harbour.profile(), tmp_path)


async def test_without_a_network_a_worker_can_do_nothing(
    harbour: Harbour, journal: Path, ports: dict[str, int]
) -> None:
    could = await _as_a_worker(harbour, asked(journal, ports))
    assert could == NOTHING


async def test_on_its_bridge_a_worker_reaches_the_internet_and_the_gateway(
    harbour: Harbour, journal: Path, ports: dict[str, int]
) -> None:
    harbour.network = f"aura-{harbour.project}"
    could = await _as_a_worker(harbour, asked(journal, ports))
    assert could == ON_A_BRIDGE


async def _as_a_worker(harbour: Harbour, question: str) -> list[str]:
    """The probe as a real worker, started by the runtime as every other."""
    (harbour.root / "work" / "A1-1").mkdir(parents=True, exist_ok=True)
    (harbour.root / "work" / "A1-1" / "probe.py").write_text(PROBE.read_text())
    runtime, worker = await harbour.start(
        'exec python3 probe.py "$QUESTION"', env={"QUESTION": question, "ANTHROPIC_API_KEY": SECRET}
    )
    ended = await worker.wait()
    assert ended.code == 0, (harbour.folder() / "error.log").read_text()
    found = json.loads(harbour.output().splitlines()[-1])
    await runtime.clear(harbour.folder())
    return found


async def test_the_key_is_in_no_setting_of_the_container(harbour: Harbour) -> None:
    await harbour.start("sleep 60", env={"ANTHROPIC_API_KEY": SECRET})
    (name,) = harbour.containers()
    assert SECRET not in harbour.docker("inspect", name)


async def test_the_profile_itself_lets_nothing_through(den: Den, journal: Path, ports: dict[str, int]) -> None:
    assert await den.run(den.body(asked(journal, ports))) == NOTHING


@pytest.mark.parametrize("field", TAKEN_AWAY)
async def test_every_field_counts(den: Den, journal: Path, ports: dict[str, int], field: str) -> None:
    instead, could = TAKEN_AWAY[field]
    wanted = den.body(asked(journal, ports))
    wanted.pop(field, None)
    wanted["HostConfig"].pop(field, None) if field != "Mounts" else None
    wanted["HostConfig"] |= instead
    found = await den.run(wanted)
    assert any(each.startswith(could) for each in found), found


@pytest.mark.parametrize(
    ("walls", "could"), [(True, ON_A_BRIDGE), (False, sorted([*ON_A_BRIDGE, "reach a neighbour"]))]
)
async def test_neighbours_on_the_bridge(
    den: Den, harbour: Harbour, journal: Path, ports: dict[str, int], *, walls: bool, could: list[str]
) -> None:
    harbour.network = f"aura-{harbour.project}"
    den.profile = harbour.profile()
    if walls:
        await Network(den.engine, den.profile).ensure()
    else:
        labels = {"aura.project": harbour.project}
        await den.engine.docker.networks.create({"Name": harbour.network, "Driver": "bridge", "Labels": labels})
    serve = den.body()
    serve["Entrypoint"] = ["python3", "-u", "-m", "http.server", "8000"]
    async with den.running(serve) as name:
        address = harbour.docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        await _listens(den, name)
        assert await den.run(den.body(asked(journal, ports, address))) == could


async def _listens(den: Den, name: str) -> None:
    """The neighbour's server is up: it has said so."""
    container = den.engine.docker.containers.container(name)
    async with asyncio.timeout(20):
        async for line in container.log(stdout=True, stderr=True, follow=True):
            if "Serving" in line:
                return
