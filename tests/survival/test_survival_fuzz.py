"""A short form of fuzz.py: the same seeds each time."""

from __future__ import annotations

import pytest
from fuzz import TARGETS, campaign

INPUTS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_broken_input_breaks_nothing(name):
    found = campaign(30.0, [name], most=INPUTS)[name]
    assert found.failures == []
    assert found.inputs > 20
