from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, listed, plan_brain, task, triggers_of, write
from aura_engine.demo.script import Ask, Message, Say, Text, ToolResult, ToolUse, call, done, say, shell

BASH = {"Bash": {"properties": {"command": {"type": "string"}}, "required": ["command"]}}
FINISH = {"finish": {"properties": {"summary": {"type": "string"}}, "required": ["summary"]}}
PLANNER = {"add_tasks": {}}


def ask(*messages: str | Message, tools: dict | None = None, model: str = "demo-pro") -> Ask:
    """Strings are the user's words."""
    turns = tuple(Message("user", (Text(item),)) if isinstance(item, str) else item for item in messages)
    return Ask("anthropic", "/v1/messages", model, "", turns, BASH if tools is None else tools)


def grown(before: Ask, answer: Say, result: str = "ok") -> Ask:
    """The next request of a client that did what the answer said."""
    ids = [part.id for part in answer.parts if isinstance(part, ToolUse)]
    results = Message("user", tuple(ToolResult(name, result) for name in ids))
    return Ask(
        "anthropic", "", before.model, "", (*before.messages, Message("assistant", answer.parts), results), before.tools
    )


def planner(trigger: str) -> Ask:
    tree = "A1.1 [completed] One (unproven)\nA1.2 [pending] Two: more needs A1.1, A1.10"
    return ask(f"{tree}\n\n# Why you are asked: {trigger}\nmore", tools=PLANNER)


@pytest.mark.parametrize(
    ("name", "properties", "required", "expected"),
    [
        ("Bash", {"command": {"type": "string"}}, ["command"], {"command": "ls"}),
        ("run_shell_command", {"command": {}}, ["command", "is_background"], {"command": "ls", "is_background": False}),
        ("exec_command", {"cmd": {"type": "string"}}, ["cmd"], {"cmd": "ls"}),
        ("shell", {"command": {"type": "array"}}, ["command"], {"command": ["bash", "-lc", "ls"]}),
        ("bash", {"command": {}}, ["command", "description"], {"command": "ls", "description": "Runs a command"}),
        ("run", {"command": {}}, [], {"command": "ls"}),
    ],
)
def test_shell_takes_the_shape_that_the_cli_offers(name, properties, required, expected) -> None:
    offered = {"read": {}, name: {"properties": properties, "required": required}}
    assert shell(ask("hi", tools=offered), "ls") == ToolUse(name, expected)


def test_shell_says_when_there_is_none() -> None:
    with pytest.raises(LookupError, match="read"):
        shell(ask("hi", tools={"read": {}}), "ls")


def test_done_uses_finish_where_it_is_offered() -> None:
    assert done(ask("hi", tools=FINISH), "all well") == say(call("finish", summary="all well"))
    assert done(ask("hi"), "all well") == say("all well")


def test_rounds_and_results_since_the_prompt_ignore_what_a_cli_adds() -> None:
    reminder = "<system-reminder>\n# Task Z9: not this\n</system-reminder>"
    first = ask("old", Message("assistant", (Text("yes"),)), f"{reminder}# Task A1: It")
    second = grown(first, say(ToolUse("Bash", {}, "t1")))
    last = second.messages[-1]
    nagged = Ask(
        "anthropic", "", "m", "", (*second.messages[:-1], Message("user", (*last.parts, Text(reminder)))), BASH
    )
    assert nagged.prompt() == "# Task A1: It"
    assert nagged.rounds() == 1
    assert len(nagged.results()) == 1
    assert len(ask("hi").results()) == 0


def test_write_is_exact_whatever_is_in_the_file(tmp_path: Path) -> None:
    content = 'it\'s $HOME `x` \\ "quoted"\n\n  ü\n'
    command = write("new dir/it's.txt", content)
    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "new dir" / "it's.txt").read_text() == content


def test_planner_opens_declares_and_reacts() -> None:
    plan = {"tasks": [task("One", "true"), task("Two", "test -f b", needs=["One"])], "checks": ["all"]}
    brain = plan_brain(plan, {}, on={"task_failed": [call("archive_tasks", ids=["A1"], reason="no")]})
    brief, tasks = brain(planner("goal_new")).parts
    assert brief.arguments["success_criteria"][0]["checks"] == ["all"]
    assert tasks.arguments["tasks"][1]["needs"] == ["one"]
    assert tasks.arguments["tasks"][1]["checks"] == [{"name": "test -f b", "run": "test -f b"}]
    assert [part.name for part in brain(planner("task_failed")).parts] == ["archive_tasks"]
    assert [part.name for part in brain(planner("all_landed")).parts] == ["declare_goal_reached"]
    assert [part.name for part in brain(planner("task_failed, all_landed")).parts] == ["archive_tasks"]
    assert isinstance(brain(planner("stalled")).parts[0], Text)
    assert brain.triggers == ["goal_new", "task_failed", "all_landed", "task_failed", "all_landed", "stalled"]


def test_planner_says_a_fixed_reaction_once_and_asks_a_function_every_round() -> None:
    def twice(given: Ask) -> list[ToolUse]:
        rounds = given.rounds("# Why you are asked:")
        return [call("list_folder", path="")] if rounds == 0 else [call("remember", lesson="x")] if rounds == 1 else []

    brain = plan_brain({"tasks": []}, {}, on={"stalled": twice})
    opening = planner("goal_new")
    assert isinstance(brain(grown(opening, brain(opening))).parts[0], Text)
    first = planner("stalled")
    second = grown(first, brain(first))
    third = grown(second, brain(second))
    names = [getattr(brain(item).parts[0], "name", "text") for item in (first, second, third)]
    assert names == ["list_folder", "remember", "text"]


