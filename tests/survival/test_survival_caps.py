"""The caps against kill -9, in short; `caps.py` is the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from caps import trial


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_cap_holds_though_the_engine_is_killed(tmp_path: Path) -> None:
    """No worker begins more than one step after the bill has reached the cap, and the ledger holds all of it."""
    found = trial(7, workers=4, step=2.0, folder=tmp_path)
    assert found.kills
    assert found.good, found
