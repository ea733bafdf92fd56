"""The final report: what it tells of a run, as data, as Markdown and as a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from aura_engine.core import events as ev
from aura_engine.core.model import Outcome, Phase, Receipt, RunStatus, Verdict
from aura_engine.core.state import RunState
from aura_engine.report.account import DIFF_BYTES, account_of
from aura_engine.report.account_model import Account
from aura_engine.report.final_html import final_html
from aura_engine.report.final_markdown import final_markdown, session_markdown
from aura_engine.report.timeline import ROWS, timeline_svg

PATCH = "diff --git a/x.py b/x.py\nnew file mode 100644\n--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+hello {}\n"
VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """A page's elements; asserts that they are closed as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def no_diff(old: str, new: str, limit: int) -> tuple[str, bool]:
    return "", False


def account(story, diffs=no_diff) -> Account:
    return account_of(story.state, story.events, diffs, story.now)


def snapshotted(story, text: str) -> RunState:
    """A1.1 landed with a diff, whatever its patch is."""
    story.begin()
    story.start("A1.1")
    story.finish("A1.1", claims=text)
    return story.land("A1.1", snapshot="s1")


def test_it_tells_how_it_went(story) -> None:
    story.whole()
    told = account(story)
    assert (told.status, told.tasks_done, told.tasks_wanted, told.revisions) == ("achieved", 3, 3, 2)
    assert told.summary == "All criteria hold."
    assert [each.holds for each in told.criteria] == [True]
    assert [(check.name, check.held_out, check.by, check.verdict) for check in told.goal_checks] == [
        ("sharpe", True, "you", "green")
    ]
    fetch = next(task for task in told.tasks if task.id == "A1.1")
    assert [(each.role, each.outcome) for each in fetch.attempts] == [
        ("flash", "capability"),
        ("flash", "capability"),
        ("pro", "passed"),
    ]
    assert [(check.tests, check.exit_code, check.tree) for check in fetch.checks] == [(8, 0, "41c9ab12ff")]
    assert [each.what for each in told.undone] == ["A2 Report: dropped"]
    assert len(told.edits) == 1
    assert Account.model_validate_json(told.model_dump_json()) == told


def test_decisions_taken_alone_are_told_with_their_reason(story) -> None:
    story.whole()
    told = [(each.who, each.what, each.why) for each in account(story).alone]
    assert told == [
        ("planner", "planned 3 tasks: A1.1, A1.2, A2", "first plan"),
        ("engine", "gave A1.1 to Pro", "Flash was not able to do it"),
        ("planner", "planned 1 task: B1; dropped A2", "the goal wants a report each month"),
        ("planner", "declared the goal reached", "All criteria hold."),
    ]


def test_what_was_not_done_is_told_with_why(story) -> None:
    story.begin()
    story.start("A1.1")
    story.finish("A1.1")
    story.fail("A1.1")
    story.tell(
        ev.TaskSettled(task="A1.1", status="failed", reason="no attempt is left"),
        ev.QuestionAsked(id="q1", question="Which market?"),
        ev.CheckRan(
            receipt=Receipt(
                check="sharpe", check_hash="h", tree="t", phase=Phase.GOAL, verdict=Verdict.RED, reason="0.9 < 1.5"
            )
        ),
        ev.RunEnded(status=RunStatus.NEEDS_PERSON, reason="a question waits"),
    )
    told = account(story)
    assert [(each.what, each.why) for each in told.undone] == [
        ("A1.1 Fetch daily bars: failed", "no attempt is left"),
        ("A1.2 Clean and align: pending", "waits for A1.1"),
        ("A2 Report: pending", "the run ended before"),
        ("goal check “sharpe” is not green", "0.9 < 1.5"),
        ("question q1 is open", "Which market?"),
    ]
    assert "What was not done" in final_markdown(told)
    assert "What was not done" in final_html(told)


def test_diffs_are_bounded(story) -> None:
    snapshotted(story, "done")
    asked: list[int] = []

    def diffs(old: str, new: str, limit: int) -> tuple[str, bool]:
        asked.append(limit)
        return PATCH.format("there"), True

    told = account(story, diffs)
    assert asked == [DIFF_BYTES]
    markdown = final_markdown(told)
    assert "+hello there" in markdown
    assert "All that it changed: `aura diff A1.1`" in markdown
    assert "+hello there" not in final_markdown(told, diffs=False)
    assert "aura diff A1.1" in final_html(told)


def test_the_page_is_whole_and_fetches_nothing(story, nasty: str) -> None:
    snapshotted(story, nasty)
    told = account(story, lambda old, new, limit: (PATCH.format(nasty), False))
    text = final_html(told)
    page = Page(text)
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "img", "iframe", "object", "embed", "form", "base"}
    addresses = [value for _, attrs in page.seen for name, value in attrs.items() if name in ("src", "href")]
    assert addresses == []
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    policy = next(attrs["content"] for tag, attrs in page.seen if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not [attrs for _, attrs in page.seen if "style" in attrs or any(name.startswith("on") for name in attrs)]


def test_what_a_worker_wrote_is_text(story, nasty: str) -> None:
    snapshotted(story, nasty)
    story.start("A1.2")
    story.finish("A1.2", claims=nasty)
    story.tell(ev.AttemptEnded(task="A1.2", n=1, outcome=Outcome.CAPABILITY, reason=nasty, failed_check="unit tests"))
    told = account(story, lambda old, new, limit: (PATCH.format(nasty), False))
    html, markdown = final_html(told), final_markdown(told)
    for text in (html, markdown, session_markdown(told)):
        assert "\x1b" not in text
        assert "pwned" not in text
        assert "\u202e" not in text
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    # In Markdown it stands in a code block, or escaped.
    outside = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    assert "<script>" not in outside
    assert "[link](" not in outside.replace("\\[link](", "")


def test_a_code_block_cannot_be_ended_from_within(story) -> None:
    story.tell(ev.EngineStarted(version="1", pid=1), ev.GoalRead(revision="1", text="````\n# out\n```", prose=""))
    assert "`````markdown\n````\n# out\n```\n`````" in final_markdown(account(story))


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_without_tasks_has_a_report_too(story, begun: bool) -> None:
    if begun:
        story.tell(ev.EngineStarted(version="0.1.0", pid=1, task_file="/x/task.md"))
    told = account(story)
    assert told.status == "running"
    assert Page(final_html(told)).words
    assert final_markdown(told).startswith("# ")


def test_the_picture_shows_each_attempt_and_what_became_of_it(story) -> None:
    story.whole()
    picture = timeline_svg(account(story))
    assert picture.count("<rect") == 5
    assert len(re.findall(r'class="bar bad flash"', picture)) == 2
    assert 'class="bar good pro"' in picture
    assert picture.count('class="edit"') == 1
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([0-9.]+)"', picture)]
    assert min(widths) >= 3.0


def test_the_picture_of_a_long_run_has_the_longest_tasks(story) -> None:
    story.whole()
    told = account(story)
    one = next(task for task in told.tasks if task.id == "A1.1")
    many = [one.model_copy(update={"id": f"A9.{n}"}) for n in range(ROWS + 20)]
    picture = timeline_svg(told.model_copy(update={"tasks": [*told.tasks, *many]}))
    assert picture.count('class="name"') == ROWS
