"""The papers that are made from the settings are current."""

from __future__ import annotations

from pathlib import Path

import pytest

import aura_engine
from aura_engine.config.dotenv import parse_env
from aura_engine.config.papers import papers
from aura_engine.config.settings import INFOS
from aura_engine.config.table import NEEDED, env_example, settings_table

CHECKOUT = Path(aura_engine.__file__).parent.parent


@pytest.mark.parametrize("paper", papers(CHECKOUT), ids=lambda path: path.name)
def test_papers_are_current(paper):
    made = papers(CHECKOUT)[paper]
    assert paper.read_text("utf-8") == made, "make them anew: .venv/bin/python -m aura_engine.config.papers"


def test_the_readme_holds_the_table():
    assert settings_table(NEEDED) in papers(CHECKOUT)[CHECKOUT / "README.md"]


def test_the_example_has_every_setting_with_an_effect_and_sets_none():
    example = env_example()
    for info in INFOS.values():
        assert (f"#{info.name}=\n" in example) == (not info.obsolete), info.name
    assert parse_env(example).values == {}
    assert parse_env(example.replace("#AURA_", "AURA_")).bad_lines == []
