"""The container engine is restarted under a running worker, gently or not, with and without live-restore.

No attempt is lost or charged: either the worker goes on, and its output has no gap, or its end is told to be nobody's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aura_engine.core.model import Ending, EndKind
from aura_engine.watching import from_outside

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(180)]
PATIENCE = 60.0
COUNTS = "i=0; while [ ! -e go ]; do i=$((i+1)); echo $i; sleep 0.02; done; exit 3"


@dataclass
class Daemon:
    """A container engine of the tests' own: no bridge, no firewall rules, nothing of another's."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    flags: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self.folder}/docker.sock"

    def start(self, *flags: str) -> None:
        """Returns once it answers."""
        own = ["--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec", "-p", f"{self.folder}/pid"]
        command = ["dockerd", *own, "-H", self.url, "--bridge=none", "--iptables=false", *flags]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        log.close()
        until = time.monotonic() + PATIENCE
        while subprocess.run(["docker", "-H", self.url, "info"], capture_output=True, check=False).returncode:
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def end(self, signum: signal.Signals) -> None:
        """Returns once it is gone."""
        assert self.process is not None
        self.process.send_signal(signum)
        self.process.wait(PATIENCE)
        # Killed, it leaves these; its containerd dies with it, and stays a zombie where nobody reaps such.
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def daemon(docker_url: str, image: str) -> Iterator[Daemon]:
    """With the image of the engine that is used otherwise."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("starting a container engine takes root and dockerd")
    folder = Path(tempfile.mkdtemp(prefix="aura-dockerd-", dir="/tmp"))  # a socket's path may have 107 bytes
    made = Daemon(folder)
    made.start()
    copy = f"docker -H {docker_url} save {image} | docker -H {made.url} load"
    subprocess.run(["sh", "-c", copy], check=True, capture_output=True)
    made.end(signal.SIGTERM)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGTERM)
    for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
        if (place := mount.split()[1]).startswith(str(folder)):
            subprocess.run(["umount", "-l", place], check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("live", [True, False], ids=["live-restore", "no live-restore"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
async def test_a_restart_costs_no_attempt(harbour, daemon, eventually, how, live):
    flags = ["--live-restore"] if live else []
    daemon.start(*flags)
    try:
        harbour.url = daemon.url
        runtime, worker = await harbour.start(COUNTS)
        await eventually(lambda: len(harbour.output().split()) > 20)
        daemon.end(how)
        there = len(harbour.output().split())
        assert worker.record.pid
        if how == signal.SIGKILL or live:
            await eventually(lambda: len(harbour.output().split()) > there + 5)
        assert not worker._over.is_set(), "nobody is declared dead while the engine is away"
        daemon.start(*flags)
        if live:
            (harbour.root / "work" / "A1-1" / "go").touch()
            record = await worker.wait()
            assert (record.code, record.outside) == (3, "")
        else:
            record = await worker.wait()
            assert record.outside
            ending = from_outside(Ending(kind=EndKind.CRASHED, detail="exit status 1"), record)
            assert ending.kind is EndKind.LOST
        lines = harbour.output().split()
        assert lines == [str(at) for at in range(1, len(lines) + 1)]
        _, another = await harbour.start("true", 2, runtime=runtime)
        assert (await another.wait()).code == 0
        for folder in (worker.folder, another.folder):
            await runtime.clear(folder)
        await runtime.aclose()
        assert harbour.containers() == []
    finally:
        daemon.end(signal.SIGTERM)
        harbour.url = ""
