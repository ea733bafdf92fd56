"""A small run that has come to its end, to be looked at and broken."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from survival_ground import Ground

from aura_engine.demo.server import ScriptedModel


@dataclass
class Ended:
    """A run's folder and its project."""

    project: Path
    run: Path
    state_home: Path


@pytest.fixture(scope="session")
def _first(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    ground = Ground(tmp_path_factory.mktemp("ended"), tasks=3, workers=3, naps=(0.0,))
    with ScriptedModel(ground.brain) as model:
        death = ground.live(model.url)
    assert ground.after_end(death) == []
    return ground


@pytest.fixture
def ended(_first: Ground, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """The run as it was left: put back before each test, at the place that its journal names."""
    kept, project = _first.root / "kept", _first.project
    if not kept.exists():
        shutil.copytree(project, kept)
    shutil.rmtree(project)
    shutil.copytree(kept, project)
    monkeypatch.setenv("HOME", str(_first.root / "home"))
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.chdir(project)
    assert _first.run is not None
    return Ended(project, _first.run, _first.root / "home/.local/state/aura")


@pytest.fixture
def make_ground(tmp_path: Path) -> Callable[..., Ground]:
    """See Ground."""

    def make(**wanted: object) -> Ground:
        return Ground(tmp_path / "ground", **wanted)  # type: ignore[arg-type]

    return make
