"""Workers that were to have containers and have none: the screen says so all the while."""

from __future__ import annotations

import pytest
from tui_fakes import FakeLink, story
from tui_pilot import screen, shown

from aura_engine.core import events as ev


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_that_workers_are_not_in_docker_stands_in_the_header(size: tuple[int, int]) -> None:
    run = story()
    run.add(ev.WorkersPlaced(docker=False, fallback="the image could not be pulled: denied"))
    async with shown(FakeLink(run), size) as (app, _):
        assert "NOT IN DOCKER" in screen(app)[0]


async def test_that_they_are_needs_no_words() -> None:
    run = story()
    run.add(ev.WorkersPlaced(docker=True, image="i:1", image_id="sha256:1"))
    async with shown(FakeLink(run)) as (app, _):
        assert "NOT IN DOCKER" not in screen(app)[0]
