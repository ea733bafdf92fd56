from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import aura_engine
from aura_engine.config.fields import SettingInfo
from aura_engine.config.load import full_name, parse_override
from aura_engine.config.roles import resolve_role
from aura_engine.config.settings import INFOS, Settings
from aura_engine.core.model import Role, WorkerMode
from aura_engine.errors import ConfigError


def test_defaults(load):
    loaded = load()
    settings = loaded.settings
    assert settings.worker_mode is WorkerMode.AUTO
    assert (settings.max_concurrent_tasks, settings.task_budget, settings.max_turns) == (2, 1800.0, 50)
    assert settings.max_attempts_per_role == 3
    assert settings.token_price_cache_miss == 1.74
    assert settings.qwencode_max_output_tokens == 25_000
    assert settings.worker_resource_guard is True
    assert settings.workers_in_docker is False
    assert loaded.notes == ()
    assert set(loaded.origin.values()) == {"default"}


def test_sources_in_order(bench):
    toml = bench.write(
        bench.toml, 'max_turns = 4\nmax_concurrent_tasks = 4\napi_model = "toml"\nworker_mode = "auto"\n'
    )
    old = bench.write(bench.old, "AURA_MAX_TURNS=5\nAURA_API_MODEL=old\nAURA_MAX_ATTEMPTS_PER_ROLE=5\n")
    dotenv = bench.write(bench.dotenv, "AURA_MAX_TURNS=3\nAURA_MAX_CONCURRENT_TASKS=3\n")
    loaded = bench.load(
        flags={"worker_mode": "flash-only"}, env={"AURA_MAX_TURNS": "2", "AURA_WORKER_MODE": "pro-only"}
    )
    settings = loaded.settings
    assert settings.worker_mode is WorkerMode.FLASH_ONLY
    assert (settings.max_turns, settings.max_concurrent_tasks, settings.api_model) == (2, 3, "toml")
    assert settings.max_attempts_per_role == 5
    assert loaded.origin["AURA_WORKER_MODE"] == "the command line"
    assert loaded.origin["AURA_MAX_TURNS"] == "the environment"
    assert loaded.origin["AURA_MAX_CONCURRENT_TASKS"] == str(dotenv)
    assert loaded.origin["AURA_API_MODEL"] == str(toml)
    assert loaded.origin["AURA_MAX_ATTEMPTS_PER_ROLE"] == str(old)


def test_xdg_config_home_is_respected(bench, tmp_path):
    bench.write(bench.toml, "max_turns = 7\n")
    bench.write(tmp_path / "xdg" / "aura" / "config.toml", "max_turns = 8\n")
    assert bench.load(env={"XDG_CONFIG_HOME": str(tmp_path / "xdg")}).settings.max_turns == 8
    assert bench.load(env={"XDG_CONFIG_HOME": "relative"}).settings.max_turns == 7


def test_config_file_takes_the_place_of_the_users_files(bench, tmp_path):
    bench.write(bench.toml, "max_turns = 7\n")
    bench.write(bench.old, "AURA_MAX_CONCURRENT_TASKS=7\n")
    toml = bench.write(tmp_path / "mine.toml", '[pro]\nbackend = "codex"\n')
    env = bench.write(tmp_path / "mine.env", "export AURA_PRO_BACKEND=opencode\n")
    settings = bench.load(config_file=toml).settings
    assert (settings.pro_backend, settings.max_turns, settings.max_concurrent_tasks) == ("codex", 50, 2)
    assert bench.load(config_file=env).settings.pro_backend == "opencode"
    with pytest.raises(ConfigError, match=r"There is no configuration file .*absent\.toml"):
        bench.load(config_file=tmp_path / "absent.toml")


def test_toml_names_in_three_forms(bench):
    bench.write(
        bench.toml,
        'AURA_MAX_TURNS = 9\nflash_model = "f"\ntask_budget = 45\nworkers_in_docker = true\n[pro]\nmodel = "p"\n',
    )
    settings = bench.load().settings
    assert (settings.max_turns, settings.flash_model, settings.pro_model) == (9, "f", "p")
    assert settings.task_budget == 2700.0
    assert settings.workers_in_docker is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_turns = [1]\n", "max_turns must be a text, a number or true or false"),
        ("max_turns = \n", "is not valid TOML"),
    ],
)
def test_bad_toml(bench, text, message):
    bench.write(bench.toml, text)
    with pytest.raises(ConfigError, match=message) as caught:
        bench.load()
    assert str(bench.toml) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AURA_WORKER_MODE", "flashy", "allowed are pro-only, auto, flash-first, flash-only"),
        ("AURA_PRO_BACKEND", "gpt", "allowed are acp, builtin, claude, codex, command, ds_code, opencode, qwencode"),
        ("AURA_API_PROVIDER", "azure", "allowed are anthropic, openai, deepseek"),
        ("AURA_MAX_CONCURRENT_TASKS", "0", "it must be at least 1"),
        ("AURA_MAX_CONCURRENT_TASKS", "many", "it must be a whole number"),
        ("AURA_WORKER_MAX_CPU_PERCENT", "101", "it must be at most 100"),
        ("AURA_TOKEN_PRICE_OUTPUT", "cheap", "it must be a number"),
        ("AURA_TOKEN_PRICE_OUTPUT", "nan", "it must be a number"),
        ("AURA_WORKERS_IN_DOCKER", "maybe", "allowed are 1, true, yes, on, 0, false, no, off"),
        ("AURA_TASK_BUDGET", "soon", "is not a length of time"),
        ("AURA_TASK_BUDGET", "0", "is not a length of time above zero"),
        ("AURA_TASK_BUDGET", "60d", "it must be at most 30 days"),
        ("AURA_API_BASE_URL", "api.deepseek.com", "begins with http:// or https://"),
    ],
)
def test_wrong_value_names_setting_value_source_and_what_is_allowed(load, name, value, message):
    with pytest.raises(ConfigError) as caught:
        load(env={name: value})
    assert str(caught.value).startswith(f"{name} is “{value}” (from the environment): ")
    assert message in str(caught.value)
    assert caught.value.exit_status == 2


