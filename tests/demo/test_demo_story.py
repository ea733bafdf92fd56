"""The demo's story without an engine: a tiny stand-in runs the tasks in the order of their needs."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from aura_engine.cli import demo
from aura_engine.core.model import Check
from aura_engine.demo import story
from aura_engine.demo.script import Ask, Message, Say, Text, ToolResult, ToolUse
from aura_engine.errors import UsageError

BASH = {"Bash": {"properties": {"command": {}}}}


def prompt(words: str, tools: dict, model: str = "demo-planner") -> Ask:
    return Ask("anthropic", "", model, "", (Message("user", (Text(words),)),), tools)


def answer(brain, ask: Ask) -> Say:
    given = brain(ask)
    return asyncio.run(given) if inspect.isawaitable(given) else given


def sh(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True)


def work(brain, folder: Path, title: str, model: str, *, before: str = "") -> str:
    """Plays a worker CLI; gives the final claim."""
    ask = prompt(f"# Task A{len(title)}.{ord(title[-1])}: {title}\n\nDo it.\n{before}", BASH, model)
    for _ in range(10):
        said = answer(brain, ask)
        part = said.parts[0]
        if isinstance(part, Text):
            return part.text
        done = sh(part.arguments["command"], folder)
        turn = (Message("assistant", said.parts), Message("user", (ToolResult("", done.stdout + done.stderr),)))
        ask = Ask(ask.api, "", model, "", (*ask.messages, *turn), BASH)
    raise AssertionError("the worker never ends")


def passes(check: dict, folder: Path) -> bool:
    """A check as far as the story uses it."""
    Check.model_validate(check)
    made = folder / check["file"] if "file" in check else None
    if made is not None and "run" in check:
        made.unlink(missing_ok=True)
    if "run" in check and sh(check["run"], folder).returncode != 0:
        return False
    return made is None or (made.is_file() and bool(re.search(check["matches"], made.read_text())))


def leaves(tasks: list[dict]) -> list[dict]:
    return [leaf for item in tasks for leaf in (leaves(item["tasks"]) if item.get("tasks") else [item])]


def goal_checks(text: str) -> dict[str, dict]:
    blocks = [tomllib.loads(block) for block in re.findall(r"```check\n(.*?)```", text, re.DOTALL)]
    return {block["name"]: {k: v for k, v in block.items() if k != "timeout"} for block in blocks}


@pytest.fixture
def brain():
    return story.brain(pace=0)


def test_project_is_fresh_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "näw folder" / "demo"
    task_file = story.make_project(folder)
    assert task_file.name == "task.md"
    assert all(not passes(check, folder) for check in goal_checks(task_file.read_text()).values())
    for text in (story.EDITED_TASK, story.TASK):  # an earlier demo's folder is taken up as it was left
        task_file.write_text(text)
        (folder / "README.md").write_text("as it was left")
        assert story.make_project(folder) == task_file
        assert (task_file.read_text(), (folder / "README.md").read_text()) == (text, "as it was left")
    task_file.write_text("# A goal of the person's\n")
    with pytest.raises(UsageError, match="not empty"):
        story.make_project(folder)


def test_plan_shows_what_the_demo_promises(brain) -> None:
    opening = answer(brain, prompt("# Why you are asked: goal_new", {"add_tasks": {}}))
    calls = {part.name: part.arguments for part in opening.parts if isinstance(part, ToolUse)}
    tasks = leaves(calls["add_tasks"]["tasks"])
    assert len(tasks) == 8
    assert sum(not item["needs"] for item in tasks) >= 3
    assert {need for item in tasks for need in item["needs"]} < {item["key"] for item in tasks}
    assert {item["difficulty"] for item in tasks} == {"easy", "normal", "hard"}
    named = [name for criterion in calls["set_brief"]["success_criteria"] for name in criterion["checks"]]
    assert set(named) == set(goal_checks(story.TASK))
    assert calls["add_probe"]["task"] in {item["key"] for item in tasks}
    json.dumps(calls)


def test_whole_story(brain, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    story.make_project(folder)
    opening = answer(brain, prompt("# Why you are asked: goal_new", {"add_tasks": {}}))
    first, probe = opening.parts[1].arguments["tasks"], opening.parts[2].arguments["check"]
    for item in leaves(first):
        check, title = item["checks"][0], item["title"]
        assert not passes(check, folder), f"{title} is green before the work"
        claim = work(brain, folder, title, "demo-flash")
        if title in ("The length of the day", "The tides"):
            assert not passes(check, folder), "the story needs this one to fail"
            work(brain, folder, title, "demo-pro", before=f"## What was tried before\n{claim}")
        assert passes(check, folder), title
    assert passes(probe, folder)
    assert all(passes(check, folder) for check in goal_checks(story.TASK).values())

    assert story.edit_when(story.EDIT_AFTER - 1) is None
    edited = story.edit_when(story.EDIT_AFTER)
    assert edited is not None
    week = goal_checks(edited)["the week"]
    assert not passes(week, folder)
    changed = answer(brain, prompt("A4.2 [pending] The command\n# Why you are asked: goal_changed", {"add_tasks": {}}))
    added = changed.parts[1].arguments["tasks"]
    assert added[0]["needs"] == ["A4.2"]
    for item in added:
        checks = [goal_checks(edited)[check] if isinstance(check, str) else check for check in item["checks"]]
        assert not any(passes(check, folder) for check in checks)
        work(brain, folder, item["title"], "demo-flash")
        assert all(passes(check, folder) for check in checks)
    assert all(passes(check, folder) for check in goal_checks(edited).values())
    end = answer(brain, prompt("# Why you are asked: all_landed", {"add_tasks": {}}))
    assert [part.name for part in end.parts if isinstance(part, ToolUse)] == ["declare_goal_reached"]


def test_the_liar_lies_at_first_only(brain, tmp_path: Path) -> None:
    story.make_project(tmp_path / "demo")
    claim = work(brain, tmp_path / "demo", "The tides", "demo-pro")
    assert "all of its tests pass" in claim
    assert not (tmp_path / "demo" / "almanac" / "tides.py").exists()


def test_answers_are_paced() -> None:
    assert answer(story.brain(pace=0.01), prompt("# Why you are asked: goal_new", {"add_tasks": {}})).delay == 0.01


def test_a_demo_that_is_left_says_how_it_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for status in (130, 0):
        monkeypatch.setattr("aura_engine.cli.run.run_goal", lambda *_, end=status, **__: end)
        assert demo.run(demo.parser().parse_args(["--no-ui", "--folder", "my demo"])) == status
        assert ("aura demo --folder 'my demo'" in capsys.readouterr().out) == bool(status)
