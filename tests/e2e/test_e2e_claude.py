"""Whole runs whose workers are the real `claude` program; only the service behind it is the scripted model."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import fcntl
import json
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import Ask, say
from aura_engine.demo.server import ScriptedModel
from aura_engine.workers.claude import MAX_RETRIES

pytestmark = [pytest.mark.cli("claude"), pytest.mark.timeout(120)]

KEYS = {"flash": "sk-canary-flash-3f9a1c55d2e84b70", "pro": "sk-canary-pro-b1d07e64c3954a28"}
CLAUDE = {"AURA_FLASH_BACKEND": "claude", "AURA_PRO_BACKEND": "claude"}
CLAUDE |= {f"AURA_{role.upper()}_API_KEY": key for role, key in KEYS.items()}
PATIENCE = 20.0
DONE = Claim("All done, all tests pass.")
GREET = {
    "tasks": [task("Greet", "grep -q hello greeting.txt")],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
GREETS = [write("greeting.txt", "hello"), DONE]

CLONE_NEWNET, CAP_SYS_ADMIN, SIOCSIFFLAGS, IFF_UP = 0x40000000, 21, 0x8914, 0x1
NOT_ROUTABLE = ("192.0.2.1", 9)


# ---- a network of one's own


def ways_out() -> int:
    """How often anything in this thread's network tried to reach another machine or a name server."""
    net = Path("/proc/thread-self/net")
    lines = (net / "snmp").read_text().splitlines()
    count = 0
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        counted = dict(zip(names.split(), values.split(), strict=True))
        wanted = {"Ip:": "OutNoRoutes", "Udp:": "NoPorts"}.get(names.split()[0])
        count += int(counted[wanted]) if wanted else 0
    lines = (net / "snmp6").read_text().splitlines() if (net / "snmp6").exists() else []
    return count + sum(int(line.split()[1]) for line in lines if line.startswith("Ip6OutNoRoutes"))


def may_unshare() -> bool:
    """Whether this process may have a network of its own, as root on Linux may."""
    status = Path("/proc/self/status")
    found = re.search(r"^CapEff:\s*(\w+)", status.read_text(), re.MULTILINE) if status.exists() else None
    return bool(found and int(found[1], 16) >> CAP_SYS_ADMIN & 1)


def alone(work: Callable[[], Any]) -> Any:
    """Do the work, and all processes it starts, in a network of nothing but loopback; nothing may try to leave it.

    Where that is not permitted the work is done as it is.
    """
    if not may_unshare():
        return work()

    def inside() -> Any:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        with socket.socket() as probe:
            fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
        result = work()
        assert ways_out() == 0
        with socket.socket() as probe, pytest.raises(OSError, match="unreachable"):
            probe.connect(NOT_ROUTABLE)
        assert ways_out() == 1  # the counter does notice
        return result

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # a thread of its own: only that changes its network
        return pool.submit(inside).result()


# ---- what is left behind


def files_with(needle: str, *folders: Path) -> list[Path]:
    """All files below the folders that hold this text."""
    found: list[Path] = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a run is going on
            if path.is_file() and needle.encode() in path.read_bytes():
                found.append(path)
    return found


