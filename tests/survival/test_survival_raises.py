"""Row 14: whatever part of the engine breaks, at whatever point: no run hangs, none is harmed, the next start goes on.

`kill9` at the same points is the campaign's. Here the engine lives on with an error that it did not foresee, or with a
disk that is full for a moment.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from campaign_kills import ELSEWHERE, IN_REPOSITORY
from survival_ground import Ground

from aura_engine.demo.server import ScriptedModel
from aura_engine.faults import POINTS

FIRST = {"recovery.found": "worker.launched", "recovery.adopted": "worker.launched", "person.landed": "attempt.started"}
"""Where an engine has to die before for a point to be passed."""
UNFORESEEN = ("attempt.started", "delivery.file", "goal.checked", "journal.close", "landing.merged", "planner.applied")
"""One of each part of the engine: what is no OSError goes other ways."""
STUCK = 60.0


def said_of(ground: Ground, stderr: str) -> str:
    """All that the run has told a person, at once or on being asked."""
    logs = ground.project.glob(".aura/*/engine.log")
    return "".join([stderr, ground.told.read_text(), *(log.read_text() for log in logs)])


def harmed(found: list[str]) -> list[str]:
    """An attempt that broke may be made again: that alone is no harm."""
    return [text for text in found if not text.startswith("run twice")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "action"),
    [*((name, "enospc") for name in sorted(POINTS.keys() - ELSEWHERE)), *((name, "raise") for name in UNFORESEEN)],
)
def test_row_14_a_part_that_breaks_harms_nothing(make_ground: Callable[..., Ground], point: str, action: str):
    ground = make_ground(tasks=3, workers=2, naps=(0.5 if point in FIRST else 0.02,), repository=point in IN_REPOSITORY)
    ground.limit = STUCK
    with ScriptedModel(ground.brain) as model:
        if point in FIRST:
            assert ground.live(model.url, fault=f"{FIRST[point]}=kill9").killed
            ground.person_writes()
        broken = ground.live(model.url, fault=f"{point}={action}")
        assert broken.lived < STUCK
        assert "Traceback" not in broken.stderr
        said = said_of(ground, broken.stderr)
        assert point in said or "is full" in said, "what broke is told"
        assert harmed(ground.after_kill()) == []
        death = ground.live(model.url) if broken.code else broken
    assert harmed(ground.after_end(death)) == []


def test_work_that_waits_for_the_machinery_is_told_of_at_once(make_ground: Callable[..., Ground]):
    ground = make_ground(tasks=1, workers=1, naps=(0.0,))
    with ScriptedModel(ground.brain) as model:
        assert ground.live(model.url, fault="landing.merged=enospc").code == 0
    told = ground.told.read_text()
    assert told.count("A1#1 could not be verified and will be tried again: [Errno 28] No space left on device") == 1
