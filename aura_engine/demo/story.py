"""What `aura demo` plays: a lighthouse keeper's almanac, planned, built, doubted, corrected and extended in mid-run.

The model is scripted, all else is real: its planner plans and replans, its Flash makes a real mistake that Pro puts
right, one worker claims work that it did not do, and every file is written by a worker's own commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura_engine.demo import story_work
from aura_engine.demo.brains import Attempt, Claim, Reaction, Step, Worker, listed, paced, plan_brain, task, write
from aura_engine.demo.script import Ask, Brain, ToolUse, call
from aura_engine.demo.story_project import EDITED_TASK, FILES, TASK
from aura_engine.errors import UsageError

PACE = 0.45
"""Seconds for each answer of the model, so that a person can watch."""
EDIT_AFTER = 4
"""Done tasks after which the person changes the goal."""

BRIEF: dict[str, Any] = {
    "final_goal": "A page an evening for a lighthouse keeper, printed by `python3 -m almanac DATE`.",
    "success_criteria": [
        {"text": "Every module does what the keeper's tests say.", "checks": ["all tests"]},
        {"text": "The page for a date is printed and names the moon.", "checks": ["tonight's page"]},
        {"text": "The length of the day is right in the far north.", "checks": ["polar night"]},
    ],
    "constraints": ["standard library only", "the tests stay as they are"],
    "environment": "Python 3, nothing to install",
}


def make_project(folder: Path) -> Path:
    """Writes the example into a new or empty folder, or finds it as an earlier demo left it; the path of its task.md.

    UsageError if there is something else.
    """
    task_file = folder / "task.md"
    if task_file.is_file() and task_file.read_text(encoding="utf-8", errors="replace") in (TASK, EDITED_TASK):
        return task_file
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty, and no demo's.", cure="Name a new folder for the demo.")
    for path, content in {"task.md": TASK, **FILES}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    return task_file


def edit_when(done_tasks: int) -> str | None:
    """The goal's new text once so many tasks are done that the person has second thoughts; None before."""
    return EDITED_TASK if done_tasks >= EDIT_AFTER else None


def brain(pace: float = PACE) -> Brain:
    """The scripted model of the demo: planner and workers in one. `pace` is in seconds for each answer."""
    declared = call("declare_goal_reached", summary="The almanac prints its evening's page and its week.")
    reactions: dict[str, Reaction] = {"goal_changed": _second_thoughts, "all_landed": [declared]}
    return paced(plan_brain(_plan(), _workers(), on=reactions), pace)


def _plan() -> dict[str, Any]:
    def module(title: str, test: str, *needs: str, hint: str = "", difficulty: str = "normal") -> dict[str, Any]:
        path = "almanac/__main__.py" if test == "command" else f"almanac/{test}.py"
        instructions = f"Write `{path}` so that `tests/test_{test}.py` passes. {hint}".strip()
        run = f"python3 -m unittest tests.test_{test}"
        checks = [{"name": f"tests/test_{test}.py", "run": run}]
        words = {"instructions": instructions, "checks": checks, "difficulty": difficulty}
        return task(title, key=test, needs=needs, **words)

    def group(title: str, *tasks: dict[str, Any]) -> dict[str, Any]:
        return {"key": title.lower().replace(" ", "-"), "title": title, "tasks": list(tasks)}

    command = module("The command", "command", "page", hint="A date, --latitude (52.3), --wind, --word.")
    probe = "from almanac.morse import encode; assert encode('Aura 1') == '.- ..- .-. .- / .----'"
    return {
        "brief": BRIEF,
        "tasks": [
            group(
                "The sky",
                module("The moon", "moon", difficulty="easy"),
                module("The length of the day", "sun", hint="Latitude is in degrees."),
            ),
            group(
                "The sea",
                module("The tides", "tides", "moon", difficulty="hard", hint="Rule of twelfths; ask moon for its age."),
                module("The wind in words", "wind", difficulty="easy"),
            ),
            group(
                "The lamp",
                module("Morse code", "morse", difficulty="easy"),
                module("How the lamp blinks", "lamp", "morse"),
            ),
            group("The almanac", module("The evening's page", "page", "moon", "sun", "tides", "wind", "lamp"), command),
        ],
        "probes": [
            {"task": "morse", "check": {"name": "another word", "run": f'python3 -c "{probe}"', "part": "Morse code"}}
        ],
    }


