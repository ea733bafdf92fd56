"""What a container may do: the body of `POST /containers/create`, made of nothing but values.

Every field is here because something went wrong without it. No capability, no way to gain one, a root file system that
cannot be written, limits on all that a program can use up, and of the host only the folders named: never its sockets.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura_engine.runtimes.docker_arguments import HostAdditions

GIB = 1 << 30
PIDS = 512
SHM = 64 << 20
STOP_TIMEOUT = 10
"""Seconds between the engine's SIGTERM and its SIGKILL, where it is the one that stops a container."""
TMP = "rw,nosuid,nodev,exec,size=512m,mode=1777"
"""Docker's own default is noexec: what a program unpacks there could not be run. It counts as memory."""
NO_NETWORK = "none"
IDENTITY = {"user.name": "worker", "user.email": "worker@localhost", "safe.directory": "*"}
"""Git refuses to commit without the first two, and to work in another user's folder without the last."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host, which must be there, and where it lies inside."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Profile:
    """What all containers of a run have in common."""

    project: str
    """8 hex digits: names the run's containers and its network."""
    run: str
    user: str
    """`uid:gid`: whose the workspaces are."""
    memory: int = 4 * GIB
    """Bytes, swap included."""
    cpus: float = 2.0
    network: str = NO_NETWORK
    """The network of workers, and of those checks that ask for one."""
    epoch: int = 0
    """Which engine of the run made it."""
    additions: HostAdditions = field(default_factory=HostAdditions)
    """What the person allows beyond: GPUs, other limits."""


@dataclass(frozen=True)
class Use:
    """One container: what runs in it and what it sees."""

    image: str
    """By digest or id, never by a tag that can move."""
    command: Sequence[str]
    cwd: str
    home: str
    kind: str
    """`worker` or `check`."""
    mounts: Sequence[Mount]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Nothing secret: whoever may ask the container engine can read it."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    network: bool = True


def container_name(project: str, name: str) -> str:
    """The name of the container of an attempt: the same at every try, so that there can be no second one."""
    return f"aura-{project}-{name}"


def body(profile: Profile, use: Use) -> dict[str, Any]:
    """The body of the request that creates the container."""
    network = profile.network if use.network else NO_NETWORK
    additions = profile.additions
    return {
        "Image": use.image,
        "Entrypoint": list(use.command),
        "Cmd": [],
        "WorkingDir": use.cwd,
        "User": profile.user,
        "Hostname": "aura",
        "Env": [f"{name}={value}" for name, value in {**_env(use.home), **additions.env, **use.env}.items()],
        "Labels": {
            **additions.labels,
            "aura.project": profile.project,
            "aura.run": profile.run,
            "aura.kind": use.kind,
            "aura.epoch": str(profile.epoch),
            **use.labels,
        },
        "Tty": False,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "StopSignal": "SIGTERM",
        "StopTimeout": STOP_TIMEOUT,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {**_host(profile, use, network), **additions.host},
    }


def _env(home: str) -> dict[str, str]:
    git = {"GIT_CONFIG_COUNT": str(len(IDENTITY))}
    for at, (name, value) in enumerate(IDENTITY.items()):
        git |= {f"GIT_CONFIG_KEY_{at}": name, f"GIT_CONFIG_VALUE_{at}": value}
    return {"HOME": home, "USER": "worker", "LANG": "C.UTF-8", "TERM": "dumb", **git}


def _host(profile: Profile, use: Use, network: str) -> dict[str, Any]:
    shown = [Mount(source, target) for source, target in profile.additions.mounts]
    return {
        "Init": True,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
        "Privileged": False,
        "CapAdd": [],
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": TMP},
        "Mounts": [_mount(mount) for mount in (*shown, *use.mounts)],
        "Memory": profile.memory,
        "MemorySwap": profile.memory,
        "NanoCpus": round(profile.cpus * 1e9),
        "PidsLimit": PIDS,
        "ShmSize": SHM,
        "OomScoreAdj": 500,
        "Ulimits": [{"Name": "nofile", "Soft": 4096, "Hard": 8192}, {"Name": "core", "Soft": 0, "Hard": 0}],
        "NetworkMode": network,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "local", "Config": {"max-size": "10m", "max-file": "3"}},
        "Devices": [],
        "DeviceRequests": [],
        "PublishAllPorts": False,
        "PortBindings": {},
    }


def _mount(mount: Mount) -> dict[str, Any]:
    # A mount fails where its source is missing; the older `Binds` would make a folder there that belongs to root.
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": not mount.writable,
        "BindOptions": {"Propagation": "rprivate"},
    }


def project_of(scratch: Path) -> str:
    """8 hex digits that name the containers of a run, told from the folder of its workspaces."""
    return hashlib.sha256(os.fsencode(scratch)).hexdigest()[:8]
