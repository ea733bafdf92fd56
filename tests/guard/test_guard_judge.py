"""The verdict on silence, on made-up samples: what is life, what is only a trickle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.core.model import ProcessRecord
from aura_engine.guard.activity import Limits, Place, Sample, judge, take
from aura_engine.guard.processes import Process, Tree, cpu_seconds

TEN_MINUTES = 600.0
LIMITS = Limits()


@pytest.fixture
def pair(make_process, make_sample):
    """Two samples ten minutes apart: a CLI and a child of it, with the changes given for the second."""

    def made(cli: dict | None = None, child: dict | None = None, **later: object):
        before = make_sample(0.0, make_process(10, own=True), make_process(11))
        processes = make_process(10, own=True, **(cli or {})), make_process(11, **(child or {}))
        return before, make_sample(TEN_MINUTES, *processes, **later)

    return made


@pytest.mark.parametrize(
    ("cli", "child", "later", "words"),
    [
        ({}, {}, {"output": {"out": 11}}, "1 bytes of output"),
        ({}, {}, {"output": {"out": 10, "train.log": 2_000}}, "2.0 kB of output"),
        ({}, {}, {"files": 2}, "files changed"),
        ({"cpu": 31.0}, {}, {}, "31.0 s of CPU"),
        ({}, {"cpu": 6.5}, {}, "6.5 s of CPU"),
        ({"reaped": 6.5}, {}, {}, "6.5 s of CPU"),
        ({}, {"io": 61_000}, {}, "61.0 kB of I/O by its children"),
        ({}, {}, {"moved": {7: 3_000_000}}, "3.0 MB of I/O by its children"),
        ({}, {"state": "D"}, {}, "a child waits for the disk"),
        ({}, {}, {"received": {9: 700_000}}, "700.0 kB received from its model"),
        ({}, {}, {"gpu": 88.0}, "its GPU is 88 % busy"),
    ],
)
def test_one_sign_of_life_is_enough(pair, cli, child, later, words):
    verdict = judge(*pair(cli, child, **later), TEN_MINUTES, LIMITS)
    assert (verdict.hung, verdict.alive, verdict.words) == (False, True, words)


@pytest.mark.parametrize(
    ("cli", "child", "later"),
    [
        ({}, {}, {}),
        ({"cpu": 12.0}, {}, {}),  # opencode, waiting
        ({"io": 50_000_000}, {}, {}),  # what the program itself moves is no work
        ({"state": "D"}, {}, {}),
        ({}, {"cpu": 2.0, "io": 24_000}, {}),  # a language server that pings
        ({}, {}, {"received": {9: 20 * 7_000}}),  # an error page every half minute
        ({}, {}, {"output": {"out": 3}}),  # it cut its own log
        ({}, {}, {"gpu": 1.0}),
    ],
)
def test_a_trickle_is_not_life(pair, cli, child, later):
    verdict = judge(*pair(cli, child, **later), TEN_MINUTES, LIMITS)
    assert verdict.hung
    assert not verdict.alive


def test_a_verdict_names_all_that_is_missing(pair):
    verdict = judge(*pair({"cpu": 0.1}), TEN_MINUTES, LIMITS)
    assert verdict.words == "no output for 10m, no file changed, 0.1 s of CPU in 2 processes, no child doing I/O"


def test_a_worker_alone_has_no_child(make_process, make_sample):
    before, after = make_sample(0, make_process(10, own=True)), make_sample(400, make_process(10, own=True))
    verdict = judge(before, after, 400, LIMITS, spoken=False)
    assert verdict.hung
    assert verdict.words == "no output at all in 6m40s, no file changed, 0.0 s of CPU in 1 process, no child"


def test_what_cannot_be_seen_is_said(pair):
    assert "cannot be seen here" in judge(*pair(child={"io": None}), TEN_MINUTES, LIMITS).words


def test_the_start_and_the_rest_have_limits_of_their_own(pair):
    before, after = pair()
    assert judge(before, after, 301, LIMITS, spoken=False).hung
    assert not judge(before, after, 301, LIMITS).hung


def test_samples_close_together_convict_nobody(make_sample):
    assert not judge(make_sample(0), make_sample(1), 5_000, LIMITS).hung


def test_a_childs_cpu_counts_once_when_its_parent_inherits_it(make_process):
    before = [make_process(1, own=True), make_process(2, cpu=100.0)]
    after = [make_process(1, own=True, reaped=103.0)]
    assert cpu_seconds(before, after) == pytest.approx((0.0, 3.0))


def test_cpu_of_a_child_nobody_waited_for_hides_no_other(make_process):
    before = [make_process(1, own=True), make_process(2, cpu=100.0), make_process(3, cpu=1.0)]
    after = [make_process(1, own=True), make_process(3, cpu=9.0)]
    assert cpu_seconds(before, after) == pytest.approx((0.0, 8.0))


def test_a_number_used_again_is_another_process(make_process, make_sample):
    before = make_sample(0, make_process(5, io=10_000_000))
    after = make_sample(600, make_process(5, start=2.0, io=9_000_000))
    assert judge(before, after, 600, LIMITS).words == "9.0 MB of I/O by its children"


processes = st.lists(
    st.builds(
        Process,
        pid=st.integers(1, 6),
        start=st.sampled_from([1.0, 2.0]),
        state=st.sampled_from("RSDTZ"),
        cpu=st.floats(0, 1e6),
        reaped=st.floats(0, 1e6),
        rss=st.integers(0, 1 << 40),
        io=st.none() | st.integers(0, 1 << 40),
        own=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda process: process.pid,
).map(tuple)
figures = st.dictionaries(st.integers(1, 4), st.integers(0, 1 << 40), max_size=3)
samples = st.builds(
    Sample,
    at=st.floats(0, 1e6),
    output=st.dictionaries(st.sampled_from(["out", "err"]), st.integers(0, 1 << 40)),
    files=st.integers(0, 3),
    processes=processes,
    received=figures,
    moved=figures,
    gpu=st.floats(0, 100),
)


@given(before=samples, after=samples, quiet=st.floats(0, 1e5), spoken=st.booleans())
def test_whatever_the_samples_a_verdict_is_sound(before, after, quiet, spoken):
    verdict = judge(before, after, quiet, LIMITS, spoken=spoken)
    assert not (verdict.hung and verdict.alive)
    assert verdict.words
    if verdict.hung:
        assert quiet >= LIMITS.allowed(spoken=spoken)
        assert before.files == after.files
        assert all(after.output[name] <= before.output.get(name, 0) for name in after.output)
    assert not judge(before, after, 299.0, LIMITS, spoken=spoken).hung


def test_a_look_at_what_is_gone_is_no_error(tmp_path):
    tree = Tree(lambda: [2**22 + 5], ProcessRecord(pid=2**22 + 5, start_time=1.0, boot_id=""), tmp_path / "nothing")
    sample = take(Place(tree, tmp_path / "no workspace", tmp_path / "no errors"), 1.0)
    assert sample.processes == ()
    assert set(sample.output.values()) == {0}
