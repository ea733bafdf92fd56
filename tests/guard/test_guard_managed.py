"""Long jobs handed over: which entries of `process.json` are true, and what a hostile one can do (nothing)."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from aura_engine.core.model import ProcessRecord
from aura_engine.guard import managed
from aura_engine.guard.activity import Limits, take
from aura_engine.guard.managed import MOST_JOBS, Managed
from aura_engine.guard.processes import Tree
from aura_engine.guard.pulse import Pulse

HANDS_OVER = """
import json, os, subprocess, sys, time
job = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"], stdout=open("train.log", "w"))
entry = {"pid": job.pid, "started_at": "whenever", "kind": "training", "log_path": "train.log"}
with open("new", "w") as file:
    json.dump({"managed_subprocesses": [entry]}, file)
os.rename("new", "process.json")
time.sleep(60)
"""


def write(workspace: Path, *entries: object) -> None:
    (workspace / "process.json").write_text(json.dumps({"managed_subprocesses": entries}))


@pytest.fixture
async def handed(watch, eventually):
    """A worker that has handed over a job."""
    watched = await watch(HANDS_OVER)
    await eventually((watched.place.workspace / "process.json").exists)
    return watched


async def test_a_job_is_found_and_its_end_too(handed, eventually):
    jobs = Managed(handed.place.workspace, handed.place.tree)
    (job,) = jobs.look().running
    assert (job.kind, job.log) == ("training", handed.place.workspace / "train.log")
    assert job.pid not in (handed.worker.shim.pid, handed.worker.record.pid)
    os.kill(job.pid, signal.SIGKILL)
    await eventually(lambda: not jobs.look().running)
    assert jobs.look().refused == ()


async def test_the_pulse_knows_the_jobs_and_hears_their_logs(handed):
    pulse = Pulse(handed.place, managed=Managed(handed.place.workspace, handed.place.tree))
    await pulse.look()
    (job,) = pulse.jobs.running
    before = take(handed.place, time.monotonic(), pulse.jobs.running)
    with job.log.open("a") as file:
        file.write("epoch 1\n")
    after = take(handed.place, time.monotonic() + 5, pulse.jobs.running)
    assert after.output[str(job.log)] == before.output[str(job.log)] + 8
    assert next(each for each in after.processes if each.pid == job.pid).own is False


async def test_what_is_not_its_own_is_refused(handed):
    workspace, tree = handed.place.workspace, handed.place.tree
    strangers = [os.getpid(), os.getppid(), handed.worker.shim.pid, handed.worker.record.pid, 2**22 + 5]
    write(workspace, *({"pid": pid} for pid in strangers))
    jobs = Managed(workspace, tree).look()
    assert jobs.running == ()
    assert len(jobs.refused) == len(strangers)
    assert all("not one that this worker started" in words for words in jobs.refused)


async def test_a_file_older_than_the_process_does_not_mean_it(handed):
    os.utime(handed.place.workspace / "process.json", (0, time.time() - 3600))
    jobs = Managed(handed.place.workspace, handed.place.tree).look()
    assert jobs.running == ()
    assert "began after the file was written" in jobs.refused[0]


async def test_a_number_that_passed_on_is_not_the_job(handed, make_process):
    tree = handed.place.tree
    jobs = Managed(handed.place.workspace, tree)
    (job,) = jobs.look().running
    processes = (*tree.look()[:2], make_process(job.pid, start=job.start + 1))
    jobs._tree = type("Later", (), {"look": lambda _: processes, "main": tree.main})()
    assert jobs.look() == managed.Jobs()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"managed_subprocesses": 7}',
        '{"managed_subprocesses": [null, 1, "x", [], {}]}',
        '{"managed_subprocesses": [{"pid": 1}, {"pid": -5}, {"pid": true}, {"pid": 1e300}, {"pid": "NaN"}]}',
        '{"managed_subprocesses": [{"pid": 99999999999999999999}]}',
        '{"managed_subprocesses": [{"pid": ' + "9" * 5_000 + "}]}",
        "[" * 60_000,
        "\udcff\x00",
        '{"managed_subprocesses": [' + '{"pid": 5},' * 9_000,
    ],
)
async def test_no_text_trips_it(tmp_path, text):
    (tmp_path / "process.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert Managed(tmp_path, nobody(tmp_path)).look().running == ()


def nobody(tmp_path: Path) -> Tree:
    return Tree(list, ProcessRecord(pid=1, start_time=0, boot_id=""), tmp_path / "out")


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "huge", "none"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    path, good = tmp_path / "process.json", tmp_path / "elsewhere"
    good.write_text('{"managed_subprocesses": 7}')
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(good)
        case "folder":
            path.mkdir()
        case "huge":
            path.write_text('{"managed_subprocesses": 7}' + " " * managed.MOST_BYTES)
    assert Managed(tmp_path, nobody(tmp_path)).look() == managed.Jobs()


def test_the_list_is_bounded(tmp_path):
    write(tmp_path, *({"pid": 100 + at} for at in range(500)))
    refused = Managed(tmp_path, nobody(tmp_path)).look().refused
    assert len(refused) == MOST_JOBS + 1


@pytest.mark.parametrize(
    "log", ["../outside.log", "/etc/passwd", "link.log", "folder", "fifo", "missing", "", "a\0b", "loop", "x" * 999]
)
async def test_a_log_is_a_file_of_the_workspace(handed, log):
    workspace = handed.place.workspace
    (workspace.parent / "outside.log").touch()
    (workspace / "link.log").symlink_to("../outside.log")
    (workspace / "loop").symlink_to("loop")
    (workspace / "folder").mkdir()
    os.mkfifo(workspace / "fifo")
    entry = json.loads((workspace / "process.json").read_text())["managed_subprocesses"][0]
    write(workspace, entry | {"log_path": log})
    (job,) = Managed(workspace, handed.place.tree).look().running
    assert job.log is None


async def test_in_a_pid_namespace_the_worker_knows_other_numbers(handed, monkeypatch):
    (job,) = Managed(handed.place.workspace, handed.place.tree).look().running
    inside = {job.pid: (job.pid, 7)}
    monkeypatch.setattr(managed, "namespace_pids", lambda pid: inside.get(pid, (pid, 2)))
    write(handed.place.workspace, {"pid": 7})
    (found,) = Managed(handed.place.workspace, handed.place.tree).look().running
    assert found.pid == job.pid
    write(handed.place.workspace, {"pid": job.pid})  # our number is none that it could know
    assert Managed(handed.place.workspace, handed.place.tree).look().running == ()


async def test_a_job_of_the_same_output_is_a_child_all_the_same(watch, eventually):
    program = HANDS_OVER.replace(', stdout=open("train.log", "w")', "")
    watched = await watch(program)
    await eventually((watched.place.workspace / "process.json").exists)
    jobs = Managed(watched.place.workspace, watched.place.tree).look()
    assert all(each.own for each in take(watched.place, 0.0).processes)
    assert not all(each.own for each in take(watched.place, 0.0, jobs.running).processes)
    assert Limits().allowed(spoken=True) == 600