def _second_thoughts(ask: Ask) -> Sequence[ToolUse]:
    """The plan for the edited goal; nothing more once it has been said."""
    if ask.results("# Why you are asked:"):
        return ()
    command, _ = listed(ask).get("The command", ("A4.2", ""))
    criteria: list[dict[str, Any]] = [*BRIEF["success_criteria"]]
    criteria.append({"text": "A week is printed, a line for each day.", "checks": ["the week"]})
    guide = {"name": "the guide", "file": "GUIDE.md", "matches": "(?i)spring tide"}
    criteria.append({"text": "A guide explains the page.", "checks": [guide]})
    week = {
        **task("A week at a glance", key="week"),
        "instructions": "Write `almanac/week.py` and give the command an option --week: seven lines, date first.",
        "needs": [command],
        "checks": ["the week"],
    }
    words = {**task("The guide", key="guide"), "instructions": "Write GUIDE.md.", "checks": [guide]}
    return [
        call("set_brief", **{**BRIEF, "success_criteria": criteria}),
        call("add_tasks", parent="", tasks=[week, {**words, "difficulty": "easy"}]),
    ]


def _workers() -> dict[str, Worker]:
    def builds(path: str, content: str, test: str, words: str) -> list[Step]:
        return [
            f"cat tests/test_{test}.py",
            write(path, content),
            f"python3 -m unittest tests.test_{test} 2>&1 | tail -4",
            Claim(words),
        ]

    def daylight(ask: Ask, _attempt: int) -> Attempt:
        """Flash takes degrees for radians, tries the equator only, and is content."""
        if "flash" in ask.model:
            equator = "python3 -m unittest -k equator tests.test_sun 2>&1 | tail -4"
            return [write("almanac/sun.py", story_work.SUN_WRONG), equator, Claim("The day's length is done; it runs.")]
        return builds("almanac/sun.py", story_work.SUN, "sun", "Latitude is turned into radians now; the tests pass.")

    def tides(_ask: Ask, attempt: int) -> Attempt:
        """The first worker looks around, writes nothing, and says that it is done."""
        if attempt == 1:
            return ["ls almanac tests", Claim("almanac/tides.py is written and all of its tests pass.")]
        return builds("almanac/tides.py", story_work.TIDES, "tides", "The tides are written this time; the tests pass.")

    week = "python3 -m almanac 2026-03-03 --week"
    return {
        "The moon": builds("almanac/moon.py", story_work.MOON, "moon", "The moon's age, name and lit part."),
        "The length of the day": daylight,
        "The tides": tides,
        "The wind in words": builds("almanac/wind.py", story_work.WIND, "wind", "Beaufort's thirteen words."),
        "Morse code": builds("almanac/morse.py", story_work.MORSE, "morse", "Letters, figures, words."),
        "How the lamp blinks": builds("almanac/lamp.py", story_work.LAMP, "lamp", "Dots, dashes and the dark between."),
        "The evening's page": builds("almanac/page.py", story_work.PAGE, "page", "One page with all of it."),
        "The command": builds("almanac/__main__.py", story_work.COMMAND, "command", "The command prints the page."),
        "A week at a glance": [
            write("almanac/week.py", story_work.WEEK),
            write("almanac/__main__.py", story_work.COMMAND_WITH_WEEK),
            week,
            Claim("The option --week prints seven days."),
        ],
        "The guide": [write("GUIDE.md", story_work.GUIDE), Claim("GUIDE.md explains the page.")],
    }
