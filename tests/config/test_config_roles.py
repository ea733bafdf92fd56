from __future__ import annotations

import pytest

from aura_engine.config.planner_settings import protocol_of
from aura_engine.config.roles import resolve_role, roles_of
from aura_engine.config.settings import INFOS, Settings
from aura_engine.config.table import settings_table
from aura_engine.core.model import Role
from aura_engine.errors import ConfigError


def role(which, **fields):
    return resolve_role(Settings.model_validate(fields), which)


def test_nothing_set_is_claude_for_both():
    for which in Role:
        found = role(which)
        assert (found.backend, found.api_key, found.program, found.max_turns, found.note) == ("claude", "", "", 50, "")


def test_the_older_form_sets_both():
    assert {role(which, layer2_backend="codex").backend for which in Role} == {"codex"}


def test_two_configured_roles_never_mix():
    fields = {
        "pro_backend": "claude",
        "pro_api_key": "k",
        "pro_base_url": "https://a",
        "pro_model": "m",
        "flash_backend": "qwencode",
    }
    flash = role(Role.FLASH, **fields)
    assert (flash.backend, flash.api_key, flash.base_url, flash.model, flash.note) == ("qwencode", "", "", "", "")


@pytest.mark.parametrize(("which", "given", "name"), [(Role.FLASH, "pro", "Flash"), (Role.PRO, "flash", "Pro")])
def test_an_unconfigured_role_takes_the_others_settings_and_says_so(which, given, name):
    fields = {
        f"{given}_backend": "codex",
        f"{given}_api_key": "k",
        f"{given}_base_url": "https://a/v1",
        f"{given}_model": "m",
    }
    found = role(which, **fields)
    assert (found.backend, found.api_key, found.base_url, found.model) == ("codex", "k", "https://a/v1", "m")
    assert found.note == f"{name} is not configured: it takes the settings of {given.capitalize()}."
    assert found.protocol == "openai"


def test_a_role_without_backend_takes_only_what_it_lacks():
    fields = {"pro_backend": "codex", "pro_api_key": "k", "pro_base_url": "https://a", "pro_model": "big"}
    found = role(Role.FLASH, **fields, flash_model="small")
    assert (found.backend, found.api_key, found.base_url, found.model) == ("codex", "k", "https://a", "small")
    assert "what it lacks is taken from Pro" in found.note


def test_a_key_is_never_sent_to_the_other_roles_address():
    fields = {"pro_backend": "codex", "pro_api_key": "k", "pro_base_url": "https://a"}
    assert role(Role.FLASH, **fields, flash_base_url="https://b").api_key == ""
    assert role(Role.FLASH, **fields, flash_api_key="q").base_url == ""


def test_program_settings_fill_what_the_role_leaves_open():
    fields = {
        "pro_backend": "ds_code",
        "flash_backend": "opencode",
        "deepseek_api_key": "d",
        "dscode_bin": "/opt/ds",
        "dscode_max_turns": "7",
        "flash_model": "own",
    }
    pro, flash = role(Role.PRO, **fields), role(Role.FLASH, **fields)
    assert (pro.api_key, pro.model, pro.program, pro.max_turns) == ("d", "deepseek-v4-pro", "/opt/ds", 7)
    assert (flash.model, flash.max_turns) == ("own", 50)


def test_older_docker_names_count_in_docker_only():
    fields = {"pro_backend": "claude", "docker_claude_api_key": "d"}
    assert role(Role.PRO, **fields).api_key == ""
    assert role(Role.PRO, **fields, workers_in_docker="1").api_key == "d"


def test_builtin_without_a_key_uses_the_planners_and_says_so():
    fields = {"layer2_backend": "builtin", "api_key": "k", "api_base_url": "http://h/v1", "api_model": "m"}
    found = role(Role.PRO, **fields)
    assert (found.api_key, found.base_url, found.model, found.protocol) == ("k", "http://h/v1", "m", "openai")
    assert found.note == "Pro (builtin) has no key of its own: it uses the planner's."
    own = role(Role.PRO, **fields, pro_api_key="own")
    assert (own.api_key, own.base_url, own.note) == ("own", "", "")


@pytest.mark.parametrize(
    ("mode", "used"),
    [("pro-only", {Role.PRO}), ("flash-only", {Role.FLASH}), ("auto", set(Role)), ("flash-first", set(Role))],
)
def test_roles_of_a_mode(mode, used):
    assert set(roles_of(Settings.model_validate({"worker_mode": mode}))) == used


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("anthropic", "https://api.deepseek.com/anthropic", "deepseek-v4-pro")),
        ({"api_provider": "deepseek"}, ("anthropic", "https://api.deepseek.com/anthropic", "deepseek-v4-pro")),
        ({"api_provider": "anthropic", "api_model": "c"}, ("anthropic", "https://api.anthropic.com", "c")),
        ({"api_provider": "openai", "api_model": "o"}, ("openai", "https://api.openai.com/v1", "o")),
        ({"api_base_url": "http://localhost:8000/v1", "api_model": "q"}, ("openai", "http://localhost:8000/v1", "q")),
        ({"api_base_url": "http://h/x/anthropic", "api_model": "q"}, ("anthropic", "http://h/x/anthropic", "q")),
    ],
)
def test_planner_endpoint(fields, expected):
    planner = Settings.model_validate({"api_key": "k", **fields}).planner()
    assert (planner.protocol, planner.base_url, planner.model) == expected


