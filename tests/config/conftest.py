from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aura_engine.config.load import Loaded, load_settings


@dataclass
class Bench:
    """A home, a project, and a loader that sees nothing else."""

    home: Path
    project: Path

    def load(self, *, flags=None, env=None, config_file=None) -> Loaded:
        environ = {"HOME": str(self.home), "PATH": "/bin", **(env or {})}
        return load_settings(flags=flags or {}, environ=environ, project=self.project, config_file=config_file)

    def write(self, path: Path, text: str, mode: int = 0o600) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(mode)
        return path

    @property
    def dotenv(self) -> Path:
        return self.project / ".env"

    @property
    def toml(self) -> Path:
        return self.home / ".config" / "aura" / "config.toml"

    @property
    def old(self) -> Path:
        return self.home / ".aura" / "config.env"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    return Bench(home, project)


@pytest.fixture
def load(bench: Bench) -> Callable[..., Loaded]:
    return bench.load
