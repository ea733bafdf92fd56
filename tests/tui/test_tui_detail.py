"""One task in full: what its sections say, how they fold and scroll, and the screen that shows them."""

from __future__ import annotations

import time

import pytest
from textual.widgets import Static
from tui_fakes import FakeLink, Run, group, leaf, story
from tui_pilot import glass, screen, shown, taken, told, until

from aura_engine.core import events as ev
from aura_engine.core.commands import Kill, Message
from aura_engine.core.model import Check, Counts, Outcome, Phase, Receipt, Verdict
from aura_engine.core.plan import TaskSpec
from aura_engine.errors import AuraError
from aura_tui import patch
from aura_tui.dossier import dossier
from aura_tui.history import History
from aura_tui.screens.dashboard import Dashboard
from aura_tui.screens.detail import Detail
from aura_tui.screens.dialogs import Confirm, Write
from aura_tui.sheet import Layout, Para, Section, prose
from aura_tui.widgets.sheet import Sheet

EVIL = "\x1b]52;c;AAAA\x07\x1b[2J\x9b31m [red]x[/red] [@click=app.quit]y[/] \u202egnp"
DIFF = """\
diff --git a/src/slip.py b/src/slip.py
index 1111111..2222222 100644
--- a/src/slip.py
+++ b/src/slip.py
@@ -1,3 +1,4 @@ def cost(x):
 one
-two
+2
+--- a/not/a/header
 three
diff --git a/new.txt b/new.txt
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/new.txt
@@ -0,0 +1 @@
+hello
\\ No newline at end of file
diff --git a/gone.py b/gone.py
deleted file mode 100644
index 3333333..0000000
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/old name.txt b/new name.txt
similarity index 100%
rename from old name.txt
rename to new name.txt
diff --git a/pic.png b/pic.png
index 1111111..2222222 100644
Binary files a/pic.png and b/pic.png differ
"""


def told_of(run: Run) -> History:
    history = History()
    for each in run.told:
        history.note(each.event, each.time)
    return history


def text_of(sections: list[Section], width: int = 100, **folds: bool) -> str:
    layout = Layout(sections, folds, width)
    return "\n".join(layout.text(row) for row in range(len(layout)))


def judged() -> Run:
    """A task with a check of each kind, an attempt that failed and one that runs."""
    spec = TaskSpec(
        id="A1",
        title="Slippage",
        instructions="Do it\nwell.",
        needs=("A2",),
        makes=("tests/test_slip.py",),
        checks=(
            Check(name="unit tests", run="pytest -q", report="junit"),
            Check(name="no double count", run="python slip.py", hidden=True, part="costs"),
            Check(name="notes", file="notes.md"),
        ),
    )
    run = Run(start=time.time() - 100).plan(spec, leaf("A2", "Engine"), leaf("A3", "Report", ["A1"]))
    run.start("A2").land("A2").start("A1").finish("A1")
    common = {"check_hash": "h", "tree": "41c9abcdef", "frozen_hash": "f00dcafe99"}
    for phase, verdict in ((Phase.BEFORE, Verdict.RED), (Phase.TASK, Verdict.GREEN)):
        receipt = Receipt(
            **common,
            check="unit tests",
            phase=phase,
            verdict=verdict,
            exit_code=0,
            duration=2.1,
            tail="8 passed",
            counts=Counts(tests=8, failures=0, skipped=1),
        )
        run.add(ev.CheckRan(task="A1", n=1, receipt=receipt))
    red = Receipt(
        **common,
        check="no double count",
        phase=Phase.TASK,
        verdict=Verdict.RED,
        reason="cost 2.0x",
        exit_code=1,
        duration=0.4,
        tail="Traceback:\n  twice\n",
        hidden=True,
    )
    run.add(
        ev.CheckRan(task="A1", n=1, receipt=red),
        ev.AttemptEnded(
            task="A1",
            n=1,
            outcome=Outcome.CAPABILITY,
            reason="cost 2.0x",
            failed_check="no double count",
            hand_over="The slippage is applied twice.",
        ),
        ev.MessageGiven(task="A1", n=0, text="mind the fees", injected=False),
    )
    run.start("A1")
    return run.add(
        ev.MessageGiven(task="A1", n=2, text="look at line 7", injected=True),
        ev.MessageGiven(task="A1", n=2, text="for later", injected=False),
    )


