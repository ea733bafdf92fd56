"""Run inside a container: tries to get out of it, and prints as JSON a list of what it could do. Stand-alone.

Its one argument is JSON: `host` (files of the host, by what they are), `secret` (a text that is in none but its own
environment), `namespaces` (the host's own), `ports` (of the host: `everywhere`, `loopback`), `neighbour` (an address),
`memory` (bytes that it may not have).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

ASKED: dict[str, Any] = json.loads(sys.argv[1])
TIMEOUT = 1.5
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_MOUNT = 0x10000000, 0x00020000
MANY = 700
"""Processes: more than the 512 that are allowed."""


def status(name: str, pid: int | str = "self") -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split(":", 1)[1].strip()
    return ""


def identity() -> Iterator[str]:
    if os.geteuid() == 0:
        yield "be root"
    if any(int(status(f"Cap{kind}"), 16) for kind in ("Eff", "Prm", "Inh", "Bnd", "Amb")):
        yield "have a capability"
    if status("NoNewPrivs") == "0":
        yield "gain privileges"
    if status("Seccomp") == "0":
        yield "make any system call"


def setuid() -> Iterator[str]:
    for name in ("passwd", "su", "chsh"):
        program = Path("/usr/bin", name)
        if not program.exists() or not program.stat().st_mode & 0o4000:
            continue
        asking = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=-3, stderr=-3)
        until = time.monotonic() + 1
        while time.monotonic() < until and asking.poll() is None:
            with suppress(OSError):
                if status("Uid", asking.pid).split()[1:2] == ["0"]:
                    yield "become root by a setuid program"
                    break
            time.sleep(0.02)
        asking.kill()
        asking.communicate()
        return


def kernel() -> Iterator[str]:
    place = Path("/tmp/mounted")
    place.mkdir()
    if LIBC.mount(b"none", bytes(place), b"tmpfs", 0, None) == 0:
        yield "mount"
    child = os.fork()
    if not child:
        os._exit(0 if LIBC.unshare(NEW_USER | NEW_MOUNT) == 0 else 1)
    if os.waitpid(child, 0)[1] == 0:
        yield "make namespaces"
    for name, theirs in ASKED["namespaces"].items():
        if str(Path(f"/proc/self/ns/{name}").readlink()) == theirs:
            yield f"share the host's {name} namespace"
    with suppress(OSError):
        Path("/proc/sys/kernel/hostname").write_text("mine")
        yield "change the kernel's settings"
    if list(Path("/dev").glob("sd*")) or list(Path("/dev").glob("vd*")) or Path("/dev/mem").exists():
        yield "see the host's disks"


def files() -> Iterator[str]:
    for what, place in ASKED["host"].items():
        with suppress(OSError):
            path = Path(place)
            if path.exists():
                yield f"see {what}"
    for process in Path("/proc").glob("[0-9]*"):
        mine = process.name == str(os.getpid())
        with suppress(OSError):
            if not mine and process.name == "1" and ASKED["secret"].encode() in (process / "environ").read_bytes():
                yield "read the key out of /proc/1/environ"
    for folder in ("/", "/etc", "/usr/bin", "/var/tmp", "/run", "/aura", "/opt"):
        with suppress(OSError):
            Path(folder, "planted").write_text("x")
            yield "write outside of its folders"
            break
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if place == "/tmp" and not {"nosuid", "nodev"} <= set(options.split(",")):
            yield "keep setuid files in /tmp"
        if "docker.sock" in place or (kind in ("ext4", "xfs") and place == "/"):
            yield "see the host's file system"


def network() -> Iterator[str]:
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("192.0.2.1", 9))
        yield "reach the internet"
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", ASKED["ports"]["loopback"]), TIMEOUT).close()
        yield "reach the host's loopback"
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000":
            gateway = socket.inet_ntoa(int(fields[2], 16).to_bytes(4, "little"))
            with suppress(OSError):
                socket.create_connection((gateway, ASKED["ports"]["everywhere"]), TIMEOUT).close()
                yield "reach host ports on the gateway"
    if ASKED["neighbour"]:
        with suppress(OSError):
            socket.create_connection((ASKED["neighbour"], 8000), TIMEOUT).close()
            yield "reach a neighbour"


def limits() -> Iterator[str]:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 8192:
        yield "open files without end"
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        yield "dump core"
    if int(Path("/proc/self/oom_score_adj").read_text()) < 500:
        yield "outlive the host's own programs"
    quota = [Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu.max")]
    told = [path.read_text().split()[0] for path in quota if path.exists()]
    if told in ([], ["max"], ["-1"]):
        yield "take all the processor's time"
    place = Path("/dev/shm/big")
    with suppress(OSError):
        place.write_bytes(bytes(80 << 20))
        yield "fill the shared memory"
    place.unlink(missing_ok=True)


def memory() -> Iterator[str]:
    child = os.fork()
    if not child:
        with suppress(MemoryError):
            held = bytearray(ASKED["memory"])
            for at in range(0, len(held), 4096):
                held[at] = 1
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1] == 0:
        yield "take memory without end"


def bomb() -> Iterator[str]:
    """Threads count as processes do, and cost less memory."""
    threading.stack_size(64 << 10)
    enough = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(MANY):
            thread = threading.Thread(target=enough.wait)
            thread.start()
            started.append(thread)
        yield "start processes without end"
    except RuntimeError:
        pass
    finally:
        enough.set()
        for thread in started:
            thread.join()


def main() -> None:
    tries: list[Callable[[], Iterator[str]]] = [identity, setuid, kernel, files, network, limits, bomb, memory]
    could: list[str] = []
    for attempt in tries:
        could += attempt()
    print(json.dumps(sorted(could)), flush=True)


if __name__ == "__main__":
    main()
