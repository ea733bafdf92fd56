"""The papers are true in what can be checked: links lead somewhere, commands, options, settings and keys exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import aura_engine
from aura_engine.cli.main import COMMANDS, parser_of
from aura_engine.config.settings import INFOS
from aura_tui.actions import ACTIONS

CHECKOUT = Path(aura_engine.__file__).parent.parent
PAPERS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
GONE = {"AURA_RUNNER_", "AURA_CYCLE_INTERVAL"}
"""Named because they are no more."""


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_links_lead_to_what_is_there(paper: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", paper.read_text("utf-8"))
    missing = [target for target in targets if ":" not in target and not (paper.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(paper: Path) -> None:
    text = paper.read_text("utf-8")
    shown = re.findall(r"(?:`|^|/bin/)aura ([a-z][a-z-]+)(?![\w.])([^`\n]*)", text, flags=re.MULTILINE)
    assert {name for name, _ in shown} <= COMMANDS.keys()
    for name, rest in shown:
        known = parser_of(name).format_help()
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition("#")[0].partition("  ")[0]):
            assert option in known, f"aura {name} {option}"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_settings_exist(paper: Path) -> None:
    named = set(re.findall(r"AURA_[A-Z0-9_]+", paper.read_text("utf-8")))
    families = {name for name in named if name.endswith("_")}
    assert named - families - INFOS.keys() - GONE == set()
    assert {family for family in families - GONE if not any(name.startswith(family) for name in INFOS)} == set()


def test_the_readmes_keys_are_the_screens() -> None:
    part = (CHECKOUT / "README.md").read_text("utf-8").partition("<!-- keys -->")[2].partition("<!-- /keys -->")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", part, flags=re.MULTILINE)
    known = {(key.replace("question_mark", "?"), action.help) for action in ACTIONS for key in action.key.split(",")}
    assert rows
    assert [row for row in rows if row not in known] == []


def test_the_readme_speaks_to_a_newcomer_in_order() -> None:
    text = (CHECKOUT / "README.md").read_text("utf-8")
    wanted = (
        "docs/pictures/dashboard.svg",
        "tests/try.sh demo",
        "tests/try.sh test",
        "aura setup",
        "worker mode",
        "| backend |",
        "DOCKER",
    )
    places = [text.index(word) for word in wanted]
    assert places == sorted(places)
