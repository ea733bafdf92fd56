"""The view model, without Textual: what rows and header say, what is repainted, what the selection does."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from tui_fakes import STARTED, Run, group, leaf, many, story

from aura_engine.control.link import GOAL, Live
from aura_engine.core import events as ev
from aura_engine.core.budget import Caps
from aura_engine.core.model import Role, RunStatus, TaskStatus, Usage
from aura_engine.core.plan import id_key
from aura_engine.core.state import RunState, tree_order
from aura_engine.report.steps import doing
from aura_tui.counts import Counts
from aura_tui.figures import Planner, figures
from aura_tui.viewmodel import ViewModel


def seen(run: Run) -> ViewModel:
    """A model that has taken the whole run in and was painted once."""
    model = ViewModel()
    model.take(run.told)
    model.layout()
    clean(model)
    return model


def clean(model: ViewModel) -> None:
    model.dirty.rows.clear()
    model.dirty.structure = model.dirty.all_rows = model.dirty.figures = model.dirty.panes = model.dirty.story = False


def small(**more) -> Run:
    return Run(**more).plan(group("A1"), leaf("A1.1"), leaf("A1.2", needs=["A1.1"]), leaf("A2"))


def note(model: ViewModel, task: str, run: Run, later: float = 0.0) -> str:
    return model.row(task, run.now + later).note


def test_no_textual_is_loaded() -> None:
    code = "import sys, aura_tui.viewmodel, aura_tui.logs.pager; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_rows_are_in_reading_order() -> None:
    run = Run().plan(leaf("A10"), group("A2"), leaf("A2.10"), leaf("A2.2"), leaf("A1"))
    model = seen(run)
    assert model.outline.rows == ["A1", "A2", "A2.2", "A2.10", "A10"]
    assert [model.outline.depth[row] for row in model.outline.rows] == [0, 0, 1, 1, 0]
    assert model.outline.rows == [task.spec.id for _, task in tree_order(model.state)]


def test_a_row_says_what_it_waits_for() -> None:
    run = small()
    model = seen(run)
    assert note(model, "A1.2", run) == "waiting for A1.1"
    assert note(model, "A1.1", run) == "ready"
    assert model.row("A1.2", run.now).symbol == "waiting"


@pytest.mark.parametrize(
    ("held", "freed", "words"),
    [
        (
            ev.QuestionAsked(id="Q1", question="Shall this plan be carried out?", options=("yes", "no"), about="plan"),
            ev.QuestionAnswered(id="Q1", answer="yes"),
            "waiting for your word on the plan",
        ),
        (
            ev.CapReached(scope="run", measure="cost", cap=5.0, used=4.9),
            ev.CapsChanged(caps=Caps()),
            "held by the run's cap",
        ),
        (ev.DiskHeld(text="9 MB are left"), ev.DiskHeld(text=""), "waiting for room"),
        (ev.MemoryHeld(text="1 GB is free"), ev.MemoryHeld(text=""), "waiting for room"),
    ],
    ids=["plan", "cap", "disk", "memory"],
)
def test_a_row_says_what_holds_all_of_them(held, freed, words) -> None:
    run = small()
    model = seen(run)
    run.add(held)
    model.take(run.told[-1:])
    assert model.dirty.all_rows
    assert [note(model, task, run) for task in ("A1.1", "A1.2")] == [words, "waiting for A1.1"]
    clean(model)
    run.add(freed)
    model.take(run.told[-1:])
    assert model.dirty.all_rows
    assert note(model, "A1.1", run) == "ready"


def test_a_group_that_is_needed_is_named_as_a_whole_until_it_is_done() -> None:
    run = Run().plan(group("A1"), leaf("A1.1"), leaf("A1.2"), leaf("A2", needs=["A1"]))
    run.start("A1.1").land("A1.1")
    assert note(seen(run), "A2", run) == "waiting for A1"
    run.start("A1.2").land("A1.2")
    assert note(seen(run), "A2", run) == "ready"


def test_needs_of_the_group_above_count() -> None:
    run = Run().plan(leaf("A1"), group("A2"), leaf("A2.1"))
    run.plan(reason="x")
    run.add(ev.PlanChanged(reason="y", change=({"id": "A2", "needs": ("A1",)},)))
    assert note(seen(run), "A2.1", run) == "waiting for A1"


def test_many_needs_are_counted() -> None:
    run = Run().plan(*(leaf(f"A{n}") for n in range(1, 7)), leaf("A7", needs=[f"A{n}" for n in range(1, 7)]))
    assert note(seen(run), "A7", run) == "waiting for A1, A2, A3 and 3 more"


def test_a_worker_at_work() -> None:
    run = small().start("A1.1")
    model = seen(run)
    row = model.row("A1.1", run.now + 61)
    assert (row.symbol, row.tone, row.who, row.time, row.note) == ("running", "live", "flash", "1m 02s", "")
    assert model.row("A1.1", run.now + 3.9).time == "4s", "no tenths that dance"
    assert model.running() == ["A1.1"]


def test_checks_are_counted_while_it_is_checked() -> None:
    run = small().start("A1.1").finish("A1.1")
    assert note(seen(run), "A1.1", run) == "checking 0/1"
    run.receipt("A1.1", "unit")
    assert note(seen(run), "A1.1", run) == "checking 1/1"


def test_a_second_attempt_says_so() -> None:
    run = small().start("A1.1").fail("A1.1", "7 passed, 1 failed")
    row = seen(run).row("A1.1", run.now)
    assert (row.symbol, row.note) == ("again", "retry as flash: check “unit”: 7 passed, 1 failed")
    run.start("A1.1")
    assert seen(run).row("A1.1", run.now).who == "flash#2"


def test_after_an_escalation_the_row_says_pro() -> None:
    run = small().start("A1.1").fail("A1.1").start("A1.1").fail("A1.1")
    assert note(seen(run), "A1.1", run).startswith("retry as pro")


def test_done_and_done_unproven() -> None:
    run = small().start("A1.1").land("A1.1")
    row = seen(run).row("A1.1", run.now)
    assert (row.symbol, row.tone, row.note) == ("done", "good", "")
    run.start("A2").finish("A2")
    run.add(ev.Landed(task="A2", n=1, commit="c", tree="t", proven=False, unproven_why="nothing was red before"))
    row = seen(run).row("A2", run.now)
    assert (row.tone, row.note) == ("ask", "unproven: nothing was red before")


@pytest.mark.parametrize(
    ("status", "tone", "note_"),
    [
        (TaskStatus.FAILED, "bad", "failed: why not"),
        (TaskStatus.BLOCKED, "ask", "waits for you: why not"),
        (TaskStatus.KILLED, "ask", "why not"),
    ],
)
def test_a_task_that_stands(status: TaskStatus, tone: str, note_: str) -> None:
    run = small()
    run.add(ev.TaskSettled(task="A2", status=status, reason="why not"))
    row = seen(run).row("A2", run.now)
    assert (row.tone, row.note) == (tone, note_)


def test_a_dropped_task_stays_in_sight() -> None:
    run = small().add(ev.PlanChanged(reason="x", archive=("A2",)))
    row = seen(run).row("A2", run.now)
    assert (row.tone, row.note) == ("dim", "dropped")


def test_a_limit_says_when_it_ends() -> None:
    run = small().add(ev.RoleParked(role=Role.FLASH, until=STARTED + 3600, reason="rate limit"))
    model = seen(run)
    said = model.row("A1.1", STARTED + 1080).note
    assert said.endswith("(in 42m 00s): rate limit")
    assert said.startswith("flash goes on ")
    assert model.row("A1.1", STARTED + 3601).note == "ready"


def test_a_limit_without_an_end_needs_a_person() -> None:
    run = small().add(ev.RoleParked(role=Role.FLASH, until=None, reason="no key"))
    model = seen(run)
    assert model.row("A1.1", run.now).note == "flash waits for you: no key"
    figures = model.figures(run.now, {})
    assert (figures.state, figures.needs_you) == ("needs you", "flash workers: no key")


def test_back_off_counts_down() -> None:
    run = small().add(ev.TaskDelayed(task="A1.1", until=STARTED + 100))
    assert seen(run).row("A1.1", STARTED + 70).note == "next try in 30s"


def test_pauses_say_since_when() -> None:
    run = small().add(ev.Requested(command="pause"))
    model = seen(run)
    assert note(model, "A1.1", run).startswith("paused by you ")
    goal = {GOAL: Live(step="all tests, 1 of 3")}
    assert model.figures(run.now, goal).work == "checking the goal: all tests, 1 of 3"
    assert model.figures(run.now, {}).state == "paused"
    run.add(ev.Requested(command="resume"))
    assert note(seen(run), "A1.1", run) == "ready"


def test_the_want_of_room_is_in_the_header() -> None:
    run = small().add(ev.DiskHeld(text="only 1 GB is free"))
    figures = seen(run).figures(run.now, {})
    assert (figures.state, figures.tone, figures.work) == ("no room", "ask", "only 1 GB is free")
    run.add(ev.DiskHeld(text=""))
    assert seen(run).figures(run.now, {}).state == "running"


def test_a_cap_names_the_setting_that_raises_it() -> None:
    run = small().add(ev.CapReached(scope="run", measure="cost", cap=5.0, used=4.9))
    assert "raise AURA_MAX_COST_USD, or stop" in seen(run).figures(run.now, {}).needs_you


def test_a_paused_worker_says_so() -> None:
    run = small().start("A1.1").add(ev.Requested(command="pause", task="A1.1"))
    row = seen(run).row("A1.1", run.now)
    assert (row.symbol, row.tone) == ("held", "ask")
    assert row.note.startswith("paused by you ")


def test_a_question_is_on_the_row_and_in_the_header() -> None:
    run = small().add(ev.QuestionAsked(id="Q1", question="Which\x1b[31m range?", task="A1"))
    model = seen(run)
    assert "needs you: Q1" in note(model, "A1", run)
    assert model.figures(run.now, {}).needs_you == "Q1: Which range?"
    assert model.figures(run.now, {}).symbol == "ask"
    run.add(ev.QuestionAnswered(id="Q1", answer="all"))
    assert seen(run).figures(run.now, {}).needs_you == ""


def test_groups_count_what_is_below() -> None:
    run = story()
    model = seen(run)
    assert note(model, "A1", run) == "3/3"
    assert model.row("A1", run.now).symbol == "done"
    assert note(model, "A2", run) == "2/5"
    model.fold("A2")
    model.layout()
    assert note(model, "A2", run) == "2/5, 1 running"
    assert model.row("A2", run.now).folded


def test_counts_agree_with_a_fresh_count() -> None:
    run = story()
    model = ViewModel()
    for told in run.told:
        model.take([told])
    fresh = ViewModel()
    fresh.take(run.told)
    fresh.counts.rebuild(fresh.state)
    for node in ("", "A1", "A2", "A3"):
        for status in TaskStatus:
            assert model.counts.of(node, status) == fresh.counts.of(node, status), (node, status)
        assert model.counts.wanted(node) == fresh.counts.wanted(node)


def test_an_event_touches_its_rows_only() -> None:
    run = small()
    model = seen(run)
    run.start("A1.1")
    model.take(run.told)
    assert model.dirty.rows == {"A1.1", "A1"}
    assert not model.dirty.structure
    assert not model.dirty.all_rows
    clean(model)
    run.land("A1.1")
    model.take(run.told)
    assert model.dirty.rows == {"A1.1", "A1", "A1.2"}, "what waited for it says something else now"


def test_facts_told_twice_count_once() -> None:
    run = small().start("A1.1")
    model = seen(run)
    model.take(run.told)
    assert model.seq == len(run.told)
    assert len(model.state.tasks["A1.1"].attempts) == 1


def test_a_fact_that_does_not_fit_is_an_error() -> None:
    run = small()
    model = seen(run)
    run.told.append(run.told[-1]._replace(seq=99, event=ev.Landed(task="A2", n=7, commit="c", tree="t")))
    with pytest.raises(IndexError):
        model.take(run.told)


def test_folding_hides_and_the_selection_goes_to_the_group() -> None:
    run = small()
    model = seen(run)
    model.outline.selected = "A1.2"
    model.fold("A1")
    model.layout()
    assert model.outline.rows == ["A1", "A2"]
    assert model.outline.selected == "A1"
    model.fold("A1", folded=False)
    model.layout()
    assert model.outline.selected == "A1", "unfolding moves nothing"


def test_new_rows_do_not_move_the_selection() -> None:
    run = small()
    model = seen(run)
    model.outline.selected = "A2"
    run.plan(leaf("A1.3"), leaf("A1.4"), reason="more")
    model.take(run.told)
    assert model.dirty.structure
    model.layout()
    assert model.outline.selected == "A2"
    assert model.outline.rows[model.outline.row()] == "A2"


def test_a_filter_keeps_the_groups_above_and_looks_into_folded_ones() -> None:
    run = story()
    model = seen(run)
    model.fold("A3")
    model.filter("ridge")
    model.layout()
    assert model.outline.rows == ["A3", "A3.1"]
    assert model.outline.selected in model.outline.rows
    model.filter("")
    model.layout()
    assert "A3.1" not in model.outline.rows
    assert "A1.1" in model.outline.rows


def test_a_filter_takes_status_and_role() -> None:
    model = seen(story())
    model.filter("pro done")
    model.layout()
    assert [row for row in model.outline.rows if "." in row] == ["A2.1"]


def test_a_filter_that_fits_nothing_leaves_an_empty_tree() -> None:
    model = seen(small())
    model.filter("nowhere")
    model.layout()
    assert model.outline.rows == []
    assert model.outline.move(1) == model.outline.selected
    assert model.outline.row() == 0


def test_the_selection_stops_at_both_ends() -> None:
    model = seen(small())
    model.outline.move(-1000)
    assert model.outline.selected == "A1"
    model.outline.move(1000)
    assert model.outline.selected == "A2"


def test_figures() -> None:
    run = story()
    live = {"A2.3#2": Live(tokens=1_000_000, cost=1.5)}
    figures = seen(run).figures(run.now, live)
    assert figures.goal == "quant"
    assert (figures.done, figures.wanted, figures.running, figures.busy, figures.workers) == (5, 11, 2, 2, 4)
    assert figures.tokens == "1.0M"
    assert figures.cost == "$3.25", "seven ended workers and the one that runs"
    assert figures.state == "running"
    assert "data first" in figures.decision


def test_the_planner_thinks_and_idles() -> None:
    run = small().add(ev.PlannerAsked(call=2, triggers=("review",), revision="r1"))
    assert seen(run).figures(run.now + 8, {}).planner == "planner thinks 8s"
    run.add(ev.PlannerReplied(call=2, requests=1, usage=Usage()))
    assert seen(run).figures(run.now + 725, {}).planner == "planner idle 12m"
    assert seen(run).figures(run.now + 7500, {}).planner == "planner idle 2h 05m"


def test_what_the_engine_itself_is_at() -> None:
    run = small().start("A1.1").finish("A1.1")
    assert seen(run).figures(run.now, {}).work == "checking A1.1 0/1"
    run.add(ev.DeliveryStarted(tree="t9"))
    assert seen(run).figures(run.now, {}).work == "checking A1.1 0/1, delivering"
    assert seen(run).running() == [], "its worker has ended: no pane of its own"


@pytest.mark.parametrize(
    ("status", "word", "tone"),
    [
        (RunStatus.ACHIEVED, "achieved", "good"),
        (RunStatus.FAILED, "not achieved", "bad"),
        (RunStatus.BUDGET, "budget reached", "ask"),
    ],
)
def test_an_end_is_told_and_stops_the_clock(status: RunStatus, word: str, tone: str) -> None:
    run = small().add(ev.RunEnded(status=status, reason="so it is"))
    model = seen(run)
    figures = model.figures(run.now + 5000, {})
    assert (figures.state, figures.tone) == (word, tone)
    assert figures.elapsed == model.figures(run.now, {}).elapsed


def test_what_must_not_be_missed_is_noticed_once_and_only_live() -> None:
    run = small().add(ev.QuestionAsked(id="Q1", question="which?"))
    model = ViewModel()
    model.take(run.told, live=False)
    assert not model.notices
    run.add(ev.RunEnded(status=RunStatus.NEEDS_PERSON, reason="which?"))
    model.take(run.told)
    assert len(model.notices) == 1
    assert "you are needed" in model.notices[0].text


def test_the_story_is_bounded_and_clean() -> None:
    run = small()
    for number in range(300):
        run.add(ev.Notice(text=f"notice \x1b]0;evil\x07 {number} \u202e[red]x[/red]"))
    model = seen(run)
    assert len(model.story) == 200
    assert model.story[-1].text.endswith("notice 299 <U+202E>[red]x[/red]")


def test_hostile_words_are_inert_in_rows() -> None:
    run = Run().plan(leaf("A1", "evil\x1b]52;c;AAAA\x07 \u202e title\nsecond [@click=app.quit]line"))
    assert seen(run).row("A1", run.now).title == "evil <U+202E> title second [@click=app.quit]line"


def test_ten_thousand_tasks_cost_what_changes() -> None:
    run = many(10_000)
    model = seen(run)
    assert len(model.outline.rows) == 10_500
    run.told.clear()
    seq = model.seq
    spent = []
    for number in range(400):
        task = f"A{number + 2}.1"
        told = ev.AttemptStarting(task=task, n=1, role=Role.FLASH, backend="builtin", base="c")
        start = time.process_time()
        model.take([type("T", (), {"seq": seq + number + 1, "time": run.now, "event": told})])
        spent.append(time.process_time() - start)
    assert sorted(spent)[200] < 0.001, "an event does not walk the tree"
    assert len(model.dirty.rows) == 800


def test_ids_sort_as_a_person_counts() -> None:
    run = many(400)
    rows = seen(run).outline.rows
    assert rows == sorted(rows, key=id_key)


def test_what_a_worker_does_is_told_by_what_it_is_about() -> None:
    assert doing('run {"command": "pytest -q"}') == "run pytest -q"
    assert doing('Edit {"file_path": "a.py", "old_string": "x", "new_string": "y\\nz"}') == "edit a.py  +2 −1"
    assert doing('bash {"command": "cat > long.py <<EOF') == "run cat > long.py <<EOF"
    assert doing("I look {at} it") == "I look {at} it"


@pytest.mark.parametrize(
    ("project", "file", "name"),
    [("/work/quant", "task.md", "quant"), ("/work/quant", "night.md", "night"), ("", "", "aura")],
)
def test_a_run_has_a_name_that_says_something(project: str, file: str, name: str) -> None:
    state = RunState(project=project, task_file=f"{project}/{file}" if file else "")
    assert figures(state, Counts(), Planner(), 0.0, {}).goal == name