def test_all_wrong_values_are_told_at_once_with_their_sources(bench):
    bench.write(bench.dotenv, "AURA_MAX_TURNS=x\n")
    with pytest.raises(ConfigError) as caught:
        bench.load(flags={"worker-mode": "y"})
    first, second = str(caught.value).split("\n")
    assert f"AURA_MAX_TURNS is “x” (from {bench.dotenv})" in first + second
    assert "AURA_WORKER_MODE is “y” (from the command line)" in first + second


def test_a_wrong_key_is_never_shown(load):
    with pytest.raises(ConfigError) as caught:
        load(env={"AURA_API_KEY": "sk-secret\nmore"})
    assert "AURA_API_KEY (from the environment): it has a blank" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_switch_on(load, word):
    assert load(env={"AURA_WORKERS_IN_DOCKER": word}).settings.workers_in_docker is True


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF"])
def test_switch_off(load, word):
    assert load(env={"AURA_WORKER_RESOURCE_GUARD": word}).settings.worker_resource_guard is False


@pytest.mark.parametrize(("text", "seconds"), [("45m", 2700.0), ("45", 2700.0), ("1h30m", 5400.0), ("90s", 90.0)])
def test_task_budget_counts_minutes(load, text, seconds):
    assert load(env={"AURA_TASK_BUDGET": text}).settings.task_budget == seconds


def test_empty_counts_as_unset(bench):
    bench.write(bench.dotenv, "AURA_WORKER_MODE=pro-only\nAURA_MAX_TURNS=\n")
    loaded = bench.load(env={"AURA_WORKER_MODE": "", "AURA_MAX_TURNS": "  "})
    assert loaded.settings.worker_mode is WorkerMode.PRO_ONLY
    assert loaded.settings.max_turns == 50
    assert loaded.origin["AURA_MAX_TURNS"] == "default"


def test_unknown_name_is_a_note_and_fatal_as_a_flag(load):
    loaded = load(env={"AURA_WORKERMODE": "auto", "AURA_ZZZ": "1", "OTHER": "x"})
    assert loaded.notes == (
        "AURA_WORKERMODE (from the environment) is no setting of Aura's. Did you mean AURA_WORKER_MODE?",
        "AURA_ZZZ (from the environment) is no setting of Aura's.",
    )
    with pytest.raises(ConfigError, match="There is no setting AURA_WORKERMODE") as caught:
        load(flags={"WORKERMODE": "auto"})
    assert caught.value.cure == "Did you mean AURA_WORKER_MODE?"


def test_obsolete_names_are_accepted_with_a_note(load):
    notes = load(env={"AURA_CYCLE_INTERVAL": "abc", "AURA_RUNNER_PORT": "1"}).notes
    assert notes == (
        "AURA_RUNNER_PORT (from the environment) has no effect any more.",
        "AURA_CYCLE_INTERVAL (from the environment) has no effect any more: "
        "the planner is woken by events, never on a timer.",
    )


@pytest.mark.parametrize(("mode", "noted"), [(0o600, False), (0o640, True), (0o604, True)])
def test_keys_that_others_can_read_are_pointed_out(bench, mode, noted):
    bench.write(bench.dotenv, "AURA_API_KEY=sk-1\n", mode)
    assert any("other users may read it" in note for note in bench.load().notes) is noted


def test_an_open_file_without_keys_is_fine(bench):
    bench.write(bench.dotenv, "AURA_MAX_TURNS=3\nAURA_API_KEY=\n", 0o644)
    assert bench.load().notes == ()