def test_a_task_is_told_in_full() -> None:
    run = judged()
    text = text_of(dossier(run.state, told_of(run), "A1", run.now), about=True, **{"attempt/1": True})
    for words in (
        *("needs A2 ✓", "wanted by A3 ○", "tests/test_slip.py", "✓ A2 Engine"),
        *("Do it", "1/3 green", "✓ unit tests", "exit 0", "2.1s", "✗ no double count  held out", "red: cost 2.0x"),
        *("○ notes", "not run yet", "41c9abcd, with the deciding files f00dcafe", "  twice"),
        *("#1 flash builtin  capability: check “no double count”: cost 2.0x", "The slippage is applied twice."),
        *("#2 flash builtin  running", "mind the fees", "brought to #2 as it ran", "waits for the next attempt"),
    ):
        assert words in text, words
    assert "it was red before the work" not in text, "green checks are folded"
    unfolded = text_of(dossier(run.state, told_of(run), "A1", run.now), **{"check/A1/unit tests": True})
    assert "it was red before the work" in unfolded
    assert "8 tests, 0 failed, 1 skipped" in unfolded


def test_a_group_names_what_lies_below() -> None:
    run = story()
    text = text_of(dossier(run.state, told_of(run), "A3", run.now))
    assert "Tasks  3" in text
    assert "↻" in text or "○ A3.2 Gradient boosting" in text
    assert "Attempts" not in text


def test_what_a_group_needs_its_tasks_need() -> None:
    run = Run().plan(leaf("A1"), group("A2").model_copy(update={"needs": ("A1",)}), leaf("A2.1"))
    assert "needs A1 ○" in text_of(dossier(run.state, told_of(run), "A2.1", run.now))


def test_a_diff_as_files() -> None:
    files = patch.files_of(DIFF)
    assert [(f.path, f.what, f.added, f.removed) for f in files] == [
        ("src/slip.py", "", 2, 1),
        ("new.txt", "new", 1, 0),
        ("gone.py", "deleted", 0, 1),
        ("new name.txt", "renamed", 0, 0),
        ("pic.png", "binary", 0, 0),
    ]
    assert "+--- a/not/a/header" in files[0].lines
    assert patch.files_of("") == patch.files_of("nothing of the sort\n@@ -1 +1 @@\n") == []


