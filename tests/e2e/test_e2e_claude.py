"""Whole runs whose workers are the real `claude` program; only the service behind it is the scripted model."""

from __future__ import annotations

import concurrent.futures
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
    """How often anything in this thread's network tried to reach another machine (or a name server that is none)."""
    count = 0
    for table, wanted in (("snmp", {"Ip": "OutNoRoutes", "Udp": "NoPorts"}), ("snmp6", {"": "Ip6OutNoRoutes"})):
        lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()
        rows = [line.replace(":", " ").split() for line in lines]
        if table == "snmp":
            for names, values in zip(rows[::2], rows[1::2], strict=True):
                count += int(dict(zip(names, values, strict=True)).get(wanted.get(names[0], ""), 0))
        else:
            count += sum(int(value) for name, value in rows if name in wanted.values())
    return count


def may_unshare() -> bool:
    """Whether this process may have a network of its own, as root may."""
    found = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
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
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if needle.encode() in path.read_bytes()]


def left_of(state: Path, marker: str) -> list[list[str]]:
    """Command lines of processes that work in a folder below `state` or carry the marker."""
    found: list[list[str]] = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if marker in " ".join(words) or str(process.info["cwd"] or "").startswith(str(state)):
            found.append(words)
    return found


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
    assert sum(receipt["check"] == "adding" for receipt in receipts) == 1

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
    assert [event["role"] for event in done.of("role_parked")] == ["flash"]
    assert len(asked) == MAX_RETRIES + 1 + 2
    assert triggers_of(done) == ["goal_new", "all_landed"]  # a wait is no stall


def test_a_worker_over_its_time_leaves_its_work_and_no_process(bench, hermetic):
    bench.write({"task.md": "# Greet\n"})
    marker = f"86{os.getpid()}"
    stubborn = f"trap '' INT HUP TERM; sleep {marker}; sleep {marker}"
    workers = {"Greet": [f"echo half > half.txt; setsid sh -c {shlex.quote(stubborn)} & sleep {marker}; wait"]}
    state = hermetic / ".local/state"
    with ScriptedModel(plan_brain(GREET, workers)) as model, concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(bench.start, model.url, **CLAUDE, AURA_TASK_BUDGET="6s")
        until(lambda: len(left_of(state, f"sleep {marker}")) >= 4)  # two sleeps, the two shells around them
        done = run.result()
    until(lambda: not left_of(state, marker))
    assert (done.status, done.exit) == ("failed", 1)
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["budget"]
    assert "6s" in done.events[-1]["reason"]
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
