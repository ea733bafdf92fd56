"""AURA_DOCKER_GPUS and AURA_DOCKER_EXTRA_ARGS as parts of a container's description.

Only flags of `docker run` that leave the container's walls standing are understood; those that would take one down are
refused by name, all others as unknown. Pure: nothing is looked up.
"""

from __future__ import annotations

import csv
import ipaddress
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError

GPUS, EXTRA = "AURA_DOCKER_GPUS", "AURA_DOCKER_EXTRA_ARGS"
ALL_GPUS = -1
_SIZES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]*")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH", re.IGNORECASE)
_SYSTEM = tuple(
    map(PurePosixPath, ("/", "/proc", "/sys", "/dev", "/run", "/var/run", "/var/lib", "/etc", "/root", "/boot"))
)
"""Folders of the host that hold its secrets, its sockets or the machine itself: no container gets any of it."""
_HOMES = PurePosixPath("/home")
_TAKEN_OVER = ("/proc", "/sys", "/dev", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/run", "/opt/python")
"""Folders of the image that nothing is put over."""
_REFUSED = {
    **dict.fromkeys(("privileged", "device", "device-cgroup-rule"), "it opens the host's devices to workers"),
    **dict.fromkeys(("cap-add", "security-opt"), "it gives workers powers over the host's kernel"),
    **dict.fromkeys(("pid", "ipc", "uts", "userns", "cgroupns"), "it lets workers into the host's namespaces"),
    **dict.fromkeys(("network", "net", "network-alias"), "AURA_DOCKER_NETWORK decides on the network"),
    **dict.fromkeys(("p", "P", "publish", "publish-all", "expose"), "it opens ports on this machine"),
    **dict.fromkeys(("u", "user", "group-add"), "workers run as the owner of their workspace"),
    **dict.fromkeys(
        ("env-file",), "what stands in a container's settings can be read by others; keys belong there least"
    ),
    **dict.fromkeys(("volumes-from", "mount", "tmpfs", "volume-driver"), "give --volume FOLDER:PLACE:ro instead"),
    **dict.fromkeys(("rm", "restart", "name", "d", "detach", "init", "cidfile"), "Aura itself keeps its containers"),
    **dict.fromkeys(
        ("i", "t", "it", "tty", "interactive", "a", "attach", "entrypoint"), "Aura itself starts the worker"
    ),
    **dict.fromkeys(
        ("oom-kill-disable", "oom-score-adj", "sysctl", "cgroup-parent"), "it would put this machine at risk"
    ),
}


@dataclass(frozen=True)
class HostAdditions:
    """What a person's settings add to every container."""

    host: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of HostConfig that stand over the profile's own: DeviceRequests, Memory, NanoCpus, …"""
    mounts: tuple[tuple[str, str], ...] = ()
    """Folders of the host that are shown read-only, and where: (source, target)."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def parse(gpus: str, extra: str) -> HostAdditions:
    """Both settings as written. ConfigError naming the part that is wrong or refused, and what to write instead."""
    host: dict[str, Any] = {}
    mounts: list[tuple[str, str]] = []
    env: dict[str, str] = {}
    labels: dict[str, str] = {}
    requests = gpu_requests(gpus)
    for flag, value in _flags(extra):
        match flag:
            case "gpus":
                requests = gpu_requests(value, EXTRA)
            case "env":
                name, text = _pair(flag, value)
                env[_env_name(name)] = text
            case "label":
                name, text = _pair(flag, value)
                if name.startswith("aura."):
                    raise _wrong(flag, value, "labels that begin with “aura.” are Aura's own")
                labels[name] = text
            case "volume":
                mounts.append(_volume(value))
            case "memory":
                host |= {"Memory": (size := _size(flag, value)), "MemorySwap": size}
            case "add-host" | "dns":
                key = "ExtraHosts" if flag == "add-host" else "Dns"
                host[key] = [*host.get(key, []), _SIMPLE[flag][1](value)]
            case _:
                key, read = _SIMPLE[flag]
                host[key] = read(value)
    if requests:
        host["DeviceRequests"] = requests
    return HostAdditions(host, tuple(mounts), env, labels)


def gpu_requests(text: str, setting: str = GPUS) -> list[dict[str, Any]]:
    """The DeviceRequests for a value of `--gpus`: empty, `all`, a number, `device=0`, `"device=0,1"`, `count=2,…`.

    ConfigError for anything else.
    """
    text = text.strip().strip("'").strip()
    if text in ("", "0", "none"):
        return []
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}
    last = ""
    for part in (piece.strip() for row in csv.reader([text]) for piece in row):
        name, equals, value = part.partition("=")
        if not equals:  # a number, `all`, or one more of a list that was not quoted
            name, value = (last or "count"), part
        match name:
            case "device":
                devices = [piece.strip() for piece in value.split(",")]
                if not all(_DEVICE.fullmatch(device) for device in devices):
                    raise _no_gpus(setting, text)
                request["DeviceIDs"] += devices
            case "count" if value == "all" or (value.isascii() and value.isdecimal() and int(value) > 0):
                request["Count"] = ALL_GPUS if value == "all" else int(value)
            case "driver" if _DEVICE.fullmatch(value):
                request["Driver"] = value
            case "capabilities":
                wanted = [piece.strip() for piece in value.split(",")]
                if not all(_DEVICE.fullmatch(piece) for piece in wanted):
                    raise _no_gpus(setting, text)
                request["Capabilities"] = [[*dict.fromkeys(["gpu", *request["Capabilities"][0][1:], *wanted])]]
            case _:
                raise _no_gpus(setting, text)
        last = name
    if request["DeviceIDs"] and request["Count"]:
        raise ConfigError(f"{setting} is “{one_line(text, 80)}”: give either devices or a count.")
    if not request["DeviceIDs"] and not request["Count"]:
        request["Count"] = ALL_GPUS
    return [request]


def _no_gpus(setting: str, text: str) -> ConfigError:
    return ConfigError(
        f"{setting} is “{one_line(text, 80)}”, which names no GPUs.",
        cure='Write all, a number, device=0 or "device=0,1"; leave it empty for none.',
    )


def _flags(extra: str) -> Iterator[tuple[str, str]]:
    """The flags by their long names, each with its value."""
    try:
        words = iter(shlex.split(extra))
    except ValueError as error:
        raise ConfigError(f"{EXTRA} cannot be read: {str(error).lower()}.", cure="Is a quote left open?") from None
    for word in words:
        short = re.fullmatch(r"-([A-Za-z])=?(.*)", word, re.DOTALL)
        long = re.fullmatch(r"--([A-Za-z][A-Za-z0-9-]*)(?:=(.*))?", word, re.DOTALL)
        if short:
            name, value = short[1], short[2] or None
        elif long:
            name, value = long[1], long[2]
        else:
            raise ConfigError(f"{EXTRA} holds “{one_line(word, 80)}”, which is no flag.", cure=_CURE)
        flag = _SHORT.get(name, name)
        why = _REFUSED.get(name) or _REFUSED.get(word.lstrip("-"))
        if why:
            raise ConfigError(f"{EXTRA}: {one_line(word, 80)} is refused: {why}.", cure="Leave it out.")
        if flag not in _KNOWN:
            raise ConfigError(f"{EXTRA}: {one_line(word, 80)} is not understood.", cure=_CURE)
        if value is None and (value := next(words, None)) is None:
            raise ConfigError(f"{EXTRA}: {one_line(word, 80)} has no value.", cure=_CURE)
        yield flag, value


def _wrong(flag: str, value: str, why: str) -> ConfigError:
    return ConfigError(f"{EXTRA}: --{flag} {one_line(value, 120)}: {why}.")


def _pair(flag: str, value: str) -> tuple[str, str]:
    name, equals, text = value.partition("=")
    if not equals or not name or "\0" in value:
        raise _wrong(flag, value, "write it as NAME=VALUE")
    return name, text


def _env_name(name: str) -> str:
    if not _ENV_NAME.fullmatch(name):
        raise _wrong("env", name, "that is no name of a variable")
    if _SECRET.search(name):
        why = "everybody who may use Docker here can read a container's variables, so keys do not belong there"
        raise _wrong("env", f"{name}=…", why)
    return name


def _volume(value: str) -> tuple[str, str]:
    parts = value.split(":")
    if len(parts) not in (2, 3) or not all(parts) or not all(part.startswith("/") for part in parts[:2]):
        raise _wrong("volume", value, "write it as /FOLDER:/PLACE:ro")
    if len(parts) == 2 or parts[2] != "ro":
        raise _wrong("volume", value, f"workers may only read it; write {parts[0]}:{parts[1]}:ro")
    source, target = (_folder(value, part) for part in parts[:2])
    if why := forbidden(source):
        raise _wrong("volume", value, why)
    if str(target) == "/" or any(str(target) == top or str(target).startswith(f"{top}/") for top in _TAKEN_OVER):
        raise _wrong("volume", value, f"nothing is put over {target} of the image; choose another place, such as /data")
    return str(source), str(target)


def forbidden(source: PurePosixPath) -> str:
    """Why a folder of the host is shown to no worker; empty when it may be."""
    if source in _SYSTEM or any(top in source.parents for top in _SYSTEM[1:]) or source.name.endswith(".sock"):
        return f"{source} belongs to this machine, not to a worker"
    if _HOMES in (source, source.parent) or any(part.startswith(".") for part in source.parts):
        return f"{source} holds private files; name a folder with data in it"
    return ""


def _folder(value: str, text: str) -> PurePosixPath:
    path = PurePosixPath("/" + text.lstrip("/"))
    if ".." in path.parts or "\0" in text:
        raise _wrong("volume", value, "write its folders without “..”")
    return path


def _size(flag: str, value: str) -> int:
    found = re.fullmatch(r"(\d{1,12})([bkmgt]?)b?", value.lower(), re.ASCII)
    if not found or not int(found[1]):
        raise _wrong(flag, value, "write a size such as 512m or 8g")
    return int(found[1]) * _SIZES[found[2]]


def _cpus(value: str) -> int:
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", value, re.ASCII) or not float(value):
        raise _wrong("cpus", value, "write a number of cores such as 2 or 1.5")
    return int(float(value) * 1e9)


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,7}", value, re.ASCII) or not int(value):
        raise _wrong("pids-limit", value, "write a number of processes; there is no “unlimited”")
    return int(value)


def _cores(value: str) -> str:
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", value, re.ASCII):
        raise _wrong("cpuset-cpus", value, "write cores such as 0-3 or 0,2")
    return value


def _added_host(value: str) -> str:
    name, _, address = value.replace("=", ":", 1).partition(":")
    if not _HOST.fullmatch(name) or not (address == "host-gateway" or _is_address(address)):
        raise _wrong("add-host", value, "write it as NAME:ADDRESS")
    return f"{name}:{address}"


def _address(value: str) -> str:
    if not _is_address(value):
        raise _wrong("dns", value, "write the address of a name server")
    return value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _runtime(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise _wrong("runtime", value, "write a name such as runsc or nvidia")
    return value


_SIMPLE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "shm-size": ("ShmSize", partial(_size, "shm-size")),
    "cpus": ("NanoCpus", _cpus),
    "cpuset-cpus": ("CpusetCpus", _cores),
    "pids-limit": ("PidsLimit", _count),
    "add-host": ("ExtraHosts", _added_host),
    "dns": ("Dns", _address),
    "runtime": ("Runtime", _runtime),
}
_KNOWN = frozenset({"gpus", "env", "label", "volume", "memory", *_SIMPLE})
_SHORT = {"e": "env", "v": "volume", "m": "memory", "l": "label"}
_CURE = f"Understood are {', '.join(f'--{name}' for name in sorted(_KNOWN))}."
