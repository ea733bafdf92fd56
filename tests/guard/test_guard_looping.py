"""Repetition in a stream: what is a loop, what is patience, and what costs nothing."""

from __future__ import annotations

from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.core.model import ProcessRecord, Signal, SignalKind
from aura_engine.guard.activity import Limits
from aura_engine.guard.looping import LONGEST, ROUNDS, WAITING_ROUNDS, Loops, View
from aura_engine.guard.processes import Tree

LIMITS = Limits()
READ, TEST = ("Read", "a.py", "x = 1"), ("Bash", "pytest -q", "1 failed in 0.12s")
EDIT = ("Edit", "a.py: x = 1 → x = 2", "no such text")


def call(name: str, text: str) -> Signal:
    return Signal(kind=SignalKind.TOOL, tool=name, text=text)


def result(text: str, *, ok: bool = True) -> Signal:
    return Signal(kind=SignalKind.TOOL_RESULT, text=text, ok=ok)


class Worker:
    """What a worker does, and the engine's part in watching it."""

    def __init__(self) -> None:
        self.loops, self.now = Loops(), 0.0
        self.workspace, self.processes, self.looks = "tree", (), 0

    def does(self, *calls, takes: float = 2.0) -> str:
        """Makes each (tool, input, result) in turn; the words of the verdict once there is one."""
        for tool, text, said in calls:
            self.loops.feed(Signal(kind=SignalKind.MESSAGE, text=f"now {self.now}"), self.now)
            self.loops.feed(call(tool, text), self.now)
            self.now += takes
            self.loops.feed(result(said), self.now)
            if words := self.asked():
                return words
        return ""

    def asked(self) -> str:
        if not self.loops.due:
            return ""
        self.looks += 1
        return self.loops.saw(View(self.now, self.workspace, self.processes), LIMITS)


@pytest.fixture
def worker():
    return Worker()


def test_the_same_call_for_ever_is_a_loop(worker):
    words = worker.does(*[TEST] * 100)
    assert words == "the same call 12 times with the same results and no file changed: “Bash pytest -q”"
    assert worker.looks == 2


@pytest.mark.parametrize("calls", [(READ, EDIT), (READ, EDIT, TEST)])
def test_cycles_are_loops(worker, calls):
    words = worker.does(*calls * 40)
    assert words.startswith(f"the same {len(calls)} calls in turn 12 times")
    assert all(name in words for name, _, _ in calls)
    assert worker.looks == 2


def test_a_longer_cycle_is_not_looked_for(worker):
    steps = [("Bash", f"step {at}", "ok") for at in range(LONGEST + 1)]
    assert worker.does(*steps * 50) == ""
    assert worker.looks == 0


@pytest.mark.parametrize("times", [3, ROUNDS - 1])
def test_a_few_times_the_same_costs_no_look(worker, times):
    assert worker.does(*[READ] * times, EDIT, *[TEST] * times, *[READ] * times) == ""
    assert worker.looks == 0


def test_times_in_results_are_noise(worker):
    assert worker.does(*[("Bash", "pytest", f"[12:0{at % 10}:07] 3 failed in 0.{at}s") for at in range(50)])


def test_a_result_that_changes_is_progress(worker):
    assert worker.does(*[("Bash", "tail log", f"epoch {at}") for at in range(500)]) == ""


def test_whether_it_went_well_is_part_of_the_result(worker):
    for at in range(100):
        worker.loops.feed(call("Bash", "make"), at)
        worker.loops.feed(result("", ok=at % 5 != 0), at)
        assert worker.asked() == ""


def test_edit_run_verify_goes_on(worker):
    for at in range(200):
        worker.workspace = f"tree {at // 5}"
        assert worker.does(EDIT, TEST) == ""


def test_a_loop_after_changes_is_found(worker):
    for at in range(50):
        worker.workspace = f"tree {at}"
        assert worker.does(TEST) == ""
    assert worker.does(*[TEST] * 30)


def test_patient_polling_may_take_an_hour(worker):
    poll = ("Bash", "sleep 60; tail -1 train.log", "loading")
    assert worker.does(*[poll] * (2 * WAITING_ROUNDS - 1), takes=60.0) == ""
    assert worker.does(poll, takes=60.0)


def test_asking_often_for_a_build_that_works_is_no_loop(worker, make_process):
    ask = ("BashOutput", "bash_1", "running")
    for at in range(200):
        worker.processes = (make_process(1, own=True, cpu=at * 9.0), make_process(5, cpu=at * 1.0))
        assert worker.does(ask) == ""
    worker.processes = (make_process(1, own=True, cpu=9999.0), make_process(5, cpu=999.0))
    assert worker.does(*[ask] * 40)


def test_what_the_calls_themselves_start_is_no_work_besides(worker, make_process):
    for at in range(200):
        worker.processes = (make_process(100 + at, cpu=5.0, io=10_000),)
        if worker.does(TEST):
            return
    pytest.fail("not found")


def test_calls_made_at_once_are_matched_with_their_results(worker):
    for at in range(20):
        for signal in (call(*READ[:2]), call(*TEST[:2]), result(READ[2]), result(TEST[2])):
            worker.loops.feed(signal, at)
        if words := worker.asked():
            assert "2 calls in turn" in words
            return
    pytest.fail("not found")


def test_calls_without_results_are_counted_late(worker):
    for at in range(200):
        worker.loops.feed(call("Bash", "true"), at)
        if worker.asked():
            return
    pytest.fail("not found")


def test_a_break_between_the_looks_clears_it(worker):
    for _ in range(20):
        assert worker.does(*[TEST] * 11, READ) == ""


def test_what_a_worker_wrote_is_cleaned(worker):
    words = worker.does(*[("Bash\x1b[31m", "echo\n" * 500, "x")] * 20)
    assert "\x1b" not in words
    assert "\n" not in words
    assert len(words) < 300


@given(st.lists(st.sampled_from("ABCD"), max_size=120))
def test_no_short_repetition_no_verdict(letters):
    worker = Worker()
    verdict = worker.does(*[(letter, "", "") for letter in letters])
    rounds = 2 * ROUNDS
    text = "".join(letters)
    looping = any(
        text[at : at + period * rounds] == "".join(islice(cycle(text[at : at + period]), period * rounds))
        for period in range(1, LONGEST + 1)
        for at in range(len(text) - period * rounds + 1)
    )
    assert bool(verdict) == looping


async def test_check_looks_at_the_real_workspace_once_at_a_time(tmp_path):
    (tmp_path / "a.py").write_text("x")
    tree = Tree(list, ProcessRecord(pid=1, start_time=0, boot_id=""), tmp_path / "out")
    loops = Loops()

    def repeat(times: int) -> None:
        for _ in range(times):
            loops.feed(call("Write", "a.py"), 0)
            loops.feed(result("written"), 0)

    repeat(ROUNDS)
    assert loops.due
    checking = loops.check(tree, tmp_path, LIMITS)
    assert await checking == ""
    assert not loops.due
    (tmp_path / "a.py").write_text("x")  # as before: nothing has changed
    repeat(ROUNDS)
    assert "12 times" in await loops.check(tree, tmp_path, LIMITS)
