"""How a worker in a container ended: its shim's word and the container engine's, weighed. No engine is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aura_engine.core.model import Ending, EndKind, ExitRecord
from aura_engine.runtimes import cgroups, traces
from aura_engine.runtimes.docker_end import final_record
from aura_engine.runtimes.docker_engine import State
from aura_engine.watching import from_outside


def state(code: int, *, oom: bool = False) -> State:
    """Of a container that has ended."""
    return State("exited", 0, code, oom, "")


@pytest.mark.parametrize(
    ("told", "last", "stopping", "expected"),
    [
        (ExitRecord(code=0), state(0), False, {"code": 0, "outside": ""}),
        (ExitRecord(code=0), state(0, oom=True), False, {"code": 0, "oom": True}),
        (ExitRecord(code=1), state(137), False, {"code": 1, "outside": ""}),
        (ExitRecord(code=0, stopped=True), state(0), True, {"code": 0, "outside": ""}),
        (ExitRecord(code=0, stopped=True), state(0), False, {"outside": "its container was stopped from outside"}),
        (None, state(143), False, {"outside": "its container was stopped from outside"}),
        (None, state(0), False, {"outside": "its container was stopped from outside"}),
        (None, state(255), False, {"outside": "its container was lost by its engine"}),
        (None, state(137), False, {"outside": "its container was killed from outside"}),
        (None, state(137, oom=True), False, {"outside": "", "oom": True, "signal": 9}),
        (None, state(137), True, {"outside": "", "signal": 9}),
        (None, state(1), False, {"error": "its shim ended with status 1 and without a record"}),
        (None, None, False, {"outside": "its container cannot be found any more"}),
        (ExitRecord(code=4), None, False, {"code": 4, "outside": ""}),
    ],
)
def test_the_two_words_are_weighed(told, last, stopping, expected):
    record = final_record(told, last, stopping=stopping)
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "record", "expected"),
    [
        (EndKind.CRASHED, ExitRecord(outside="its container was stopped from outside"), EndKind.LOST),
        (EndKind.KILLED, ExitRecord(outside="its container was stopped from outside"), EndKind.LOST),
        (EndKind.FINISHED, ExitRecord(outside="its container was stopped from outside"), EndKind.FINISHED),
        (EndKind.CRASHED, ExitRecord(code=1, oom=True), EndKind.OUT_OF_MEMORY),
        (EndKind.KILLED, ExitRecord(signal=9, oom=True), EndKind.OUT_OF_MEMORY),
        (EndKind.FINISHED, ExitRecord(code=0, oom=True), EndKind.FINISHED),
        (EndKind.RATE_LIMIT, ExitRecord(code=1, oom=True), EndKind.RATE_LIMIT),
        (EndKind.CRASHED, ExitRecord(code=1), EndKind.CRASHED),
    ],
)
def test_what_comes_from_outside_is_nobodys_fault(kind, record, expected):
    ending = from_outside(Ending(kind=kind, detail="so"), record)
    assert ending.kind is expected
    assert "memory" in ending.detail or not record.oom or kind is EndKind.RATE_LIMIT


def test_records_are_read_without_following_links_or_waiting(tmp_path: Path):
    (tmp_path / "real").write_text('{"code": 3}')
    (tmp_path / "exit.json").symlink_to(tmp_path / "real")
    assert traces.exit_in(tmp_path) is None
    (tmp_path / "exit.json").unlink()
    os.mkfifo(tmp_path / "exit.json")
    assert traces.exit_in(tmp_path) is None
    (tmp_path / "exit.json").unlink()
    (tmp_path / "real").rename(tmp_path / "exit.json")
    assert traces.exit_in(tmp_path) == ExitRecord(code=3)


V1 = "12:pids:/docker/ab\n4:memory:/docker/ab\n0::/docker/ab\n"
V2 = "0::/system.slice/docker-ab.scope\n"


@pytest.mark.parametrize(
    ("told", "place", "name", "text"),
    [
        (V1, "memory/docker/ab", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        (V2, "system.slice/docker-ab.scope", "memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n"),
    ],
    ids=["the first version", "the second version"],
)
def test_the_kernel_counts_what_ran_out_of_memory(tmp_path: Path, told, place, name, text):
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text(told)
    folder = tmp_path / "sys" / place
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    group = cgroups.memory_group(7, tmp_path / "sys", tmp_path / "proc")
    assert group == folder
    assert cgroups.memory_kills(folder) == 2
    (folder / name).unlink()
    assert cgroups.memory_kills(folder) is None


def test_a_process_that_is_gone_or_in_no_group_has_none(tmp_path: Path):
    assert cgroups.memory_group(7, tmp_path, tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text("0::/\n")
    assert cgroups.memory_group(7, tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    ("told", "files"),
    [
        (
            "0::/docker/abc\n",
            {
                "docker/abc/memory.events": "oom_kill 0\n",
                "docker/abc/memory.current": "5000\n",
                "docker/abc/memory.stat": "anon 1\ninactive_file 2000\n",
                "docker/abc/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
            },
        ),
        (
            "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
            {
                "memory/docker/abc/memory.usage_in_bytes": "5000\n",
                "memory/docker/abc/memory.stat": "cache 7\ntotal_inactive_file 2000\n",
                "cpuacct/docker/abc/cpuacct.usage": "1500000000\n",
            },
        ),
    ],
)
def test_what_a_container_uses_is_counted_by_the_kernel(tmp_path: Path, told, files):
    proc = tmp_path / "proc/7"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(told)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    use = cgroups.use_of(7, tmp_path / "cgroup", tmp_path / "proc")
    assert use is not None
    assert (use.cpu, use.memory) == (1.5, 3000)
    next(iter(sorted((tmp_path / "cgroup").rglob("memory.stat")))).unlink()
    assert cgroups.use_of(7, tmp_path / "cgroup", tmp_path / "proc") is None
