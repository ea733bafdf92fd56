"""The short version of the campaign with containers: killed at each step of theirs, and at random moments."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "survival"))

from campaign import campaign
from campaign_kills import IN_CONTAINERS
from docker_ground import DockerGround

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_killed_at_each_step_of_a_container_nothing_is_lost_or_done_twice(tmp_path: Path, docker_url: str, image: str):
    told = campaign(
        seed=6, points=1, moments=3, deep=0, tasks=4, workers=2, folder=tmp_path, docker=(docker_url, image)
    )
    assert told["failures"] == []
    assert told["not_reached"] == []
    assert set(told["kills_at_points"]) == IN_CONTAINERS
    assert told["kills_at_random_moments"] == 3


async def test_a_container_that_is_started_twice_or_left_is_seen(
    tmp_path: Path, docker_url: str, image: str, eventually
):
    ground = DockerGround(tmp_path / "ground", url=docker_url, image=image, tasks=1, workers=1, dice=random.Random(0))
    try:
        words = [f"--label={label}" for label in (ground.label, "aura.kind=worker", "aura.task=A1", "aura.attempt=1")]
        name = ground.docker("create", "--network=none", *words, image, "true").strip()
        assert ground.after_kill() == []
        for _ in range(2):
            ground.docker("start", name)
            ground.docker("wait", name)
        await eventually(lambda: ground.after_kill() == ["run twice: A1 was started 2 times"])
        assert [found.split()[0] for found in ground.left()] == ["container"]
        ground.docker("rm", name)
        assert ground.left() == []
    finally:
        ground.close()
