"""What the planner keeps in mind and its reviews, from the tool call to the files and back."""

from __future__ import annotations

from aura_engine.core.memory import MAX_CHARS
from aura_engine.core.model import RunStatus
from aura_engine.demo.brains import task
from aura_engine.demo.script import Ask, call

GREET = [{"sh": "echo hello > greeting.txt"}, {"end": {}}]
OPENING = [
    call(
        "set_brief",
        final_goal="g",
        success_criteria=[{"text": "greets", "checks": [{"name": "c", "file": "greeting.txt"}]}],
    ),
    call("add_tasks", tasks=[task("Greet", "grep -q hello greeting.txt")]),
]


def lessons_file(stage):
    return next(stage.project.glob(".aura/*/memory")) / "MEMORY.md"


async def test_a_lesson_is_kept_shown_and_editable(stage) -> None:
    """What the person writes into the file is what the planner reads next."""
    program = stage.program("claude", GREET)
    heard: list[str] = []

    def landed(ask: Ask):
        if not heard:
            heard.append(str(ask.system))
        return [call("declare_goal_reached", summary="done")]

    on = {"goal_new": [*OPENING, call("remember", lesson="use uv, not pip")], "all_landed": landed}
    async with stage.play(on=on, CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "planner_replied")
        await stage.eventually(lambda: lessons_file(stage).exists() and "use uv" in lessons_file(stage).read_text())
        text = lessons_file(stage).read_text().replace("- use uv, not pip", "- use pip after all\n- be brief")
        lessons_file(stage).write_text(text)
        assert await play.end() is RunStatus.ACHIEVED
        (edited,) = play.of("memory_edited")
        assert edited.lessons == ("use pip after all", "be brief")
        assert play.state.lessons == ["use pip after all", "be brief"]
    assert "- use pip after all" in heard[0]
    assert "use uv" not in heard[0]
    assert "- be brief" in lessons_file(stage).read_text()


async def test_a_full_memory_is_condensed_by_the_planner(stage) -> None:
    program = stage.program("claude", GREET)
    rows = [call("remember", lesson=f"{number} {'x' * 480}") for number in range(MAX_CHARS // 480 + 1)]
    refused: list[bool] = []

    def opening(ask: Ask):
        results = ask.results()
        if not results:
            return [*OPENING, *rows]
        refused.extend("the memory is full" in result.text for result in results)
        return [call("condense_memory", lessons=["all of it, in short"])] if len(refused) == len(rows) + 2 else []

    async with stage.play(on={"goal_new": opening}, CLAUDE_BIN=str(program)) as play:
        await play.end()
        assert any(refused)
        (first, *_) = play.of("plan_changed")
        assert first.memory == ("all of it, in short",)


async def test_a_review_is_made_after_so_much_work_and_its_advice_is_told(stage) -> None:
    """Its report is a file of its own; the next planning reads what it advises."""
    program = stage.program("claude", [{"nap": 1.5}, {"sh": "echo hello > greeting.txt"}, {"end": {}}])
    told: list[str] = []

    def landed(ask: Ask):
        told.append(ask.prompt("# Why you are asked:"))
        return [call("declare_goal_reached", summary="done")]

    on = {
        "review": [call("write_review", report="It goes **well**.", advice="Keep the tasks small.")],
        "all_landed": landed,
    }
    async with stage.play(on=on, CLAUDE_BIN=str(program), DEEP_REFLECTION_INTERVAL="1s") as play:
        assert await play.end() is RunStatus.ACHIEVED
        (review, *_) = play.of("reviewed")
        assert (review.report, review.advice) == ("It goes **well**.", "Keep the tasks small.")
        assert review.work >= 1.0
    (file, *_) = next(stage.project.glob(".aura/*/memory/reviews")).iterdir()
    assert "It goes **well**." in file.read_text()
    assert "Keep the tasks small." in file.read_text()
    assert told
    assert "Advice of your last review:\nKeep the tasks small." in told[-1]


async def test_no_review_without_work(stage) -> None:
    """Time that only passes is no reason to look."""
    program = stage.program("claude", GREET)
    async with stage.play(CLAUDE_BIN=str(program), DEEP_REFLECTION_INTERVAL="1h") as play:
        assert await play.end() is RunStatus.ACHIEVED
        assert play.of("reviewed") == []