def test_planner_reads_triggers_and_tasks_from_the_prompt() -> None:
    given = planner("all_landed and goal_changed")
    assert triggers_of(given) == ["goal_changed", "all_landed"]
    assert listed(given) == {"One": ("A1.1", "completed"), "Two: more": ("A1.2", "pending")}


def test_worker_walks_its_steps_then_claims() -> None:
    brain = plan_brain({"tasks": []}, {"Build it": ["echo 1", "echo 2", Claim("built")], "*": "true"})
    given = ask("# Task A1.2: Build it\n\nwords")
    said = []
    for _ in range(4):
        answer = brain(given)
        said.append(answer.parts[0])
        given = grown(given, answer)
    assert [getattr(part, "arguments", None) for part in said[:2]] == [{"command": "echo 1"}, {"command": "echo 2"}]
    assert said[2] == Text("built")
    assert brain(ask("# Task A9: Another")).parts[0] == ToolUse("Bash", {"command": "true"})


def test_worker_by_attempt_and_the_last_again_and_again() -> None:
    brain = plan_brain({"tasks": []}, {"It": [["echo 1"], [Claim("lied")]]})
    answers = [brain(ask(f"# Task A1: It\n\n## What was tried before\n{number}")).parts[0] for number in range(3)]
    assert answers == [ToolUse("Bash", {"command": "echo 1"}), Text("lied"), Text("lied")]
    assert brain.attempts == {"It": 3}


def test_worker_function_gets_the_attempt_and_an_identical_prompt_begins_a_new_one() -> None:
    brain = plan_brain({"tasks": []}, {"It": lambda given, attempt: [f"echo {given.model} {attempt}"]})
    answers = [brain(ask("# Task A1: It", model=name)).parts[0] for name in ("demo-flash", "demo-pro")]
    assert [part.arguments["command"] for part in answers] == ["echo demo-flash 1", "echo demo-pro 2"]


def test_a_fault_is_met_once_and_the_retry_goes_on_with_the_same_attempt() -> None:
    brain = plan_brain({"tasks": []}, {"It": ["echo 1", say(status=529), say(status=429), "echo 2", Claim("done")]})
    first = ask("# Task A1: It")
    second = grown(first, brain(first))
    assert [brain(second).status for _ in range(2)] == [529, 429]
    answer = brain(second)
    assert answer.parts == (ToolUse("Bash", {"command": "echo 2"}),)
    assert brain(grown(second, answer)).parts == (Text("done"),)
    assert brain.attempts == {"It": 1}


def test_a_first_request_refused_twice_is_still_the_first_attempt() -> None:
    brain = plan_brain({"tasks": []}, {"It": [[say(status=529), say(status=529), "echo 1"], ["echo 2"]]})
    given = ask("# Task A1: It")
    assert [brain(given).status, brain(given).status] == [529, 529]
    assert brain(given).parts == (ToolUse("Bash", {"command": "echo 1"}),)
    assert brain(given).parts == (ToolUse("Bash", {"command": "echo 2"}),)


def test_a_session_that_goes_on_is_the_next_attempt() -> None:
    limited = say(status=429)
    brain = plan_brain({"tasks": []}, {"It": [["echo 1", *[limited] * 9], [limited, "echo 2"], ["echo 3"]]})
    first = ask("# Task A1: It")
    second = grown(first, brain(first))
    again = Message("user", (Text("You were interrupted: limited. Go on with task A1."),))
    resumed = Ask("anthropic", "", "m", "", (*second.messages, again), BASH)
    assert [brain(given).status for given in (second, second, resumed)] == [429, 429, 429]
    assert brain(resumed).parts == (ToolUse("Bash", {"command": "echo 2"}),)
    twice = Ask("anthropic", "", "m", "", (*resumed.messages, again), BASH)
    assert brain(twice).parts == (ToolUse("Bash", {"command": "echo 3"}),)
    assert brain.attempts == {"It": 3}


def test_words_of_a_person_in_mid_run_do_not_start_over() -> None:
    brain = plan_brain({"tasks": []}, {"It": ["echo 1", "echo 2"]})
    first = ask("# Task A1: It")
    second = grown(first, brain(first))
    steered = Ask("anthropic", "", "m", "", (*second.messages, Message("user", (Text("quicker!"),))), BASH)
    assert brain(steered).parts == (ToolUse("Bash", {"command": "echo 2"}),)


def test_judge_and_requests_that_are_nobodys() -> None:
    verdict = {"verdict": "pass", "reason": "good", "citations": [{"file": "a", "line": 1, "quote": "x"}]}
    asked = ask("judge this", tools={"give_verdict": {}})
    assert plan_brain({"tasks": []}, {}, judge=verdict)(asked).parts == (call("give_verdict", **verdict),)
    assert plan_brain({"tasks": []}, {}, judge=lambda _: verdict)(asked).parts == (call("give_verdict", **verdict),)
    assert plan_brain({"tasks": []}, {})(asked).parts[0].arguments["verdict"] == "fail"
    assert plan_brain({"tasks": []}, {})(ask("a title, please", tools={})).parts == (Text("ok"),)
    with pytest.raises(LookupError, match="no worker is scripted for “It”"):
        plan_brain({"tasks": []}, {})(ask("# Task A1: It"))