def test_a_row_of_a_diff_is_inert_and_can_be_panned() -> None:
    file = patch.files_of(f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+\t{EVIL}0123456789\n")[0]
    row = "".join(text for text, _ in file.row(1, 40, 0))
    assert row.startswith("    +     [red]x")
    assert not set(row) & {"\x1b", "\x9b", "\x07", "\u202e"}
    assert "".join(text for text, _ in file.row(1, 40, 4)).startswith("    + [red]x")


def test_a_long_diff_costs_what_is_seen_of_it() -> None:
    body = "".join(f"+line {number}\n" for number in range(300_000))
    files = patch.files_of(f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,300000 @@\n{body}")
    layout = Layout([Section("all", (("all", ""),)), *patch.sections(files)], {"diff/0/x": True}, 80)
    start = time.process_time()
    assert "line 299999" in layout.text(len(layout) - 1)
    for _ in range(100):
        Layout([Section("all", (("all", ""),)), *patch.sections(files)], {}, 80)
    assert time.process_time() - start < 0.5


def test_folds_hide_what_lies_deeper() -> None:
    sections = [
        Section("a", (("a", ""),)),
        Section("a/1", (("one", ""),), body=prose(Para("x\ny")), depth=1),
        Section("a/2", (("two", ""),), depth=1),
        Section("b", (("b", ""),), body=prose(Para("z")), open=False),
        Section("c", (("c", ""),)),
    ]
    layout = Layout(sections, {}, 40)
    assert [layout.text(row).strip() for row in range(len(layout))] == ["▾ a", "▾ one", "x", "y", "two", "▸ b", "c"]
    assert layout.row_at("a/1", 9) == 3
    folded = Layout(sections, {"a": False, "b": True}, 40)
    assert [folded.text(row).strip() for row in range(len(folded))] == ["▸ a", "▾ b", "z", "c"]
    assert folded.find("a/1") is None
    with pytest.raises(IndexError):
        folded.place(4)


@pytest.mark.parametrize("width", [1, 2, 9, 23, 24, 25])
def test_a_narrow_text_is_laid_out_all_the_same(width: int) -> None:
    body = prose(Para("some words that are to be wrapped", label="label", indent=6), Para("測試" * 9))
    assert body is not None
    assert body.height(width) >= 2
    assert all(body.row(at, width, 0) for at in range(body.height(width)))


async def test_enter_opens_the_selected_task_and_escape_comes_back() -> None:
    run = judged()
    link = FakeLink(run)
    link.diffs["A1"] = DIFF
    async with shown(link) as (app, pilot):
        app.place.task_tree.reveal("A1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail) and "src/slip.py" in glass(app))
        assert "A1 Slippage" in glass(app)
        assert "no double count" in glass(app)
        await pilot.press("escape")
        await until(lambda: isinstance(app.place, Dashboard))


async def test_the_diff_stands_beside_where_there_is_room() -> None:
    link = FakeLink(judged())
    link.diffs["A1"] = DIFF
    async with shown(link, (180, 50)) as (app, pilot):
        app.place.task_tree.reveal("A1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail) and app.place.changes.display)
        await pilot.pause()
        line = next(line for line in screen(app) if "Diff so far" in line)
        assert line.index("Diff so far") > 80
        assert "+3 −2 in 5 files" in line
        await pilot.resize_terminal(100, 50)
        await until(lambda: not app.place.changes.display)
        await pilot.press("end")
        await pilot.pause()
        assert "pic.png" in glass(app)


async def test_keys_act_on_the_task_that_is_shown() -> None:
    link = FakeLink(story())
    async with shown(link) as (app, pilot):
        app.place.task_tree.reveal("A3.1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        app.model.outline.selected = "A1.1"
        await pilot.press("k")
        await until(lambda: isinstance(app.screen, Confirm))
        assert "A3.1" in str(app.screen.query_one(".question", Static).content)
        await pilot.press("y")
        await until(lambda: link.commands == [Kill(task="A3.1")])
        await pilot.press("m")
        await until(lambda: isinstance(app.screen, Write))
        await pilot.press("h", "i", "ctrl+s")
        await until(lambda: Message(task="A3.1", text="hi") in link.commands)


async def test_what_is_read_does_not_move_when_facts_come() -> None:
    run = judged()
    link = FakeLink(run)
    async with shown(link, (100, 24)) as (app, pilot):
        app.place.task_tree.reveal("A1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        facts = app.place.facts
        facts.select("attempt/1")
        await pilot.pause()
        before = [at for at, line in enumerate(screen(app)) if "#1 flash" in line]
        assert before
        run.receipt("A1", "unit tests", Verdict.RED, "3 failed")
        run.receipt("A1", "notes", Verdict.RED, "notes.md is missing")
        await taken(app, link, pilot)
        assert [at for at, line in enumerate(screen(app)) if "#1 flash" in line] == before
        assert facts.key == "attempt/1"


async def test_sections_fold_by_key_and_mouse_and_are_walked() -> None:
    async with shown(FakeLink(judged())) as (app, pilot):
        app.place.task_tree.reveal("A1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        facts = app.place.facts
        facts.select("checks")
        await pilot.press("left")
        assert facts.laid.find("check/A1/notes") is None
        await pilot.press("enter")
        assert facts.laid.find("check/A1/notes") is not None
        await pilot.press("right_curly_bracket")
        assert facts.key == "check/A1/unit tests"
        await pilot.press("left_curly_bracket", "left_curly_bracket")
        assert facts.key == "instructions"
        await pilot.press("down", "left")
        assert facts.laid.folded["instructions"]
        row = facts.laid.find("checks")
        await pilot.click(Sheet, offset=(1, row - facts.scroll_offset.y))
        assert facts.laid.folded["checks"]
        await pilot.press("o")
        assert all(facts.laid.folded.values())
        await pilot.press("o", "end")
        assert not any(facts.laid.folded.values())


async def test_a_search_goes_round() -> None:
    async with shown(FakeLink(judged())) as (app, pilot):
        app.place.task_tree.reveal("A1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        await pilot.press("slash", *"fees", "enter")
        facts = app.place.facts
        await until(lambda: "was told" in facts.laid.text(facts._row))
        first = facts._row
        await pilot.press("N")
        assert facts.key == "messages"
        await pilot.press("N")
        assert facts._row == first
        await pilot.press("slash", *"zzz", "enter")
        await until(lambda: "zzz" in told(app))


async def test_a_diff_that_cannot_be_had_is_said() -> None:
    class Broken(FakeLink):
        async def diff(self, task: str) -> str:
            raise AuraError("the store is [bold]gone")

    async with shown(Broken(judged())) as (app, pilot):
        app.place.task_tree.reveal("A1")
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail))
        await pilot.press("end")
        await until(lambda: "the store is [bold]gone" in glass(app))


async def test_hostile_text_is_text() -> None:
    spec = TaskSpec(id="A1", title=EVIL, instructions=EVIL, checks=(Check(name="x", run=EVIL),))
    run = Run(start=time.time() - 9).plan(spec).start("A1").finish("A1")
    receipt = Receipt(
        check="x", check_hash="h", tree="t", phase=Phase.TASK, verdict=Verdict.RED, reason=EVIL, tail=EVIL, exit_code=1
    )
    run.add(
        ev.CheckRan(task="A1", n=1, receipt=receipt),
        ev.AttemptEnded(task="A1", n=1, outcome=Outcome.CAPABILITY, reason=EVIL, hand_over=EVIL),
        ev.MessageGiven(task="A1", n=1, text=EVIL, injected=True),
    )
    link = FakeLink(run)
    link.diffs["A1"] = f"diff --git a/x b/x\n--- a/x\n+++ b/{EVIL}\n@@ -0,0 +1 @@\n+{EVIL}\n"
    async with shown(link, (200, 60)) as (app, pilot):
        await pilot.press("enter")
        await until(lambda: isinstance(app.place, Detail) and app.place.changes.display)
        await pilot.pause()
        text = glass(app)
        assert text.count("[red]x[/red] [@click=app.quit]y[/] <U+202E>gnp") > 5
        assert not set(text) & {"\x1b", "\x9b", "\x07", "\u202e"}


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (20, 5), (3, 2), (1, 1)])
@pytest.mark.parametrize("key", ["enter", "d", "t", "c", "g"])
async def test_every_place_fills_any_size(size: tuple[int, int], key: str) -> None:
    link = FakeLink(judged())
    link.diffs["A1"] = DIFF
    async with shown(link, (100, 30)) as (app, pilot):
        await pilot.press(key)
        await until(lambda: not isinstance(app.place, Dashboard))
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert len(screen(app)) == size[1]
        assert {len(line) for line in screen(app)} == {size[0]}
        await pilot.press("down", "right", "pagedown")
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert "running" in screen(app)[0]


@pytest.mark.parametrize("key", ["enter", "d", "t", "c", "g"])
async def test_every_place_can_be_plain_ascii(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    link = FakeLink(judged())
    link.diffs["A1"] = DIFF
    async with shown(link, ascii_only=True) as (app, pilot):
        await pilot.press(key)
        await until(lambda: not isinstance(app.place, Dashboard))
        await pilot.pause()
        text = glass(app)
        assert text.isascii(), {char for char in text if not char.isascii()}
