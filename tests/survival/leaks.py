"""What an engine still holds after many short workers: `python tests/survival/leaks.py [--workers-in-all 1000]`.

The engine runs in this process, so that its asyncio tasks can be counted too. JSON on standard output; exit status 1
when anything is left.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from survival_ground import Ground

from aura_engine.config.load import load_settings
from aura_engine.demo.server import ScriptedModel
from aura_engine.engine import Engine
from aura_engine.hands import hire, planner_of
from aura_engine.hosting import Hosted, serving
from aura_engine.paths import RunPaths
from aura_engine.recorder import Committed
from aura_engine.verify.process import run_command
from aura_engine.wiring import Options

ME = psutil.Process()
SETTLED = 10.0
"""Seconds in which what has ended may still be collected."""


def held() -> dict[str, Any]:
    """What this process holds now."""
    children = ME.children(recursive=True)
    return {
        "processes": len(children),
        "zombies": sum(child.status() == psutil.STATUS_ZOMBIE for child in children if child.is_running()),
        "descriptors": ME.num_fds(),
        "sockets": len(ME.net_connections("all")),
        "tasks": len(asyncio.all_tasks()),
    }


def engine_for(ground: Ground, environ: Mapping[str, str]) -> Engine:
    """An engine in this process, with the ground's settings."""
    project = ground.project
    loaded = load_settings(flags={}, environ=environ, project=project)
    hired = hire(loaded.settings, environ)
    task_file = project / "task.md"
    options = Options(
        project=project,
        task_file=task_file,
        paths=RunPaths.of(project / ".aura", task_file, environ),
        settings=loaded.settings,
        provider=planner_of(loaded.settings),
        hands=hired.first,
        fallbacks=hired.second,
    )
    return Engine(options)


async def play(ground: Ground, url: str) -> dict[str, Any]:
    """One run to its end; what was held before, in the middle and after, and the memory after each hundred landings."""
    before = held()
    engine = engine_for(ground, ground.environment(url, ""))
    memory: list[int] = []
    busy: list[dict[str, Any]] = []

    def heard(done: Committed) -> None:
        landed = done.event.kind == "landed"
        if landed:
            memory.append(ME.memory_info().rss)
            if not len(memory) % max(1, ground.tasks // 10):
                busy.append(held())

    def opened() -> None:
        engine.recorder.subscribe(heard)
        engine.beside.append(lambda: serving(engine, Hosted(engine)))

    engine.on_open = opened
    status = await engine.run()
    gc.collect()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLED
    while (after := held()) != before and loop.time() < deadline:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.1)
    half = len(memory) // 2
    grown = (memory[-1] - memory[half]) / max(1, len(memory) - half - 1)
    return {
        "status": status.value,
        "workers": sum(ground.starts().values()),
        "before": before,
        "most_while_running": {name: max(each[name] for each in busy) for name in before},
        "after": after,
        "left": {name: after[name] - before[name] for name in before if after[name] > before[name]},
        "memory_mb": [round(memory[at] / 1e6, 1) for at in range(0, len(memory), max(1, len(memory) // 10))],
        "memory_bytes_per_worker_in_the_second_half": round(grown),
    }


def measure(root: Path, *, workers_in_all: int, at_once: int) -> dict[str, Any]:
    """The run, and what it left on the disk and in the process table."""
    ground = Ground(root, tasks=workers_in_all, workers=at_once, naps=(0.0,), needs=False)
    temporary = root / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    with ScriptedModel(ground.brain) as model:
        asyncio.run(_warm_up())
        threads = threading.active_count()
        told = asyncio.run(play(ground, model.url))
        until = time.monotonic() + SETTLED  # a thread that has been told to end takes a moment
        while threading.active_count() > threads and time.monotonic() < until:
            time.sleep(0.05)
        told["left"] |= {"threads": left} if (left := threading.active_count() - threads) > 0 else {}
    told["stray_processes"] = ground.processes()
    told["temporary_files"] = [path.name for path in temporary.iterdir()]
    told["scratch"] = [str(path) for path in (root / "home/.local/state/aura").rglob("*") if path.is_file()]
    told["fsck"] = ground.after_kill()
    return told


async def _warm_up() -> None:
    """What a process makes once and keeps (its child watcher, its threads, what every check reads) is no leak."""
    await asyncio.to_thread(lambda: None)
    with tempfile.TemporaryDirectory() as folder:
        await run_command(["true"], cwd=Path(folder), env=os.environ, limit=SETTLED, max_output=1)


def clean(told: Mapping[str, Any]) -> bool:
    """Nothing is left, and everything was done."""
    rest = ("left", "stray_processes", "temporary_files", "scratch", "fsck")
    return told["status"] == "achieved" and not any(told[name] for name in rest)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--workers-in-all", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aura-leaks-") as folder:
        told = measure(Path(folder), workers_in_all=arguments.workers_in_all, at_once=arguments.at_once)
    json.dump(told, sys.stdout, indent=2)
    print()
    return 0 if clean(told) else 1


if __name__ == "__main__":
    sys.exit(main())
