from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from aura_engine.goal.blocks import Goal, parse_goal
from aura_engine.goal.read import GoalText


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return tmp_path / "task.md"


def goal_text(text: str) -> GoalText:
    return GoalText(Path("task.md"), text, hashlib.sha256(text.encode()).hexdigest())


@pytest.fixture
def parse():
    def parse_text(text: str) -> Goal:
        return parse_goal(goal_text(text))

    return parse_text