def test_a_strangers_dotenv_takes_neither_the_key_nor_the_wall_nor_names_a_program(bench):
    bench.write(bench.old, "AURA_PRO_API_KEY=sk-1\n")
    bench.write(bench.dotenv, "AURA_PRO_BASE_URL=https://evil.example\n")
    with pytest.raises(ConfigError, match=r"would go to https://evil\.example, an address from"):
        bench.load()
    bench.write(bench.dotenv, "AURA_CONTAINMENT=none\n")
    with pytest.raises(ConfigError, match="takes the wall around workers away"):
        bench.load()
    assert bench.load(flags={"CONTAINMENT": "none"}).settings.containment == "none"
    bench.write(bench.dotenv, "AURA_CLAUDE_BIN=./claude\nAURA_FLASH_COMMAND=sh -c id\nAURA_PRO_ACP_COMMAND=sh\n")
    loaded = bench.load()
    assert (loaded.settings.claude_bin, loaded.settings.flash_command, loaded.settings.pro_acp_command) == ("", "", "")
    assert len([note for note in loaded.notes if "may not name a command" in note]) == 3


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("AURA_DEEPSEEK_API_KEY=sk-1", "AURA_FLASH_BACKEND=ds_code\nAURA_FLASH_BASE_URL=https://evil.example"),
        ("AURA_FLASH_API_KEY=sk-1", "AURA_FLASH_BACKEND=ds_code\nAURA_DSCODE_BASE_URL=https://evil.example"),
        ("AURA_MAX_TURNS=9", "AURA_FLASH_BACKEND=claude\nAURA_FLASH_BASE_URL=https://evil.example"),
    ],
    ids=["another setting's key", "another address", "a login"],
)
def test_a_strangers_address_gets_nothing_that_stands_in_for_its_key(bench, mine, theirs):
    bench.write(bench.old, f"{mine}\n")
    bench.write(bench.dotenv, f"{theirs}\n")
    with pytest.raises(ConfigError, match=r"No key of its own goes with https://evil\.example, an address from"):
        bench.load()


def test_a_strangers_address_with_a_key_of_its_own_gets_that_one_only(bench):
    bench.write(bench.old, "AURA_FLASH_API_KEY=sk-mine\n")
    lines = "AURA_FLASH_BACKEND=ds_code\nAURA_DSCODE_BASE_URL=https://evil.example\nAURA_DEEPSEEK_API_KEY=x1\n"
    bench.write(bench.dotenv, lines)
    role = resolve_role(bench.load().settings, Role.FLASH)
    assert (role.api_key, role.base_url) == ("sk-mine", "")


def test_a_strangers_dotenv_is_pointed_out(bench):
    bench.write(bench.dotenv, "AURA_PRO_BASE_URL=https://mine.example\nAURA_PRO_API_KEY=sk-2\n")
    assert bench.load().notes == ()
    bench.write(bench.dotenv, "AURA_DOCKER_EXTRA_ARGS=-v /data:/data:ro\nAURA_DOCKER_IMAGE=evil\n")
    assert bench.load().notes == (
        f"AURA_DOCKER_IMAGE is set by {bench.dotenv}: evil",
        f"AURA_DOCKER_EXTRA_ARGS is set by {bench.dotenv}: -v /data:/data:ro",
    )


def test_bad_lines_of_dotenv(bench):
    bench.write(bench.dotenv, "AURA_MAX_TURNS=3\nsome words\n")
    loaded = bench.load()
    assert loaded.settings.max_turns == 3
    assert loaded.notes == (f"{bench.dotenv} line 2 is not KEY=VALUE; it is left out.",)
    bench.write(bench.dotenv, "X=1\n\nAURA_MAX_TURNS: 3\n")
    with pytest.raises(ConfigError, match=r"\.env line 3 is not KEY=VALUE"):
        bench.load()


def test_dotenv_that_is_no_file(bench):
    bench.dotenv.mkdir()
    assert bench.load().notes == ()
    bench.dotenv.rmdir()
    os.mkfifo(bench.dotenv)
    assert bench.load().notes == (f"{bench.dotenv} is not a regular file and is not read.",)


def test_dotenv_that_cannot_be_used(bench):
    bench.dotenv.write_bytes(b"AURA_API_MODEL=\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        bench.load()
    bench.dotenv.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        bench.load()


def test_override():
    assert parse_override("max-turns = 5=6") == ("AURA_MAX_TURNS", "5=6")
    assert full_name("aura_max_turns") == "AURA_MAX_TURNS"
    for bad in ("max_turns", "=5"):
        with pytest.raises(ConfigError, match="is not KEY=VALUE"):
            parse_override(bad)


def test_settings_are_frozen(load):
    with pytest.raises(ValidationError):
        load().settings.max_turns = 3


def test_every_field_is_described():
    assert {info.field for info in INFOS.values()} == set(Settings.model_fields)
    assert all(isinstance(info, SettingInfo) and info.about for info in INFOS.values())
    assert {name for name, info in INFOS.items() if info.secret} == {name for name in INFOS if name.endswith("_KEY")}


def test_config_is_light_to_import():
    code = "import sys, aura_engine.config.load; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(aura_engine.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = run.stdout.split()
    assert "pydantic" in loaded
    assert not {"tomlkit", "tomllib", "anthropic", "openai", "aiodocker", "watchfiles", "textual", "rich"} & set(loaded)
