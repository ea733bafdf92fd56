"""The matrix is whole: nothing is left out without a reason."""

from __future__ import annotations

import pytest
from lab_matrix import BACKENDS, MATRIX, ROUTES

from aura_engine.core import backends
from aura_engine.core.model import EndKind, Outcome

LEAST = 25
NAMES = [row.name for row in MATRIX]


def test_every_backend_of_the_table_is_there():
    assert set(BACKENDS) == set(backends.BACKENDS)


BY_ACCOUNT = {EndKind.OVER_LIMIT, EndKind.OVER_CAP, EndKind.RUN_CAPPED}
"""Of no doing of a program's: the guard and the ledger of the engine stop it (tests/engine)."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_has_enough_behaviours(backend):
    played = [row for row in MATRIX if backend not in row.cannot]
    assert len(played) >= LEAST
    assert len({row.expected(backend) for row in played}) >= 12


def test_every_kind_of_ending_is_reached_and_routed():
    reached = {row.expected(backend) for row in MATRIX for backend in BACKENDS if backend not in row.cannot}
    assert reached == set(EndKind) - BY_ACCOUNT
    assert set(ROUTES) == set(EndKind)


def test_each_row_stands_for_every_backend_or_says_why_not():
    assert len(set(NAMES)) == len(NAMES)
    for row in MATRIX:
        assert row.steps or row.program, row.name
        assert set(row.but) | set(row.cannot) <= set(BACKENDS), row.name
        assert not set(row.but) & set(row.cannot), row.name
        assert all(row.but[name] is not row.kind for name in row.but), row.name
        assert all(len(why.split()) > 3 for why in row.cannot.values()), row.name
        assert len(row.cannot) < len(BACKENDS), row.name


def test_what_a_service_or_a_machine_does_is_never_the_workers_fault():
    blamed = {kind for kind, (outcome, _) in ROUTES.items() if outcome is Outcome.CAPABILITY}
    assert blamed == {EndKind.GAVE_UP, EndKind.OUT_OF_TURNS, EndKind.LOOPING}
    for row in MATRIX:
        if any(step[0] in ("fail", "limit", "no_login", "storm", "stderr") for step in row.steps):
            assert not {row.expected(backend) for backend in BACKENDS} & blamed, row.name
