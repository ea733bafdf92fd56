"""The pages as data: what is asked after which answers, what would be written, and what never is."""

from __future__ import annotations

import stat

import pytest

from aura_engine.config.load import load_settings
from aura_engine.config.settings import INFOS
from aura_engine.errors import ConfigError
from aura_engine.setup.draft import Draft
from aura_engine.setup.last_pages import summary
from aura_engine.setup.machine import Machine
from aura_engine.setup.page import take
from aura_engine.setup.walk import PAGES, Walk

KEY = "sk-right-0123456789abcdef"
ALL = Machine(programs={name: f"/bin/{name}" for name in ("claude", "qwencode", "builtin")})


def answered(draft: Draft, machine: Machine = ALL, **answers) -> list[str]:
    """Walks to the end with these answers (page → a choice, or texts by name); the pages that were shown."""
    walk, shown = Walk(draft, machine), []
    while True:
        page = walk.page
        shown.append(page.id)
        said = answers.get(page.id.replace("-", "_"))
        if walk.last:
            return shown
        if page.choices is not None:
            values = [choice.value for choice in page.choices(draft, machine)]
            value = page.chosen(draft) if said is None else said
            assert value in values, (page.id, value, values)
            page.choose(draft, machine, value)
        else:
            names = [entry.name for entry in page.entries(draft, machine)]
            assert set(said or {}) <= set(names), (page.id, names)
            assert take(page, draft, {name: (said or {}).get(name, draft.of(name)) for name in names}) == ""
        walk.forward()


def test_the_shortest_way(stage):
    draft = stage.draft()
    assert draft.untouched
    shown = answered(draft, planner={"AURA_API_KEY": KEY})
    assert shown == ["service", "planner", "workers", "mode", "pro", "flash", "docker", "finish"]
    assert draft.changes() == {
        "AURA_API_PROVIDER": "deepseek",
        "AURA_API_MODEL": "deepseek-v4-pro",
        "AURA_API_KEY": KEY,
        "AURA_PRO_BACKEND": "builtin",
        "AURA_FLASH_BACKEND": "builtin",
    }
    assert KEY not in summary(draft)
    assert "AURA_API_KEY = …cdef" in summary(draft)
    assert not stage.config.exists(), "nothing is written before the end"
    assert draft.save() == []
    assert stat.S_IMODE(stage.config.stat().st_mode) == 0o600
    settings = load_settings(flags={}, environ=stage.environ, project=stage.project).settings
    assert settings.planner().base_url == "https://api.deepseek.com/anthropic"
    assert not Draft(stage.place()).untouched


def test_existing_values_are_the_defaults_and_are_not_written_anew(stage):
    stage.config.parent.mkdir(parents=True)
    stage.config.write_text(f'# mine\n{stage.answers}pro_model = "strong"\nworker_mode = "pro-only"\n')
    stage.config.chmod(0o600)
    before = stage.config.read_text()
    draft = stage.draft(AURA_FLASH_MODEL="m")
    assert answered(draft) == ["service", "planner", "workers", "mode", "pro", "docker", "finish"]
    assert draft.changes() == {}
    assert "Nothing has changed" in summary(draft)
    draft.save()
    assert stage.config.read_text() == before


def test_another_service_never_gets_the_key_of_the_one_before(stage):
    draft = stage.draft(AURA_API_KEY=KEY, AURA_API_BASE_URL="https://api.deepseek.com/anthropic")
    machine = Machine(keys={"openai": "OPENAI_API_KEY"})
    service = next(page for page in PAGES if page.id == "service")
    assert service.chosen(draft) == "deepseek"
    service.choose(draft, machine, "anthropic")
    assert (draft.of("AURA_API_PROVIDER"), draft.of("AURA_API_KEY")) == ("anthropic", "")
    service.choose(draft, machine, "openai")
    assert draft.of("AURA_API_KEY") == "env:OPENAI_API_KEY", "one that is at hand is named, not copied"
    draft.put({"AURA_API_MODEL": "mine"})
    service.choose(draft, machine, "openai")
    assert draft.of("AURA_API_MODEL") == "mine", "the same again changes nothing"


