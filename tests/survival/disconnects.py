"""Drops real SSH connections under a running screen: `python tests/survival/disconnects.py [--drops 20]`; JSON out.

An sshd of its own on loopback, a session with a terminal, the full screen in it. In mid-run the connection is cut,
every other time after the terminal had not been read for a while. Then the run must go on, `aura attach` over a new
connection must show it, and the run must come to its end.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import pty
import select
import shlex
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import Any

import psutil

from aura_engine.demo.brains import Claim, plan_brain, task
from aura_engine.demo.server import ScriptedModel
from aura_engine.journal.lock import owner

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
LIMIT = 60.0
STALLED = 3.0
"""Seconds that the terminal is not read before the connection is cut."""
CHECKOUT = Path(__file__).parents[2]


@dataclass
class Drop:
    """What was seen of one."""

    stalled: bool
    went_on: bool
    attach_ms: float
    """From the start of ssh to the first picture with the task in it."""
    status: str


class Sshd:
    """A server on loopback for this user alone."""

    def __init__(self, folder: Path) -> None:
        assert SSHD is not None
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(make, check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it refuses to run as root without
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPrintMotd no\n"
            "AcceptEnv *\n"
        )
        self._folder = folder
        with (folder / "log").open("wb") as log:
            self._server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
        until = time.monotonic() + LIMIT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.02)

    def command(self, words: str) -> list[str]:
        """The client's command line for a session with a terminal."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")
        flags = [word for option in options for word in ("-o", option)]
        key = ["-i", str(self._folder / "user"), "-p", str(self.port), "-F", "none"]
        return ["ssh", "-tt", *flags, *key, f"{getpass.getuser()}@127.0.0.1", words]

    def close(self) -> None:
        """The end of it and of its sessions."""
        self._server.terminate()
        self._server.wait()


class Session:
    """The client's side of one connection, with a terminal of 120×40."""

    def __init__(self, command: list[str]) -> None:
        self.begun = time.monotonic()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, {**os.environ, "TERM": "xterm-256color"})
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def until(self, text: bytes) -> float:
        """Seconds from its start until it has shown a text; AssertionError with what it showed otherwise."""
        seen = b""
        while text not in seen:
            left = self.begun + LIMIT - time.monotonic()
            assert select.select([self._master], [], [], max(left, 0))[0], seen[-2000:]
            with contextlib.suppress(OSError):  # it has ended
                seen += os.read(self._master, 65536)
                continue
            raise AssertionError(seen[-2000:])
        return time.monotonic() - self.begun

    def cut(self) -> None:
        """The connection is gone without a word."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._master)


@contextlib.contextmanager
def ground(folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """A project, the file that lets its task go on, and the line of shell that stands before each command."""
    project, go = folder / "project", folder / "go"
    project.mkdir()
    (project / "task.md").write_text("# Greet\n")
    waits = [f"while [ ! -e {go} ]; do sleep 0.05; done; echo hello > greeting.txt", Claim("Done.")]
    check = {"name": "greeting", "file": "greeting.txt", "matches": "hello"}
    plan = {"tasks": [task("Greet the world", "grep -q hello greeting.txt")], "checks": [check]}
    with ScriptedModel(plan_brain(plan, {"Greet the world": waits})) as model:
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "HOME": str(folder / "home"),
            "AURA_CONTAINMENT": "none",  # a file outside lets the worker go on
            "AURA_API_PROVIDER": "openai",
            "AURA_API_BASE_URL": f"{model.url}/v1",
            "AURA_API_KEY": "k",
            "AURA_API_MODEL": "m",
            "AURA_FLASH_BACKEND": "builtin",
            "AURA_FLASH_BASE_URL": model.url,
            "AURA_FLASH_API_KEY": "k",
            "AURA_FLASH_MODEL": "m",
            "AURA_WORKER_MODE": "flash-only",
        }
        (folder / "home").mkdir()
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
        yield project, go, f"cd {shlex.quote(str(project))} && env {words} {sys.executable} -m aura_engine.cli"


def drop(server: Sshd, folder: Path, *, stalled: bool) -> Drop:
    """One run from its start over a dropped connection to its end."""
    folder.mkdir()
    with ground(folder) as (project, go, aura):
        first = Session(server.command(f"{aura} task.md"))
        try:
            first.until(b"Greet the world")
            data = next((project / ".aura").glob("*/journal.db")).parent
            before = owner(data / "lock")
            if stalled:
                time.sleep(STALLED)
        finally:
            first.cut()
        time.sleep(0.5)  # whatever a hang-up does has been done by then
        again = Session(server.command(f"{aura} attach"))
        try:
            shown = again.until(b"Greet the world")
        finally:
            again.cut()
        alive = owner(data / "lock")
        went_on = before is not None and alive is not None and alive.pid == before.pid
        go.touch()
        assert before is not None
        return Drop(stalled, went_on, round(shown * 1000), _ended(data, before.pid))


def _ended(data: Path, pid: int) -> str:
    """The run's status once its process is gone: it writes its report after it has let go of the run."""
    until = time.monotonic() + LIMIT
    while owner(data / "lock") is not None or psutil.pid_exists(pid):
        if time.monotonic() > until:
            return "still running"
        time.sleep(0.05)
    return str(json.loads((data / "state" / "status.json").read_text())["status"])


def campaign(drops: int) -> dict[str, Any]:
    """So many drops; the figures."""
    with tempfile.TemporaryDirectory(prefix="aura-ssh-") as name:
        folder = Path(name)
        server = Sshd(folder / "sshd")
        try:
            seen = [drop(server, folder / f"run{number}", stalled=bool(number % 2)) for number in range(drops)]
        finally:
            server.close()
    return {
        "drops": drops,
        "after_a_stalled_terminal": sum(each.stalled for each in seen),
        "went_on": sum(each.went_on for each in seen),
        "achieved": sum(each.status == "achieved" for each in seen),
        "attach_ms_median": statistics.median(each.attach_ms for each in seen),
        "attach_ms_max": max(each.attach_ms for each in seen),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drops", type=int, default=20)
    found = campaign(parser.parse_args().drops)
    print(json.dumps(found, indent=2))
    sys.exit(0 if found["went_on"] == found["achieved"] == found["drops"] else 1)


if __name__ == "__main__":
    main()
