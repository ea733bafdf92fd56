"""The short version of `campaign.py`: each fault point once, some random moments, a row of deaths during recovery."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign import campaign
from campaign_kills import DEEP, ELSEWHERE

from aura_engine.faults import POINTS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_everywhere_once_nothing_is_lost_or_done_twice(tmp_path: Path):
    told = campaign(seed=1106, points=1, moments=15, deep=1, tasks=14, workers=4, folder=tmp_path)
    assert told["failures"] == []
    assert told["not_reached"] == []
    assert set(told["kills_at_points"]) == POINTS.keys() - ELSEWHERE
    assert told["kills_at_random_moments"] == 15
    assert told["kills_in_rows_during_recovery"] >= DEEP