def test_a_server_without_keys(stage):
    draft = stage.draft()
    answered(draft, service="server", planner={"AURA_API_MODEL": "local"}, workers="server")
    assert draft.of("AURA_API_KEY") == "none"
    assert draft.settings().planner().base_url == "http://localhost:8000/v1"
    rows = [[draft.of(f"AURA_{role}_{part}") for part in ("BACKEND", "BASE_URL", "MODEL")] for role in ("PRO", "FLASH")]
    assert rows == [["qwencode", "http://localhost:8000/v1", "local"]] * 2


@pytest.mark.parametrize(("preset", "programs", "rows"), [
    ("claude-qwen", (), [("claude", "", ""), ("qwencode", "", "")]),
    ("builtin", (), [("builtin", "", ""), ("builtin", "", "")]),
    ("deepseek", ("claude",), [("claude", "https://api.deepseek.com/anthropic", "deepseek-v4-pro"),
                               ("claude", "https://api.deepseek.com/anthropic", "deepseek-v4-flash")]),
    ("deepseek", (), [("builtin", "https://api.deepseek.com/anthropic", "deepseek-v4-pro"),
                      ("builtin", "https://api.deepseek.com/anthropic", "deepseek-v4-flash")]),
    ("server", (), [("builtin", "http://localhost:8000/v1", ""), ("builtin", "http://localhost:8000/v1", "")]),
])  # fmt: skip
def test_presets_for_workers(stage, preset, programs, rows):
    draft = stage.draft()
    machine = Machine(programs=dict.fromkeys(programs, "/x"))
    answered(draft, machine, planner={"AURA_API_KEY": KEY}, workers=preset)
    made = [
        tuple(draft.of(f"AURA_{role}_{part}") for part in ("BACKEND", "BASE_URL", "MODEL")) for role in ("PRO", "FLASH")
    ]
    assert made == rows
    assert draft.of("AURA_PRO_API_KEY") == {"deepseek": KEY, "server": "none"}.get(preset, "")


def test_each_program_by_itself_and_back_to_what_was(stage):
    draft = stage.draft(AURA_PRO_BACKEND="codex", AURA_PRO_MODEL="strong")
    shown = answered(draft, workers="each", pro_program="command", pro={"AURA_PRO_COMMAND": "agent -"}, docker="1")
    assert [each for each in shown if each.startswith(("pro", "flash"))] == [
        "pro-program",
        "pro",
        "flash-program",
        "flash",
    ]
    assert (draft.of("AURA_PRO_BACKEND"), draft.of("AURA_PRO_MODEL")) == ("command", ""), (
        "a model goes with its program"
    )
    workers = next(page for page in PAGES if page.id == "workers")
    workers.choose(draft, ALL, "now")
    assert (draft.of("AURA_PRO_BACKEND"), draft.of("AURA_PRO_MODEL")) == ("codex", "strong")


def test_what_is_not_installed_is_said_before_it_is_chosen(stage):
    draft, machine = stage.draft(), Machine.look(stage.draft())
    assert "claude" not in machine.programs
    by_id = {page.id: page for page in PAGES}
    workers = {choice.value: choice.detail for choice in by_id["workers"].choices(draft, machine)}
    assert workers["claude-qwen"] == "not installed here: claude, qwencode"
    programs = {choice.value: choice.detail for choice in by_id["pro-program"].choices(draft, machine)}
    assert "npm install -g @anthropic-ai/claude-code" in programs["claude"]
    stage.program("claude", "2.1.197")
    machine = Machine.look(draft)
    programs = {choice.value: choice.detail for choice in by_id["pro-program"].choices(draft, machine)}
    assert programs["claude"] == f"installed: {stage.programs}/claude"


