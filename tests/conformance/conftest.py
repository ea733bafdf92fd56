"""The conformance lab: every worker backend against every behaviour of lab_matrix.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lab_bench import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> Iterator[Bench]:
    """See Bench."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
