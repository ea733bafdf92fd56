"""What doctor says of containers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from aura_engine.config.settings import Settings
from aura_engine.doctor.docker import docker
from aura_engine.doctor.findings import Finding, Level

HOST = os.environ.get("AURA_TEST_DOCKER_HOST", "")
"""Read before the tests' own environment is swept clean."""


async def found(tmp_path: Path, **given: str) -> list[Finding]:
    wanted = {"workers_in_docker": "1", "docker_host": f"unix://{tmp_path}/none.sock", **given}
    return await docker(Settings.model_validate(wanted), {})


async def test_nothing_where_none_are_asked_for(tmp_path: Path) -> None:
    assert await found(tmp_path, workers_in_docker="0", docker_extra_args="--privileged") == []


@pytest.mark.parametrize(
    ("fallback", "level", "then"),
    [
        ("local", Level.WARNING, "a run would put its workers on this machine instead"),
        ("ask", Level.WARNING, "a run would ask you"),
        ("stop", Level.PROBLEM, "no run would start"),
    ],
)
async def test_an_engine_that_is_not_there(tmp_path: Path, fallback: str, level: Level, then: str) -> None:
    (one,) = await found(tmp_path, docker_fallback=fallback)
    assert one.level is level
    assert f"there is no {tmp_path}/none.sock; {then}" in one.text
    assert "--no-docker" in one.cure


@pytest.mark.parametrize("wrong", [{"docker_extra_args": "--privileged"}, {"docker_gpus": "x"}, {"docker_host": "x"}])
async def test_settings_that_are_wrong(tmp_path: Path, wrong: dict[str, str]) -> None:
    (one,) = await found(tmp_path, **wrong)
    assert one.level is Level.PROBLEM


async def test_a_socket_at_which_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's own path has to be short
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("none.sock")
    (one,) = await found(tmp_path)
    assert one.level is Level.WARNING
    assert "cannot be reached" in one.text


@pytest.mark.docker
async def test_an_engine_and_its_image(tmp_path: Path) -> None:
    image = {"docker_host": HOST, "docker_image": "aura-test-base:latest"}
    engine, here = await found(tmp_path, **image)
    assert (engine.level, here.level) == (Level.GOOD, Level.GOOD)
    assert engine.facts["version"]
    _, missing = await found(tmp_path, docker_host=HOST, docker_image="aura-test-nothing:1")
    assert missing.level is Level.WARNING
    assert "the first start pulls it" in missing.text
