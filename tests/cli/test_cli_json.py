"""Every command either prints JSON that keeps to a model, or says why it has none."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aura_engine.cli.main import COMMANDS, main, parser_of
from aura_engine.cli.papers import OUTPUTS, WITHOUT
from aura_engine.clock import SystemClock
from aura_engine.core.events import EngineStarted, decode
from aura_engine.journal.store import Journal
from aura_engine.paths import RunPaths, remember_run
from aura_engine.recorder import Recorder
from aura_engine.report import models_upkeep as upkeep
from aura_engine.setup import told

Say = Callable[..., str]


def _commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command, those with verbs as each of these."""
    for name in COMMANDS:
        parser = parser_of(name)
        verbs = [each for each in vars(parser)["_actions"] if isinstance(each, argparse._SubParsersAction)]
        if verbs:
            yield from ((f"{name} {verb}", each) for verb, each in verbs[0].choices.items())
        else:
            yield name, parser


@pytest.mark.parametrize(("name", "parser"), [pytest.param(*each, id=each[0]) for each in _commands()])
def test_every_command_has_a_model_or_a_reason(name: str, parser: argparse.ArgumentParser) -> None:
    in_json = any("--json" in action.option_strings for action in vars(parser)["_actions"])
    assert in_json is (name in OUTPUTS)
    assert in_json is (name not in WITHOUT)


def test_nothing_is_promised_of_what_is_no_command() -> None:
    known = dict(_commands())
    assert {name for name in {*OUTPUTS, *WITHOUT} if name not in known} == {"recover WHAT"}


@pytest.mark.usefixtures("ran")
def test_events_are_those_of_the_journal(say: Say) -> None:
    rows = [json.loads(line) for line in say("events", "--json").splitlines()]
    assert rows
    for row in rows:
        line = upkeep.EventLine.model_validate(row)
        decode(line.kind, json.dumps(line.model_extra))


@pytest.mark.usefixtures("ran")
def test_what_is_restored(say: Say, tmp_path: Path) -> None:
    kept = upkeep.RecoverOut.model_validate_json(say("recover", "--json")).kept
    done = say("recover", f"{kept[0].task}#{kept[0].n}", "--to", str(tmp_path / "there"), "--json")
    assert upkeep.RestoredOut.model_validate_json(done).files > 0


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's own configuration."""
    for name, folder in (("HOME", "home"), ("XDG_CONFIG_HOME", "home/.config")):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / folder))
    (tmp_path / "project").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "home" / ".config" / "aura" / "config.toml"


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (("set", "max_turns", "80"), told.Written),
        (("unset", "max_turns"), told.Written),
        (("get", "max_turns"), told.Row),
        (("show", "--all", "turns"), told.Shown),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
@pytest.mark.usefixtures("own")
def test_config(words: tuple[str, ...], model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", *words, "--json"]) == 0
    assert model.model_validate_json(capsys.readouterr().out)


@pytest.fixture
async def begun(own: Path) -> None:
    """A run that has only just begun, in the folder one stands in."""
    project = Path.cwd()
    (project / "task.md").write_text("# Greet\n\nSay hello.\n")
    paths = RunPaths.of(project / ".aura", project / "task.md")
    paths.ensure(project)
    recorder = Recorder(Journal.open(paths.journal), SystemClock())
    await recorder.record(EngineStarted(version="1", pid=1))
    await recorder.journal.close()
    remember_run(paths.run.parent, project / "task.md", project=project, wall=1.0)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize(("name", "model"), [("fsck", upkeep.FsckOut), ("backup", upkeep.BackupOut)])
async def test_upkeep(name: str, model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--json"])
    assert model.model_validate_json(capsys.readouterr().out)
