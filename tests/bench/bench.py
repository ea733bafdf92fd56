"""Measures the engine with fake one-second workers: `python tests/bench/bench.py [--quick]`; JSON on standard output.

Nothing here is asserted: figures vary with the machine and are meant to be read beside each other and beside the floors
taken in the same run (a bare interpreter's start; the same workers started by a plain asyncio loop).
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import contextlib
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aura_engine.demo.brains import PlanBrain, plan_brain, task
from aura_engine.demo.script import call as tool
from aura_engine.demo.server import ScriptedModel

HERE = Path(__file__).parent
_swept_at_the_end = contextlib.ExitStack()
atexit.register(_swept_at_the_end.close)


@contextlib.contextmanager
def fresh_folder() -> Iterator[str]:
    """A folder that goes when all has been measured.

    ext4 gives no inode out again within a minute or more of its deletion, and looks past each of them to find a new one
    (`recently_deleted` in fs/ext4/ialloc.c): what one run sweeps away would be measured in the next.
    """
    yield _swept_at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="aura-bench-"))


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile and extremes."""
    ordered = sorted(values)
    if not ordered:
        return {}
    at = min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))
    return {
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[at], 1),
        "min": round(ordered[0], 1),
        "max": round(ordered[-1], 1),
    }


class Ground:
    """A project, a fake CLI, an environment."""

    def __init__(self, root: Path, *, files: int, nap: float) -> None:
        self.root = root
        self.project = root / "project"
        for number in range(files):
            path = self.project / f"pkg{number % 20}" / f"module{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"VALUE = {number}\n" * 20)
        self.claude = root / "bin" / "claude"
        self.claude.parent.mkdir()
        source = (HERE / "fake_claude.py").read_text().replace("NAP = 1.0", f"NAP = {nap}")
        self.claude.write_text(f"#!{sys.executable} -IS\n{source}")
        self.claude.chmod(0o755)

    def env(self, url: str, workers: int) -> dict[str, str]:
        """All roles are the fake; the planner is the scripted model. AURA_CONTAINMENT may be set for the bench."""
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "AURA_CONTAINMENT") if name in os.environ}
        return keep | {
            "HOME": str(self.root / "home"),
            "PYTHONPATH": str(HERE.parent.parent),
            "AURA_API_PROVIDER": "openai",
            "AURA_API_BASE_URL": f"{url}/v1",
            "AURA_API_KEY": "k",
            "AURA_API_MODEL": "m",
            "AURA_API_MAX_TOKENS": "500000",
            "AURA_PRO_BACKEND": "claude",
            "AURA_PRO_API_KEY": "k",
            "AURA_CLAUDE_BIN": str(self.claude),
            "AURA_WORKER_MODE": "pro-only",
            "AURA_MAX_CONCURRENT_TASKS": str(workers),
        }

    def ran(self) -> list[tuple[str, float, float]]:
        """See `times` for all workers of the engine."""
        outputs = self.project.glob(".aura/*/attempts/*/*/output.jsonl")
        return times(output.read_bytes() for output in outputs)


def times(outputs: Iterable[bytes]) -> list[tuple[str, float, float]]:
    """(task, first instruction, last instruction) in ms as the fakes told it, in order of start."""
    last = [json.loads(output.splitlines()[-1]) for output in outputs]
    return sorted(((r["task"], r["started"] / 1e6, r["ended"] / 1e6) for r in last), key=lambda row: row[1])


def cpu_of(pid: int) -> tuple[float, float]:
    """CPU seconds of a process itself and of its reaped children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / tick, (int(fields[13]) + int(fields[14])) / tick


def written(pid: int) -> int:
    """Bytes the process itself wrote: wchar of its threads (that of the process counts its reaped children too)."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((thread / "io").read_text().split("wchar: ")[1].split()[0])
    return total


def planner(tasks: list[dict[str, Any]], goal: dict[str, Any]) -> PlanBrain:
    """Plans all tasks in one message, 256 to a call: more than 500 in one are refused."""
    brief = {"final_goal": "Bench.", "success_criteria": [{"text": "All there.", "checks": [goal]}]}
    calls = [tool("add_tasks", tasks=tasks[at : at + 256]) for at in range(0, len(tasks), 256)]
    return plan_brain({"tasks": []}, {}, on={"goal_new": [tool("set_brief", **brief), *calls]})


