"""A person's machine around a probe: home with keys, project, journal, other workers, services. No test.

Run as `contained_stage.py WALL FOLDER` by any user; prints what the probe could do as a worker and as a check.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from aura_engine.core.model import LaunchSpec
from aura_engine.runtimes.bubblewrap import Bubblewrap
from aura_engine.runtimes.containment import Containment
from aura_engine.runtimes.landlock import Landlock
from aura_engine.runtimes.local import LocalRuntime
from aura_engine.runtimes.walls import survey
from aura_engine.verify.process import run_command

WALLS = {"bubblewrap": Bubblewrap, "landlock": Landlock, "none": Containment}
PROBE = Path(__file__).with_name("contained_probe.py").resolve()
VICTIM = "import sys, time; time.sleep(600)"


async def stage(wall: str, base: Path) -> dict[str, object]:
    home = base / "home"
    state = home / ".local/state/aura/run"
    project = home / "project"
    journal = project / ".aura/run/journal.db"
    secrets = {
        "ssh key": home / ".ssh/id",
        "config": home / ".aura/config",
        "login": home / ".codex/auth.json",
        "netrc": home / ".netrc",
        "project": project / "main.py",
        "journal": journal,
        "store": journal.parent / "store.git/HEAD",
        "other workspace": state / "work/A2-1/file",
        "other home": state / "homes/A2-1/file",
        "other checkout": state / "checks/tree-1/file",
        "temporary file": base / "tmp/file",
    }
    for path in secrets.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("aura-canary")
    own, other = state / "work/A1-1", state / "work/A2-1"
    checkout, scratch = state / "checks/tree-2", state / "checks/scratch/check-1"
    for folder in (own, checkout, scratch / "tmp", state / "homes/A1-1"):
        folder.mkdir(parents=True)
    containment = WALLS[wall](survey({**os.environ, "HOME": str(home)}, [project, project / ".aura", state.parent]))
    if problem := containment.problem():
        return {"problem": problem}
    services = {"agent": str(base / "agent.sock"), "abstract": f"\0aura-{os.getpid()}"}
    listeners = [socket.create_server(("127.0.0.1", 0))]
    for address in services.values():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
        listeners.append(listener)
    victim = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", VICTIM, "aura-victim"],
        env={"SECRET": "aura-canary"},
        cwd=secrets["other checkout"].parent,
    )
    runtime = LocalRuntime(containment)
    env = {"HOME": str(state / "homes/A2-1"), "SECRET": "aura-canary"}
    attempts = journal.parent / "attempts"
    sleeping = LaunchSpec(argv=(sys.executable, "-c", VICTIM, "aura-victim"), env=env, cwd=str(other))
    sibling = await runtime.start(sleeping, attempts / "A2/1", "A2-1")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="aura-") as memory:
        memory.write(b"aura-canary")
        memory.flush()
        told = {
            "secrets": {name: str(path) for name, path in secrets.items()}
            | {"attempt": str(attempts / "A2/1/process.json"), "shadow": "/etc/shadow"},
            "folders": [str(path) for path in (home / ".ssh", project, journal.parent, attempts, other, base / "tmp")],
            "targets": [
                str(path) for path in (project / "new", other / "new", journal, base / "tmp/new", Path("/etc/aura-new"))
            ]
            + [str(attempts / "A1/1/exit.json"), "/usr/aura-new"],
            "sockets": services,
            "pids": {
                "engine": os.getpid(),
                "shim": sibling.shim.pid,
                "sibling": sibling.record.pid,
                "victim": victim.pid,
            },
            "memory": memory.name,
            "port": listeners[0].getsockname()[1],
        }
        program = (sys.executable, "-I", "-S", str(PROBE), json.dumps(told))
        try:
            worker_env = {"HOME": str(state / "homes/A1-1")}
            worker = await runtime.start(
                LaunchSpec(argv=program, env=worker_env, cwd=str(own)), attempts / "A1/1", "A1-1"
            )
            async with asyncio.timeout(60):
                await worker.swept()
            said = (attempts / "A1/1/output.jsonl").read_text(), (attempts / "A1/1/error.log").read_text()
            command = containment.command(program, write=(checkout, scratch), temp=scratch / "tmp", network=False)
            check_env = {"PATH": os.environ["PATH"], "HOME": str(scratch), "TMPDIR": str(scratch / "tmp")}
            ran = await run_command(command, cwd=checkout, env=check_env, limit=60, max_output=10**6)
        finally:
            await sibling.stop()
            victim.kill()
            victim.wait()
            for listener in listeners:
                listener.close()
            sibling.close()
    new = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and path.stat().st_size == 8)
    return {"worker": said, "check": (ran.code, ran.tail), "written": new}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(stage(sys.argv[1], Path(sys.argv[2])))))
