"""What doctor says of the machine, the containment and the settings in force."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from aura_engine.doctor import brains, machine, walls
from aura_engine.doctor.brains import address, masked, seats, settings_in_force
from aura_engine.doctor.examine import Question, examine
from aura_engine.doctor.findings import Finding, Level, Report, Section
from aura_engine.errors import MissingProgram

KEYS = {"api_key": "sk-planner-0123456789abWXYZ", "pro_api_key": "sk-pro-0123456789cdABCD"}
SET = {**KEYS, "pro_backend": "claude", "worker_mode": "pro-only"}


@pytest.fixture
def say(bench):
    """The findings on settings given as flags: subject → the first on it."""

    def of(env=None, **flags: str) -> dict[str, Finding]:
        loaded = bench.load(flags=flags, env=env)
        environ = {"HOME": str(bench.home), "PATH": "/bin", **(env or {})}
        found = settings_in_force(loaded, seats(loaded.settings, environ), environ)
        assert not any(key in each.model_dump_json() for key in KEYS.values() for each in found), "a key is never told"
        return {each.about: each for each in reversed(found)}  # the first of a role is the worker itself

    return of


def test_planner_and_role_tell_model_address_and_key(say, bench):
    bench.write(bench.dotenv, f"AURA_PRO_API_KEY={KEYS['pro_api_key']}\n")
    found = say(api_key=KEYS["api_key"], pro_backend="claude", worker_mode="pro-only", pro_model="m1")
    planner, pro = found["planner"], found["pro"]
    assert planner.text == (
        "deepseek-v4-pro at https://api.deepseek.com/anthropic (protocol anthropic); "
        "key …WXYZ, AURA_API_KEY from the command line"
    )
    assert pro.text == (f"claude with the model m1 at its own service; key …ABCD, AURA_PRO_API_KEY from {bench.dotenv}")
    assert (planner.level, pro.level) == (Level.GOOD, Level.GOOD)


def test_a_borrowed_key_is_named_after_its_owner(say):
    found = say(**{**SET, "worker_mode": "flash-only"})
    assert "AURA_PRO_API_KEY from" in found["flash"].text
    found = say(worker_mode="flash-only", flash_backend="builtin", api_key=KEYS["api_key"])
    assert "key …WXYZ, AURA_API_KEY from" in found["flash"].text


def test_a_login_takes_the_place_of_a_key(say):
    found = say(pro_backend="claude", worker_mode="pro-only", env={"CLAUDE_CODE_OAUTH_TOKEN": KEYS["api_key"]})
    assert found["pro"].level is Level.GOOD
    assert "the login in CLAUDE_CODE_OAUTH_TOKEN is used; its usage counts in tokens and limits, not money" in (
        found["pro"].text
    )
    assert found["pro"].facts["login"] == "the login in CLAUDE_CODE_OAUTH_TOKEN"


@pytest.mark.parametrize(
    ("flags", "level", "cure"),
    [
        ({"pro_backend": "claude"}, Level.PROBLEM, "Set AURA_PRO_API_KEY, or run `claude setup-token`"),
        ({"pro_backend": "qwencode"}, Level.PROBLEM, "Set AURA_PRO_API_KEY."),
        ({"pro_backend": "qwencode", "pro_base_url": "http://h.test/v1"}, Level.WARNING, "unless that address"),
        ({"pro_backend": "command", "pro_command": "agent"}, Level.GOOD, ""),
    ],
)
def test_neither_key_nor_login(say, flags, level, cure):
    pro = say(worker_mode="pro-only", **flags)["pro"]
    assert pro.level is level
    assert pro.cure.startswith(cure) or cure in pro.cure
    assert bool(pro.cure) is bool(cure)


def test_a_planner_without_a_key(say):
    planner = say()["planner"]
    assert (planner.level, planner.text) == (Level.PROBLEM, "The planner has no API key.")
    assert "AURA_API_KEY" in planner.cure


def test_second_ones_are_told(say):
    found = say(**SET, api_fallback_model="spare", pro_fallback_model="m2")
    assert found["planner's fallback"].text.startswith("spare at https://api.deepseek.com")
    assert found["pro's fallback"].text.startswith("claude with the model m2")


def test_a_model_that_no_relay_can_find_keeps_a_run_from_starting(say):
    assert "workers" not in say(**SET, workers_in_docker="1", docker_network="none")
    offline = {"pro_backend": "qwencode", "workers_in_docker": "1", "docker_network": "none"}
    workers = say(**{**SET, **offline})["workers"]
    assert workers.level is Level.PROBLEM
    assert "AURA_DOCKER_NETWORK=bridge" in workers.cure


def test_odd_names_are_pointed_out(say, bench):
    bench.write(bench.dotenv, "AURA_PRO_MODELL=x\n")
    assert "AURA_PRO_MODELL" in say(**SET)["configuration"].text


def test_addresses_and_keys_keep_their_secrets():
    assert address("https://ada:pw@api.test:8443/v1?key=x#y") == "https://api.test:8443/v1"
    assert "pw" not in address("https://ada:pw@[bad/v1")
    assert (masked("short-key"), masked("sk-0123456789abcd")) == ("…", "…abcd")
    assert brains.without("refused: sk-0123456789abcd", "sk-0123456789abcd") == "refused: …abcd"
    assert brains.without("a kind word", "k") == "a kind word"


async def look(project: Path, home: Path, **flags: str) -> list[Finding]:
    found: list[Finding] = []
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    question = Question(project, {"containment": "none", **flags}, environ)
    await examine(question, found.append)
    return found


async def test_settings_that_cannot_be_read_leave_the_rest_to_be_told(bench):
    found = await look(bench.project, bench.home, worker_mode="sideways")
    (wrong,) = [each for each in found if each.section is Section.SETTINGS]
    assert wrong.level is Level.PROBLEM
    assert "AURA_WORKER_MODE is “sideways”" in wrong.text
    assert {each.section for each in found} == {Section.MACHINE, *list(Section)[1:4]}
    assert not Report.of("0", found).can_start


async def test_an_old_git(bench, monkeypatch):
    async def old() -> str:
        raise MissingProgram("Aura needs git 2.38 or newer; found “git version 2.30.2”.", cure="Install it.")

    monkeypatch.setattr(machine, "require_git", old)
    (git,) = [each for each in await look(bench.project, bench.home) if each.about == "git"]
    assert (git.level, git.cure) == (Level.PROBLEM, "Install it.")
    assert "2.30.2" in git.text


@pytest.mark.parametrize(("free", "level"), [(50e6, Level.PROBLEM), (3e9, Level.WARNING), (80e9, Level.GOOD)])
def test_room_on_the_disk(tmp_path, monkeypatch, free, level):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (disk,) = machine.places({"project": tmp_path, "data": tmp_path / ".aura", "workspaces": tmp_path / "a/b/c"})
    assert disk.level is level
    assert f"{free / 1e9:.1f} GB free for project, data and workspaces" in disk.text
    assert bool(disk.cure) is (level is not Level.GOOD)


def test_a_network_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "filesystem_type", lambda path: "nfs4")
    found = machine.places({"project": tmp_path, "data": tmp_path / ".aura", "workspaces": tmp_path / "w"})
    assert [(each.about, each.level) for each in found[1:]] == [
        ("project", Level.WARNING),
        ("data", Level.PROBLEM),
        ("workspaces", Level.WARNING),
    ]
    assert "--data-dir" in found[2].cure


def test_places_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    found = machine.places({"project": tmp_path / "gone", "data": tmp_path / "file" / ".aura"})
    assert [(each.about, each.level) for each in found[1:]] == [("project", Level.PROBLEM), ("data", Level.PROBLEM)]
    monkeypatch.setattr(machine.os, "access", lambda path, mode: False)
    assert "cannot be written to" in machine.places({"data": tmp_path})[1].text
    monkeypatch.undo()
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=80e9))
    monkeypatch.setattr(machine.os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert "noexec" in machine.places({"workspaces": tmp_path})[1].text


def test_no_wall_is_a_problem_and_consent_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("aura_engine.runtimes.bubblewrap.shutil.which", lambda *_, **__: None)
    restricted = tmp_path / "restricted"
    restricted.write_text("1\n")
    monkeypatch.setattr(walls, "RESTRICTED", restricted)
    containment, found = walls.wall("bubblewrap", {"HOME": str(tmp_path), "PATH": str(tmp_path)}, ())
    assert containment is None
    assert [each.level for each in found] == [Level.PROBLEM, Level.NOTE]
    assert "AURA_CONTAINMENT=none" in found[0].cure
    assert "AppArmor" in found[1].text
    containment, (found,) = walls.wall("none", {"PATH": str(tmp_path)}, ())
    assert containment is not None
    assert (found.level, found.facts["in_force"]) == (Level.WARNING, "none")


def test_a_report_is_plain_data(tmp_path):
    report = Report.of("1.0", machine.places({"project": tmp_path}))
    assert json.loads(report.model_dump_json())["findings"][0]["about"] == "disk"
    assert Report.model_validate_json(report.model_dump_json()) == report
