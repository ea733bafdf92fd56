"""The engine dies, the worker does not: adoption with real processes whose starter was killed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aura_engine.core.model import ExitRecord, LaunchSpec
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes import local, processes, shim, traces
from aura_engine.runtimes.inbox import Inbox
from aura_engine.runtimes.local import LocalRuntime, LocalWorker

LIMIT = 20.0
STARTER = """
import asyncio, json, sys, time
from pathlib import Path
from aura_engine.core.model import LaunchSpec
from aura_engine.runtimes.local import LocalRuntime

async def main():
    folder, spec = Path(sys.argv[1]), json.loads(sys.argv[2])
    await LocalRuntime().start(LaunchSpec(**spec), folder, "A1-1")
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def orphaned(tmp_path: Path):
    """Starts a worker from another Python, which is then killed with SIGKILL."""
    folder = tmp_path / "attempt"

    def starter(*argv: str, **more: object) -> Path:
        spec = {"argv": argv, "env": {"HOME": str(tmp_path)}, "cwd": str(tmp_path), **more}
        command = [sys.executable, "-c", STARTER, str(folder), json.dumps(spec)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            process.kill()
        return folder

    yield starter
    try:
        found = json.loads((folder / "process.json").read_text())
    except OSError:
        return
    for name in ("worker", "shim"):
        pid = found[name]["pid"]
        if shim.start_time(pid) == found[name]["start_time"]:
            shim.send([*shim.descendants(pid), pid], signal.SIGKILL)


async def test_a_living_worker_is_adopted_and_its_end_heard(orphaned, tmp_path, eventually):
    folder = orphaned("cat", stdin="one\n", stdin_open=True)
    worker = await LocalRuntime().adopt(folder)
    assert isinstance(worker, LocalWorker)
    assert worker.alive()
    worker.send("two")
    worker.close_input()
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert record.code == 0
    assert (folder / "output.jsonl").read_text() == "one\ntwo\n"
    assert await asyncio.wait_for(worker.swept(), LIMIT)


async def test_an_adopted_worker_can_be_stopped(orphaned):
    folder = orphaned("sleep", "60")
    worker = await LocalRuntime().adopt(folder)
    assert isinstance(worker, LocalWorker)
    record = await asyncio.wait_for(worker.stop(), LIMIT)
    assert record.signal == signal.SIGTERM
    assert shim.start_time(worker.record.pid) == 0.0


async def test_one_that_ended_meanwhile_is_collected(orphaned, tmp_path, eventually):
    folder = orphaned("sh", "-c", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; exit 5")
    (tmp_path / "go").touch()
    await eventually((folder / "exit.json").exists)
    record = await LocalRuntime().adopt(folder)
    assert isinstance(record, ExitRecord)
    assert record.code == 5


async def test_a_stop_that_the_engine_did_not_live_to_see_is_finished(orphaned, tmp_path, eventually):
    folder = orphaned(
        "sh", "-c", f"trap '' TERM; echo $$ > {tmp_path}/up; sleep 60; sleep 60", stop_signals=[["SIGTERM", 0.2]]
    )
    await eventually((tmp_path / "up").exists)
    os.kill(json.loads((folder / "process.json").read_text())["shim"]["pid"], signal.SIGTERM)
    await eventually((folder / "exit.json").exists)
    record = await LocalRuntime().adopt(folder)
    assert isinstance(record, ExitRecord)
    assert record.signal == signal.SIGKILL


async def test_an_orphan_without_its_shim_is_not_left_running(orphaned, eventually):
    folder = orphaned("sleep", "60")
    found = json.loads((folder / "process.json").read_text())
    os.kill(found["shim"]["pid"], signal.SIGKILL)
    await eventually(lambda: shim.start_time(found["shim"]["pid"]) == 0.0)
    record = await LocalRuntime().adopt(folder)
    assert isinstance(record, ExitRecord)
    assert "its shim was gone" in record.error
    await eventually(lambda: shim.start_time(found["worker"]["pid"]) == 0.0)


HANDS_OVER = "touch process.json; setsid sh -c 'echo $$ > job; exec sleep 60' & while [ ! -s job ]; do :; done"


async def test_a_job_whose_shim_died_while_it_held_it_is_not_left_running(orphaned, tmp_path, eventually):
    folder = orphaned("sh", "-c", HANDS_OVER)
    await eventually((folder / "held").exists)
    job, holder = int((tmp_path / "job").read_text()), json.loads((folder / "process.json").read_text())["shim"]
    os.kill(holder["pid"], signal.SIGKILL)
    await eventually(lambda: shim.start_time(holder["pid"]) == 0.0)
    assert shim.start_time(job)
    record = await LocalRuntime().adopt(folder)
    assert isinstance(record, ExitRecord)
    assert record.code == 0
    await eventually(lambda: shim.start_time(job) == 0.0)


BEGUN = """
import os, signal, sys
from aura_engine.runtimes import shim
step = sys.argv.pop()
real = getattr(shim.Shim, step)
def slow(self, *args):
    os.kill(os.getpid(), signal.SIGSTOP)
    return real(self, *args)
setattr(shim.Shim, step, slow)
shim.main()
"""


@pytest.mark.parametrize("step", ["start", "_commit", "_record"])
async def test_a_shim_that_is_too_slow_for_an_adoption_starts_nothing_afterwards(
    tmp_path, eventually, monkeypatch, step
):
    monkeypatch.setattr(local, "START_LIMIT", 0.2)
    runtime, folder, ran = LocalRuntime(), tmp_path / "attempt", tmp_path / "ran"
    launch = LaunchSpec(argv=("touch", str(ran)), env={"HOME": str(tmp_path)}, cwd=str(tmp_path))
    runtime._write(launch, folder)
    with subprocess.Popen([sys.executable, "-c", BEGUN, str(folder / "spec.json"), step]) as process:  # noqa: ASYNC220
        try:
            await eventually(lambda: shim.stat_of(process.pid)[:1] == [b"T"])
            assert not (folder / "spec.json").exists()
            assert await runtime.adopt(folder) is None
            process.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(process.wait, LIMIT) in (0, -signal.SIGKILL)
        finally:
            process.kill()
    assert not ran.exists()
    assert not any(b"HOME" in path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_a_shim_that_is_stuck_after_it_has_begun_is_killed_with_its_worker(tmp_path, eventually, monkeypatch):
    monkeypatch.setattr(local, "START_LIMIT", 0.2)
    runtime, folder, pid = LocalRuntime(), tmp_path / "attempt", tmp_path / "pid"
    launch = LaunchSpec(
        argv=("sh", "-c", f"echo $$ > {pid}; exec sleep 60"), env={"HOME": str(tmp_path)}, cwd=str(tmp_path)
    )
    runtime._write(launch, folder)
    stuck = BEGUN.replace(
        "def slow(self, *args):\n", "def slow(self, *args):\n    if not self.worker: return real(self, *args)\n"
    )
    with subprocess.Popen([sys.executable, "-c", stuck, str(folder / "spec.json"), "_record"]) as process:  # noqa: ASYNC220
        try:
            await eventually(lambda: shim.stat_of(process.pid)[:1] == [b"T"] and pid.exists() and pid.read_text())
            assert await runtime.adopt(folder) is None
            assert await asyncio.to_thread(process.wait, LIMIT) == -signal.SIGKILL
            await eventually(lambda: shim.start_time(int(pid.read_text())) == 0.0)
        finally:
            process.kill()


async def test_after_a_reboot_no_pid_is_trusted(tmp_path):
    me = {"pid": os.getpid(), "start_time": shim.start_time(os.getpid()), "boot_id": "an earlier boot"}
    (tmp_path / "process.json").write_text(json.dumps({"shim": me, "worker": me, "stop_within": 5}))
    os.mkfifo(tmp_path / "bell")
    assert await LocalRuntime().adopt(tmp_path) is None  # and this test still runs


@pytest.mark.parametrize(("told", "waited"), [("5", 5.0), ("Infinity", 60.0), ("1e9", 60.0), ("NaN", 0.0), ("-3", 0.0)])
def test_a_record_cannot_ask_for_an_endless_stop(tmp_path, told, waited):
    me = json.dumps({"pid": 1, "start_time": 1.0, "boot_id": "b"})
    (tmp_path / "process.json").write_text(f'{{"shim": {me}, "worker": {me}, "stop_within": {told}}}')
    found = traces.told_in(tmp_path)
    assert found is not None
    assert found.stop_within == waited


@pytest.mark.parametrize("told", ["[" * 60_000, '{"shim": ME, "stop_within": 1%s}' % ("0" * 400)], ids=["deep", "huge"])
def test_a_record_that_nobody_can_take_in_is_none(tmp_path, told):
    me = json.dumps({"pid": 1, "start_time": 1.0, "boot_id": "b"})
    (tmp_path / "process.json").write_text(told.replace("ME", me))
    assert traces.told_in(tmp_path) is None


def test_a_shim_that_has_read_half_a_line_forgets_it_when_it_is_taken_back(tmp_path):
    path = tmp_path / "input.jsonl"
    path.write_text("first\nsec")
    of = object.__new__(shim.Shim)
    of.partial, of.pending, of.poll = b"", b"", select.poll()
    of.source = os.open(path, os.O_RDONLY)
    out, of.stdin = os.pipe()
    os.set_blocking(of.stdin, False)
    of.poll.register(of.stdin, 0)
    try:
        of.feed()
        os.truncate(path, len("first\n"))
        of.feed()
        with path.open("a") as file:
            file.write("third, longer\n")
        of.feed()
        assert os.read(out, 100) == b"first\nthird, longer\n"
    finally:
        for fd in (of.source, of.stdin, out):
            os.close(fd)


def test_half_a_line_for_which_there_was_no_room_is_taken_back(tmp_path, monkeypatch):
    inbox = Inbox(tmp_path)
    (tmp_path / "input.jsonl").write_text("first\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(RuntimeFault, match="no room"):
        inbox.send("second")
    monkeypatch.undo()
    inbox.send("third")
    assert (tmp_path / "input.jsonl").read_text() == "first\nthird\n"


def test_a_full_disk_is_waited_for_with_the_record_of_an_end(tmp_path, monkeypatch):
    of = object.__new__(shim.Shim)
    of.traces, of.exit = str(tmp_path), {"code": 3}
    write, left = os.write, [2]

    def full(fd, data):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "full")
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(shim, "ROOM_LOOK", 0.0)
    of.save_end()
    assert json.loads((tmp_path / "exit.json").read_text()) == {"code": 3}
    left[0] = 10**9
    monkeypatch.setattr(shim, "ROOM_LIMIT", 0.0)
    with pytest.raises(OSError, match="full"):
        of.save_end()
    monkeypatch.undo()
    of.traces = str(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):  # at once: this will never be better
        of.save_end()


async def test_nothing_was_ever_started(tmp_path):
    assert await LocalRuntime().adopt(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", '{"code": "x"}', "[]"])
async def test_a_damaged_exit_record_counts_as_none(tmp_path, text):
    (tmp_path / "exit.json").write_text(text)
    assert await LocalRuntime().adopt(tmp_path) is None


def test_an_own_record_is_alive():
    from aura_engine.core.model import ProcessRecord

    pid = os.getpid()
    record = ProcessRecord(pid=pid, start_time=shim.start_time(pid), boot_id=processes.boot_id())
    assert processes.alive(record)
