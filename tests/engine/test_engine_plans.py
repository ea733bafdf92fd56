"""The person's own plan in place of the planner's first, and their word before a plan starts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import aura_engine
from aura_engine.core import commands
from aura_engine.core.model import RunStatus
from aura_engine.core.state import RunState
from aura_engine.demo.brains import task
from aura_engine.demo.script import call
from aura_engine.errors import UsageError
from aura_engine.planner.written import WrittenPlan, read_plan
from aura_engine.wiring import RULES

GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}
CHECK = {"name": "hello", "run": "grep -q hello greeting.txt"}
PLAN = {
    "final_goal": "Say hello.",
    "success_criteria": [{"text": "It says so.", "checks": [CHECK]}],
    "tasks": [{"key": "a", "title": "Greet", "checks": ["hello"]}],
}


async def test_a_written_plan_is_carried_out_without_a_question_to_the_planner(stage):
    program = stage.program("cli", [GREET, END])
    written = WrittenPlan.model_validate(PLAN)
    async with stage.play(CLAUDE_BIN=str(program), written=written) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert not play.of("planner_asked")
    (plan,) = play.of("plan_changed")
    assert (plan.written, plan.told, plan.add[0].title) == (True, True, "Greet")
    assert all(check.person for check in plan.goal_checks)  # law
    assert play.of("goal_declared")


async def test_a_written_plan_whose_task_fails_for_good_comes_before_the_planner(stage):
    program = stage.program("cli", [END], [GREET, END])
    written = WrittenPlan.model_validate(PLAN)
    retry = {"task_failed": [call("retry_task", id="A1", instructions="Say it aloud.")]}
    settings = {"MAX_ATTEMPTS_PER_ROLE": "1", "CLAUDE_BIN": str(program)}
    async with stage.play(written=written, on=retry, **settings) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert [event.triggers[0].partition(":")[0] for event in play.of("planner_asked")][:1] == ["task_failed"]


async def test_nothing_starts_before_the_person_has_approved_the_plan(stage):
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program), APPROVE="plan") as play:
        assert await play.end() is RunStatus.NEEDS_PERSON
    (question,) = play.of("question_asked")
    assert question.about == "plan"
    assert question.question == "May this plan start? 1 new task: A1 Greet"
    assert not play.of("attempt_starting")
    assert "aura approve" in play.of("run_ended")[0].reason
    async with stage.play(CLAUDE_BIN=str(program), APPROVE="plan") as play:
        await stage.eventually(lambda: play.engine.ready)
        assert play.engine.command(commands.Approve()) == ""
        assert await play.end() is RunStatus.ACHIEVED
    assert play.engine.command(commands.Approve()) == "no plan waits for your approval"


async def test_a_rejected_plan_is_made_anew_and_waits_again(stage):
    program = stage.program("cli", [GREET, END])
    another = {"tasks": [task("Greet aloud", "grep -q hello greeting.txt")], "parent": ""}
    on = {"question": [call("archive_tasks", ids=["A1"], reason="rejected"), call("add_tasks", **another)]}
    async with stage.play(CLAUDE_BIN=str(program), APPROVE="plan", on=on, attended=True) as play:
        await play.until(lambda event: event.kind == "question_asked")
        await play.until(lambda event: event.kind == "planner_replied")
        assert play.engine.command(commands.Reject(why="louder")) == ""
        second = await play.until(lambda event: event.kind == "question_asked" and event.id == "q2")
        assert "Greet aloud" in second.question
        assert not play.of("attempt_starting")
        await play.until(lambda event: event.kind == "planner_replied" and event.call == 2)
        assert play.engine.command(commands.Approve()) == ""
        assert await play.end() is RunStatus.ACHIEVED
    assert [event.task for event in play.of("attempt_starting")] == ["A2"]


def test_the_plan_of_the_manual_is_one(tmp_path):
    page = (Path(aura_engine.__file__).parent.parent / "docs/plans.md").read_text()
    path = tmp_path / "plan.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1])
    event = read_plan(path).drawn(RunState(), RULES)
    assert [spec.title for spec in event.add] == ["Parse expressions", "The command line"]
    assert event.add[1].needs == (event.add[0].id,)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("plan.toml", "final_goal = ", "not valid TOML"),
        ("plan.json", "{", "not valid JSON"),
        ("plan.json", json.dumps({**PLAN, "tasks": []}), "tasks: "),
        ("plan.json", json.dumps({**PLAN, "taks": []}), "taks: "),
        ("plan.json", json.dumps({**PLAN, "tasks": [{"key": "a"}]}), "tasks.0.title"),
        ("plan.json", json.dumps({**PLAN, "tasks": [{"key": "a", "title": "A", "needs": ["b"]}]}), "“b”"),
        ("plan.toml", "\xff", "not valid TOML"),
    ],
)
def test_a_plan_that_is_none_is_refused_with_its_place(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as refused:
        read_plan(path).drawn(RunState(), RULES)
    assert says in str(refused.value)
    assert refused.value.cure


async def test_an_edit_that_is_no_goal_is_warned_of_in_whole_sentences(stage):
    program = stage.program("cli", [{"sh": "while :; do sleep 0.05; done"}])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_started")
        (stage.project / "task.md").write_text("# Greet\n\n```check\nrun = 'x'\n")
        warned = await play.until(lambda event: event.kind == "notice" and "never closed" in event.text)
        (stage.project / "task.md").write_text(play.state.goal_text)
        await play.until(
            lambda event: event.kind == "notice" and event.text == "task.md is right again, and as it was."
        )
        assert len(play.of("goal_read")) == 1
    assert warned.level == "warning"
    assert warned.text.endswith("is never closed. The goal as it was stays in force.")
