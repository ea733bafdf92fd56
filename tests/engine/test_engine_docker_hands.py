"""Who is hired where workers have containers: nothing is looked up on this machine, no file of the person's goes in."""

from __future__ import annotations

import pytest

from aura_engine.config.roles import resolve_role
from aura_engine.config.settings import Settings
from aura_engine.core.model import Role
from aura_engine.errors import ConfigError
from aura_engine.hands import hire


def settings(**fields: str) -> Settings:
    return Settings.model_validate({"api_key": "k", "api_model": "planner", "workers_in_docker": "1", **fields})


def test_programs_are_the_images(tmp_path):
    hired = hire(settings(pro_backend="claude", flash_backend="qwencode"), {"PATH": "", "HOME": str(tmp_path)})
    assert [hired.first[role].settings.program for role in (Role.PRO, Role.FLASH)] == ["", ""]


def test_older_names_of_claude_take_effect(tmp_path):
    older = {
        "docker_claude_api_key": "sk-d",
        "docker_claude_base_url": "https://d.example/anthropic",
        "docker_claude_small_model": "small",
        "docker_claude_subagent_model": "sub",
    }
    hired = hire(settings(layer2_backend="claude", **older), {"PATH": "", "HOME": str(tmp_path)})
    pro = hired.first[Role.PRO].settings
    assert (pro.api_key, pro.base_url, pro.model) == ("sk-d", "https://d.example/anthropic", "planner")
    assert pro.env == {"ANTHROPIC_SMALL_FAST_MODEL": "small", "CLAUDE_CODE_SUBAGENT_MODEL": "sub"}
    assert resolve_role(settings(**older, docker_claude_model="m"), Role.PRO).model == "m"


@pytest.mark.parametrize("own", [{"pro_api_key": "mine"}, {"pro_base_url": "https://mine.example"}])
def test_an_older_key_and_an_own_address_never_meet(own):
    older = {"docker_claude_api_key": "sk-d", "docker_claude_base_url": "https://d.example"}
    found = resolve_role(settings(pro_backend="claude", **older, **own), Role.PRO)
    assert (found.api_key, found.base_url) == (own.get("pro_api_key", ""), own.get("pro_base_url", ""))
    assert found.model == ""


def test_a_login_in_a_file_stays_here_and_one_in_the_environment_goes_along(tmp_path):
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "auth.json").write_text("{}")
    environ = {"PATH": "", "HOME": str(tmp_path), "CLAUDE_CODE_OAUTH_TOKEN": "t-1"}
    hired = hire(settings(pro_backend="claude", flash_backend="codex"), environ)
    assert hired.first[Role.PRO].settings.login is not None
    assert hired.first[Role.FLASH].settings.login is None
    assert any("codex has no key: " in note and "is not given to containers" in note for note in hired.notes)
    offline = hire(settings(pro_backend="claude", worker_mode="pro-only", docker_network="none"), environ)
    assert offline.first[Role.PRO].settings.login is None


def test_without_a_network_the_relay_has_to_know_where_to(tmp_path):
    environ = {"PATH": "", "HOME": str(tmp_path)}
    claude = hire(settings(layer2_backend="claude", docker_network="none"), environ)
    assert claude.first[Role.PRO].settings.base_url == "https://api.anthropic.com"
    with pytest.raises(ConfigError, match="nobody said where the model of qwencode is"):
        hire(settings(layer2_backend="qwencode", docker_network="none"), environ)
