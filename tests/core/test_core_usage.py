"""Tokens and money: what a journal may hold of them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from aura_engine.core.model import Usage


@pytest.mark.parametrize("cost", ["null", "1e999", "-1e999", "NaN", "-3", "1" * 400])
def test_a_broken_cost_in_a_journal_reads_as_none(cost):
    assert Usage.model_validate_json(f'{{"input": 5, "cost": {cost}}}') == Usage(input=5)


@pytest.mark.parametrize("cost", [None, float("nan"), float("inf"), -3, 10**400])
def test_no_broken_cost_can_be_made(cost):
    assert Usage(cost=cost).cost == 0.0


def test_a_cost_is_a_number():
    assert Usage(cost=1.25).cost == 1.25
    with pytest.raises(ValidationError):
        Usage.model_validate({"cost": "-1"})


def test_what_a_total_holds_beyond_an_earlier_one():
    total = Usage(input=5, output=4, cache_read=3, cache_write=2, cost=1.0)
    past = Usage(input=2, output=9, cache_read=1, cache_write=2, cost=0.25)
    assert total.beyond(past) == Usage(input=3, cache_read=2, cost=0.75)
    assert total.beyond(total) == Usage()
