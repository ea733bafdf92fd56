from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from aura_engine.core.model import Check, Counts, Phase, Receipt, Verdict
from aura_engine.verify.run import Bench, run_check, settle_red
from aura_engine.verify.runner import Command, behind

PYTHON = sys.executable


async def run(check: Check, checkout: Path, bench: Bench, before: Counts | None = None) -> Receipt:
    return await run_check(check, checkout, bench, tree="tree", phase=Phase.TASK, frozen_hash="f", counts_before=before)


def cmd(command: str, **more) -> Check:
    return Check(name="c", run=command, **more)


async def test_a_green_receipt_holds_the_facts(checkout: Path, bench: Bench) -> None:
    receipt = await run(cmd("echo hello; echo bad >&2"), checkout, bench)
    assert receipt.green
    assert (receipt.exit_code, receipt.signal, receipt.tail) == (0, None, "hello\nbad\n")
    assert (receipt.tree, receipt.frozen_hash, receipt.phase) == ("tree", "f", Phase.TASK)
    assert len(receipt.output_hash) == 64
    assert receipt.duration > 0
    assert not [place for place in bench.scratch.rglob("*") if not place.is_dir()]


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("exit 3", 3, "exit status 3"),
        ("no-such-program-at-all", 127, "no-such-program-at-all"),
        ("./plain.txt", 126, "could not be executed"),
        ("sh -c 'kill -SEGV $$'; exit $?", 139, "SIGSEGV"),
    ],
)
async def test_exit_status_is_read(command: str, code: int, reason: str, checkout: Path, bench: Bench) -> None:
    (checkout / "plain.txt").write_text("x")
    receipt = await run(cmd(command), checkout, bench)
    assert receipt.verdict is Verdict.RED
    assert receipt.exit_code == code
    assert reason in receipt.reason


async def test_death_by_signal(checkout: Path, bench: Bench) -> None:
    receipt = await run(cmd("kill -KILL $$"), checkout, bench)
    assert (receipt.verdict, receipt.exit_code, receipt.signal) == (Verdict.RED, None, 9)
    assert "SIGKILL" in receipt.reason


async def test_the_environment_is_private(checkout: Path, bench: Bench) -> None:
    command = "ls -A $HOME $TMPDIR; cat; umask; env"
    receipt = await run(cmd(command), checkout, replace(bench, env={**bench.env, "KEEP": "1"}))
    assert receipt.green
    values = dict(line.split("=", 1) for line in receipt.tail.splitlines() if "=" in line)
    assert values["HOME"].startswith(str(bench.scratch))
    assert values["TMPDIR"].startswith(str(bench.scratch))
    assert (values["PYTHONNOUSERSITE"], values["PYTHONDONTWRITEBYTECODE"], values["KEEP"]) == ("1", "1", "1")
    assert "0022" in receipt.tail


async def test_the_wall_stands_around_the_command(checkout: Path, bench: Bench) -> None:
    asked: list[Command] = []

    def wall(command: Command) -> Sequence[str]:
        asked.append(command)
        return ["env", "WRAPPED=yes", *command.argv]

    receipt = await run(cmd("echo $WRAPPED", network=True), checkout, replace(bench, runner=behind(wall)))
    assert receipt.tail == "yes\n"
    (command,) = asked
    assert (command.write[0], command.network) == (checkout, True)
    assert command.write[1].parent == bench.scratch
    assert command.temp == command.write[1] / "tmp"


async def test_what_cannot_be_started_is_an_error_of_the_machinery(checkout: Path, bench: Bench) -> None:
    broken = behind(lambda command: ["/no/such/sandbox", *command.argv])
    receipt = await run(cmd("true"), checkout, replace(bench, runner=broken))
    assert receipt.verdict is Verdict.ERROR
    assert "/no/such/sandbox" in receipt.reason
    gone = await run(cmd("true"), checkout / "gone", bench)
    assert gone.verdict is Verdict.ERROR


