"""A program with bad intentions: tries what nothing behind a wall may do, prints what it could as JSON. No test."""

from __future__ import annotations

# ruff: noqa: PTH101, PTH109, PTH208, PTH211 - the calls themselves are what is tried
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CANARY = b"aura-canary"


def reads(path: str) -> bool:
    return bool(Path(path).read_bytes())


def writes(path: str) -> bool:
    Path(path).write_text("was here")
    return True


def connects(address: str | tuple[str, int]) -> bool:
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)
    return True


def sees_environment() -> bool:
    """Any process's."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and CANARY in Path("/proc", name, "environ").read_bytes():
                return True
    return False


def sees_command_line() -> bool:
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if (
                name.isdigit()
                and int(name) != os.getpid()
                and b"aura-victim" in Path(f"/proc/{name}/cmdline").read_bytes()
            ):
                return True
    return False


def traces(pid: int) -> bool:
    return ctypes.CDLL(None).ptrace(0x4206, pid, None, None) == 0  # attached without being stopped


def mounts(where: str) -> bool:
    return ctypes.CDLL(None).mount(b"none", os.fsencode(where), b"tmpfs", 0, None) == 0


def makes_device(where: str) -> bool:
    os.mknod(where, 0o600 | 0o060000, os.makedev(8, 0))
    return True


def signals(pid: int) -> bool:
    os.kill(pid, signal.SIGCONT)
    return True


def main() -> None:
    told = json.loads(sys.argv[1])
    here = os.getcwd()
    tries: dict[str, Callable[[], bool]] = {
        **{f"read {name}": lambda path=path: reads(path) for name, path in told["secrets"].items()},
        **{f"list {path}": lambda path=path: bool(os.listdir(path)) for path in told["folders"]},
        **{f"write {path}": lambda path=path: writes(path) for path in told["targets"]},
        **{f"connect {name}": lambda at=at: connects(at) for name, at in told["sockets"].items()},
        **{f"signal {name}": lambda pid=pid: signals(pid) for name, pid in told["pids"].items()},
        **{f"trace {name}": lambda pid=pid: traces(pid) for name, pid in told["pids"].items()},
        **{
            f"open {what} of {name}": lambda at=f"/proc/{pid}/{what}": reads(at)
            for name, pid in told["pids"].items()
            for what in ("environ", "maps", "root/etc/hostname", "cwd/secret")
        },
        "environment": sees_environment,
        "command line": sees_command_line,
        "mode": lambda: os.chmod(told["secrets"]["ssh key"], 0o600) is None,
        "shared memory": lambda: reads(told["memory"]),
        "mount": lambda: mounts(here),
        "device": lambda: makes_device(f"{here}/device"),
        "swap link": lambda: os.symlink(told["secrets"]["ssh key"], f"{here}/link") or reads(f"{here}/link"),
        "hard link": lambda: os.link(told["secrets"]["ssh key"], f"{here}/hard") or reads(f"{here}/hard"),
        "outside": lambda: connects(("127.0.0.1", told["port"])),
    }
    done: list[str] = []
    for name, attempt in tries.items():
        with contextlib.suppress(OSError):
            if attempt():
                done.append(name)
    broken = [
        name
        for name, works in {"own loopback": own_loopback, "write here": lambda: writes(f"{here}/mine")}.items()
        if not works()
    ]
    print(json.dumps({"done": sorted(done), "broken": broken}))


def own_loopback() -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return connects(server.getsockname())


main()
