"""The commands that look at a run: what they say to a person, and that `--json` keeps to its models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aura_engine
from aura_engine.cli.main import ASKED, COMMANDS, main, parser_of
from aura_engine.cli.options import command
from aura_engine.cli.papers import LIST, OBJECT, OUTPUTS, commands_page
from aura_engine.errors import ConfigError, UsageError
from aura_engine.report import models

Say = Callable[..., str]
LISTS = {name: model for name, (shape, model) in OUTPUTS.items() if shape == LIST and name != "clean-workspaces"}
ELSEWHERE = {
    "setup",
    "ask",
    "fsck",
    "backup",
    "recover WHAT",
    *(name for name in OUTPUTS if name.startswith("config ")),
}
"""Tested where they are at home, or below."""
DOCUMENTS = {
    name: model
    for name, (shape, model) in OUTPUTS.items()
    if shape == OBJECT and name not in ASKED | {"answer", "doctor"} | ELSEWHERE
}


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("name", sorted(LISTS))
def test_lists_in_json_keep_to_their_models(name: str, say: Say) -> None:
    found = json.loads(say(name, "--json"))
    assert found
    assert [LISTS[name].model_validate(row) for row in found]


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_documents_in_json_keep_to_their_models(name: str, say: Say) -> None:
    assert DOCUMENTS[name].model_validate(json.loads(say(name, "--json")))


@pytest.mark.usefixtures("ran")
def test_what_is_asked_for_later_is_told_in_json(say: Say) -> None:
    said = json.loads(say("answer", "q1", "the", "west", "--json"))
    assert models.AnsweredOut.model_validate(said) == models.AnsweredOut(question="q1", answer="the west")
    assert models.AskedOut.model_validate_json(say("retry", "A2", "--json")) == models.AskedOut(accepted=True)


@pytest.mark.usefixtures("ran")
def test_what_is_refused_is_told_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retry", "A1", "--json"]) == 1
    refused = models.AskedOut.model_validate_json(capsys.readouterr().out)
    assert (refused.accepted, refused.events) == (False, None)
    assert refused.why


@pytest.mark.usefixtures("ran")
def test_logs_in_json_are_one_object_a_line(say: Say) -> None:
    steps = [models.LogStep.model_validate_json(line) for line in say("logs", "A1", "--json").splitlines()]
    assert [step.label for step in steps] == ["start", "run", ""]


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize(
    "words",
    [
        ("logs", "A1"),
        ("diff",),
        ("diff", "A1"),
        ("summaries",),
        ("changelog",),
        ("decisions",),
        ("report",),
        ("report", "--html"),
        ("projects",),
        ("history",),
    ],
    ids=" ".join,
)
def test_nothing_that_a_worker_wrote_paints_and_no_key_is_told(words: tuple[str, ...], say: Say) -> None:
    said = say(*words)
    assert said
    assert "sk-ant-" not in said
    if words[0] != "diff":  # to a program a diff goes as git wrote it
        assert "\x1b" not in said
        assert "pwned" not in said


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_teaches_by_example(name: str) -> None:
    said = parser_of(name).format_help()
    assert "example" in said
    assert f"aura {name}" in said.partition("example")[2] or name == "start"


def test_help_breaks_what_is_said_and_leaves_the_examples_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    example = f"aura x   {'and so on ' * 8}".strip()
    said = command("x", "word " * 40, example).format_help()
    assert max(len(line) for line in said.split("examples:")[0].splitlines()) <= 60
    assert f"  {example}\n" in said


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logs", "A9"), "There is no task “A9”"),
        (("logs", "A3"), "A3 has not been started yet"),
        (("logs", "A1#7"), "There is no A1#7"),
        (("logs", "A1#x"), "names no attempt"),
        (("logs", "A2"), "A2#1 has written nothing yet"),
        (("diff", "A9"), "There is no task “A9”"),
        (("diff", "A1#3"), "There is no A1#3"),
        (("summaries", "B1"), "There is no task “B1”"),
        (("clean-workspaces", "--age", "-1"), "a number of days"),
        (("report", "-o", "/nowhere/at/all.html"), "cannot be written"),
    ],
)
def test_what_cannot_be_shown_is_said_with_its_cure(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        main(words)
    assert error.value.cure


def test_without_a_run_every_one_says_how_to_begin() -> None:
    for name in ("logs", "diff", "decisions", "report", "summaries", "token-stats", "cache-stats", "changelog"):
        with pytest.raises(UsageError, match="There is no run"):
            main([name])


def test_the_page_of_all_commands_is_current() -> None:
    page = Path(aura_engine.__file__).parent.parent / "docs" / "commands.md"
    assert page.read_text("utf-8") == commands_page(), "run: python -m aura_engine.cli.papers"


def test_beginning_afresh_takes_the_goal_started_last(ran: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (ran.project / "task.md").unlink()  # so that nothing is started
    with pytest.raises(UsageError, match="There is no task file") as error:
        main(["restart"])
    assert error.value.cure == "Nothing was set aside."
    assert capsys.readouterr().out == f"The goal started last here: {ran.project / 'task.md'}\n"


def test_beginning_afresh_without_a_run_says_how() -> None:
    with pytest.raises(UsageError, match="to begin afresh") as error:
        main(["restart"])
    assert "aura restart TASK.md" in error.value.cure


def test_beginning_afresh_takes_no_other_projects_goal(
    ran: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"is of {re.escape(str(ran.project))}") as error:
        main(["restart", "--data-dir", str(ran.paths.run.parent)])
    assert error.value.cure == "Name its goal: aura restart TASK.md"


def test_beginning_afresh_takes_one_goal(ran: Any) -> None:
    with pytest.raises(UsageError, match="Two task files"):
        main(["restart", "task.md", "--task-file", "other.md"])
    assert ran.paths.journal.exists()


def test_nothing_is_set_aside_for_what_could_not_start(
    ran: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AURA_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="no API key"):
        main(["restart"])
    assert ran.paths.journal.exists()
