"""Who is hired for a run: second workers, logins without a key, the person's own Codex."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura_engine.config.settings import Settings
from aura_engine.core.model import Role
from aura_engine.errors import ConfigError, MissingProgram
from aura_engine.hands import hire, planner_of
from aura_engine.planner.providers.fallback import Fallback


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    """A home with nothing in it, and programs on the PATH that would never be started here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("claude", "codex"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    (tmp_path / "home").mkdir()
    return {"PATH": str(programs), "HOME": str(tmp_path / "home")}


def settings(**fields: str) -> Settings:
    return Settings.model_validate({"api_key": "k", "api_model": "m", **fields})


def log_in(environ: dict[str, str], config: str = 'model = "their-model"\n') -> None:
    home = Path(environ["HOME"]) / ".codex"
    home.mkdir()
    (home / "auth.json").write_text("{}")
    (home / "config.toml").write_text(config)


def test_the_person_s_own_codex_is_pro_for_one_run(environ):
    log_in(environ)
    role = {"pro_backend": "claude", "pro_api_key": "sk-other", "pro_base_url": "https://a", "pro_model": "other"}
    hired = hire(settings(**role), environ, own_codex=True)
    pro = hired.first[Role.PRO]
    assert (pro.backend.name, pro.settings.api_key, pro.settings.base_url, pro.settings.model) == ("codex", "", "", "")
    assert pro.settings.login is not None
    assert "Pro is your own Codex with its model their-model." in hired.notes
    assert hired.first[Role.FLASH].backend.name == "claude"


def test_it_needs_a_login_a_model_and_a_mode_that_uses_pro(environ):
    with pytest.raises(ConfigError, match="not configured"):
        hire(settings(), environ, own_codex=True)
    log_in(environ)
    with pytest.raises(ConfigError, match="flash-only uses none"):
        hire(settings(worker_mode="flash-only"), environ, own_codex=True)
    with pytest.raises(ConfigError, match="no container has") as told:
        hire(settings(workers_in_docker="1"), environ, own_codex=True)
    assert "--no-docker" in told.value.cure


def test_a_role_without_a_key_uses_the_login_that_is_there_and_says_so(environ):
    token = {"CLAUDE_CODE_OAUTH_TOKEN": "t-canary"}
    hired = hire(settings(pro_backend="claude"), environ | token)
    login = hired.first[Role.PRO].settings.login
    assert login is not None
    assert login.env == token
    assert any("has no key: it uses the login in CLAUDE_CODE_OAUTH_TOKEN" in note for note in hired.notes)
    assert "t-canary" not in repr(hired)
    with_key = hire(settings(pro_backend="claude", pro_api_key="k"), environ | token)
    assert with_key.first[Role.PRO].settings.login is None


def test_a_second_worker_is_another_program_or_the_same_with_another_model(environ):
    fields = {"flash_backend": "claude", "flash_api_key": "k1", "flash_base_url": "https://a", "flash_model": "one"}
    hired = hire(settings(**fields, flash_fallback_model="two", worker_mode="flash-only"), environ)
    second = hired.second[Role.FLASH].settings
    assert (second.backend, second.model, second.base_url, second.api_key) == ("claude", "two", "https://a", "k1")
    elsewhere = settings(**fields, flash_fallback_base_url="https://b", worker_mode="flash-only")
    assert hire(elsewhere, environ).second[Role.FLASH].settings.api_key == ""  # a key goes with its address
    other = settings(**fields, flash_fallback_backend="codex", flash_fallback_model="m", worker_mode="flash-only")
    found = hire(other, environ).second[Role.FLASH].settings
    assert (found.backend, found.api_key, found.base_url) == ("codex", "", "")
    assert hire(settings(**fields), environ).second == {}


def test_a_second_worker_that_is_not_installed_is_found_before_the_first_spawn(environ):
    with pytest.raises(MissingProgram, match="ds-code"):
        hire(settings(pro_fallback_backend="ds_code"), environ)


def test_a_second_planner(environ):
    assert not isinstance(planner_of(settings()), Fallback)
    assert isinstance(planner_of(settings(api_fallback_model="m2")), Fallback)
    with pytest.raises(ConfigError, match="fallback"):
        planner_of(settings(api_fallback_base_url="https://b", api_fallback_model="m2"))