@pytest.mark.parametrize(("docker", "choice", "name"), [
    ("0", "1", "AURA_WORKER_CUDA_VISIBLE_DEVICES"), ("0", "-1", "AURA_WORKER_CUDA_VISIBLE_DEVICES"),
    ("1", "all", "AURA_DOCKER_GPUS"), ("1", "device=1", "AURA_DOCKER_GPUS"),
])  # fmt: skip
def test_gpus(stage, docker, choice, name):
    draft = stage.draft()
    machine = Machine(gpus=("H100", "H200"))
    assert "gpu" in answered(draft, machine, docker=docker, gpu=choice)
    assert draft.of(name) == choice
    assert "gpu" not in answered(stage.draft(), Machine())


def test_the_file_of_an_older_version_is_offered_and_left_as_it_is(stage):
    old = stage.home / ".aura" / "config.env"
    old.parent.mkdir()
    old.write_text(f"AURA_API_KEY={KEY}\nAURA_MAX_TURNS=70\nAURA_FILE_CACHE=1\nAURA_TYPO=1\nOTHER=2\n")
    old.chmod(0o600)
    before = old.read_text()
    draft = stage.draft()
    assert answered(draft, older="import")[0] == "older"
    changes = draft.changes()
    assert (changes["AURA_API_KEY"], changes["AURA_MAX_TURNS"]) == (KEY, "70")
    assert not {"AURA_FILE_CACHE", "AURA_TYPO", "OTHER"} & set(changes)
    draft.save()
    assert old.read_text() == before
    assert "max_turns = 70" in stage.config.read_text()
    assert answered(stage.draft())[0] == "service", "it is not offered again"
    left = stage.draft()
    left.picked["older"] = "leave"
    assert "AURA_MAX_TURNS" not in left.changes()


def test_what_keeps_an_answer_from_being_in_force_is_said(stage):
    draft = stage.draft(AURA_MAX_TURNS="5", AURA_API_MODEL="outside")
    draft.put({"AURA_API_MODEL": "mine"})
    assert draft.save() == [f"AURA_API_MODEL stays as the environment has it, which goes before {stage.config}."]
    assert "max_turns" not in stage.config.read_text(), "what was not answered is not copied"


def test_a_wrong_answer_is_refused_and_none_of_its_page_is_taken(stage):
    draft = stage.draft()
    page = next(page for page in PAGES if page.id == "planner")
    wrong = take(page, draft, {"AURA_API_BASE_URL": "example.com", "AURA_API_MODEL": "m"})
    assert wrong == "AURA_API_BASE_URL: it must be an address that begins with http:// or https://"
    assert draft.of("AURA_API_MODEL") == ""
    assert "a blank" in take(page, draft, {"AURA_API_KEY": "two words"})
    assert take(page, draft, {"AURA_API_KEY": "cmd:pass show aura"}) == ""


def test_back_and_forth(stage):
    walk = Walk(stage.draft(), ALL)
    assert not walk.back()
    assert walk.place == (1, 8)
    walk.forward()
    walk.forward()
    assert (walk.page.id, walk.place) == ("workers", (3, 8))
    assert walk.back()
    assert walk.page.id == "planner"


def test_a_configuration_that_cannot_be_used_is_told_first(stage):
    with pytest.raises(ConfigError, match="AURA_MAX_TURNS is “many”"):
        stage.draft(AURA_MAX_TURNS="many")


def test_every_entry_is_a_setting(stage):
    draft = stage.draft(AURA_PRO_BACKEND="acp", AURA_FLASH_BACKEND="command")
    names = {entry.name for page in PAGES for entry in page.entries(draft, ALL)}
    assert {"AURA_PRO_ACP_COMMAND", "AURA_FLASH_COMMAND", "AURA_API_KEY"} <= names
    assert names <= set(INFOS)
