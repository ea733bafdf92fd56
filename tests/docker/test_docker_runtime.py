"""Workers in real containers: started, told apart, stopped, frozen, found again, and never two for one attempt."""

from __future__ import annotations

import asyncio
import json
import os
import tarfile
from pathlib import Path

import pytest

from aura_engine.core.model import ExitRecord
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes import docker_place
from aura_engine.runtimes.docker_worker import DockerWorker

pytestmark = pytest.mark.docker


async def test_a_worker_runs_as_somebody_else_and_its_work_is_there(harbour):
    _, worker = await harbour.start("id -u; whoami; pwd; echo made > made.txt; echo lost >&2", env={"KEY": "s3cret"})
    record = await worker.wait()
    assert (record.code, record.outside, record.oom) == (0, "", False)
    uid, name, where = harbour.output().split()
    assert uid == str(docker_place.owner(rootless=False).uid) != "0"
    assert name == "worker"
    assert Path(where, "made.txt").read_text() == "made\n"
    assert (worker.folder / "error.log").read_text() == "lost\n"


async def test_its_key_is_nowhere_but_in_its_own_environment(harbour, eventually):
    script = 'test "$KEY" = s3cret || exit; sleep 1; ls -A /aura/box; sleep 60'
    _, worker = await harbour.start(script, env={"KEY": "s3cret"})
    described = harbour.docker("inspect", worker.name)
    assert "s3cret" not in described
    assert not list(Path("/dev/shm").glob(f"aura-*-{harbour.project}/*/spec.json")), "the file is gone once it runs"
    for path in worker.folder.rglob("*"):
        assert path.is_dir() or path.is_fifo() or "s3cret" not in path.read_text()
    await eventually(harbour.output)
    assert harbour.output().split() == ["error.log", "output.jsonl", "shim.py", "stdin.txt"], "gone inside as well"
    record = await worker.stop()
    assert record.stopped
    assert not record.outside


async def test_it_is_removed_once_its_end_is_journaled_and_not_before(harbour, eventually):
    runtime, worker = await harbour.start("true")
    await worker.swept()
    assert harbour.containers() == [worker.name]
    await runtime.clear(worker.folder)
    await eventually(lambda: harbour.containers() == [])
    assert {path.stat().st_uid for path in worker.folder.rglob("*")} == {os.geteuid()}


async def test_stopping_walks_the_ladder_and_leaves_nothing_that_runs(harbour, eventually):
    script = "trap 'echo asked; exit 7' TERM; setsid sleep 1000 & echo up; while :; do sleep 0.1; done"
    _, worker = await harbour.start(script)
    await eventually(lambda: "up" in harbour.output())
    record = await worker.stop()
    assert (record.code, record.stopped) == (7, True)
    assert "asked" in harbour.output()
    assert harbour.docker("inspect", "-f", "{{.State.Running}}", worker.name) == "false"


async def test_a_frozen_worker_stands_still_and_can_be_stopped(harbour, eventually):
    _, worker = await harbour.start("while :; do date +%s%N; sleep 0.02; done")
    await eventually(harbour.output)
    await worker.pause()
    await worker.pause()
    before = harbour.output()
    assert harbour.docker("inspect", "-f", "{{.State.Status}}", worker.name) == "paused"
    await worker.resume()
    await eventually(lambda: harbour.output() != before)
    await worker.resume()
    await worker.pause()
    async with asyncio.timeout(20):
        await worker.stop()


async def test_what_is_sent_to_it_arrives_and_its_input_can_be_closed(harbour):
    _, worker = await harbour.start("cat", stdin="first\n", stdin_open=True)
    worker.send("second")
    worker.close_input()
    assert (await worker.wait()).code == 0
    assert harbour.output() == "first\nsecond\n"
    assert {"first", "second"} <= worker.sent()


async def test_its_processes_are_this_machines(harbour, eventually):
    _, worker = await harbour.start("sleep 61 & sleep 60")
    assert worker.record.pid
    await eventually(lambda: len(worker.family()) == 4)  # the shim, the shell, two that sleep
    family = worker.family()
    assert worker.record.pid in family
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family]
    assert b"shim.py" in commands[0]
    await worker.stop()


async def test_the_kernel_counts_what_its_container_uses(harbour, eventually):
    _, worker = await harbour.start("while :; do :; done")
    await eventually(worker.container)
    before = worker.container()
    await eventually(lambda: worker.container().cpu > before.cpu + 0.2)
    assert 0 < worker.container().memory < 500_000_000
    await worker.stop()


@pytest.mark.parametrize("script", ["{eat}", "{eat}; exit 0"], ids=["alone", "hidden behind exit 0"])
async def test_running_out_of_memory_is_seen_also_behind_exit_0(harbour, script):
    harbour.memory = 64 << 20
    eat = "python3 -c 'x = bytearray(300 << 20)'"
    _, worker = await harbour.start(script.format(eat=eat))
    record = await worker.wait()
    assert record.oom
    assert not record.outside
    assert (record.code == 0) == ("exit 0" in script)


async def test_a_program_that_is_not_in_the_image_is_told_by_its_record(harbour):
    runtime = harbour.runtime()
    launch = harbour.launch("").model_copy(update={"argv": ("no-such-program",)})
    worker = await runtime.start(launch, harbour.folder(), "A1-1")
    assert "No such file" in (await worker.wait()).error


