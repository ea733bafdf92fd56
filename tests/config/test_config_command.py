"""`aura config`: what is in force and from where, keys masked; and changing one's own file."""

from __future__ import annotations

import io
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aura_engine.cli.main import main
from aura_engine.errors import AuraError
from aura_engine.setup.told import Row, Shown, Written

KEY = "sk-planner-0123456789abWXYZ"


@pytest.fixture
def config(bench, monkeypatch, capsys):
    """Runs it in this process; what it printed, or how it refused."""

    def run(*words: str, given: str = "", code: int = 0, **environ: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in {"HOME": str(bench.home), **environ}.items():
                patch.setenv(name, value)
            patch.delenv("XDG_CONFIG_HOME")
            patch.chdir(bench.project)
            patch.setattr("sys.stdin", io.StringIO(given))
            try:
                status, refused = main(["config", *words]), ""
            except AuraError as error:
                status, refused = error.exit_status, error.line()
        assert status == code
        return capsys.readouterr().out + refused

    return run


def test_show_says_where_each_value_came_from(config, bench):
    bench.write(
        bench.toml, f'api_key = "{KEY}"\npro_api_key = "cmd:pass show aura"\nmax_turns = 30\nworker_mod = "x"\n'
    )
    bench.write(bench.dotenv, "AURA_TASK_BUDGET=45m\n")
    said = re.sub(" +", " ", config("show", AURA_MAX_TURNS="70"))
    assert f"AURA_API_KEY …WXYZ (from {bench.toml})" in said
    assert f"AURA_PRO_API_KEY cmd:pass … (from {bench.toml})" in said
    assert "AURA_MAX_TURNS 70 (from the environment)" in said
    assert f"AURA_TASK_BUDGET 45m (from {bench.dotenv})" in said
    assert "is no setting of Aura's. Did you mean AURA_WORKER_MODE?" in said
    assert KEY not in said
    assert "AURA_FLASH_MODEL" not in said
    assert "AURA_FLASH_MODEL" in config("show", "--all", "flash")


def test_json_is_what_the_models_say(config, bench):
    bench.write(bench.toml, f'api_key = "{KEY}"\n')
    shown = Shown.model_validate_json(config("show", "--json"))
    assert [(row.name, row.value, row.source) for row in shown.settings] == [("AURA_API_KEY", "…WXYZ", str(bench.toml))]
    assert len(Shown.model_validate_json(config("show", "--all", "--json")).settings) > 80
    assert Row.model_validate_json(config("get", "max_turns", "--json")).value == "50"
    written = Written.model_validate_json(config("set", "max_turns", "60", "--json", AURA_MAX_TURNS="70"))
    assert (written.value, written.overridden_by) == ("60", "the environment")


def test_set_get_unset(config, bench):
    assert config("set", "max_turns", "80") == f"AURA_MAX_TURNS = 80, in {bench.toml}.\n"
    assert stat.S_IMODE(bench.toml.stat().st_mode) == 0o600
    assert config("get", "AURA_MAX_TURNS") == "80\n"
    config("set", "task_budget=45m")
    assert bench.load().settings.task_budget == 2700
    assert config("unset", "max_turns") == f"AURA_MAX_TURNS is taken out of {bench.toml}.\n"
    assert config("get", "max_turns") == "50\n"
    said = config("set", "max_turns", "80", AURA_MAX_TURNS="70")
    assert "Mind: the environment sets it too, and goes before." in said


def test_a_key_is_read_from_standard_input_and_shown_only_when_asked(config, bench):
    assert KEY not in config("set", "api_key", given=f"{KEY}\n")
    assert config("get", "api_key") == "…WXYZ\n"
    assert config("get", "api_key", "--reveal") == f"{KEY}\n"
    config("set", "pro_api_key", "env:MINE")
    assert config("get", "pro_api_key", MINE="sk-mine") == "env:MINE\n"
    assert config("get", "pro_api_key", "--reveal", MINE="sk-mine") == "sk-mine\n"


@pytest.mark.parametrize(("words", "says"), [
    (("set", "max_trns", "3"), "There is no setting AURA_MAX_TRNS. Did you mean AURA_MAX_TURNS?"),
    (("set", "max_turns", "many"), "AURA_MAX_TURNS is “many” (from aura config set): it must be a whole number"),
    (("get", "nonsense"), "There is no setting AURA_NONSENSE. aura config show --all"),
    (("set", "api_base_url", "example.com"), "it must be an address that begins with http://"),
    (("edit",), "aura config edit needs a terminal"),
    (("show", "--config", "none.toml", "x"), ""),
])  # fmt: skip
def test_what_is_refused_changes_nothing(config, bench, words, says):
    said = config(*words, code=2 if says else 0)
    assert not says or says in said
    assert not bench.toml.exists()


@pytest.mark.parametrize("kept", [True, False])
def test_edit_takes_over_only_what_can_be_used(bench, tmp_path, kept):
    bench.write(bench.toml, "max_turns = 30  # mine\n")
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\nif [ -e {tmp_path}/once ]; then sed -i s/many/60/ $1; else touch {tmp_path}/once; "
                      "sed -i 's/= 30/= \"many\"/' $1; fi\n")  # fmt: skip
    editor.chmod(0o755)
    master, slave = pty.openpty()
    env = {"HOME": str(bench.home), "PATH": os.environ["PATH"], "EDITOR": str(editor), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", "aura_engine.cli", "config", "edit"],
        cwd=bench.project, env=env, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    os.write(master, b"\n" if kept else b"g\n")
    said = b""
    with process:
        try:
            while data := os.read(master, 1 << 16):
                said += data
        except OSError:
            pass
    os.close(master)
    text = said.decode()
    assert "That cannot be used: AURA_MAX_TURNS is “many”" in " ".join(text.split())
    assert process.returncode == (0 if kept else 1)
    assert bench.toml.read_text() == (('max_turns = "60"' if kept else "max_turns = 30") + "  # mine\n")
    assert stat.S_IMODE(bench.toml.stat().st_mode) == 0o600
    assert [each.name for each in Path(bench.toml.parent).iterdir()] == ["config.toml"]
