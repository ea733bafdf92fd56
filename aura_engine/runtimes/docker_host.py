"""Where the container engine listens, whether it answers, and whether it sees the same files as Aura does."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError, RuntimeFault

if TYPE_CHECKING:
    from aura_engine.runtimes.docker_engine import DockerEngine

GREET_LIMIT = 15.0
"""Seconds within which the engine has to say its version."""
PROBE_LIMIT = 60.0
"""Seconds for a container that only compares a file."""
OLDEST = (20, 10)
"""The first Docker whose containers have a control group namespace of their own."""
USUAL = "/var/run/docker.sock"
OR_HERE = "Or let workers run on this machine: --no-docker."
UNIX = "unix://"


@dataclass(frozen=True, slots=True)
class Greeted:
    """What an engine says of itself."""

    version: str
    """Such as 20.10.24."""
    rootless: bool
    """Its root is the user that runs it."""


def address_of(setting: str, environ: Mapping[str, str]) -> str:
    """Where the engine listens: AURA_DOCKER_HOST, DOCKER_HOST, else the first usual socket that is there.

    ConfigError for what is no address. It is not asked whether anybody listens there.
    """
    if told := setting or environ.get("DOCKER_HOST", ""):
        address = f"{UNIX}{told}" if told.startswith("/") else told
        if not re.fullmatch(r"unix:///[^\0]+|(tcp|https?)://[^/\s]+/?", address):
            raise ConfigError(
                f"“{one_line(told, 120)}” is no address of a Docker engine.",
                cure="Set AURA_DOCKER_HOST (or DOCKER_HOST) to one such as unix:///var/run/docker.sock.",
            )
        return address
    home, runtime = environ.get("HOME", ""), environ.get("XDG_RUNTIME_DIR", "")
    places = ["/run/docker.sock", USUAL]
    places += [f"{runtime}/docker.sock"] if runtime else []
    places += [f"{home}/.docker/run/docker.sock", f"{home}/.colima/default/docker.sock"] if home else []
    return UNIX + next((place for place in places if Path(place).is_socket()), USUAL)


async def greet(engine: DockerEngine) -> Greeted:
    """Who answers. RuntimeFault saying in one line why nobody does, or that it is too old."""
    if engine.url.startswith(UNIX):
        _look_at(Path(engine.url.removeprefix(UNIX)))
    told: dict[str, Any] = await engine.call("say its version", engine.docker.version(), GREET_LIMIT)
    system: Any = engine.docker.system
    info: dict[str, Any] = await engine.call("tell of itself", system.info(), GREET_LIMIT)
    version = one_line(str(told.get("Version", "")), 60)
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        need = ".".join(map(str, OLDEST))
        raise RuntimeFault(f"The Docker engine is {version}; Aura needs {need} or newer.", cure=OR_HERE)
    return Greeted(version, any("rootless" in str(option) for option in info.get("SecurityOptions") or ()))


def _look_at(socket: Path) -> None:
    """What keeps anybody from answering at a socket, as far as can be seen from here."""
    try:
        mode = socket.stat().st_mode
    except FileNotFoundError:
        installed = shutil.which("dockerd") or shutil.which("docker")
        cure = "Start it (sudo systemctl start docker)." if installed else "Install Docker (docs.docker.com/engine)."
        raise RuntimeFault(f"No Docker engine runs here: there is no {socket}.", cure=f"{cure} {OR_HERE}") from None
    except OSError as error:
        raise RuntimeFault(f"{socket} cannot be looked at: {error.strerror}.", cure=OR_HERE) from None
    if not stat.S_ISSOCK(mode):
        raise RuntimeFault(f"{socket} is no socket, so no Docker engine listens there.", cure=OR_HERE)
    if not os.access(socket, os.R_OK | os.W_OK):
        raise RuntimeFault(
            f"You may not use the Docker engine at {socket}: permission denied.",
            cure=f"Join its group (sudo usermod -aG docker $USER) and log in again. {OR_HERE}",
        )


async def must_see(engine: DockerEngine, image: str, folder: Path) -> None:
    """RuntimeFault when a container of this engine does not see a file that is written into `folder` just now."""
    nonce, name = secrets.token_hex(16), f"aura-probe-{secrets.token_hex(8)}"
    probe = folder / name
    probe.mkdir(mode=0o755)
    try:
        (probe / "nonce").write_text(nonce, encoding="ascii")
        await _compare(engine, name, image, probe, nonce)
    finally:
        with suppress(OSError):
            shutil.rmtree(probe)


async def _compare(engine: DockerEngine, name: str, image: str, probe: Path, nonce: str) -> None:
    mount = {"Type": "bind", "Source": str(probe), "Target": "/probe", "ReadOnly": True}
    body: dict[str, Any] = {
        "Image": image,
        "Entrypoint": ["python3", "-c", f"import sys; sys.exit(open('/probe/nonce').read() != '{nonce}')"],
        "User": "65534:65534",
        "Labels": {"aura.kind": "probe"},
        "HostConfig": {
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges:true"],
            "Mounts": [mount],
        },
    }
    try:
        await engine.create(name, body)
        await engine.start(name)
        await engine.wait(name, PROBE_LIMIT)
        state = await engine.state(name)
        why = "" if state is not None and state.code == 0 else "a container does not see what Aura writes"
    except RuntimeFault as error:
        why = str(error)
    except TimeoutError:
        why = f"a container that only reads a file took longer than {PROBE_LIMIT:.0f} s"
    finally:
        with suppress(RuntimeFault):
            await engine.remove(name)
    if why:
        raise RuntimeFault(
            f"The Docker engine at {engine.url} does not share this machine's files ({one_line(why, 200)}).",
            cure=f"Use the engine of this machine: unset DOCKER_HOST and AURA_DOCKER_HOST. {OR_HERE}",
        )