def processes_with(words: str) -> list[str]:
    """Command lines that hold these words."""
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if words in line]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes that work in or below the folder."""
    return [process for process in psutil.process_iter(["cwd"]) if (process.info["cwd"] or "").startswith(str(folder))]


def until(holds: Callable[[], Any]) -> None:
    """Wait for something to hold, at most `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def endings_of(run: Any) -> list[dict[str, Any]]:
    return [event["ending"] for event in run.of("worker_ended")]


def triggers_of(run: Any) -> list[str]:
    return [trigger.partition(":")[0] for event in run.of("planner_asked") for trigger in event["triggers"]]


def workers_asks(model: ScriptedModel) -> list[Ask]:
    return [ask for ask in model.requests if ask.model != "planner"]


def python(code: str) -> str:
    return f"{sys.executable} -c {shlex.quote(code)}"


# ---- the runs


def test_three_tasks_are_done_checked_and_delivered(bench, hermetic):
    bench.write({"task.md": '# Calculator\n\n```check\nname = "both"\nrun = "sh both.sh"\n```\n'})
    adding = {
        "name": "adding",
        "part": "sums",
        "hidden": True,
        "run": python("from add import add; assert add(4, 5) == 9"),
    }
    plan = {
        "tasks": [
            task("Add", python("from add import add; assert add(2, 3) == 5")),
            task("Mul", python("from mul import mul; assert mul(2, 3) == 6")),
            task("Both", "sh both.sh", needs=["Add", "Mul"]),
        ],
        "checks": ["both"],
        "probes": [{"task": "add", "check": adding}],
    }
    both = python("from add import add; from mul import mul; assert add(1, mul(2, 3)) == 7")
    workers = {
        # Many a build prints its environment; the key must not be in it.
        "Add": [write("add.py", "def add(a, b):\n    return a + b"), "env; sh -c env; echo ENV-SEEN", DONE],
        "Mul": [write("mul.py", "def mul(a, b):\n    return a * b"), DONE],
        "Both": [f"test -f add.py && test -f mul.py && {write('both.sh', both)}", DONE],
    }

    def work():
        with ScriptedModel(plan_brain(plan, workers)) as model:
            done = bench.start(model.url, **CLAUDE)
            assert list(model.failures) == []
            return done, model.requests, model.bill

    done, asked, bill = alone(work)
    assert (done.status, done.exit) == ("achieved", 0)
    assert {"add.py", "mul.py", "both.sh"} <= {path.name for path in bench.project.iterdir()}

    starts, landed = done.of("attempt_starting"), done.of("landed")
    assert [event["task"] for event in starts] == ["A1", "A2", "A3"]
    assert {event["backend"] for event in starts} == {"claude"}
    assert max(event["seq"] for event in landed[:2]) < starts[2]["seq"]  # what it needs has landed
    assert all(event.get("proven", True) for event in landed)
    assert [event["exit"]["code"] for event in done.of("worker_ended")] == [0, 0, 0]

    receipts = [event["receipt"] for event in done.of("check_ran")]
    verdicts = {phase: [r["verdict"] for r in receipts if r["phase"] == phase] for phase in ("before", "task", "goal")}
    assert set(verdicts["before"]) == {"red"}
    assert set(verdicts["task"]) == set(verdicts["goal"]) == {"green"}
    assert [receipt["phase"] for receipt in receipts if receipt["check"] == "adding"] == ["before", "task"]

    usage = [ending["usage"] for ending in endings_of(done)]
    billed = bill["flash", KEYS["flash"]]
    assert sum(each["input"] for each in usage) == billed.input > 100_000
    assert sum(each["output"] for each in usage) == billed.output
    assert all(ending["claims"] == DONE.words for ending in endings_of(done))

    for attempt in done.data.glob("attempts/*/1"):
        prompt = (attempt / "prompt.md").read_text()
        assert any(prompt.strip() == ask.prompt("# Task ") for ask in asked)
        assert "add(4, 5)" not in prompt
        kinds = [json.loads(line)["type"] for line in (attempt / "output.jsonl").read_text().splitlines()]
        assert kinds[0] == "system"
        assert kinds[-1] == "result"

    everything = (bench.project, hermetic)
    assert files_with("ENV-SEEN", *everything)
    for key in KEYS.values():
        assert files_with(key, *everything) == []
        assert key not in done.stdout + done.stderr


def test_a_lie_is_not_believed_and_escalates_to_the_other_model(bench):
    bench.write({"task.md": "# Greet\n"})
    workers = {"Greet": [[DONE], [write("greeting.txt", "hullo"), DONE], GREETS]}
    with ScriptedModel(plan_brain(GREET, workers)) as model:
        done = bench.start(model.url, **CLAUDE, AURA_MAX_ATTEMPTS_PER_ROLE="2")
        asked = workers_asks(model)
    assert (done.status, done.exit) == ("achieved", 0)
    assert [event["role"] for event in done.of("attempt_starting")] == ["flash", "flash", "pro"]
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["capability", "capability"]
    assert [ending["kind"] for ending in endings_of(done)] == ["finished"] * 3
    assert {(ask.model, ask.key) for ask in asked} == set(KEYS.items())
    assert [ask.model for ask in asked] == ["flash"] * 3 + ["pro"] * 2
    handed = (done.data / "attempts/A1/3/prompt.md").read_text()
    assert "grep -q hello greeting.txt" in handed
    assert (bench.project / "greeting.txt").read_text() == "hello\n"


def test_a_refused_key_ends_the_run_and_a_good_one_goes_on(bench):
    bench.write({"task.md": "# Greet\n"})
    workers = {"Greet": [say(status=401, error_text="invalid x-api-key")] * 20}
    with ScriptedModel(plan_brain(GREET, workers)) as model:
        refused = bench.start(model.url, **CLAUDE)
        asked = workers_asks(model)
    assert (refused.status, refused.exit) == ("needs_person", 5)
    assert len(asked) <= 3
    assert "AURA_FLASH_API_KEY" in refused.events[-1]["reason"]
    assert "401" in refused.events[-1]["reason"]
    assert triggers_of(refused) == ["goal_new"]  # a planner cannot mend a key
    with ScriptedModel(plan_brain(GREET, {"Greet": GREETS})) as model:
        again = bench.start(model.url, **CLAUDE)
    assert (again.status, again.exit) == ("achieved", 0)
    assert triggers_of(again) == ["all_landed"]


def test_a_limit_parks_the_role_and_is_not_charged(bench):
    bench.write({"task.md": "# Greet\n"})
    workers = {"Greet": [[say(status=429, error_text="rate limited")] * 20, GREETS]}
    with ScriptedModel(plan_brain(GREET, workers)) as model:
        done = bench.start(model.url, **CLAUDE)
        asked = workers_asks(model)
    assert (done.status, done.exit) == ("achieved", 0)  # although one attempt per role is all there is
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["infrastructure"]
    assert "claims" not in endings_of(done)[0]  # the program's error message is no word of the worker's
    assert [event["role"] for event in done.of("role_parked")] == ["flash"]
    assert len(asked) == MAX_RETRIES + 1 + 2
    assert triggers_of(done) == ["goal_new", "all_landed"]  # a wait is no stall


def test_a_worker_over_its_time_leaves_its_work_and_no_process(bench, hermetic):
    bench.write({"task.md": "# Greet\n"})
    nap = f"sleep 86{os.getpid()}"
    stubborn = f"trap '' INT HUP TERM; {nap}; {nap}"
    workers = {"Greet": [f"echo half > half.txt; setsid sh -c {shlex.quote(stubborn)} & {nap}; wait"]}
    state = hermetic / ".local/state"
    with ScriptedModel(plan_brain(GREET, workers)) as model, concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(bench.start, model.url, **CLAUDE, AURA_TASK_BUDGET="10s")
        until(lambda: len(processes_with(nap)) >= 4)  # two that sleep, and the two shells around them
        assert processes_in(state)
        assert processes_with(KEYS["flash"]) == []
        assert files_with(KEYS["flash"], bench.project, hermetic) == []
        done = run.result()
    until(lambda: not processes_with(nap) and not processes_in(state))
    assert (done.status, done.exit) == ("failed", 1)
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["budget"]
    assert "10s" in done.events[-1]["reason"]
    kept = done.of("attempt_ended")[0]["snapshot"]
    store = ["git", "--git-dir", str(done.data / "store.git")]
    assert subprocess.check_output([*store, "show", f"{kept}:half.txt"]) == b"half\n"


def test_turns_are_limited(bench):
    bench.write({"task.md": "# Greet\n"})
    with ScriptedModel(plan_brain(GREET, {"Greet": [f"echo {n}" for n in range(30)]})) as model:
        done = bench.start(model.url, **CLAUDE, AURA_MAX_TURNS="3")
        asked = workers_asks(model)
    assert len(asked) == 3
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["capability"]
    assert [ending["kind"] for ending in endings_of(done)] == ["out_of_turns"]
    assert endings_of(done)[0]["usage"]["input"] > 50_000  # what it used counts although it was cut


def test_a_worker_outlives_its_engine_and_is_adopted(bench):
    bench.write({"task.md": "# Greet\n"})
    workers = {"Greet": ["touch begun; for i in $(seq 300); do test -e ../go && break; sleep 0.1; done", *GREETS]}
    with ScriptedModel(plan_brain(GREET, workers)) as model:
        command = [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"]
        env = bench.environment(model.url, **CLAUDE)
        with subprocess.Popen(command, cwd=bench.project, env=env, stdout=subprocess.DEVNULL) as engine:
            try:
                until(lambda: list(Path(env["XDG_STATE_HOME"]).glob("aura/*/work/*/begun")))
            finally:
                engine.kill()
        (begun,) = Path(env["XDG_STATE_HOME"]).glob("aura/*/work/*/begun")
        (begun.parent.parent / "go").touch()
        done = bench.start(model.url, **CLAUDE)
        asked = workers_asks(model)
    assert (done.status, done.exit) == ("achieved", 0)
    assert done.of("attempt_starting") == []  # the one from before went on
    assert len(done.of("landed")) == 1
    assert len(asked) == 3
