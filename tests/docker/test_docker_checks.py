"""Checks and `prepare` in fresh containers: what they see, what ends them, and that nothing of them stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine.docking import in_containers
from aura_engine.runtimes import docker_place
from aura_engine.verify.runner import Command

pytestmark = pytest.mark.docker


@pytest.fixture
async def run(harbour, tmp_path: Path):
    """Runs a command of the engine's own in a container."""
    dock = harbour.dock()
    runner = in_containers(dock, tmp_path / "checks")
    checkout, place = tmp_path / "checkout", tmp_path / "place"
    for folder in (checkout, place / "home", place / "tmp"):
        folder.mkdir(parents=True)
    (checkout / "given.txt").write_text("given\n")
    env = {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp"), "PATH": "/nowhere", "MARK": "1"}

    async def started(script: str, *, network: bool = False, limit: float = 30.0, most: int = 1_000_000):
        argv = ("/bin/sh", "-c", script)
        command = Command(argv, cwd=checkout, env=env, write=(checkout, place), temp=place / "tmp", network=network)
        return await runner(command, limit=limit, max_output=most)

    yield started
    await dock.aclose(empty=True)
    assert harbour.containers() == []
    assert list((tmp_path / "checks").iterdir()) == []


async def test_it_works_in_the_checkout_as_somebody_else(run, tmp_path):
    ran = await run(
        "id -u; cat given.txt; echo made > made.txt; echo $MARK; echo oh >&2; python3 -V >/dev/null; exit 3"
    )
    assert (ran.code, ran.signal, ran.timed_out, ran.overflowed) == (3, None, False, False)
    assert ran.tail == f"{docker_place.owner(rootless=False).uid}\ngiven\n1\noh\n"
    assert (tmp_path / "checkout/made.txt").read_text() == "made\n"


async def test_it_has_a_network_only_when_it_asks_for_one(run, harbour):
    interfaces = "ls /sys/class/net"
    assert (await run(interfaces)).tail.split() == ["lo"]


async def test_with_a_network_it_has_one(harbour, tmp_path):
    harbour.network = f"aura-{harbour.project}"
    dock = harbour.dock()
    runner = in_containers(dock, tmp_path / "checks")
    command = Command(
        ("ls", "/sys/class/net"), cwd=tmp_path, env={"HOME": "/tmp"}, write=(tmp_path,), temp=tmp_path, network=True
    )
    assert "eth0" in (await runner(command, limit=30, max_output=1000)).tail.split()
    await dock.aclose(empty=True)


async def test_what_takes_too_long_is_ended_with_all_that_it_started(run):
    ran = await run("setsid sleep 100 & echo up; sleep 100", limit=1.5)
    assert (ran.timed_out, ran.code, ran.tail) == (True, None, "up\n")
    assert ran.duration < 20


async def test_what_prints_too_much_is_ended(run):
    ran = await run("while :; do echo 0123456789012345678901234567890123456789; done", most=10_000)
    assert ran.overflowed
    assert not ran.timed_out
    assert len(ran.tail) <= 2_000


async def test_what_runs_out_of_memory_says_so(run, harbour):
    ran = await run("python3 -c 'x = bytearray(900 << 20)'")
    assert ran.code == 137
    assert "ran out of memory" in ran.tail


async def test_it_sees_nothing_else_of_this_machine(run, tmp_path):
    (tmp_path / "private.txt").write_text("mine")
    ran = await run(f"cat {tmp_path}/private.txt; ls {Path(__file__).parent}; touch /etc/mine; touch /usr/mine")
    assert ran.code != 0
    assert "mine\n" not in ran.tail
    assert ran.tail.count("No such file") == 2
    assert ran.tail.count("Read-only") == 2
