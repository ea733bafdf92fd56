"""Settings of Layer 2, the workers. What a role makes of them: roles.py."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from aura_engine.config.fields import Group, Key, Minutes, Url, setting
from aura_engine.core.backends import BACKENDS
from aura_engine.core.model import WorkerMode


def _backend(value: Any) -> str:
    name = str(value).strip()
    if name and name not in BACKENDS:
        raise ValueError(f"allowed are {', '.join(sorted(BACKENDS))}")
    return name


Backend = Annotated[str, BeforeValidator(_backend)]
"""A name in the table of backends, or empty."""


class WorkerSettings(Group):
    """Who works, on how much, for how long."""

    worker_mode: WorkerMode = setting(
        WorkerMode.AUTO, "how roles are chosen: `pro-only`, `auto`, `flash-first`, `flash-only`", shown="auto"
    )
    max_concurrent_tasks: int = setting(2, "workers at once", ge=1, le=256)
    task_budget: Minutes = setting(1800.0, "longest attempt", shown="30 min")
    max_turns: int = setting(50, "turns of an attempt", ge=1, le=10_000)
    max_attempts_per_role: int = setting(3, "attempts at one task in each role", ge=1, le=100)

    pro_backend: Backend = setting("", "worker program of the Pro role", shown="the other role's")
    pro_api_key: Key = setting("", "its key", secret=True)
    pro_base_url: Url = setting("", "its API's address")
    pro_model: str = setting("", "its model")
    flash_backend: Backend = setting("", "worker program of the Flash role", shown="the other role's")
    flash_api_key: Key = setting("", "its key", secret=True)
    flash_base_url: Url = setting("", "its API's address")
    flash_model: str = setting("", "its model")

    pro_fallback_backend: Backend = setting(
        "", "worker program that takes over while Pro's is parked or out of credit", shown="nobody takes over"
    )
    pro_fallback_api_key: Key = setting("", "its key", secret=True)
    pro_fallback_base_url: Url = setting("", "its API's address")
    pro_fallback_model: str = setting("", "its model; alone: the same program with another model")
    flash_fallback_backend: Backend = setting(
        "", "worker program that takes over while Flash's is parked or out of credit", shown="nobody takes over"
    )
    flash_fallback_api_key: Key = setting("", "its key", secret=True)
    flash_fallback_base_url: Url = setting("", "its API's address")
    flash_fallback_model: str = setting("", "its model; alone: the same program with another model")

    pro_command: str = setting("", "command line of the Pro role's backend `command`; the prompt is its standard input")
    flash_command: str = setting("", "the same for Flash")
    pro_acp_command: str = setting("", "command line of the Pro role's backend `acp`, such as `qwen --acp`")
    flash_acp_command: str = setting("", "the same for Flash")
    layer2_backend: Backend = setting("", "older form: worker program of both roles", shown="claude")

    claude_bin: str = setting("", "path of the `claude` program", shown="on PATH")
    qwencode_bin: str = setting("", "path of the `qwencode` program", shown="on PATH")
    codex_bin: str = setting("", "path of the `codex` program", shown="on PATH")
    dscode_bin: str = setting("", "path of the `ds_code` program", shown="on PATH")
    opencode_bin: str = setting("", "path of the `opencode` program", shown="on PATH")

    deepseek_api_key: Key = setting("", "key for `ds_code` where the role has none", secret=True)
    dscode_base_url: Url = setting("", "address for `ds_code` where the role has none")
    dscode_model: str = setting("deepseek-v4-pro", "model for `ds_code` where the role has none")
    dscode_max_turns: int | None = setting(None, "turns of `ds_code`", shown="AURA_MAX_TURNS", ge=1, le=10_000)
    opencode_model: str = setting("deepseek-v4-pro", "model for `opencode` where the role has none")
    opencode_max_turns: int | None = setting(None, "turns of `opencode`", shown="AURA_MAX_TURNS", ge=1, le=10_000)
    qwencode_max_output_tokens: int = setting(25_000, "longest answer of `qwencode`, in tokens", ge=256)