def run(n: int, workers: int, *, files: int = 50, nap: float = 1.0) -> dict[str, Any]:
    """One run of N independent tasks."""
    with fresh_folder() as folder:
        ground = Ground(Path(folder), files=files, nap=nap)
        (ground.project / "task.md").write_text("# Bench\n\nMake the files.\n")
        tasks = [task(f"Task {i}", checks=[{"name": "out", "run": f"test -s out-A{i + 1}.txt"}]) for i in range(n)]
        goal = {"name": "all there", "run": f"test $(ls out-*.txt | wc -l) -eq {n}"}
        with ScriptedModel(planner(tasks, goal)) as model:
            started = time.time()
            engine = subprocess.Popen(
                [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"],
                cwd=ground.project,
                env=ground.env(model.url, workers),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert engine.stdout is not None
            marks: dict[str, float] = {}
            figures: dict[str, Any] = {}
            base, base_bytes = (0.0, 0.0), 0
            for line in engine.stdout:
                event = json.loads(line)
                marks.setdefault(event["kind"], time.time())
                if event["kind"] == "plan_changed":
                    base = cpu_of(engine.pid)
                    base_bytes = written(engine.pid)
                if event["kind"] == "run_ended":
                    own, children = cpu_of(engine.pid)
                    figures["status"] = event["status"]
                    figures["engine_cpu_ms_per_task"] = round((own - base[0]) * 1000 / n, 2)
                    figures["engine_cpu_ms_per_task_with_start"] = round(own * 1000 / n, 2)
                    figures["children_cpu_ms_per_task"] = round((children - base[1]) * 1000 / n, 2)
                    figures["engine_bytes_per_task"] = round((written(engine.pid) - base_bytes) / n)
            _, stderr = engine.communicate(timeout=60)
            if figures.get("status") != "achieved":
                raise SystemExit(f"the run ended as {figures.get('status')}: {stderr[-2000:]}")
            figures |= {"n": n, "workers": workers, "files": files, "wall_s": round(time.time() - started, 2)}
            figures["planner_calls"] = model.count
            figures["planner_tokens_per_task"] = round((model.bytes_in + model.bytes_out) / 4 / n)
        ran = ground.ran()
        assert len(ran) == n, f"{len(ran)} of {n} ran"
        ends = sorted(row[2] for row in ran)
        figures["refill_ms"] = spread([row[1] - ends[i] for i, row in enumerate(ran[workers:])])
        first = ran[:workers]
        figures["first_wave_ms"] = round(first[-1][1] - first[0][1], 1)
        figures["plan_to_last_of_first_wave_ms"] = round(first[-1][1] - marks["plan_changed"] * 1000, 1)
        window = (ends[-1] - ran[0][1]) / 1000
        figures["window_over_ideal"] = round(window / (-(-n // workers) * nap), 3) if nap else None
        journal = next((ground.project / ".aura").glob("*/journal.db"))
        with contextlib.closing(sqlite3.connect(journal)) as db:
            total, count = db.execute(
                "SELECT sum(length(payload)), count(*) FROM events WHERE kind NOT IN ('plan_changed', 'goal_read')"
            ).fetchone()
        figures["event_payload_per_task"] = round(total / n)
        figures["events_per_task"] = round(count / n, 1)
        return figures


def idle(workers: int = 8, seconds: float = 40.0) -> dict[str, Any]:
    """CPU of the engine while all workers sleep, over two of the looks at silent ones."""
    with fresh_folder() as folder:
        ground = Ground(Path(folder), files=50, nap=seconds + 12)
        (ground.project / "task.md").write_text("# Bench\n")
        tasks = [task(f"Task {i}", f"test -s out-A{i + 1}.txt") for i in range(workers)]
        brain = plan_brain({"tasks": tasks, "checks": [{"name": "all", "run": "test -s out-A1.txt"}]}, {})
        with ScriptedModel(brain) as model:
            engine = subprocess.Popen(
                [sys.executable, "-m", "aura_engine.cli", "task.md", "--no-ui", "--json"],
                cwd=ground.project,
                env=ground.env(model.url, workers),
                stdout=subprocess.PIPE,
                text=True,
            )
            assert engine.stdout is not None
            up = 0
            for line in engine.stdout:
                up += json.loads(line)["kind"] == "attempt_started"
                if up == workers:
                    break
            time.sleep(5)
            threads = list(Path(f"/proc/{engine.pid}/task").iterdir())

            def spent() -> tuple[int, int]:
                cpu = sum(int((t / "schedstat").read_text().split()[0]) for t in threads if t.exists())
                status = Path(f"/proc/{engine.pid}/status").read_text()
                return cpu, int(status.split("voluntary_ctxt_switches:")[1].split()[0])

            before = spent()
            time.sleep(seconds)
            after = spent()
            engine.stdout.read()
            engine.wait(timeout=60)
        return {
            "workers": workers,
            "cpu_percent_of_a_core": round((after[0] - before[0]) / 1e9 / seconds * 100, 3),
            "main_thread_wakeups_per_s": round((after[1] - before[1]) / seconds, 1),
        }


def command(*argv: str, times: int = 11) -> dict[str, float]:
    """Wall time of a command in ms."""
    took: list[float] = []
    env = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=env)
        took.append((time.perf_counter() - begun) * 1000)
    return spread(took)


def start_up() -> dict[str, Any]:
    """`--help` and `status` beside the bare interpreter."""
    aura = shutil.which("aura") or str(Path(sys.executable).with_name("aura"))
    with fresh_folder() as folder:
        demo = Path(folder) / "demo"
        subprocess.run(
            [aura, "demo", "--folder", str(demo), "--no-ui", "--json"], check=True, stdout=subprocess.DEVNULL
        )
        with contextlib.chdir(demo):
            return {
                "bare_python_ms": command(sys.executable, "-c", "pass"),
                "bare_python_isolated_ms": command(sys.executable, "-I", "-S", "-c", "pass"),
                "help_ms": command(aura, "--help"),
                "status_ms": command(aura, "status"),
            }


async def _floor(n: int, workers: int, ground: Ground) -> list[bytes]:
    slots = asyncio.Semaphore(workers)

    async def one(number: int) -> bytes:
        async with slots:
            process = await asyncio.create_subprocess_exec(
                str(ground.claude), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ground.project
            )
            return (await process.communicate(f"# Task A{number + 1}\n".encode()))[0]

    return await asyncio.gather(*(one(number) for number in range(n)))


def floor(n: int, workers: int) -> dict[str, Any]:
    """The same workers from a plain loop: no workspace, no check, no journal, no shim, no wall."""
    with fresh_folder() as folder:
        ground = Ground(Path(folder), files=1, nap=1.0)
        before = os.times()
        ran = times(asyncio.run(_floor(n, workers, ground)))
        after = os.times()
    ends = sorted(row[2] for row in ran)
    return {
        "n": n,
        "workers": workers,
        "refill_ms": spread([r[1] - ends[i] for i, r in enumerate(ran[workers:])]),
        "first_wave_ms": round(ran[workers - 1][1] - ran[0][1], 1),
        "loop_cpu_ms_per_task": round((sum(after[:2]) - sum(before[:2])) * 1000 / n, 1),
        "children_cpu_ms_per_task": round((sum(after[2:4]) - sum(before[2:4])) * 1000 / n, 1),
    }


def main() -> None:
    """All figures, or a quick look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="N = 8 and 32 only")
    parser.add_argument("--only", choices=("runs", "idle", "start", "floor"))
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}"}
    sizes = [(8, 2), (32, 8), (32, 32)] + ([] if arguments.quick else [(128, 8), (512, 8)])
    if arguments.only in (None, "floor"):
        found["floor"] = [floor(32, 8), floor(32, 32)]
    if arguments.only in (None, "runs"):
        found["runs"] = [run(n, workers) for n, workers in sizes]
        if not arguments.quick:
            found["runs"].append(run(32, 8, files=2000))
    if arguments.only in (None, "idle"):
        found["idle"] = idle()
    if arguments.only in (None, "start"):
        found["start_up"] = start_up()
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