async def test_time_limit_ends_the_whole_tree(checkout: Path, bench: Bench) -> None:
    receipt = await run(
        cmd("sleep 100 & echo $! > pid; setsid sleep 100.7315 & sleep 102", timeout=1.5), checkout, bench
    )
    assert receipt.verdict is Verdict.RED
    assert receipt.reason == "ran longer than 1.5 s"
    assert not running((checkout / "pid").read_text())
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "100.7315"]]


async def test_a_process_without_a_descriptor_is_followed_all_the_same(
    checkout: Path, bench: Bench, monkeypatch
) -> None:
    def no_more(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", no_more)
    found = await run(cmd("echo said; exit 3"), checkout, bench)
    assert (found.exit_code, found.tail, found.reason) == (3, "said\n", "exit status 3")
    found = await run(cmd("sleep 60", timeout=0.2), checkout, bench)
    assert found.reason == "ran longer than 0.2 s"


async def test_a_status_that_nobody_tells_is_not_taken_for_a_good_one(
    checkout: Path, bench: Bench, monkeypatch
) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        found = await run(cmd("exit 1"), checkout, bench)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert found.verdict is Verdict.ERROR
    assert "was not told" in found.reason


def running(pid: str) -> bool:
    """Whether it goes on; one that is just ending is given the moment that its memory takes."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            return False
        time.sleep(0.005)
    return True


@pytest.mark.parametrize("few", [0, 256], ids=["listed", "tried one by one"])
async def test_a_double_forked_child_is_gone_afterwards(checkout: Path, bench: Bench, few: int, monkeypatch) -> None:
    monkeypatch.setattr("aura_engine.verify.leftovers._FEW", few)
    (checkout / "daemon.py").write_text(
        "import os, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "open('pid.tmp', 'w').write(str(os.getpid())); os.rename('pid.tmp', 'pid')\n"
        "time.sleep(1000)\n"
    )
    receipt = await run(cmd(f"{PYTHON} daemon.py; while ! test -f pid; do sleep 0.01; done"), checkout, bench)
    assert receipt.green, receipt.reason
    assert not running((checkout / "pid").read_text())


async def test_what_dies_at_once_is_ended_without_a_thread(checkout: Path, bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr("aura_engine.verify.leftovers._GLANCES", (0.01,) * 1000)
    monkeypatch.setattr("aura_engine.verify.leftovers._stop", lambda *_, **__: pytest.fail("a thread was asked"))
    receipt = await run(cmd("sleep 1000 & echo $! > pid"), checkout, bench)
    assert receipt.green, receipt.reason
    assert not running((checkout / "pid").read_text())


@pytest.mark.skipif(not psutil.LINUX, reason="ends its first thread by a call of Linux")
@pytest.mark.parametrize("few", [0, 256], ids=["listed", "tried one by one"])
async def test_a_process_whose_first_thread_has_ended_is_no_dead_one(
    few: int, checkout: Path, bench: Bench, monkeypatch
) -> None:
    monkeypatch.setattr("aura_engine.verify.leftovers._FEW", few)
    (checkout / "headless.py").write_text(
        "import ctypes, os, threading, time\n"
        "if os.fork(): os._exit(0)\n"
        "def go_on():\n"
        "    while 'State:\\tZ' not in open(f'/proc/{os.getpid()}/status').read(): time.sleep(0.001)\n"
        "    open('pid.tmp', 'w').write(str(os.getpid())); os.rename('pid.tmp', 'pid')\n"
        "    time.sleep(1000)\n"
        "threading.Thread(target=go_on).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    receipt = await run(cmd(f"{PYTHON} headless.py; while ! test -f pid; do sleep 0.01; done"), checkout, bench)
    assert receipt.green, receipt.reason
    threads = Path("/proc", (checkout / "pid").read_text(), "task")
    with contextlib.suppress(FileNotFoundError):  # gone altogether
        assert len(list(threads.iterdir())) <= 1


async def test_cancelling_leaves_nothing_behind(checkout: Path, bench: Bench) -> None:
    os.mkfifo(checkout / "ready")
    running_check = asyncio.create_task(run(cmd("echo $$ > ready; sleep 1000"), checkout, bench))
    pid = await asyncio.to_thread((checkout / "ready").read_text)
    running_check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running_check
    assert not running(pid)
    assert not [place for place in bench.scratch.rglob("*") if not place.is_dir()]


async def test_output_is_bounded_and_hashed_whole(checkout: Path, bench: Bench) -> None:
    before = psutil.Process().memory_info().rss
    flood = await run(cmd("head -c 100000000 /dev/zero | tr '\\0' 'x'; echo end"), checkout, bench)
    assert flood.verdict is Verdict.RED
    assert flood.reason == "wrote more than 50 MB of output"
    assert len(flood.tail) == 2000
    assert psutil.Process().memory_info().rss - before < 30_000_000
    loud = await run(cmd("yes word | head -n 100000; echo end"), checkout, bench)
    assert loud.green
    assert loud.tail.endswith("word\nend\n")
    other = await run(cmd("echo first; yes word | head -n 99999; echo end"), checkout, bench)
    assert other.tail == loud.tail
    assert other.output_hash != loud.output_hash


async def test_closing_the_output_early_is_no_end(checkout: Path, bench: Bench) -> None:
    receipt = await run(cmd("exec >&- 2>&-; sleep 0.3; touch done; exit 4"), checkout, bench)
    assert receipt.exit_code == 4
    assert (checkout / "done").exists()


async def test_probe_files_are_there_for_the_check_alone(checkout: Path, bench: Bench) -> None:
    (checkout / "calc.py").write_text("x = 41\n")
    (checkout / "probe.py").write_text("print('the worker planted this')\n")
    probe = cmd(
        f"{PYTHON} probe.py && {PYTHON} deep/in/other.py",
        files={"probe.py": "import calc", "deep/in/other.py": "raise SystemExit(7)"},
    )
    receipt = await run(probe, checkout, bench)
    assert receipt.exit_code == 7
    assert (checkout / "probe.py").read_text() == "print('the worker planted this')\n"
    assert sorted(path.name for path in checkout.iterdir()) == ["calc.py", "probe.py"]


async def test_probe_files_never_follow_a_link_out(checkout: Path, bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (checkout / "tests").symlink_to(outside)
    (checkout / "link.py").symlink_to(outside / "target.py")
    receipt = await run(cmd("true", files={"tests/probe.py": "x"}), checkout, bench)
    assert receipt.verdict is Verdict.RED
    assert "leads out" in receipt.reason
    assert (await run(cmd("test ! -h link.py", files={"link.py": "x"}), checkout, bench)).green
    assert not list(outside.iterdir())
    assert (checkout / "link.py").is_symlink()


async def test_flaky_is_settled_by_one_more_run(checkout: Path, bench: Bench) -> None:
    once = cmd("test -f seen || { touch seen; exit 1; }")
    first = await run(once, checkout, bench)
    settled = await settle_red(first, lambda: run(once, checkout, bench))
    assert settled.verdict is Verdict.FLAKY
    assert "exit status 1" in settled.reason
    red = await run(cmd("false"), checkout, bench)
    assert (await settle_red(red, lambda: run(cmd("false"), checkout, bench))).verdict is Verdict.RED
    assert await settle_red(settled, lambda: pytest.fail("only a red one is run again")) is settled


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
async def test_pytest_reports_through_make_and_paths_with_spaces(checkout: Path, bench: Bench) -> None:
    (checkout / "Makefile").write_text(f"check:\n\t@{PYTHON} -m pytest -q\n")
    (checkout / "test_a.py").write_text("import pytest\ndef test_a(): pass\n@pytest.mark.skip\ndef test_b(): pass\n")
    receipt = await run(cmd("make check"), checkout, bench)
    assert receipt.green, receipt.reason
    assert receipt.counts == Counts(tests=2, failures=0, skipped=1)
    assert sorted(path.name for path in checkout.iterdir()) == ["Makefile", "test_a.py"]