def test_planner_without_key_or_model_says_what_to_set():
    with pytest.raises(ConfigError, match="no API key") as caught:
        Settings().planner()
    assert "AURA_API_KEY" in caught.value.cure
    assert "aura setup" in caught.value.cure  # the first step that is told to everyone
    with pytest.raises(ConfigError, match=r"no model for https://api\.anthropic\.com") as caught:
        Settings.model_validate({"api_key": "k", "api_provider": "anthropic"}).planner()
    assert "AURA_API_MODEL" in caught.value.cure


def test_protocol_by_address():
    assert protocol_of("https://api.anthropic.com/v1") == "anthropic"
    assert protocol_of("https://anthropic.example.com") == "openai"


def test_table_has_a_row_for_every_setting_and_obsolete_ones_last():
    rows = settings_table().splitlines()[2:]
    assert len(rows) == len(INFOS)
    assert "| `AURA_MAX_CONCURRENT_TASKS` | `2` | workers at once |" in rows
    assert "| `AURA_WORKER_RESOURCE_GUARD` | `1` | watch what workers use |" in rows
    first_obsolete = next(n for n, row in enumerate(rows) if "no effect any more" in row)
    assert all("no effect any more" in row for row in rows[first_obsolete:])


# Every name that users of earlier versions know.
KNOWN = [
    "API_KEY",
    "API_BASE_URL",
    "API_MODEL",
    "API_PROVIDER",
    "API_MAX_TOKENS",
    "API_TIMEOUT",
    "WORKER_MODE",
    "PRO_BACKEND",
    "PRO_API_KEY",
    "PRO_BASE_URL",
    "PRO_MODEL",
    "FLASH_BACKEND",
    "FLASH_API_KEY",
    "FLASH_BASE_URL",
    "FLASH_MODEL",
    "LAYER2_BACKEND",
    "CLAUDE_BIN",
    "OPENCODE_BIN",
    "DEEPSEEK_API_KEY",
    "DSCODE_BASE_URL",
    "DSCODE_MODEL",
    "DSCODE_MAX_TURNS",
    "OPENCODE_MODEL",
    "OPENCODE_MAX_TURNS",
    "QWENCODE_MAX_OUTPUT_TOKENS",
    "MAX_CONCURRENT_TASKS",
    "TASK_BUDGET",
    "MAX_TURNS",
    "WORKERS_IN_DOCKER",
    "DOCKER_BIN",
    "DOCKER_GPUS",
    "DOCKER_EXTRA_ARGS",
    "DOCKER_CLAUDE_API_KEY",
    "DOCKER_CLAUDE_BASE_URL",
    "DOCKER_CLAUDE_MODEL",
    "DOCKER_CLAUDE_SMALL_MODEL",
    "DOCKER_CLAUDE_SUBAGENT_MODEL",
    "WORKER_RESOURCE_GUARD",
    "WORKER_RESOURCE_POLL_SECONDS",
    "WORKER_RESOURCE_AVG_WINDOW_SECONDS",
    "WORKER_RESOURCE_VIOLATION_STRIKES",
    "WORKER_MAX_CPU_PERCENT",
    "WORKER_MAX_SYSTEM_MEMORY_PERCENT",
    "WORKER_MAX_GPU_UTIL_PERCENT",
    "WORKER_MAX_GPU_MEMORY_PERCENT",
    "WORKER_MAX_SYSTEM_MEMORY_GB",
    "WORKER_MIN_SYSTEM_MEMORY_FREE_GB",
    "WORKER_MAX_GPU_MEMORY_GB",
    "WORKER_MIN_GPU_MEMORY_FREE_GB",
    "WORKER_CUDA_VISIBLE_DEVICES",
    "SEARCH_API_KEY",
    "TOKEN_PRICE_CACHE_HIT",
    "TOKEN_PRICE_CACHE_MISS",
    "TOKEN_PRICE_OUTPUT",
    "CYCLE_INTERVAL",
    "DEEP_REFLECTION_INTERVAL",
    "LLM_DEAD_THROTTLE",
    "DEEP_REVIEW_INTERVAL",
    "MAX_API_ROUNDS_PER_CYCLE",
    "MAX_TOOL_CALLS_PER_CYCLE",
    "TOOL_CALL_BUDGET_NORMAL",
    "TOOL_CALL_BUDGET_DIAGNOSTIC",
    "TOOL_CALL_BUDGET_PLANNING",
    "SKIP_HEALTHY_CYCLES",
    "MAX_SKIPPED_CYCLES",
    "EXPLICIT_PROMPT_CACHE",
    "FILE_CACHE",
    "FILE_CACHE_TTL",
    "TASK_SUMMARY",
    "TASK_CLEANUP_AGE",
    "PROJECT_ROOT",
    "DATA_DIR",
    "WORKER_FORBID_OFFLOAD",
]


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_name_is_accepted(name):
    assert f"AURA_{name}" in INFOS
