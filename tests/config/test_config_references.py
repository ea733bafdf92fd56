"""Keys that a configuration names instead of holding."""

from __future__ import annotations

import pytest

from aura_engine.config import references
from aura_engine.config.references import resolve, shown
from aura_engine.errors import ConfigError

ENVIRON = {"PATH": "/usr/bin:/bin", "MINE": " sk-from-the-environment "}


def test_from_the_environment_and_from_a_command(bench):
    bench.write(bench.toml, 'api_key = "env:MINE"\npro_api_key = "cmd:echo sk-printed; echo a note"\n')
    loaded = bench.load(env=ENVIRON)
    assert (loaded.settings.api_key, loaded.settings.pro_api_key) == ("sk-from-the-environment", "sk-printed")
    assert loaded.origin["AURA_API_KEY"] == f"{bench.toml} (env:MINE)"
    assert loaded.origin["AURA_PRO_API_KEY"] == f"{bench.toml} (cmd:echo …)"
    assert loaded.notes == ()


def test_a_command_runs_once_however_many_keys_it_gives_and_not_at_all_unasked(bench, tmp_path):
    count = tmp_path / "count"
    command = f"cmd:echo x >> {count}; echo sk-printed"
    bench.write(bench.toml, f'api_key = "{command}"\npro_api_key = "{command}"\n')
    assert bench.load(env=ENVIRON).settings.pro_api_key == "sk-printed"
    assert count.read_text() == "x\n"
    from aura_engine.config.load import load_settings

    environ = {"HOME": str(bench.home), **ENVIRON}
    loaded = load_settings(flags={}, environ=environ, project=bench.project, keys=False)
    assert loaded.settings.api_key == ""
    assert count.read_text() == "x\n"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("env:NOT_THERE", "AURA_API_KEY is to come from the variable NOT_THERE, which is not set."),
        ("env:a b", "AURA_API_KEY: “a b” is no name of a variable."),
        ("cmd:", "AURA_API_KEY: cmd: names no command."),
        ("cmd:echo nope >&2; exit 3", "(cmd:echo …), which ended with exit status 3: nope."),
        ("cmd:true", "(cmd:true), which printed nothing."),
        ("cmd:/does/not/exist --secret sk-1", "(cmd:/does/not/exist …), which ended with exit status 127"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(reference, says):
    with pytest.raises(ConfigError) as caught:
        resolve("AURA_API_KEY", reference, ENVIRON)
    assert says in str(caught.value)
    assert caught.value.cure
    assert "\n" not in caught.value.line()


def test_a_command_has_a_limit_and_nobody_to_ask(monkeypatch):
    assert resolve("AURA_API_KEY", "cmd:read x; echo got:$x", ENVIRON) == "got:", "its standard input is empty"
    monkeypatch.setattr(references, "LIMIT", 0.2)
    with pytest.raises(ConfigError, match=r"did not end within 0\.2 s"):
        resolve("AURA_API_KEY", "cmd:sleep 30", ENVIRON)


@pytest.mark.parametrize("reference", ["env:MINE", "cmd:echo sk-1"])
def test_a_projects_env_may_not_refer(bench, reference):
    bench.write(bench.dotenv, f"AURA_API_KEY='{reference}'\n")
    with pytest.raises(ConfigError, match=r"refers to a key elsewhere, which a project's \.env may not"):
        bench.load(env=ENVIRON)


def test_only_keys_are_references(bench):
    bench.write(bench.toml, 'api_model = "env:MINE"\n')
    assert bench.load(env=ENVIRON).settings.api_model == "env:MINE"


def test_what_a_reference_gives_is_checked_as_a_key(bench):
    bench.write(bench.toml, 'api_key = "cmd:echo two words"\n')
    with pytest.raises(ConfigError) as caught:
        bench.load(env=ENVIRON)
    assert "it has a blank" in str(caught.value)
    assert "two words" not in str(caught.value)


def test_shown_without_the_arguments_of_a_command():
    assert shown("env:MINE") == "env:MINE"
    assert shown("cmd: pass show aura ") == "cmd:pass …"
    assert shown("cmd:mykey") == "cmd:mykey"
