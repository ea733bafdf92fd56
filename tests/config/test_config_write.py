"""Writing a configuration: what a person wrote in it stays."""

from __future__ import annotations

import stat
import threading
import tomllib

import pytest

from aura_engine.config import write
from aura_engine.config.load import load_settings
from aura_engine.config.write import HEADER, write_settings, write_tables
from aura_engine.errors import ConfigError

WRITTEN = """\
# mine
max_turns = 30  # enough
api_model = "m"

# keys of the screen
[keys]
"task.kill" = "K"

[pro]
model = "strong"  # the good one
backend = "claude"

[prices]
"m" = { input = 1.0, output = 2.0 }
"""


def test_order_and_comments_stay(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(WRITTEN)
    changes = {
        "AURA_MAX_TURNS": "80",
        "AURA_PRO_MODEL": "stronger",
        "AURA_BELL": "on",
        "AURA_TASK_BUDGET": "45m",
        "AURA_API_MODEL": "",
    }
    write_settings(path, changes)
    assert path.read_text() == (
        WRITTEN.replace("= 30", "= 80")
        .replace('"strong"', '"stronger"')
        .replace('api_model = "m"\n', "")
        .replace("# enough\n", '# enough\nbell = true\ntask_budget = "45m"\n')
    )
    settings = load_settings(flags={}, environ={}, project=tmp_path, config_file=path).settings
    assert (settings.max_turns, settings.pro_model, settings.bell, settings.task_budget) == (80, "stronger", True, 2700)


def test_a_new_file_is_the_owners_alone_and_says_how_it_is_read(tmp_path):
    path = tmp_path / "new" / "aura" / "config.toml"
    write_settings(path, {"AURA_API_KEY": 'cmd:pass show "a b"', "AURA_MAX_COST_USD": "2.5"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text().startswith(HEADER)
    assert tomllib.loads(path.read_text()) == {"api_key": 'cmd:pass show "a b"', "max_cost_usd": "2.5"}


def test_every_spelling_of_a_name_is_found(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('AURA_PRO_MODEL = "a"\nbell = false\n[pro]\nmodel = "b"\n')
    write_settings(path, {"AURA_PRO_MODEL": "c"})
    assert tomllib.loads(path.read_text()) == {"bell": False, "pro": {"model": "c"}}, "the one that counted is changed"
    write_settings(path, {"AURA_PRO_MODEL": "", "AURA_BELL": ""})
    assert tomllib.loads(path.read_text()) == {"pro": {}}


def test_a_link_stays_one_and_an_open_file_is_closed(tmp_path):
    real, link = tmp_path / "dotfiles" / "aura.toml", tmp_path / "config.toml"
    real.parent.mkdir()
    real.write_text("max_turns = 3\n")
    real.chmod(0o644)
    link.symlink_to(real)
    write_settings(link, {"AURA_MAX_TURNS": "4"})
    assert link.is_symlink()
    assert real.read_text() == "max_turns = 4\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert [each.name for each in real.parent.iterdir()] == ["aura.toml"], "nothing is left beside it"


def test_lines_of_an_env_file(tmp_path):
    path = tmp_path / "config.env"
    path.write_text(
        "# mine\nAURA_API_MODEL=old\nexport AURA_API_MODEL='m'\nOTHER=1\nAURA_API_KEY=\"a\nb\"\nAURA_BELL=1\n"
    )
    write_settings(
        path, {"AURA_API_MODEL": "two words", "AURA_API_KEY": "sk-1", "AURA_BELL": "", "AURA_MAX_TURNS": "9"}
    )
    assert path.read_text() == '# mine\nAURA_API_MODEL="two words"\nOTHER=1\nAURA_API_KEY=sk-1\nAURA_MAX_TURNS=9\n'


@pytest.mark.parametrize(("name", "content", "says"), [
    ("config.toml", b"a = [", "is not valid TOML"),
    ("config.toml", b"\xff\xfe", "is not UTF-8 text"),
])  # fmt: skip
def test_a_file_that_cannot_be_read_is_left_alone(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        write_settings(path, {"AURA_MAX_TURNS": "4"})
    assert path.read_bytes() == content


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_settings(tmp_path / "file" / "config.toml", {"AURA_MAX_TURNS": "4"})


def test_hooks_have_a_table_of_their_own(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[hooks]\ngoal_reached = "a"  # call me\n')
    write_settings(path, {"AURA_HOOK_GOAL_REACHED": "b"})
    assert path.read_text() == '[hooks]\ngoal_reached = "b"  # call me\n'


def test_a_table_in_the_way_is_told(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('bell = true\n[prices]\n"m" = { input = 1, output = 2 }\n')
    before = path.read_text()
    with pytest.raises(ConfigError, match=r"\[prices\] is a table there, so AURA_PRICES has no place"):
        write_settings(path, {"AURA_PRICES": "prices.toml"})
    assert path.read_text() == before


def test_rows_of_a_table_find_no_place_where_its_name_is_a_value(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("prices = 3\n")
    with pytest.raises(ConfigError, match="prices is no table there"):
        write_tables(path, {"prices": {"m": {"input": 1, "output": 2}}})
    assert path.read_text() == "prices = 3\n"


def test_two_who_write_at_once_lose_nothing(tmp_path, monkeypatch):
    path = tmp_path / "config.toml"
    replace = write.replace_file
    other = threading.Thread(target=write_settings, args=(path, {"AURA_MAX_TOKENS": "7"}))

    def slow(*args):
        monkeypatch.undo()
        other.start()
        other.join(0.1)  # it has to wait; without a lock it would be done by then
        assert other.is_alive()
        replace(*args)

    monkeypatch.setattr(write, "replace_file", slow)
    write_settings(path, {"AURA_MAX_TURNS": "7"})
    other.join()
    assert tomllib.loads(path.read_text()) == {"max_turns": 7, "max_tokens": 7}
