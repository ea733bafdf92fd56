"""The local runtime and its shim, with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aura_engine.core.model import LaunchSpec
from aura_engine.errors import RuntimeFault
from aura_engine.runtimes import local, nursery, processes, shim
from aura_engine.runtimes.local import LocalRuntime

LIMIT = 20.0


def gone(pid: int) -> bool:
    return shim.start_time(pid) == 0.0


def pid_in(path: Path) -> int:
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else 0


async def test_exit_status_output_and_input_reach_the_files(start, tmp_path):
    worker = await start("sh", "-c", "cat; echo oops >&2; exit 3", stdin="the prompt\n")
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert (record.code, record.signal, record.error, record.swept) == (3, None, "", 0)
    assert 0 < record.started <= record.ended
    assert record.max_rss > 0
    assert (worker.folder / "output.jsonl").read_text() == "the prompt\n"
    assert (worker.folder / "error.log").read_text() == "oops\n"
    assert await asyncio.wait_for(worker.swept(), LIMIT) == record
    assert gone(worker.record.pid)
    assert gone(worker.shim.pid)


async def test_death_by_signal_is_told(start):
    worker = await start("sh", "-c", "kill -9 $$")
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert (record.code, record.signal) == (None, 9)


async def test_cpu_time_is_that_of_the_whole_tree(start, py):
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    worker = await start("sh", "-c", '"$0" "$@"; true', *py(burn))
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert 0.2 <= record.cpu < 5


async def test_a_program_that_is_not_there_ends_with_an_error(start):
    worker = await start("no-such-program")
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert record.error == "no-such-program: No such file or directory"
    assert record.code is None
    assert not worker.alive()
    assert not (worker.folder / "process.json").exists()


async def test_a_workspace_that_is_not_there_ends_with_an_error(start, tmp_path):
    worker = await start("true", cwd=tmp_path / "nowhere")
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert "nowhere: No such file" in record.error


async def test_a_zero_byte_is_refused_before_anything_starts(start):
    with pytest.raises(RuntimeFault, match="zero byte"):
        await start("true", env={"A": "b\0c"})


async def test_the_environment_is_the_allow_list_and_no_descriptor_leaks(start, monkeypatch, tmp_path, py):
    monkeypatch.setenv("AURA_PRO_API_KEY", "secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/somewhere")
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    program = "import os,json; print(json.dumps([dict(os.environ), sorted(map(int, os.listdir('/proc/self/fd')))]))"
    worker = await start(*py(program), env={"X": "ü😀"})
    os.close(leak)
    await asyncio.wait_for(worker.swept(), LIMIT)
    env, fds = json.loads((worker.folder / "output.jsonl").read_text())
    assert env["X"] == "ü😀"
    assert env["HOME"] == str(tmp_path / "home")
    assert set(env) <= {
        "PATH",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TERM",
        "HOME",
        "TMPDIR",
        "AURA_WORKER",
        "X",
        "LC_CTYPE",
        "LC_ALL",
    } | {name for name in os.environ if name.startswith(("LC_", "SSL_CERT", "NODE_EXTRA"))}
    assert env["TERM"] == "dumb"
    assert fds == [0, 1, 2, 3]  # 3 is the listing itself


async def test_the_spec_with_its_keys_is_gone_and_files_are_private(start):
    worker = await start("true", env={"KEY": "secret"})
    await asyncio.wait_for(worker.swept(), LIMIT)
    names = {path.name for path in worker.folder.iterdir()}
    assert names == {"error.log", "exit.json", "output.jsonl", "process.json", "stdin.txt"}
    assert not any(b"secret" in path.read_bytes() for path in worker.folder.iterdir() if path.is_file())
    for path in worker.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_ignored_signals_and_umask_are_put_right(start):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker = await start("sh", "-c", "umask; grep SigIgn /proc/self/status")
    finally:
        signal.signal(signal.SIGINT, previous)
    await asyncio.wait_for(worker.swept(), LIMIT)
    umask, ignored = (worker.folder / "output.jsonl").read_text().splitlines()
    assert umask == "0022"
    assert int(ignored.split()[1], 16) & 0x7FFFFFFF == 0  # signals 32 and 33 belong to the C library


async def test_a_prompt_that_nobody_reads_blocks_nobody(start):
    worker = await start("true", stdin="x" * 1_000_000)
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert record.code == 0


async def test_an_open_stdin_that_nobody_reads_blocks_nobody(start):
    worker = await start("sleep", "30", stdin="x" * 1_000_000 + "\n", stdin_open=True)
    record = await asyncio.wait_for(worker.stop(), LIMIT)
    assert record.signal == signal.SIGTERM


async def test_input_is_fed_until_it_is_closed(start, eventually):
    worker = await start("cat", stdin='{"first":1}\n', stdin_open=True)
    output = worker.folder / "output.jsonl"
    await eventually(lambda: output.read_text() == '{"first":1}\n')
    big = "y" * 300_000
    worker.send(big)
    worker.send("two\nlines")
    await eventually(lambda: output.read_text().endswith("two lines\n"))
    assert worker.alive()
    worker.close_input()
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert record.code == 0
    assert output.read_text() == f'{{"first":1}}\n{big}\ntwo lines\n'


async def test_a_worker_that_closes_its_stdin_costs_no_cpu(start, eventually, tmp_path):
    worker = await start("sh", "-c", f"exec 0<&-; echo on > {tmp_path}/on; sleep 30", stdin_open=True)
    await eventually((tmp_path / "on").exists)
    worker.send("nobody hears this")
    before = shim.stat_of(worker.shim.pid)[11:13]
    await asyncio.sleep(0.3)
    after = shim.stat_of(worker.shim.pid)[11:13]
    assert sum(map(int, after)) - sum(map(int, before)) <= 2  # ticks of 10 ms


async def test_sending_to_a_closed_stdin_says_so(start):
    worker = await start("sleep", "30")
    with pytest.raises(RuntimeFault, match="no further input"):
        worker.send("hello")


async def test_stop_walks_the_ladder(start, tmp_path, eventually):
    traps = f"trap 'echo int >> {tmp_path}/got' INT; trap 'echo term >> {tmp_path}/got; exit 7' TERM"
    program = f"{traps}; echo $$ >> {tmp_path}/up; while :; do sleep 0.02; done"
    worker = await start("bash", "-c", program, stop_signals=(("SIGINT", 0.2), ("SIGTERM", 5.0)))
    await eventually((tmp_path / "up").exists)
    record = await asyncio.wait_for(worker.stop(), LIMIT)
    assert record.code == 7
    assert (tmp_path / "got").read_text() == "int\nterm\n"


async def test_stop_leaves_nothing_of_a_tree_that_ignores_it(start, tmp_path, eventually):
    tool = f'trap "" TERM; echo $$ > {tmp_path}/tool; sleep 60; sleep 60'
    program = f"trap '' TERM; setsid sh -c '{tool}' & sleep 60; sleep 60"
    worker = await start("sh", "-c", program, stop_signals=(("SIGTERM", 0.2),))
    await eventually(lambda: pid_in(tmp_path / "tool"))
    begun = time.monotonic()
    record = await asyncio.wait_for(worker.stop(), LIMIT)
    assert record.signal == signal.SIGKILL
    assert time.monotonic() - begun < 10
    assert gone(pid_in(tmp_path / "tool"))
    assert gone(worker.record.pid)
    assert gone(worker.shim.pid)


async def test_what_is_left_behind_is_swept_and_the_record_comes_first(start, tmp_path):
    stubborn = f'trap "" TERM; echo $$ > {tmp_path}/left; sleep 60; sleep 60'
    program = f"(setsid sh -c '{stubborn}' &) ; while [ ! -s {tmp_path}/left ]; do :; done"
    worker = await start("sh", "-c", program)
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    left = pid_in(tmp_path / "left")
    assert record.code == 0
    assert not gone(left)
    final = await asyncio.wait_for(worker.swept(), LIMIT)
    assert final.swept >= 1
    assert gone(left)
    with pytest.raises(ChildProcessError):  # no zombie of ours either
        os.waitpid(worker.shim.pid, os.WNOHANG)  # noqa: ASYNC222


async def test_orphans_that_end_while_the_worker_runs_leave_no_zombie(start, tmp_path, eventually):
    worker = await start("sh", "-c", f"for i in 1 2 3; do (true &) ; done; echo x > {tmp_path}/done; sleep 30")
    await eventually((tmp_path / "done").exists)
    await eventually(lambda: all(shim.stat_of(pid)[:1] != [b"Z"] for pid in shim.descendants(worker.shim.pid)))
    assert worker.alive()


async def test_pause_freezes_the_tree_and_stop_still_works(start, tmp_path, eventually):
    counter = f"i=0; while :; do i=$((i+1)); echo $i >> {tmp_path}/count; sleep 0.01; done"
    worker = await start("sh", "-c", f"sh -c '{counter}' & wait")
    count = tmp_path / "count"
    await eventually(lambda: count.exists() and count.stat().st_size > 4)
    await worker.pause()
    # one that had just ended waits for its stopped parent; a vfork's parent (D) for its stopped child's exec
    below = shim.descendants(worker.shim.pid)
    await eventually(lambda: {shim.stat_of(pid)[0] for pid in below} <= {b"T", b"Z", b"D"})
    frozen = count.stat().st_size
    await worker.resume()
    await eventually(lambda: count.stat().st_size > frozen)
    await worker.pause()
    record = await asyncio.wait_for(worker.stop(), LIMIT)
    assert record.signal == signal.SIGTERM


FORKS_IN_A_THREAD = """
import subprocess, threading
def fork():
    subprocess.Popen(["sleep", "60"])
    print(flush=True)
    threading.Event().wait()