async def test_an_image_without_python_is_a_fault_that_says_so_and_nothing_stays(harbour, eventually, tmp_path):
    bare = f"aura-test-bare-{harbour.project}"
    (tmp_path / "etc").mkdir()
    archive = tmp_path / "bare.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "etc", "etc")
    harbour.docker("import", str(archive), bare)
    try:
        harbour.image = bare
        runtime = harbour.runtime()
        with pytest.raises(RuntimeFault, match="python3"):
            await runtime.start(harbour.launch("true"), harbour.folder(), "A1-1")
        await eventually(lambda: harbour.containers() == [])
    finally:
        harbour.docker("rmi", "-f", bare)


async def test_killed_from_outside_is_no_end_of_its_own(harbour):
    _, worker = await harbour.start("sleep 60")
    harbour.docker("kill", worker.name)
    record = await worker.wait()
    assert "was killed from outside" in record.outside


async def test_stopped_from_outside_is_no_end_of_its_own_however_it_takes_it(harbour):
    _, worker = await harbour.start("trap 'exit 0' TERM; while :; do sleep 0.05; done")
    harbour.docker("stop", worker.name)
    record = await worker.wait()
    assert record.outside == "its container was stopped from outside"


async def test_removed_from_outside_is_no_end_of_its_own(harbour):
    _, worker = await harbour.start("sleep 60")
    harbour.docker("rm", "-f", worker.name)
    assert (await worker.wait()).outside


# ---- found again


async def test_the_next_engine_takes_over_one_that_runs(harbour):
    first, worker = await harbour.start("for i in $(seq 1 400); do echo $i; sleep 0.01; done; exit 5")
    await first.aclose()
    second = harbour.runtime()
    again = await second.adopt(worker.folder)
    assert isinstance(again, DockerWorker)
    assert again.record == worker.record
    await second.tidy([worker.folder])
    assert (await again.wait()).code == 5
    assert harbour.output().split() == [str(i) for i in range(1, 401)]


async def test_the_next_engine_collects_one_that_ended_meanwhile(harbour):
    first, worker = await harbour.start("exit 6")
    await worker.swept()
    await first.aclose()
    record = await harbour.runtime().adopt(worker.folder)
    assert isinstance(record, ExitRecord)
    assert record.code == 6


async def test_the_next_engine_starts_one_that_was_made_and_never_started(harbour, monkeypatch):
    first = harbour.runtime()
    with monkeypatch.context() as patch:
        patch.setattr(first._dock, "begin", _dies)
        with pytest.raises(_Died):
            await first.start(harbour.launch("echo once"), harbour.folder(), "A1-1")
    assert len(harbour.containers()) == 1
    again = await harbour.runtime().adopt(harbour.folder())
    assert isinstance(again, DockerWorker)
    assert (await again.wait()).code == 0
    assert harbour.output() == "once\n"


async def test_one_that_was_never_made_will_not_start(harbour):
    assert await harbour.runtime().adopt(harbour.folder()) is None


async def test_one_that_can_no_longer_be_started_is_taken_away(harbour, monkeypatch):
    first = harbour.runtime()
    with monkeypatch.context() as patch:
        patch.setattr(first._dock, "begin", _dies)
        with pytest.raises(_Died):
            await first.start(harbour.launch("true"), harbour.folder(), "A1-1")
    for place in Path("/dev/shm").glob(f"aura-*-{harbour.project}/*/spec.json"):
        place.unlink()  # a reboot took the tmpfs
    assert await harbour.runtime().adopt(harbour.folder()) is None
    assert harbour.containers() == []


async def test_a_container_of_that_name_from_a_run_before_is_replaced(harbour):
    harbour.docker("create", "--name", f"aura-{harbour.project}-A1-1", "--network=none", harbour.image, "true")
    _, worker = await harbour.start("echo mine")
    assert (await worker.wait()).code == 0
    assert harbour.output() == "mine\n"


async def test_what_earlier_engines_left_is_tidied_and_nothing_else(harbour, eventually):
    first, kept = await harbour.start("sleep 60", 1)
    _, left = await harbour.start("sleep 60", 2, runtime=first)
    await first.aclose()
    second, own = await harbour.start("sleep 60", 3)
    await second.tidy([kept.folder])
    await eventually(lambda: left.name not in harbour.containers())
    assert {kept.name, own.name} == set(harbour.containers())


async def test_a_second_start_of_its_container_runs_nothing(harbour):
    _, worker = await harbour.start("echo ran")
    await worker.swept()
    harbour.docker("start", worker.name)
    harbour.docker("wait", worker.name)
    assert harbour.output() == "ran\n"


async def test_no_link_that_a_worker_leaves_leads_the_engine_anywhere(harbour, tmp_path):
    (tmp_path / "private.json").write_text(json.dumps({"code": 77}))
    script = f"cd /aura/shim && sleep 0.2 && rm -f exit.json && ln -s {tmp_path}/private.json exit.json; kill -9 $PPID"
    _, worker = await harbour.start(script)
    record = await worker.wait()
    assert record.code != 77


class _Died(Exception):
    """The engine, at this very point."""


async def _dies(name: str) -> None:
    raise _Died