threading.Thread(target=fork).start()
subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"])
"""


def test_children_of_every_thread_are_found():
    """The kernel lists them by the thread that forked them."""
    with subprocess.Popen([sys.executable, "-c", FORKS_IN_A_THREAD], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline(), process.stdout.readline()] == [b"\n", b"\n"]
            assert len(shim.descendants(process.pid)) == 3
        finally:
            shim.send([*shim.descendants(process.pid), process.pid], signal.SIGKILL)


async def test_a_shim_that_is_killed_takes_its_worker_along(start, tmp_path, eventually):
    worker = await start("sh", "-c", f"setsid sleep 60 & echo $! > {tmp_path}/tool; wait")
    await eventually(lambda: pid_in(tmp_path / "tool"))
    os.kill(worker.shim.pid, signal.SIGKILL)
    record = await asyncio.wait_for(worker.wait(), LIMIT)
    assert "its shim ended without a record" in record.error
    await eventually(lambda: gone(worker.record.pid) and gone(pid_in(tmp_path / "tool")))


HANDS_OVER = "touch process.json; setsid sh -c 'echo $$ > job; exec sleep 60' & while [ ! -s job ]; do :; done"


async def test_a_shim_that_is_killed_while_it_holds_a_job_takes_it_along(start, tmp_path, eventually):
    worker = await start("sh", "-c", HANDS_OVER)
    assert (await asyncio.wait_for(worker.wait(), LIMIT)).code == 0
    await eventually((worker.folder / "held").exists)
    job = pid_in(tmp_path / "job")
    assert not gone(job)
    os.kill(worker.shim.pid, signal.SIGKILL)
    assert (await asyncio.wait_for(worker.swept(), LIMIT)).code == 0
    await eventually(lambda: gone(job))
    assert not (worker.folder / "held").exists()
    assert await LocalRuntime().adopt(worker.folder) == await worker.wait()


async def test_what_is_killed_without_a_shim_is_the_workers_alone(start, tmp_path, eventually):
    worker, other = await start("sh", "-c", HANDS_OVER), await start("sleep", "60")
    await eventually((worker.folder / "held").exists)
    os.kill(worker.shim.pid, signal.SIGKILL)
    await asyncio.wait_for(worker.swept(), LIMIT)
    assert other.alive()


async def test_a_shim_that_does_not_come_up_is_killed_and_starts_nothing(start, runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "START_LIMIT", 0.3)
    pids = []

    def stopped(*words: str, **more: object) -> int:
        pids.append(spawn(*words, **more))
        os.kill(pids[0], signal.SIGSTOP)
        return pids[0]

    spawn = local._spawn
    monkeypatch.setattr(local, "_spawn", stopped)
    runtime._nursery.close()
    with pytest.raises(RuntimeFault, match="did not start"):
        await start("touch", str(tmp_path / "ran"), folder="a")
    end = time.monotonic() + 5.0
    while not gone(pids[0]) and time.monotonic() < end:  # noqa: ASYNC110 - it is outside of this process
        await asyncio.sleep(0.01)
    assert gone(pids[0])
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "a/spec.json").exists()


# ---- a HOME that a worker had before


@pytest.mark.parametrize("what", ["link", "dangling link", "file", "nothing"])
async def test_the_folder_for_temporary_files_is_a_real_one(start, tmp_path, what):
    person, temp = tmp_path / "person", tmp_path / "home/tmp"
    temp.parent.mkdir()
    if what == "file":
        temp.touch()
    elif what != "nothing":
        temp.symlink_to(person)
    if what == "link":
        person.mkdir()
    worker = await start("sh", "-c", 'echo mine > "$TMPDIR/mine"')
    assert (await asyncio.wait_for(worker.swept(), LIMIT)).code == 0
    assert not temp.is_symlink()
    assert (temp / "mine").exists()
    assert not (person / "mine").exists()


async def test_what_is_left_there_stays(start, tmp_path):
    (tmp_path / "home/tmp").mkdir(parents=True)
    (tmp_path / "home/tmp/mine").touch()
    await asyncio.wait_for((await start("true")).swept(), LIMIT)
    assert (tmp_path / "home/tmp/mine").exists()


@pytest.mark.parametrize("place", ["home", "work"])
async def test_a_link_in_the_place_of_a_folder_is_refused(start, tmp_path, place):
    (tmp_path / "person").mkdir()
    (tmp_path / place).symlink_to(tmp_path / "person")
    with pytest.raises(RuntimeFault, match="replaced by a link"):
        await start("true", cwd=tmp_path / "work")
    assert not any((tmp_path / "person").iterdir())


async def test_a_reused_pid_is_never_signalled(start):
    worker = await start("sleep", "30")
    other = worker.record.model_copy(update={"start_time": worker.record.start_time + 1})
    assert not processes.alive(other)
    assert not processes.signal_process(other, signal.SIGKILL)
    after_reboot = worker.record.model_copy(update={"boot_id": "another"})
    assert not processes.signal_process(after_reboot, signal.SIGKILL)
    assert worker.alive()
    assert processes.signal_process(worker.record, signal.SIGKILL)
    assert (await asyncio.wait_for(worker.wait(), LIMIT)).signal == signal.SIGKILL


async def test_32_starts(start, capsys):
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(start("sleep", "60", folder=f"many-{n}")) for n in range(32)]
    took = time.monotonic() - begun
    with capsys.disabled():
        print(f"\n32 workers running after {took:.2f} s")
    assert len({task.result().record.pid for task in tasks}) == 32


async def test_descriptors_are_given_back(start, eventually):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        worker = await start("true")
        await asyncio.wait_for(worker.swept(), LIMIT)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2  # the loop's own


async def test_a_shim_without_its_spec_starts_nothing(tmp_path):
    runtime = LocalRuntime()
    folder = tmp_path / "attempt"
    launch = LaunchSpec(argv=("touch", str(tmp_path / "ran")), env={"HOME": str(tmp_path)}, cwd=str(tmp_path))
    runtime._write(launch, folder)
    assert await runtime.adopt(folder) is None  # takes the spec back
    script = [os.fspath(Path(shim.__file__)), str(folder / "spec.json"), "late"]
    process = await asyncio.create_subprocess_exec(os.sys.executable, "-I", "-S", *script)
    assert await asyncio.wait_for(process.wait(), LIMIT) == 0
    assert not (tmp_path / "ran").exists()


async def test_a_forked_shim_stands_by_itself_and_outlives_the_nursery(tmp_path, runtime, py, eventually):
    look = "import os; print(os.getppid(), *sorted(os.listdir('/proc/self/fd')), flush=True); input()"
    launch = LaunchSpec(argv=py(look), env={"HOME": str(tmp_path)}, cwd=str(tmp_path), stdin_open=True)
    next(runtime._nursery._tickets)  # as if it were not the first
    worker = await runtime.start(launch, tmp_path / "attempt", "A1-1")
    forker, forked = runtime._nursery._pid, worker.shim.pid
    fields = shim.stat_of(forked)
    assert [int(field) for field in fields[1:4]] == [os.getpid(), forked, forked], "its parent, group and session"
    words = Path(f"/proc/{forked}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert words[-2:] == [os.fsencode(tmp_path / "attempt/spec.json"), b"aura-A1-1"]
    assert {str(Path(f"/proc/{forked}/fd/{fd}").readlink()) for fd in (0, 1, 2)} == {os.devnull}
    assert not [fd for fd in Path(f"/proc/{forked}/fd").iterdir() if str(fd.readlink()).startswith("socket:")]
    runtime.close()
    await eventually(lambda: gone(forker))
    worker.send("go")
    assert (await asyncio.wait_for(worker.swept(), LIMIT)).code == 0
    parent, *fds = (tmp_path / "attempt/output.jsonl").read_text().split()
    assert (int(parent), fds) == (forked, ["0", "1", "2", "3"]), "the fourth is the listing itself"


async def test_the_first_shim_needs_no_nursery(start, runtime):
    await asyncio.wait_for((await start("true")).swept(), LIMIT)
    assert runtime._nursery._pid == 0
    await asyncio.wait_for((await start("true")).swept(), LIMIT)
    assert runtime._nursery._pid > 0


async def test_workers_started_together_are_each_their_own(tmp_path, runtime):
    def launch(n: int) -> LaunchSpec:
        return LaunchSpec(argv=("sh", "-c", f"echo {n}"), env={"HOME": str(tmp_path)}, cwd=str(tmp_path))

    starts = [runtime.start(launch(n), tmp_path / f"{n}", f"A{n}-1") for n in range(12)]
    workers = await asyncio.gather(*starts)
    for n, worker in enumerate(workers):
        assert (await asyncio.wait_for(worker.swept(), LIMIT)).code == 0
        assert (tmp_path / f"{n}/output.jsonl").read_text() == f"{n}\n"
    assert len({worker.shim.pid for worker in workers}) == 12


@pytest.mark.parametrize("how", ["killed", "stuck", "cannot fork"])
async def test_without_its_nursery_the_engine_starts_shims_itself(tmp_path, runtime, monkeypatch, how):
    launch = LaunchSpec(argv=("sh", "-c", "echo ran"), env={"HOME": str(tmp_path)}, cwd=str(tmp_path))
    next(runtime._nursery._tickets)  # as if it were not the first
    if how == "cannot fork":
        monkeypatch.setattr(nursery, "script", lambda _: str(barren(tmp_path)))
    else:
        await asyncio.wait_for((await runtime.start(launch, tmp_path / "first", "A1-1")).swept(), LIMIT)
        monkeypatch.setattr(nursery, "LIMIT", 0.2)
        os.kill(runtime._nursery._pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    for n in range(2):
        worker = await runtime.start(launch, tmp_path / f"then-{n}", "A1-2")
        assert (await asyncio.wait_for(worker.swept(), LIMIT)).code == 0
        assert (tmp_path / f"then-{n}/output.jsonl").read_text() == "ran\n"
        words = Path(f"/proc/{worker.shim.pid}/cmdline")
        assert not words.exists(), "collected"


async def test_a_start_that_is_given_up_leaves_no_key_behind(tmp_path, runtime, monkeypatch, eventually):
    async def never(spec: str, name: str) -> int:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(runtime._nursery, "shim", never)
    launch = LaunchSpec(argv=("true",), env={"HOME": str(tmp_path), "KEY": "s3cret"}, cwd=str(tmp_path))
    starting = asyncio.create_task(runtime.start(launch, tmp_path / "attempt", "A1-1"))
    await eventually((tmp_path / "attempt/spec.json").exists)
    starting.cancel()
    await asyncio.wait({starting})
    assert starting.cancelled()
    assert not (tmp_path / "attempt/spec.json").exists()


async def test_a_nursery_that_says_nothing_is_not_waited_for_without_end(tmp_path, runtime, monkeypatch):
    """It neither answers nor lets go of its socket, as one that is stuck in the kernel."""
    monkeypatch.setattr(nursery, "LIMIT", 0.05)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        runtime._nursery._socket = ours
        next(runtime._nursery._tickets)
        with pytest.raises(TimeoutError):
            await runtime._nursery.shim(str(tmp_path / "spec.json"), "A1-1")
        assert await runtime._nursery.shim(str(tmp_path / "spec.json"), "A1-1") == 0, "never asked again"
        runtime._nursery._socket = None


@pytest.mark.parametrize("late", [False, True], ids=["never", "late"])
async def test_a_shim_that_nobody_heard_of_is_adopted_or_kept_from_starting(
    tmp_path, runtime, monkeypatch, eventually, late
):
    async def stuck(spec: str, name: str) -> int:
        if late:
            local._spawn(spec, name)
            await eventually(Path(spec).with_name("process.json").exists)
        raise TimeoutError

    monkeypatch.setattr(runtime._nursery, "shim", stuck)
    launch = LaunchSpec(argv=("sh", "-c", "echo ran; read _"), env={"HOME": str(tmp_path)}, cwd=str(tmp_path))
    starting = runtime.start(launch.model_copy(update={"stdin_open": True}), tmp_path / "attempt", "A1-1")
    if late:
        worker = await starting
        worker.send("go")
        assert (await asyncio.wait_for(worker.swept(), LIMIT)).code == 0
        assert (tmp_path / "attempt/output.jsonl").read_text() == "ran\n"
    else:
        with pytest.raises(RuntimeFault, match="No shim"):
            await starting
        assert not (tmp_path / "attempt/spec.json").exists()


def barren(tmp_path: Path) -> Path:
    """A nursery whose every fork fails."""
    text = Path(shim.__file__).read_text().replace("CLONE3 = 435", "CLONE3 = -1")
    (tmp_path / "barren.py").write_text(text)
    return tmp_path / "barren.py"


def test_the_nursery_ends_when_its_engine_is_killed_and_shims_do_not(tmp_path):
    program = (
        "import asyncio, os, signal, sys\nfrom pathlib import Path\nfrom aura_engine.core.model import LaunchSpec\n"
        "from aura_engine.runtimes.local import LocalRuntime\n"
        "async def main(top):\n"
        "    runtime = LocalRuntime()\n"
        "    launch = LaunchSpec(argv=('sleep', '60'), env={'HOME': top}, cwd=top)\n"
        "    next(runtime._nursery._tickets)\n"
        "    worker = await runtime.start(launch, Path(top, 'attempt'), 'A1-1')\n"
        "    print(runtime._nursery._pid, worker.shim.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    forker, forked = map(int, done.stdout.split())
    until = time.monotonic() + LIMIT
    while shim.start_time(forker) and time.monotonic() < until:
        time.sleep(0.01)
    assert not shim.start_time(forker)
    assert shim.start_time(forked)
    os.kill(forked, signal.SIGTERM)
    while shim.start_time(forked) and time.monotonic() < until:
        time.sleep(0.01)
    assert not shim.start_time(forked)
